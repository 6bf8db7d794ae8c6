"""Changes of training images that cannot be made are refused before a training begins."""

from collections.abc import Sequence

from torch import Tensor

from regard.data.pasting import RARE, rare_classes
from regard.data.settings import Augment, Task, sides
from regard.errors import ConfigError
from regard.guidance.base import Term
from regard.images.size import Size
from regard.training.config import Config


def refuse_augment(config: Config, pixels: Tensor | None, terms: Sequence[Term] = ()) -> None:
    """Crops have to fit into the images; what is about classes of pixels needs masks of them.

    Mixed images need labels, and terms that leave the other image's part as it is.

    Args:
        config: resolved.
        pixels: (K,) of each class in the masks of train; None for labels.
        terms: of the guidance.

    Raises:
        ConfigError: any of it.
    """
    how = config.data.augment
    assert config.data.size is not None
    _refuse_crop(how, sides(config.data.size))
    for name in ("rare", "paste"):
        if getattr(how, name) and pixels is None:
            raise ConfigError(
                f"data.augment.{name}",
                expected="masks, whose pixels have classes",
                found="images with one label each",
                remedy="leave it out, or train a segmenter on a manifest with masks",
            )
    if how.paste and pixels is not None:
        _refuse_paste(config, pixels)
    _refuse_mixing(how, terms, config.data.task)


# What is found instead of one label an image, and what may be done.
_UNMIXED = {
    "segmentation": (
        "masks, whose pixels have classes",
        "leave it out; data.augment.paste lends pixels of rare classes",
    ),
    "multilabel": ("sets of labels, each with its own region", "leave it out"),
}


def _refuse_mixing(how: Augment, terms: Sequence[Term], task: Task | None) -> None:
    name = "cutmix" if how.cutmix else "mixup"
    if task in _UNMIXED and how.mixes:
        found, remedy = _UNMIXED[task]
        raise ConfigError(
            f"data.augment.{name}",
            expected="images with one label each",
            found=found,
            remedy=remedy,
        )
    if not how.mixes and "mix_probability" in how.model_fields_set and how.mix_probability != 1:
        raise ConfigError(
            "data.augment.mix_probability",
            expected="mixup or cutmix above 0",
            found="neither",
            remedy="set data.augment.cutmix=1, say, or leave it out",
        )
    hard = next((term.title for term in terms if not term.of_mixed), None)
    if hard is not None and how.mixes:
        raise ConfigError(
            f"data.augment.{name} and term {hard}",
            expected="images of one label, for a term that takes all but the region away",
            found=f"mixed ones, in which {hard} would leave the other image's part",
            remedy=f"leave {name} or the term out",
        )


def _refuse_crop(how: Augment, size: Size) -> None:
    if how.rare and how.crop is None:
        raise ConfigError(
            "data.augment.rare",
            expected="a crop that can be put where a class is, data.augment.crop",
            found="none",
            remedy="set data.augment.crop, or leave rare out",
        )
    crop = how.cut(size)
    if crop[0] > size[0] or crop[1] > size[1]:
        raise ConfigError(
            "data.augment.crop",
            expected=f"at most data.size, {size[0]} x {size[1]}",
            found=f"{crop[0]} x {crop[1]}, and an image smaller than the crop",
            remedy="make the crop smaller, or data.size larger",
        )


def _refuse_paste(config: Config, pixels: Tensor) -> None:
    if len(config.data.views) > 1:
        raise ConfigError(
            "data.augment.paste",
            expected="one view",
            found=", ".join(config.data.views),
            remedy=f"leave it out, or set data.views=[{config.data.views[0]}]",
        )
    if not rare_classes(pixels):
        least = float(pixels.min() / pixels.sum())
        raise ConfigError(
            "data.augment.paste",
            expected=f"a rare class, with less than {RARE / len(pixels):.1%} of train's pixels",
            found=f"none: the rarest has {least:.1%}",
            remedy="leave it out",
        )
