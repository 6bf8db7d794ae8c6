"""The `model` section of a run's config."""

from typing import Any, Literal

from pydantic import Field, field_validator

from regard.data.patch_weights import PatchWeights
from regard.settings.base import Settings

# Weights that are no file.
NAMED = ("pretrained", "bundled")
NONE = ("none", "null", "None")


class Head(Settings):
    """The classifier on top of the backbone.

    Attributes:
        kind: `linear`; `mlp` is linear, ReLU, dropout, linear.
        width: units of the mlp's hidden layer.
        dropout: of the mlp, before its last layer.
    """

    kind: Literal["linear", "mlp"] = "linear"
    width: int = Field(default=256, gt=0, le=1_000_000)
    dropout: float = Field(default=0.0, ge=0, lt=1)


class Model(Settings):
    """Which net, from which weights, and what of it is trained.

    Attributes:
        spec: `timm:NAME`, or one of our own small nets (`regard:cnn2`); with the extra `hf`, of
            transformers, `hf:ARCHITECTURE` (`hf:cvt`), `hf:ORG/NAME` on the hub or
            `hf:./FOLDER`, relative to the config's folder; see `regard list backbones`. Segmenters
            are `regard:fpn` and (extra `seg`) `smp:unet` and others, with the option `encoder`.
        weights: `none` for random ones, `pretrained` from the hub or `hf:`'s folder, `bundled`
            (extra `offline`), or the path of a .safetensors or .pt file, or of a run's folder for
            its best checkpoint, relative to the config's folder. Of a segmenter they may be those
            of its encoder alone.
        head: the classifier on top of the backbone.
        freeze: `none`, `backbone` (of a segmenter the encoder), or the number of first epochs in
            which the backbone rests.
        freeze_bn: batch norms keep the statistics that came with the weights; their scales and
            shifts are trained. For few images or small batches, whose own statistics are poor, and
            for a gradient that does not depend on how a step is cut into parts.
        inputs: for a net of two branches, which view goes into which: `{small: image, large:
            segmented}` of timm's CrossViT, `{first: image, second: segmented}` of
            `regard:twin_crossvit`. Left out, timm's takes one view for both.
        patch_weights: of a net of two branches, what each patch weighs; left out, all weigh alike.
        pruned: path of a pruned run's `pruned.json`, relative to the config's folder: the channels
            that are kept of the net that `spec` names. A file of weights is then one of the pruned
            net. None: all are.
        options: passed to the backbone's constructor; for `hf:` they change its config.
    """

    spec: str
    weights: str | None = None
    head: Head = Head()
    freeze: Literal["none", "backbone"] | int = "none"
    freeze_bn: bool = False
    inputs: dict[str, str] | None = None
    patch_weights: PatchWeights | None = None
    pruned: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)

    def frozen(self, epoch: int) -> bool:
        """Whether the backbone rests in an epoch, counted from 0."""
        return self.freeze == "backbone" or (self.freeze != "none" and epoch < int(self.freeze))

    @field_validator("weights")
    @classmethod
    def _none(cls, value: str | None) -> str | None:
        return None if value in NONE else value

    @field_validator("freeze")
    @classmethod
    def _epochs(cls, value: str | int) -> str | int:
        if isinstance(value, int) and value < 0:
            raise ValueError(f"{value} epochs; write none, backbone, or 0 or more epochs")
        return value
