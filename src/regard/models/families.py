"""Families of backbones, by the prefix of a spec."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any

import timm
from timm.models.crossvit import CrossVit
from torch import nn

from regard.data.patch_weights import PatchWeights
from regard.errors import ModelError, near
from regard.models import huggingface
from regard.models.digit_nets import DigitCNN, DigitMLP
from regard.models.heads import begin_small
from regard.models.hub import offline_when_unreachable
from regard.models.routed_crossvit import ONE_VIEW, RoutedCrossViT
from regard.models.routing import one_branch
from regard.models.segmenters import FPN, build_smp
from regard.models.small_cnn import SmallCNN
from regard.models.twin_crossvit import TwinCrossViT
from regard.registry import Registry

FAMILIES: Registry[Callable[..., nn.Module]] = Registry("model family")
SMALL: dict[str, Callable[..., nn.Module]] = {
    "cnn1": partial(SmallCNN, norm=False),
    "cnn2": partial(SmallCNN, norm=True),
    "digit_mlp": DigitMLP,
    "digit_cnn": DigitCNN,
    "twin_crossvit": TwinCrossViT,
    "fpn": FPN,
}
BRANCHED = {"twin_crossvit"}
ENCODED = {"fpn"}


@FAMILIES.register("timm")
def build_timm(
    name: str,
    classes: int,
    *,
    pretrained: bool = False,
    inputs: Mapping[str, str] | None = None,
    patch_weights: PatchWeights | None = None,
    **options: Any,
) -> nn.Module:
    """A timm model by name, `resnet18` or `resnet18.a1_in1k`; CrossViT with views by branch.

    Raises:
        ModelError: timm knows no such model, or it has no branches for views.
    """
    if not timm.is_model(name):
        raise ModelError(
            f"model timm:{name}",
            expected="a model that timm knows",
            found=repr(name),
            remedy=near(name.split(".")[0], timm.list_models()),
        )
    with offline_when_unreachable() if pretrained else nullcontext():
        net = timm.create_model(name, pretrained=pretrained, num_classes=classes, **options)
    if not pretrained or _published_classes(net) != classes:
        begin_small(net)
    if isinstance(net, CrossVit) and not (inputs is None and patch_weights is None):
        return RoutedCrossViT.of(net, ONE_VIEW if inputs is None else inputs, patch_weights)
    _refuse_branches(f"timm:{name}", {"inputs": inputs, "patch_weights": patch_weights})
    return net


def _refuse_branches(spec: str, options: Mapping[str, Any]) -> None:
    """Nets of one branch take none of the options of two."""
    for option in ("inputs", "patch_weights"):
        if options.get(option) is not None:
            raise one_branch(spec, option)


def _published_classes(net: nn.Module) -> int | None:
    cfg: Any = getattr(net, "pretrained_cfg", None) or {}
    return cfg.get("num_classes")


@FAMILIES.register("regard")
def build_own(name: str, classes: int, *, pretrained: bool = False, **options: Any) -> nn.Module:
    """One of our own nets; of a segmenter the encoder alone has pretrained weights.

    Raises:
        ModelError: no net of ours, or none with pretrained weights or branches.
    """
    if name not in SMALL:
        raise ModelError(
            f"model regard:{name}",
            expected="one of our nets",
            found=repr(name),
            remedy=near(name, SMALL),
        )
    if name in ENCODED:
        options["pretrained"] = pretrained
    elif pretrained:
        raise ModelError(
            f"model regard:{name}",
            expected="weights: none or a file",
            found="pretrained",
            remedy="this net has no published weights: set model.weights=none",
        )
    if name not in BRANCHED:
        _refuse_branches(f"regard:{name}", options)
    return SMALL[name](classes, **options)


@FAMILIES.register("hf")
def build_hf(name: str, classes: int, *, pretrained: bool = False, **options: Any) -> nn.Module:
    """A classifier of transformers by architecture, folder or hub id; options are its config's."""
    _refuse_branches(f"hf:{name}", options)
    return huggingface.build(name, classes, pretrained=pretrained, options=options)


@FAMILIES.register("smp")
def build_segmenter(
    name: str, classes: int, *, pretrained: bool = False, **options: Any
) -> nn.Module:
    """A segmenter of segmentation_models_pytorch (extra `seg`) over an encoder of timm."""
    _refuse_branches(f"smp:{name}", options)
    return build_smp(name, classes, pretrained=pretrained, **options)
