"""The `data` section of a run's config."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    Field,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from regard.settings.base import Settings

# Of which one is test and one val, and one is left for train.
FEWEST_FOLDS = 3
Fraction = Annotated[float, Field(ge=0, le=1)]
Task = Literal["classification", "multilabel", "segmentation"]


def task_in(config: Mapping[str, Any]) -> Task:
    """What a run's config learned, as it stands in the file."""
    task = (config.get("data") or {}).get("task")
    return next((known for known in get_args(Task) if known == task), "classification")


def sides(size: int | tuple[int, int]) -> tuple[int, int]:
    """Height and width, of a square from its side."""
    return (size, size) if isinstance(size, int) else size


class Augment(Settings):
    """Random changes of training images, the same for all views and the region.

    Attributes:
        rotate: largest angle, degrees, either way.
        flip: probability of a left-right flip.
        flip_vertical: probability of an upside-down flip.
        zoom: largest relative change of scale, either way: 0.1 draws from 0.9 to 1.1.
        translate: largest shift as a share of the side, either way.
        brightness, contrast, saturation: largest relative change, either way.
        hue: largest change, either way, as a share of the colour circle.
        crop: side of the square, or (height, width), pixels, that is cut out of each training
            image after it has moved; val and test images stay whole. None: the whole image.
        rare: probability that the crop is put where it shows a class drawn evenly from those of
            the image's mask, however few pixels it has; else it is put anywhere.
        paste: probability that an image borrows the pixels of a class that is rare in train (with
            less than a quarter of an even share of the pixels) from another training image, at the
            same place or, where `flip` is on, half the time mirrored.
        mixup: alpha of MixUp: an image is blended with another training image, and so are their
            labels, by a share drawn from Beta(alpha, alpha). 0: not at all; 0.2 is usual.
        cutmix: alpha of CutMix: a box of another training image is pasted over the image, and
            the labels share by their pixels. 0: not at all; 1 is usual. Beside `mixup` each image
            gets one of the two, with equal probability.
        mix_probability: that an image is mixed, where `mixup` or `cutmix` is on.
    """

    rotate: float = Field(default=0.0, ge=0, le=180)
    flip: float = Field(default=0.0, ge=0, le=1)
    flip_vertical: float = Field(default=0.0, ge=0, le=1)
    zoom: float = Field(default=0.0, ge=0, lt=1)
    translate: float = Field(default=0.0, ge=0, lt=1)
    brightness: float = Field(default=0.0, ge=0, lt=1)
    contrast: float = Field(default=0.0, ge=0, lt=1)
    saturation: float = Field(default=0.0, ge=0, lt=1)
    hue: float = Field(default=0.0, ge=0, le=0.5)
    crop: PositiveInt | tuple[PositiveInt, PositiveInt] | None = None
    rare: float = Field(default=0.0, ge=0, le=1)
    paste: float = Field(default=0.0, ge=0, le=1)
    mixup: float = Field(default=0.0, ge=0)
    cutmix: float = Field(default=0.0, ge=0)
    mix_probability: float = Field(default=1.0, gt=0, le=1)

    @property
    def mixes(self) -> bool:
        """Whether images are made of two."""
        return bool(self.mixup or self.cutmix)

    def cut(self, whole: tuple[int, int]) -> tuple[int, int]:
        """Height and width of what is left of an image of this height and width."""
        return whole if self.crop is None else sides(self.crop)


class Data(Settings):
    """Which samples, how they are split, and how an image becomes a tensor.

    Attributes:
        manifest: path of the manifest, relative to the config's folder.
        task: `classification`, one label an image; `multilabel`, a set of them, of the column
            `labels`; or `segmentation` into the classes of masks. None: segmentation where there
            are masks and no labels, multilabel where samples have `labels` and no `label`.
        hierarchy: path of a CSV of the classes' parents (`child,parent`), relative to the config's
            folder, for metrics by level; None: none.
        void: pixels of masks of which nothing is said: `ignore` leaves them out of loss and
            metrics, `class` takes them for a class like the others.
        views: the views that the model takes; the first is the one explained. `region` is drawn
            from a sample's mask or boxes, white inside.
        size: side of the square input, or (height, width), pixels. None: the backbone's own.
        fit: `stretch` to the size, `pad` to keep the aspect, or `crop` the centre.
        interpolation: of resizing; None takes the backbone's own.
        mean, std: normalisation of the three channels; None takes the backbone's own.
        augment: random changes of training images.
        split: None takes the manifest's column, or 70/15/15 when it has none; else a scheme.
        split_seed: seed of the split, the same for every arm of a study.
        folds: number of folds, 3 or more, instead of a scheme.
        fold: the fold that is test, counted from 0; the next one is val, or with
            `val_from_train` a part of all others.
        val_from_train: share of train that becomes val, for folds, and for sets that come with two
            parts: of train and test, or of train and val, whose val then is the test set.
        workers: loader processes; 0 loads in the training process.
        cache_mb: memory for decoded and resized images, for each loading process.
        max_pixels: larger images are refused from their header.
    """

    manifest: str
    task: Task | None = None
    hierarchy: str | None = None
    void: Literal["ignore", "class"] = "ignore"
    views: tuple[str, ...] = Field(default=("image",), min_length=1)
    size: PositiveInt | tuple[PositiveInt, PositiveInt] | None = None
    fit: Literal["stretch", "pad", "crop"] = "stretch"
    interpolation: Literal["bilinear", "bicubic"] | None = None
    mean: tuple[Fraction, Fraction, Fraction] | None = None
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat] | None = None
    augment: Augment = Augment()
    split: str | None = None
    split_seed: int = 42
    folds: int | None = Field(default=None, ge=FEWEST_FOLDS, le=1000)
    fold: int = Field(default=0, ge=0)
    val_from_train: float | None = Field(default=None, gt=0, lt=1)
    workers: int = Field(default=0, ge=0, le=1024)
    cache_mb: int = Field(default=1024, ge=0)
    max_pixels: int = Field(default=400_000_000, gt=0)

    @property
    def learned(self) -> Task:
        """The task; classification where none is named."""
        return self.task or "classification"

    @model_validator(mode="after")
    def _one_way_to_split(self) -> "Data":
        if self.folds is not None and self.split is not None:
            raise ValueError("both folds and split; leave one of them out")
        if self.folds is None and self.fold != 0:
            raise ValueError(f"fold {self.fold} and no folds; set folds, or leave fold out")
        return self
