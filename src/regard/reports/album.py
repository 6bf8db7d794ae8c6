"""Pictures of a run's samples with its maps, made anew from the images and the checkpoint."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import torch
from torch import Tensor

from regard.data.sample import Draw, Sample, of_label
from regard.data.samples import Samples
from regard.data.source import samples_of
from regard.data.transforms import Transform
from regard.errors import RegardError
from regard.evaluation.predict import model_input
from regard.evaluation.settings import Gaze
from regard.images.heat import smooth
from regard.images.opening import image_size
from regard.language import phrase
from regard.reports import layers
from regard.reports.blocks import Picture
from regard.reports.words import without_folders
from regard.runs.background import options_of
from regard.runs.run import Run, load_run
from regard.saliency.capture import Images, evaluating
from regard.saliency.explain import explain
from regard.scores.base import one_sign

# Longest sides in pixels of what is embedded; a map is smooth, and its layer can be smaller.
_PHOTO, MAP = 360, 128
# Of a page's pictures together, in bytes, before base64 makes them a third larger.
_PAGE = 10_500_000
_LARGEST = 26_000
# At most about what a map and an outline take.
_LAYERS = 11_500


class MissingPicturesError(Exception):
    """Why a run's pictures cannot be made."""


@dataclass(frozen=True)
class Shown:
    """One sample, ready to be shown.

    Attributes:
        photo: its address.
        size: (height, width) of the photo as shown.
        outline: of the region; empty for none.
    """

    photo: str
    size: tuple[int, int]
    outline: str


Shelf = dict[tuple[int, str, str, str | None, Transform], Shown]


class Album:
    """Makes pictures of the samples of one split.

    Args:
        folder: of the run.
        table: predictions of the split; its images must be those of the manifest.
        split: the split.
        limit: bytes of a photo, see `photo_limit`.
        shelf: of photos, for albums of the same samples to share.
        checkpoint: of the run.
        maps: how maps are made, where that is not as the run's config has it: settings of `Gaze`.

    Raises:
        MissingPicturesError: no checkpoint, no manifest, or another manifest than before.
    """

    def __init__(
        self,
        folder: Path,
        table: pl.DataFrame,
        split: str,
        limit: int,
        shelf: "Shelf | None" = None,
        *,
        checkpoint: str = "best",
        maps: Mapping[str, Any] | None = None,
    ) -> None:
        try:
            self.run: Run = load_run(folder, checkpoint, device="auto")
            own = Gaze.model_validate(self.run.config["gaze"])
            self.gaze = own.model_copy(update=dict(maps or {}))
            self.options = options_of(self.run, self.gaze.method)
            manifest = self.run.manifest()
            samples = samples_of(manifest, split, self.run.classes, self.run.data)
        except (RegardError, OSError, ValueError, KeyError) as error:
            raise MissingPicturesError(without_folders(error)) from error
        now, before = (
            dict(t.select("index", "image").rows()) for t in (manifest.select(split), table)
        )
        if any(now.get(index) != image for index, image in before.items()):
            reason = phrase("the manifest is not the one that the predictions were made with")
            raise MissingPicturesError(reason)
        self.rows = {sample.index: row for row, sample in enumerate(samples)}
        self.samples, self.limit = samples, limit
        self._root = Path(manifest.root)
        self._input = Samples(samples, self.run.transform)
        self._shelf: Shelf = {} if shelf is None else shelf

    def named(self, image: str) -> str:
        """An image's path from the manifest's folder; of one that lies elsewhere the name alone."""
        root, path = (Path(os.path.abspath(p)) for p in (self._root, self._root / image))
        return str(path.relative_to(root)) if path.is_relative_to(root) else path.name

    @property
    def views(self) -> Sequence[str]:
        """What the net sees of a sample; maps lie over the first."""
        return self.run.data.views

    def shown(self, index: int, view: str | None = None, label: str | None = None) -> Shown:
        """Photo and outline of a manifest's row, larger than the net sees them.

        Args:
            index: the row.
            view: None for the first.
            label: of a set of labels the one whose region is outlined; None: all that there is.

        Raises:
            DataError: a file of it cannot be read.
        """
        sample, view = self.samples[self.rows[index]], view or self.views[0]
        large = enlarged(self.run.transform, sample)
        if label is not None:
            sample = of_label(sample, self.run.classes.index(label))
        key = (index, view, sample.views[0][1], label, large)
        if key not in self._shelf:
            images, masks = Samples([sample], large).fitted(0)
            region = masks.get("attend")
            own = region is not None and (sample.region is not None or sample.boxes is not None)
            path = layers.outline(region) if own and region is not None else ""
            photo = layers.photo(images[view], self.limit)
            self._shelf[key] = Shown(photo, large.size, path)
        return self._shelf[key]

    def given(self, index: int) -> Images:
        """A manifest's row as the net takes it."""
        batch = self._input.batch([Draw(self.rows[index])])
        return model_input(batch, self.run.transform, self.run.device)

    def map(self, index: int, target: str) -> Tensor:
        """The map (h, w) of a class for a manifest's row, at the layer's resolution."""
        images = self.given(index)
        number = torch.tensor([self.run.classes.index(target)])
        with evaluating(self.run.net):
            found = explain(
                self.run.net,
                images,
                number,
                self.gaze.method,
                layer=self.gaze.layer,
                view=self.run.explained_view,
                contrast=self.gaze.contrast,
                **self.options,
            )
        return one_sign(found.float().cpu(), "positive")[0]

    def picture(
        self,
        index: int,
        target: str | None,
        alt: str,
        caption: str = "",
        *,
        view: str | None = None,
        label: str | None = None,
    ) -> Picture:
        """Photo of a view, outline and, for a target, the map of that class; `label` as of `shown`.

        Raises:
            DataError: a file of it cannot be read.
        """
        shown = self.shown(index, view, label)
        height, width = shown.size
        heat = ""
        if target is not None:
            found = self.map(index, target)
            scale = min(1.0, MAP / max(shown.size))
            size = max(1, round(height * scale)), max(1, round(width * scale))
            heat = layers.heat(smooth(found, size))
            if float(found.max()) <= 0:
                caption = phrase("{caption} (the map is zero everywhere)", caption=caption)
        return Picture(shown.photo, alt, width, height, heat, shown.outline, caption)


def enlarged(transform: Transform, sample: Sample) -> Transform:
    """The transform at a size to be looked at; what was stretched gets its own shape back."""
    height, width = transform.size
    if transform.fit == "stretch":
        height, width = image_size(sample.views[0][1])
    scale = _PHOTO / max(height, width)
    size = max(1, round(height * scale)), max(1, round(width * scale))
    return replace(transform, size=size)


def photo_limit(pictures: int) -> int:
    """Bytes of a photo, so that so many pictures with their maps make no page of 15 MB."""
    return max(2_000, min(_LARGEST, _PAGE // max(pictures, 1) - _LAYERS))
