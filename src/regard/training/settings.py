"""The `training` section of a run's config."""

from typing import Literal

from pydantic import Field, NonNegativeInt, field_validator

from regard.settings.base import Settings


class Optimiser(Settings):
    """How parameters move.

    Attributes:
        name: `sgd`, `adam` or `adamw`.
        lr: learning rate.
        weight_decay: in Adam as L2 penalty, in AdamW decoupled.
        momentum: of SGD.
        backbone_lr: learning rate of all but the classifier; None: the same.
    """

    name: Literal["sgd", "adam", "adamw"] = "adamw"
    lr: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    backbone_lr: float | None = Field(default=None, gt=0)


class Schedule(Settings):
    """How the learning rate goes.

    Attributes:
        name: `constant`; `cosine` down to `floor`; `plateau`: times `factor` after `patience`
            epochs without a better `training.best`.
        warmup_epochs: linear rise from 0, for constant and cosine.
        floor: share of the learning rate that is left at the end.
        factor: of the plateau: what the learning rate is multiplied by.
        patience: of the plateau: epochs without a better metric before that.
    """

    name: Literal["constant", "cosine", "plateau"] = "constant"
    warmup_epochs: float = Field(default=0.0, ge=0)
    floor: float = Field(default=0.0, ge=0, lt=1)
    factor: float = Field(default=0.1, gt=0, lt=1)
    patience: int = Field(default=3, ge=0)


class Training(Settings):
    """The loop.

    Attributes:
        epochs: passes over the train split, at the most.
        batch_size: images in memory at once.
        accumulate: batches a step; the gradient is that of their union.
        optimiser: how parameters move.
        schedule: how the learning rate goes.
        best: logged metric that chooses the best checkpoint, such as `val.loss`; `last` takes
            that of the last epoch.
        keep_epochs: the epochs that are kept to be compared, or `all`: each with its checkpoint
            `epoch-N` and the gaze of every measured image in `scores/epochs`. Epoch 0 is before
            the first step, and is measured then.
        patience: stop after this many epochs without a better one; None: never.
        label_smoothing: of the cross-entropy; of sets of labels towards one half.
        dice: of a segmenter, weight of the Dice loss beside the cross-entropy.
        imbalance: `weights` in the loss by inverse class frequency (of a segmenter that of its
            pixels; of sets of labels of the images that have a class by those that have not),
            `oversample` the rarer classes up to the largest, or `both`, of single labels alone.
        bf16: compute in bfloat16 where that is safe (autocast).
        compile: compile the net for the steps of training (torch.compile; needs a C++ compiler).
            Guidance stays compiled with terms on maps of a layer under average pooling and one
            linear layer; with others the steps run as they are, and a warning says so.
        clip: largest norm of the gradient; None: not clipped.
        seed: of first weights, order, augmentation and dropout.
        device: `auto`, `cpu`, `cuda` ...
        threads: of torch on the CPU; None: torch's own. Exact resume needs the same number.
        checkpoint_steps: save also every so many steps; None: after each epoch.
        checkpoint_minutes: save also when so many minutes have gone by.
    """

    epochs: int = Field(default=10, gt=0)
    batch_size: int = Field(default=32, gt=0)
    accumulate: int = Field(default=1, gt=0)
    optimiser: Optimiser = Optimiser()
    schedule: Schedule = Schedule()
    best: str = "val.loss"
    keep_epochs: Literal["all"] | tuple[NonNegativeInt, ...] = ()
    patience: int | None = Field(default=None, gt=0)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    dice: float = Field(default=1.0, ge=0)
    imbalance: Literal["none", "weights", "oversample", "both"] = "none"
    bf16: bool = False
    compile: bool = False
    clip: float | None = Field(default=None, gt=0)
    seed: int = Field(default=0, ge=0)
    device: str = "auto"
    threads: int | None = Field(default=None, gt=0, le=1024)
    checkpoint_steps: int | None = Field(default=None, gt=0)
    checkpoint_minutes: float = Field(default=10.0, gt=0)

    @field_validator("best")
    @classmethod
    def _metric(cls, value: str) -> str:
        if value != "last" and (
            value.partition(".")[0] not in ("val", "train") or "." not in value
        ):
            raise ValueError(f"{value!r}; write for example val.loss")
        return value
