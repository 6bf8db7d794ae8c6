"""The sections `gaze` and `evaluate` of a run's config: what is measured, and how."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, field_validator, model_validator

from regard.errors import near
from regard.evaluation.thresholds import Choice, positive_class
from regard.saliency.base import METHODS
from regard.scores.base import SCORES
from regard.settings.base import Settings


class Gaze(Settings):
    """Which maps are scored against the regions after every epoch, and how.

    Attributes:
        method: makes the maps, of the label's class; see `regard list methods`. None that begins
            from other images, as `expected_gradients`, which `regard score` can take afterwards.
        layer: None (found) or a dotted name.
        contrast: of the label's logit less the mean of all logits, see `regard.explain`.
        scores: of the maps, see `regard list scores`.
        train_sample: at most this many train images are scored after each epoch.
        backgrounds: when a study evaluates, ask also with exchanged backgrounds, for the
            metrics `accuracy_random_class`, `bg_gap` and their like.
    """

    method: str = "gradcam"
    layer: str | None = None
    contrast: bool = False
    scores: tuple[str, ...] = ("energy", "energy_gain", "iou", "magtr", "mangtr", "pointing")
    train_sample: int = Field(default=256, ge=0)
    backgrounds: bool = False

    @field_validator("method")
    @classmethod
    def _known_method(cls, value: str) -> str:
        if value not in METHODS:
            raise ValueError(f"unknown method {value!r}; {near(value, METHODS)}")
        if METHODS[value].from_background:
            raise ValueError(
                f"{value} begins from other images, which a training does not keep; choose another "
                f"and score it afterwards: regard score RUN --method {value}"
            )
        return value

    @field_validator("scores")
    @classmethod
    def _known_scores(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in SCORES:
                raise ValueError(f"unknown score {name!r}; {near(name, SCORES)}")
        return value


class Evaluate(Settings):
    """How the answers of a classifier of two classes are read.

    Attributes:
        positive: the positive class, to which precision, recall and the curves belong; None: the
            last of the two.
        target_recall: a threshold is chosen on val: the highest that finds at least this share of
            the positive class there. Every evaluation then also tells what it makes of a split, as
            `recall_at_threshold` and its like, beside the numbers at 0.5.
        threshold: chosen on val by another aim: the highest `f1`, or `youden` index (recall +
            specificity - 1). None: by `target_recall`, or not at all.
    """

    positive: str | None = None
    target_recall: float | None = Field(default=None, gt=0, le=1)
    threshold: Literal["f1", "youden"] | None = None

    @model_validator(mode="after")
    def _one_aim(self) -> "Evaluate":
        if self.target_recall is not None and self.threshold is not None:
            raise ValueError("both target_recall and threshold; leave one of them out")
        return self

    @property
    def says(self) -> bool:
        """Whether anything is set."""
        return self != Evaluate()

    @property
    def chooses(self) -> bool:
        """Whether a threshold is chosen."""
        return self.target_recall is not None or self.threshold is not None

    def choice(self, classes: Sequence[str]) -> Choice | None:
        """How a threshold is chosen; None: not at all.

        Raises:
            ConfigError: something is set, and there are not two classes, or others than the
                positive one.
        """
        if not self.says:
            return None
        positive = positive_class(list(classes), self.positive)
        if self.target_recall is not None:
            return Choice("recall", self.target_recall, positive)
        return None if self.threshold is None else Choice(self.threshold, None, positive)
