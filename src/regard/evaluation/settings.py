"""The `gaze` section of a run's config: how it is measured where the net looks."""

from pydantic import Field, field_validator

from regard.data.settings import Settings
from regard.errors import near
from regard.saliency.base import METHODS
from regard.scores.base import SCORES


class Gaze(Settings):
    """Which maps are scored against the regions after every epoch, and how.

    Attributes:
        method: makes the maps, of the label's class; see `regard list methods`.
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
