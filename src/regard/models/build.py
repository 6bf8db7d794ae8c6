"""Build a model from a spec."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import shorten
from typing import Any, Literal

from torch import Tensor, nn

from regard.data.patch_weights import PatchWeights
from regard.errors import ModelError, RegardError
from regard.models.encoders import load_encoder
from regard.models.families import FAMILIES
from regard.models.heads import put_mlp
from regard.models.pruned import Kept, cut, read_kept
from regard.models.settings import Head
from regard.models.weights import bundled_weights, load_weights, read_weights
from regard.settings.mistakes import parse


def build_model(
    spec: str,
    classes: int,
    weights: str | Path | None = None,
    *,
    head: Literal["linear", "mlp"] = "linear",
    head_width: int = 256,
    head_dropout: float = 0.0,
    inputs: Mapping[str, str] | None = None,
    patch_weights: PatchWeights | Mapping[str, Any] | None = None,
    pruned: str | Path | Kept | None = None,
    **options: Any,
) -> nn.Module:
    """Build a net with a new classifier.

    Args:
        spec: `family:name`, such as `timm:resnet18` or `regard:cnn2`; for transformers (extra
            `hf`) `hf:cvt`, an architecture; `hf:ORG/NAME`, on the hub; `hf:./FOLDER`. Segmenters:
            `regard:fpn`, and (extra `seg`) `smp:fpn`, `smp:unet`, `smp:deeplabv3plus`,
            `smp:segformer`, `smp:upernet`, with the option `encoder`, a backbone of timm.
        classes: number of classes, at least 2.
        weights: None for random ones; `"pretrained"` from the hub or the folder of `hf:./FOLDER`;
            `"bundled"` (lite0, extra `offline`); or a path of a .safetensors or .pt state dict
            under the net's names. A classifier in it is used where its shape fits. Of a segmenter
            they are those of the encoder; a file may hold either.
        head: `linear`, or `mlp`: linear, ReLU, dropout, linear.
        head_width: hidden units of the mlp.
        head_dropout: dropout of the mlp.
        inputs: which view goes into which branch of a net of two: `{"small": "image", "large":
            "segmented"}` of timm's CrossViT, `first` and `second` of `regard:twin_crossvit`.
        patch_weights: of a net of two branches, what each patch weighs, see `PatchWeights`.
        pruned: the channels that are kept, or the file that says so; None: all. Weights of a file
            are then those of the net so cut, `pretrained` and `bundled` ones are cut with it.
        options: passed to the backbone's constructor; for `hf:` they change its config.

    Raises:
        ConfigError: a head or weights of patches that cannot be.
        ModelError: an unknown spec or option, too few classes, weights that do not fit, or no
            network for `pretrained`.

    Example:
        >>> import regard, torch
        >>> net = regard.build_model("regard:cnn2", classes=3)
        >>> net(torch.zeros(1, 3, 96, 96)).shape
        torch.Size([1, 3])
    """
    family, _, name = spec.partition(":")
    if not name:
        raise ModelError(
            f"model {spec}",
            expected="family:name",
            found="no family",
            remedy=f"write timm:{spec}, or one of {', '.join(FAMILIES)} before the colon",
        )
    if classes < 2:
        raise ModelError(
            f"model {spec}", expected="2 classes or more", found=str(classes), remedy="add labels"
        )
    if inputs is not None:
        options["inputs"] = inputs
    if patch_weights is not None:
        if not isinstance(patch_weights, PatchWeights):
            patch_weights = parse(PatchWeights, patch_weights, f"model {spec}, patch_weights")
        options["patch_weights"] = patch_weights
    parse(Head, {"kind": head, "width": head_width, "dropout": head_dropout}, f"model {spec}, head")
    net = _construct(spec, family, name, classes, weights, options)
    if head == "mlp":  # before weights are loaded: a run's file has those of its mlp
        put_mlp(net, classes, width=head_width, dropout=head_dropout)
    if weights == "bundled":
        encoder = getattr(net, "encoder_name", None)
        _load(net, bundled_weights(spec if encoder is None else f"timm:{encoder}"), "bundled")
    if isinstance(pruned, str | Path):
        cut(net, read_kept(Path(pruned)), str(pruned))
    elif pruned is not None:
        cut(net, pruned)
    if weights not in (None, "pretrained", "bundled"):
        _load(net, read_weights(Path(weights)), str(weights))
    return net


def _load(net: nn.Module, state: Mapping[str, Tensor], where: str) -> None:
    """Into the whole net; those of a backbone alone into the encoder of a segmenter."""
    if hasattr(net, "encoder_name") and not any("encoder." in name for name in state):
        load_encoder(net.get_submodule("encoder.model"), state, where)
    else:
        load_weights(net, state, where)


def _construct(
    spec: str, family: str, name: str, classes: int, weights: str | Path | None, options: dict
) -> nn.Module:
    build = FAMILIES[family]
    try:
        return build(name, classes, pretrained=weights == "pretrained", **options)
    except RegardError:
        raise
    except Exception as error:  # constructors, torch and the hub's client raise what they like
        if weights != "pretrained" or isinstance(error, TypeError | AssertionError):
            raise _unbuilt(spec, error) from error
        raise ModelError(
            f"model {spec}, weights pretrained",
            expected="weights from the hub or its local cache",
            found=_of_hub(error),
            remedy="go online, or give weights: bundled or a file of the same names",
        ) from error


# Of the hub's client: neither the hub nor the cache has the file.
_UNREACHED = ("LocalEntryNotFoundError", "OfflineModeIsEnabled", "ConnectionError", "ConnectError")


def _of_hub(error: Exception) -> str:
    """What the hub's client met, in whole words."""
    if type(error).__name__ in _UNREACHED:
        return "neither: the hub cannot be reached from here, and they are not in the cache"
    return shorten(f"{type(error).__name__}: {error}", 160, placeholder=" ...")


def parameters_of(net: nn.Module) -> int:
    """The number of parameters."""
    return sum(p.numel() for p in net.parameters())


def _unbuilt(spec: str, error: Exception) -> ModelError:
    """Options of other kinds, below zero, or for a net that no memory holds."""
    return ModelError(
        f"model {spec}",
        expected="options that its constructor takes",
        found=shorten(str(error), 160, placeholder=" ...") or type(error).__name__,
        remedy="correct the options (of a config model.options)",
    )
