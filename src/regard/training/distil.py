"""The `distil` section of a run's config."""

from typing import Literal

from pydantic import Field, model_validator

from regard.guidance.base import TERMS
from regard.guidance.maps import MapTerm
from regard.guidance.taught import Taught
from regard.settings.base import Settings

# Names of the losses in the log.
LOGITS, MAPS = "distil", "distil_maps"


class TaughtMaps(Settings):
    """The teacher's maps, as what the student's are to be like.

    Attributes:
        weight: factor of the loss.
        term: `kl`, both maps as distributions; or `mse`, both over their maximum.
        method: makes both maps, of the label's class; see `regard list methods`.
        layer: of the student, that the method reads; None (found) or a dotted name.
        teacher_layer: of the teacher; None (found) or a dotted name.
        contrast: of the label's logit less the mean of all logits.
        warmup_epochs: in which the weight rises from 0 along a straight line.
    """

    weight: float = Field(default=1.0, ge=0)
    term: Literal["kl", "mse"] = "kl"
    method: str = "gradcam"
    layer: str | None = None
    teacher_layer: str | None = None
    contrast: bool = False
    warmup_epochs: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _builds(self) -> "TaughtMaps":
        self.build()
        return self

    def build(self) -> Taught:
        """The term, without a teacher's maps yet.

        Raises:
            ConfigError: an unknown method, or one that cannot be part of a loss.
        """
        kind = TERMS[self.term]
        assert issubclass(kind, MapTerm)
        return Taught.of(
            kind(
                weight=self.weight,
                name=MAPS,
                warmup_epochs=self.warmup_epochs,
                method=self.method,
                layer=self.layer,
                contrast=self.contrast,
            )
        )


class Distil(Settings):
    """What is learned from another run's net beside the labels.

    Attributes:
        teacher: path of its run's folder, relative to the config's folder, for its best checkpoint;
            `RUN@CHECKPOINT` for another. It needs the same classes in the same order.
        temperature: T, that both nets' logits are divided by; above 1 the teacher's second choices
            count for more.
        weight: of T^2 times the divergence from the teacher's answers, beside the cross-entropy,
            whose own weight is `guidance.cross_entropy`.
        maps: learn where the teacher looks, too; None: not.
    """

    teacher: str
    temperature: float = Field(default=4.0, gt=0)
    weight: float = Field(default=1.0, ge=0)
    maps: TaughtMaps | None = None
