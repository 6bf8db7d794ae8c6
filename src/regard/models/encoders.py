"""Backbones of timm as encoders of segmenters: their features, and weights of the classifier."""

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import timm
import torch
from timm.models import is_model
from torch import Tensor, nn

from regard.errors import ModelError, near
from regard.models.hub import offline_when_unreachable
from regard.models.inputs import InputSpec, input_spec

STRIDES = (4, 8, 16, 32)

# Of encoders that were asked before: to build one, even without weights, takes a tenth of a second.
_KNOWN: dict[str, list[int]] = {}


def known_encoder(spec: str, name: str | None) -> str:
    """The name of a backbone of timm.

    Raises:
        ModelError: none is given, or timm has none of that name.
    """
    if name is None:
        raise ModelError(
            f"model {spec}",
            expected="an encoder of timm",
            found="none",
            remedy="set model.options.encoder: resnet50, say",
        )
    if not is_model(name):
        raise ModelError(
            f"model {spec}, encoder",
            expected="a model that timm knows",
            found=repr(name),
            remedy=near(name.split(".")[0], timm.list_models()),
        )
    return name


class Encoder(nn.Module):
    """Feature maps of a timm backbone at strides 4, 8, 16 and 32.

    Args:
        name: of timm, with the stages that a segmenter needs.
        pretrained: weights from the hub.
        options: of the backbone's constructor.

    Attributes:
        channels: of each map.
        input_spec: size and normalisation that its weights were made with.

    Shapes: images (B, 3, H, W) to four maps (B, C, H / stride, W / stride), rounded up.

    Raises:
        ModelError: the backbone has no maps at these strides, as a plain ViT.
    """

    def __init__(self, name: str, *, pretrained: bool = False, **options: Any) -> None:
        super().__init__()
        strides = _strides(name, options)
        if not set(STRIDES) <= set(strides):
            told = ", ".join(map(str, strides)) or "none"
            raise ModelError(
                f"encoder {name}",
                expected="feature maps at strides 4, 8, 16 and 32",
                found=f"strides {told}",
                remedy="take a ResNet, EfficientNet, ConvNeXt or Swin",
            )
        # The last map of each stride.
        places = tuple(len(strides) - 1 - strides[::-1].index(stride) for stride in STRIDES)
        with offline_when_unreachable() if pretrained else nullcontext():
            self.model: Any = timm.create_model(
                name, pretrained=pretrained, features_only=True, out_indices=places, **options
            )
        self.channels: tuple[int, ...] = tuple(self.model.feature_info.channels())
        self.input_spec: InputSpec = input_spec(self.model)
        self._last = getattr(self.model, "output_fmt", "NCHW") == "NHWC"

    def forward(self, images: Tensor) -> list[Tensor]:
        """The four maps, the finest first."""
        found = self.model(images)
        return [maps.permute(0, 3, 1, 2).contiguous() for maps in found] if self._last else found


def _strides(name: str, options: Mapping[str, Any]) -> list[int]:
    key = f"{name} {sorted(options.items())}"
    if key not in _KNOWN:
        _KNOWN[key] = _asked_strides(name, options)
    return _KNOWN[key]


def _asked_strides(name: str, options: Mapping[str, Any]) -> list[int]:
    try:
        with torch.device("meta"):
            net: Any = timm.create_model(name, features_only=True, **options)
        return list(net.feature_info.reduction())
    except (AssertionError, RuntimeError, AttributeError, KeyError):  # by the kind of backbone
        return []


def load_encoder(features: nn.Module, state: Mapping[str, Tensor], where: str) -> None:
    """Load a backbone's weights under timm's names into its feature maps.

    What comes after the last map (a classifier, a last norm) is left out.

    Args:
        features: of `timm.create_model(..., features_only=True)`.
        state: of the whole backbone.
        where: it came from, for errors.

    Raises:
        ModelError: a tensor of the encoder is missing, or has another shape.
    """
    own = features.state_dict()
    known = {_flat(name): value for name, value in state.items()}
    found = {name: known.get(_flat(name.removeprefix("model."))) for name in own}
    wrong = [
        name for name, value in found.items() if value is None or value.shape != _shape(own, name)
    ]
    if wrong:
        kind = "missing" if found[wrong[0]] is None else "of another shape"
        raise ModelError(
            f"weights {where}",
            expected=f"the {len(own)} tensors of the encoder, {type(features).__name__}",
            found=f"{len(wrong)} missing or of another shape, first {wrong[0]} ({kind})",
            remedy="choose the weights of this very backbone (timm's names)",
        )
    features.load_state_dict({name: value for name, value in found.items() if value is not None})


def _flat(name: str) -> str:
    """A tensor's name, whether timm has taken the first level of modules apart or not."""
    return name.replace(".", "_")


def _shape(state: Mapping[str, Tensor], name: str) -> tuple[int, ...]:
    return tuple(state[name].shape)
