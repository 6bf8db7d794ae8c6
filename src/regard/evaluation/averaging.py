"""Mean maps over many images, and by class: where a net looks as a rule."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regard.data.regions import Regions
from regard.evaluation.bootstrap import bootstrap_interval
from regard.evaluation.ranges import SHARE, UPWARDS
from regard.evaluation.units import Units
from regard.saliency.resizing import resize
from regard.scores.scoring import score

NUMBERS = ("mass", "positive", "inside", "area")


@dataclass(frozen=True)
class Group:
    """The images of one class, or all of them.

    Attributes:
        name: of the class; None for all.
        images: how many there are.
        dead: how many of them have a map that is zero everywhere or not finite. They are in no
            mean map.
        mean: (H, W), the mean map of the others, each divided by the sum of its absolute values.
        absolute: (H, W), the same of the absolute values: it sums to 1, or to 0 without any map.
        photo: (H, W), the mean grey image in [0, 255].
        region: (H, W), the mean region of the images that have one; None where none has.
        numbers: by name the value of each image, (images,), NaN where undefined. `mass`: sum of
            the absolute map at its own resolution; `positive`: the share of it that is positive;
            `inside`: the share of it inside the region; `area`: the region's share of the image.
        units: of the rows of `numbers`: images, or groups of them.
    """

    name: str | None
    images: int
    dead: int
    mean: Tensor
    absolute: Tensor
    photo: Tensor
    region: Tensor | None
    numbers: dict[str, np.ndarray]
    units: Units

    @property
    def centre(self) -> tuple[float, float] | None:
        """Centre of mass of the absolute map, (down, across) as shares of the sides; None: no map.

        (0, 0) is the upper left corner, (1, 1) the lower right one.
        """
        total = float(self.absolute.sum())
        if total <= 0:
            return None
        sides = [(torch.arange(side) + 0.5) / side for side in self.absolute.shape]
        shares = self.absolute.sum(1) / total, self.absolute.sum(0) / total
        down, across = (float((a * b).sum()) for a, b in zip(shares, sides, strict=True))
        return down, across

    def row(self) -> dict[str, Any]:
        """The numbers for a table: means, those of `mass` and `inside` with intervals."""
        found: dict[str, Any] = {"class": self.name, "images": self.images, "dead": self.dead}
        found |= dict(
            zip(("centre_down", "centre_across"), self.centre or (None, None), strict=True)
        )
        found["with_region"] = int((~np.isnan(self.numbers["area"])).sum())
        inside = self.numbers["inside"]
        # What lies inside is to be held against the area of those very regions.
        held = {"area": np.where(np.isnan(inside), np.nan, self.numbers["area"])}
        for name in NUMBERS:
            within = UPWARDS if name == "mass" else SHARE
            values = (self.numbers | held)[name]
            interval = bootstrap_interval(values, units=self.units, within=within).as_dict()
            found[name] = interval["value"]
            if name in ("mass", "inside"):
                found |= {f"{name}_low": interval["low"], f"{name}_high": interval["high"]}
        return found


class Averages:
    """Sums over batches of images, by class.

    Args:
        classes: names.
        size: (H, W) that all maps are brought to before they are added.
        groups: name of each image's group by its index, where it is of one.
    """

    def __init__(
        self,
        classes: Sequence[str],
        size: tuple[int, int],
        groups: Mapping[int, str] | None = None,
    ) -> None:
        self.classes, self.size, self._named = tuple(classes), size, groups or {}
        # Of each class: map, absolute map, grey image, region.
        self._sums = torch.zeros(len(classes), 4, *size)
        self._rows: list[dict[str, np.ndarray]] = []

    @torch.no_grad()
    def add(
        self,
        maps: Tensor,
        labels: Tensor,
        images: Tensor,
        regions: Regions | None,
        index: Tensor,
    ) -> None:
        """Count a batch; maps of one image, of its classes say, are drawn together.

        Args:
            maps: (B, h, w), signed or not.
            labels: class indices (B,).
            images: uint8 (B, 3, H, W).
            regions: at (H, W), or None.
            index: (B,) of the images.
        """
        maps, count = maps.float(), len(maps)
        mass = maps.abs().sum((1, 2))
        alive = torch.isfinite(mass) & (mass > 0)
        maps = torch.where(alive[:, None, None], maps, 0)
        positive = maps.clamp_min(0).sum((1, 2)) / mass
        absolute = resize(maps.abs(), self.size)
        total = absolute.sum((1, 2))[:, None, None]
        signed, absolute = (
            part / torch.where(total > 0, total, 1) for part in (resize(maps, self.size), absolute)
        )
        inside = area = torch.full((count,), torch.nan)
        covered = torch.zeros(count, *self.size)
        if regions is not None:
            evidence = regions.of(labels)
            inside = score(maps, regions, "energy", targets=labels, sign="absolute")
            area = torch.where(evidence.present, evidence.area, torch.nan)
            covered = torch.where(evidence.present[:, None, None], evidence.inside, 0)
        grey = images.float().mean(1)
        self._sums.index_add_(0, labels, torch.stack((signed, absolute, grey, covered), 1))
        mass = torch.where(torch.isfinite(mass), mass, torch.nan)
        positive = torch.where(alive, positive, torch.nan)
        row = {"mass": mass, "positive": positive, "inside": inside, "area": area}
        row |= {"label": labels, "alive": alive, "index": index}
        self._rows.append({name: value.numpy() for name, value in row.items()})

    def groups(self) -> list[Group]:
        """All images first, then the classes that have any, in their order.

        An image counts alike in the mean over all, whatever its class.
        """
        names = (*NUMBERS, "label", "alive", "index")
        nothing = np.zeros(0, dtype=bool)
        rows = {
            name: np.concatenate([nothing, *(row[name] for row in self._rows)]) for name in names
        }
        every = np.ones(len(rows["label"]), dtype=bool)
        found = [self._group(None, self._sums.sum(0), rows, every)]
        for number, name in enumerate(self.classes):
            own = rows["label"] == number
            if own.any():
                found.append(self._group(name, self._sums[number], rows, own))
        return found

    def _group(
        self, name: str | None, sums: Tensor, rows: dict[str, np.ndarray], own: np.ndarray
    ) -> Group:
        images, alive = int(own.sum()), int(rows["alive"][own].sum())
        numbers = {key: rows[key][own].astype(np.float64) for key in NUMBERS}
        regions = int((~np.isnan(numbers["area"])).sum())
        return Group(
            name=name,
            images=images,
            dead=images - alive,
            mean=sums[0] / max(alive, 1),
            absolute=sums[1] / max(alive, 1),
            photo=sums[2] / max(images, 1),
            region=sums[3] / regions if regions else None,
            numbers=numbers,
            units=self._units(rows["index"][own]),
        )

    def _units(self, index: np.ndarray) -> Units:
        images = index.astype(np.int64).tolist()
        return Units.grouped_by([self._named.get(image, image) for image in images])
