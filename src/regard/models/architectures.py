"""Configs of transformers' image classifiers: found, checked, changed; no code is ever fetched."""

import re
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from regard.errors import ModelError, near
from regard.models.specs import is_folder

# Types that take more than pixels, answer without logits, end in two classifiers, need a further
# library, or are written timm:NAME.
OMITTED = {
    *("imagegpt", "perceiver", "shieldgemma2", "siglip2", "pp_lcnet", "swiftformer"),
    *("dinat", "timm_wrapper"),
}
# Keys that choose code or a way to compute, not the architecture.
STRIPPED = {
    *("auto_map", "attn_implementation", "_attn_implementation", "_attn_implementation_internal"),
    *("experts_implementation", "_experts_implementation", "kernel_config", "use_kernels"),
}


def architectures() -> list[str]:
    """The names of the architectures, sorted; none where transformers is not installed."""
    if find_spec("transformers") is None:
        return []
    auto = import_module("transformers.models.auto.modeling_auto")
    return sorted(set(auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES) - OMITTED)


def read_config(library: Any, name: str, source: str) -> dict[str, Any]:
    """The raw `config.json` of a folder or of the hub.

    Args:
        library: transformers.
        name: as it was given, for errors.
        source: path of the folder, or the hub id.

    Raises:
        ModelError: there is none within reach, or its weights are quantised.
    """
    local = is_folder(name)
    if not local and Path(name).is_dir():
        # The library would take it in place of the hub's, whatever it holds.
        raise ModelError(
            f"model hf:{name}",
            expected="an id on the hub",
            found="a folder of that name",
            remedy=f"write hf:./{name} for the folder",
        )
    try:
        if local and not Path(source, "config.json").is_file():
            folder = "the folder has none" if Path(source).is_dir() else "no such folder"
            raise FileNotFoundError(folder)
        given, _ = library.PretrainedConfig.get_config_dict(source)
    except Exception as error:  # of several libraries: no file, no network, no such id, no JSON
        raise ModelError(
            f"model hf:{name}",
            expected="a config.json " + ("in it" if local else "on the hub or in its local cache"),
            found=first_sentence(error),
            remedy="give a folder that save_pretrained wrote"
            if local
            else "check the id, go online, or name a folder (hf:./NAME) or architecture (hf:vit)",
        ) from error
    if "quantization_config" in given:
        raise ModelError(
            f"model hf:{name}",
            expected="weights in full precision",
            found="quantised ones",
            remedy="choose the checkpoint that they were made from",
        )
    return given


def make_config(
    library: Any, name: str, given: Mapping[str, Any], classes: int, options: Mapping[str, Any]
) -> Any:
    """The config of the type that `given` names, changed by the options, for so many classes.

    Raises:
        ModelError: an unknown type or option, or a value that the type refuses.
    """
    kind = str(given.get("model_type"))
    if kind not in architectures():
        raise ModelError(
            f"model hf:{name}",
            expected="an architecture of transformers that classifies images",
            found=repr(kind),
            remedy=near(kind, architectures()),
        )
    make = library.CONFIG_MAPPING[kind]
    _refuse_unknown(library, name, make(), options)
    try:
        config = make.from_dict(_stripped(given) | dict(options) | {"return_dict": True})
    except Exception as error:  # of several kinds, by what is checked
        raise wrong_options(name, error) from error
    config.num_labels = classes  # of some types the constructor has a number of its own
    return config


def wrong_options(name: str, error: Exception) -> ModelError:
    """What is said of numbers that a config or a constructor refuses."""
    return ModelError(
        f"model hf:{name}",
        expected="options that its config takes",
        found=f"{type(error).__name__}: {error}"[:160],
        remedy="correct model.options",
    )


def first_sentence(error: Exception) -> str:
    """What a foreign error says, without its advice."""
    return re.split(r"\.\s|\n\n", str(error) or type(error).__name__)[0][:160]


def _stripped(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _stripped(value) if isinstance(value, Mapping) else value
        for key, value in values.items()
        if key not in STRIPPED and key != "num_labels"
    }


def _refuse_unknown(library: Any, name: str, config: Any, options: Mapping[str, Any]) -> None:
    """Configs of transformers keep any key that they are given; a misspelt one is a mistake."""
    general = library.PretrainedConfig().to_dict().keys()
    known = {key for key in config.to_dict().keys() - general if not key.startswith("_")}
    known |= config.attribute_map.keys()
    for key, value in options.items():
        if key not in known:
            raise ModelError(
                f"model hf:{name}",
                expected=f"options of {type(config).__name__}",
                found=repr(key),
                remedy=near(key, known),
            )
        inner = getattr(config, key, None)
        if isinstance(inner, library.PretrainedConfig) and isinstance(value, Mapping):
            _refuse_unknown(library, name, inner, value)
