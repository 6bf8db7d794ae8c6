"""A sample for each box of another manifest: the box with what is around it, cut out."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from regard.data.keys import key, keyed_generator
from regard.data.manifest import Manifest, manifest_from_rows, read_manifest
from regard.data.regions import boxes_to_mask
from regard.errors import ConfigError, DataError
from regard.files.threads import in_threads
from regard.images.decoding import decode
from regard.images.pictures import own_name, save_image
from regard.images.size import Size
from regard.importers.files import entry
from regard.importers.registry import IMPORTERS, MADE
from regard.progress import Progress

QUALITY = 95
MADE["crops"] = "crops"
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Cut:
    """A crop to be made.

    Attributes:
        box: of the image that it is cut out of.
        others: that image's other boxes.
        label: the box's class.
        path: of the crop.
        shift: of its middle from the box's, as shares of the box's longer side.
    """

    box: Box
    others: tuple[Box, ...]
    label: str
    path: Path
    shift: tuple[float, float]


@IMPORTERS.register("crops")
def import_crops(
    src: Path,
    *,
    root: Path,
    times: float = 2.0,
    jitter: float = 0.25,
    size: int = 0,
    most: int = 0,
    copies: int = 1,
    placing_seed: int = 0,
    files: Path | None = None,
    progress: Progress | None = None,
    say: Callable[[str], object] | None = None,
) -> Manifest:
    """Import each labelled box of a manifest as a square crop: the cells of a smear, say.

    The box is the crop's region and its label the crop's. What other boxes cover of the crop, and
    the box itself does not, is ignored. Crops of one image are a group, and stay in its split. At
    the image's edge a crop is moved inward, and is no larger than the image.

    Args:
        src: a manifest with `boxes` and `box_labels`.
        root: the folder in which the manifest will be written.
        times: the crop's side, in times the box's longer side.
        jitter: how far the box may lie from the middle, in times its longer side; it stays whole.
        size: largest side of a crop, pixels: larger ones are made smaller; 0: as they are cut.
        most: boxes of a class, drawn at random; 0: all.
        copies: crops of each box, each placed anew.
        placing_seed: of the places and of what is drawn.
        files: the folder for the crops.
        progress: called with (images done, images in all).
        say: called with a line about what was left out.

    Raises:
        ConfigError: crops that would cut their boxes.
        DataError: boxes without labels, or an image that cannot be read.
    """
    _refuse_cut_boxes(times, jitter)
    for option, number, least in (("size", size, 0), ("most", most, 0), ("copies", copies, 1)):
        if number < least:
            raise ConfigError(
                f"regard data import crops, --{option}",
                expected=f"a whole number of {least} or more",
                found=str(number),
                remedy="correct it, or leave it out",
            )
    manifest = read_manifest(src)
    folder = files or Path(root) / "crops"
    cuts, left = _cuts(manifest, folder, jitter, copies, placing_seed)
    jobs = [(row, own) for row, own in _fewer(cuts, most, placing_seed).items() if own]
    if say is not None:
        for what, count in left.items():
            say(f"boxes without {what}, left out: {count}")
    if not jobs:
        raise DataError(
            str(src),
            expected="boxes with an area and a label",
            found="none",
            remedy="correct the manifest",
        )
    made = in_threads(lambda job: _cut_all(manifest, *job, times, size, Path(root)), jobs, progress)
    return manifest_from_rows((row for rows in made for row in rows), Path(root))


def _refuse_cut_boxes(times: float, jitter: float) -> None:
    if not 1 <= times < math.inf:
        raise ConfigError(
            "regard data import crops, --times",
            expected="a number of 1 or more",
            found=f"{times:g}",
            remedy="correct it",
        )
    if not 0 <= jitter <= (times - 1) / 2:
        raise ConfigError(
            "regard data import crops, --jitter",
            expected=f"0 to {(times - 1) / 2:g}, so that boxes stay whole",
            found=f"{jitter:g}",
            remedy="lower it, or raise --times",
        )


def _cuts(
    manifest: Manifest, folder: Path, jitter: float, copies: int, seed: int
) -> tuple[dict[int, list[Cut]], Counter[str]]:
    """The crops by row of the manifest, and how many boxes lack what a crop needs."""
    table, found, left = manifest.table, {}, Counter[str]()
    if not {"boxes", "box_labels"} <= set(table.columns):
        raise DataError(
            str(manifest.path),
            expected="columns boxes and box_labels",
            found="columns " + ", ".join(table.columns),
            remedy="import a set of boxes with classes: regard data import voc, coco",
        )
    for row, values in enumerate(table.select("image", "boxes", "box_labels").iter_rows()):
        image, boxes, labels = values
        labels = [""] * len(boxes or ()) if labels is None else labels
        pairs = [(tuple(box), label) for box, label in zip(boxes or (), labels, strict=True)]
        whole = [box for box, _ in pairs if box[2] > box[0] and box[3] > box[1]]
        named = [label is not None and bool(label.strip()) for _, label in pairs]
        left["an area"] += len(pairs) - len(whole)
        left["a label"] += sum(
            not own for own, (box, _) in zip(named, pairs, strict=True) if box in whole
        )
        stem = f"{own_name(image)}-{row}"
        found[row] = [
            Cut(
                box,
                tuple(other for other in whole if other != box),
                label,
                folder / f"{stem}-{number}{f'-{copy}' if copies > 1 else ''}.jpg",
                _shift(jitter, seed, row, number, copy),
            )
            for number, (box, label) in enumerate(pairs)
            if box in whole and named[number]
            for copy in range(copies)
        ]
    return found, +left


def _shift(jitter: float, *parts: int) -> tuple[float, float]:
    unit = torch.rand(2, generator=keyed_generator("crop", *parts))
    across, down = ((2 * unit - 1) * jitter).tolist()
    return across, down


def _fewer(cuts: dict[int, list[Cut]], most: int, seed: int) -> dict[int, list[Cut]]:
    """At most so many boxes a class, drawn by key, so that the others do not matter."""
    if not most:
        return cuts
    every = [(row, cut) for row, own in cuts.items() for cut in own]
    every.sort(key=lambda item: key("drawn", seed, item[0], *map(str, item[1].box)))
    kept, drawn = dict[int, list[Cut]](), dict[str, set[tuple[int, Box]]]()
    for row, cut in every:
        boxes = drawn.setdefault(cut.label, set())
        if (row, cut.box) in boxes or len(boxes) < most:
            boxes.add((row, cut.box))
            kept.setdefault(row, []).append(cut)
    return {row: sorted(kept[row], key=lambda cut: cut.path.name) for row in sorted(kept)}


def _cut_all(
    manifest: Manifest, row: int, cuts: Sequence[Cut], times: float, size: int, root: Path
) -> list[dict[str, Any]]:
    values = manifest.table.row(row, named=True)
    pixels = decode(manifest.resolve(values["image"])).permute(1, 2, 0).numpy()
    kept = {name: values[name] for name in ("split", "synthetic") if values.get(name) is not None}
    kept["group"] = values.get("group") or values["image"]
    return [kept | made for made in _made(pixels, cuts, times, size, root)]


def _made(
    pixels: np.ndarray, cuts: Sequence[Cut], times: float, size: int, root: Path
) -> Iterator[dict[str, Any]]:
    for cut in cuts:
        left, top, right, bottom = frame(cut.box, times, cut.shift, pixels.shape[:2])
        image = Image.fromarray(np.ascontiguousarray(pixels[top:bottom, left:right]))
        scale = min(1.0, size / max(image.size)) if size else 1.0
        width, height = (max(1, round(scale * side)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
        save_image(image, cut.path, "JPEG", quality=QUALITY, subsampling=0)
        across, down = width / (right - left), height / (bottom - top)

        def moved(box: Box, origin: tuple[int, int] = (left, top), by: tuple = (across, down)):
            return [(box[i] - origin[i % 2]) * by[i % 2] for i in range(4)]

        made = {"image": entry(cut.path, root), "label": cut.label, "boxes": [moved(cut.box)]}
        ignored = _ignored((height, width), moved(cut.box), [moved(box) for box in cut.others])
        if ignored.any():
            path = cut.path.parent / "ignore" / f"{cut.path.stem}.png"
            save_image(Image.fromarray(ignored.numpy()).convert("L"), path, "PNG")
            made["ignore"] = entry(path, root)
        yield made


def frame(
    box: Box, times: float, shift: tuple[float, float], whole: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a crop, whole pixels; the box lies within.

    Args:
        box: in pixel edges of the image.
        times: the crop's side over the box's longer side.
        shift: of the middle, in times the box's longer side.
        whole: (height, width) of the image.
    """
    longer = max(box[2] - box[0], box[3] - box[1])
    side = round(times * longer)
    starts, ends = [], []
    for axis, limit in enumerate((whole[1], whole[0])):
        middle = (box[axis] + box[axis + 2]) / 2 + shift[axis] * longer
        length = min(max(side, 1), limit)
        start = min(max(round(middle - length / 2), 0), limit - length)
        starts.append(start)
        ends.append(start + length)
    return starts[0], starts[1], ends[0], ends[1]


def _ignored(size: Size, box: Sequence[float], others: Sequence[Sequence[float]]) -> Tensor:
    """What other boxes cover and the box does not, bool (H, W)."""
    covered = boxes_to_mask(torch.tensor(others, dtype=torch.float64).reshape(-1, 4), size)
    return (covered > 0.5) & (boxes_to_mask(torch.tensor([box]), size) < 0.5)
