"""What is refused of a config for what is learned, and the metrics that are then logged."""

from collections.abc import Callable, Sequence

from regard.data.settings import Task
from regard.errors import ConfigError
from regard.guidance.base import Term
from regard.guidance.refusals import refuse_labels
from regard.training.config import Config
from regard.training.measure import OF_LABELS, OF_SETS
from regard.training.measure_masks import SHOWN

COUNTED = ("loss", "cross_entropy", "accuracy")
# What val has of each task, in the order that an epoch's record has it.
MEASURED: dict[Task, tuple[str, ...]] = {
    "classification": ("loss", "cross_entropy", *OF_LABELS),
    "multilabel": ("loss", "cross_entropy", *OF_SETS),
    "segmentation": (*COUNTED, *SHOWN),
}


def refuse_for_task(config: Config, terms: Sequence[Term]) -> None:
    """What does not go with what is learned.

    Raises:
        ConfigError: one of these.
    """
    refuse = _REFUSALS.get(config.data.learned)
    if refuse is not None:
        refuse(config, terms)


def _refuse_for_sets(config: Config, terms: Sequence[Term]) -> None:
    what = "sets of labels"
    refuse_labels(terms, what)
    _refuse_backgrounds(config, what)
    if config.training.imbalance in ("oversample", "both"):
        raise _imbalance(config, f"{what}, of which an image has several")


def _refuse_for_masks(config: Config, terms: Sequence[Term]) -> None:
    refuse_labels(terms)
    taken = next((term.title for term in terms if term.title in ("dice", "cross_entropy")), None)
    if taken is not None:
        raise ConfigError(
            "guidance.terms",
            expected="names other than those of a segmenter's own losses",
            found=repr(taken),
            remedy="give the term another name",
        )
    if config.guidance.regions == "mean" or config.guidance.share != 1:
        raise ConfigError(
            "guidance.regions and guidance.share",
            expected="own or misplaced regions and all masks, for a segmenter",
            found=f"{config.guidance.regions}, {config.guidance.share:g}",
            remedy="leave them out",
        )
    _refuse_backgrounds(config, "a segmenter")
    if config.guidance.combine != "sum":
        raise ConfigError(
            "guidance.combine",
            expected="sum for a segmenter",
            found=config.guidance.combine,
            remedy="leave it out",
        )
    if config.training.imbalance in ("oversample", "both"):
        raise _imbalance(config, "a segmenter, whose images hold several classes")
    if config.data.hierarchy is not None:
        raise ConfigError(
            "data.hierarchy",
            expected="none for a segmenter",
            found=config.data.hierarchy,
            remedy="leave it out",
        )


_REFUSALS: dict[Task, Callable[[Config, Sequence[Term]], None]] = {
    "multilabel": _refuse_for_sets,
    "segmentation": _refuse_for_masks,
}


def _refuse_backgrounds(config: Config, what: str) -> None:
    if config.gaze.backgrounds:
        raise ConfigError(
            "gaze.backgrounds",
            expected=f"false for {what}",
            found="true",
            remedy="leave it out",
        )


def _imbalance(config: Config, what: str) -> ConfigError:
    return ConfigError(
        "training.imbalance",
        expected=f"none or weights for {what}",
        found=config.training.imbalance,
        remedy="set training.imbalance: weights",
    )
