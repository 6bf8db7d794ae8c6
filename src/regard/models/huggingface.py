"""Image classifiers of the library transformers: from an architecture, a folder or the hub."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

from regard.errors import MissingExtraError, ModelError
from regard.models.architectures import first_sentence, make_config, read_config, wrong_options
from regard.models.heads import begin_small
from regard.models.hub import offline_when_unreachable
from regard.models.preprocessing import preprocessing_of
from regard.models.specs import is_folder

OLDEST = 5


def build(name: str, classes: int, *, pretrained: bool, options: Mapping[str, Any]) -> nn.Module:
    """A classifier of transformers with its `input_spec`; it answers with an object of `.logits`.

    Args:
        name: an architecture (`vit`), a folder (`./vit`) or a hub id (`microsoft/cvt-13`).
        classes: number of classes; where the weights have another, the classifier is fresh.
        pretrained: weights from the folder or the hub, in float32, from .safetensors alone.
        options: of the architecture's config; they change that of a folder or of the hub.

    Raises:
        MissingExtraError: transformers is not installed.
        ModelError: an unknown architecture or option, no config or weights, or weights that do
            not fit outside the classifier.

    Example:
        >>> net = build("vit", 3, pretrained=False, options={"image_size": 32, "hidden_size": 48})
        >>> net(torch.zeros(1, 3, 32, 32)).logits.shape
        torch.Size([1, 3])
    """
    library = _library(name)
    local = is_folder(name)
    of_hub = "/" in name and not local
    source = str(Path(name).expanduser()) if local else name
    with offline_when_unreachable() if of_hub else nullcontext(), _quiet(library, bars=of_hub):
        if of_hub or local:
            given = read_config(library, name, source)
        else:
            _refuse_pretrained(name, pretrained)
            given, source = {"model_type": name}, None
        config = make_config(library, name, given, classes, options)
        if source is not None and pretrained:
            net = _from_pretrained(library, name, source, config, classes)
        else:
            net = _from_config(library, name, config, classes)
        sized = "image_size" in options
        net.input_spec = preprocessing_of(source, config, sized=sized)
    return net


def architecture_of(net: nn.Module) -> dict[str, Any] | None:
    """The content of a `config.json` that such a net can be built from; None for another net."""
    config: Any = getattr(net, "config", None)
    if not hasattr(config, "to_json_string"):
        return None
    return json.loads(config.to_json_string(use_diff=False))


def _library(name: str) -> Any:
    try:
        library = import_module("transformers")
    except ImportError as error:
        raise MissingExtraError(f"model hf:{name}", "hf") from error
    if int(library.__version__.split(".")[0]) < OLDEST:
        raise ModelError(
            f"model hf:{name}",
            expected=f"transformers {OLDEST} or newer",
            found=library.__version__,
            remedy="run: pip install 'regard[hf]'",
        )
    return library


def _refuse_pretrained(name: str, pretrained: bool) -> None:
    if pretrained:
        raise ModelError(
            f"model hf:{name}, weights pretrained",
            expected="a hub id ORG/NAME, or a folder that starts with ./",
            found=f"the architecture {name!r}, which has no weights of its own",
            remedy="write hf:ORG/NAME, or set model.weights=none or a file",
        )


@contextmanager
def _quiet(library: Any, *, bars: bool) -> Iterator[None]:
    """Without transformers' tables of what was loaded, and without its progress bars or with."""
    log = library.utils.logging
    verbosity, shown = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity(log.CRITICAL)
    if not bars:
        log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(verbosity)
        if shown:
            log.enable_progress_bar()


def _net_type(library: Any, config: Any) -> Any:
    kind = library.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING[type(config)]
    return kind[0] if isinstance(kind, tuple) else kind


def _from_config(library: Any, name: str, config: Any, classes: int) -> Any:
    try:
        net = _net_type(library, config)(config)
    except Exception as error:  # whatever a constructor raises at numbers that do not fit
        raise wrong_options(name, error) from error
    net.classifier_name = _classifier_name(net, classes)
    begin_small(net)
    return net


def _from_pretrained(library: Any, name: str, source: str, config: Any, classes: int) -> Any:
    try:
        net, told = _net_type(library, config).from_pretrained(
            source,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except Exception as error:  # of several libraries: no file, no network, a damaged file
        local = is_folder(name)
        raise ModelError(
            f"model hf:{name}, weights pretrained",
            expected="a .safetensors file " + ("in it" if local else "on the hub or in its cache"),
            found=first_sentence(error),
            remedy="write it with save_pretrained, or set model.weights=none"
            if local
            else "go online, or set model.weights=none or a file",
        ) from error
    head = net.classifier_name = _classifier_name(net, classes)
    misfits = {*told["missing_keys"], *(key for key, *_ in told["mismatched_keys"])}
    outside = sorted(key for key in misfits if not key.startswith(f"{head}."))
    if outside:
        raise ModelError(
            f"model hf:{name}, weights pretrained",
            expected=f"the tensors of {type(net).__name__}",
            found=f"{len(outside)} missing or of another shape, first {outside[0]}",
            remedy="leave out the model.options that change shapes, or choose another checkpoint",
        )
    if misfits:
        begin_small(net)
    return net


def _classifier_name(net: nn.Module, classes: int) -> str:
    """The last linear layer with as many outputs as there are classes."""
    found = [
        name
        for name, module in net.named_modules()
        if isinstance(module, nn.Linear) and module.out_features == classes
    ]
    assert found, f"{type(net).__name__} without a linear classifier"
    return found[-1]
