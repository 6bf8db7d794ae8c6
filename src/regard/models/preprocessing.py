"""What a net of transformers wants to be fed, from its config and its image processor's file."""

import json
from pathlib import Path
from typing import Any

from regard.models.inputs import InputSpec

FILE = "preprocessor_config.json"
BICUBIC = 3  # as Pillow and transformers number it


def preprocessing_of(source: str | None, config: Any, *, sized: bool) -> InputSpec:
    """Size, normalisation and interpolation of the images.

    Args:
        source: a folder or a hub id whose `preprocessor_config.json` is read where there is one.
        config: of the net; its `image_size` is the size where the file names none.
        sized: the config's size is the one that is meant, whatever the file says.

    Returns:
        224 x 224 pixels and ImageNet's mean and standard deviation where nothing is said.
    """
    told, usual = _read(source), InputSpec()
    side = getattr(config, "image_size", None)
    side = side or getattr(getattr(config, "vision_config", None), "image_size", None)
    own = _pair(side)
    size = own if sized and own else _size(told) or own or usual.size
    mean, std = _three(told.get("image_mean")), _three(told.get("image_std"))
    if told.get("do_normalize") is False:
        mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    mode = "bicubic" if told.get("resample") == BICUBIC else "bilinear"
    return InputSpec(size, mean or usual.mean, std or usual.std, mode)


def _read(source: str | None) -> dict[str, Any]:
    """The file's content; empty where there is none."""
    path = None if source is None else _path(source)
    if path is None:
        return {}
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _path(source: str) -> Path | None:
    if Path(source).is_dir():
        return Path(source) / FILE
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(source, FILE))
    except Exception:  # not every checkpoint has the file, and not every cache
        return None


def _size(told: dict[str, Any]) -> tuple[int, int] | None:
    """What the net sees in the end: the crop, or else the size that images are brought to."""
    crop = told.get("crop_size") if told.get("do_center_crop") else None
    return _pair(crop) or _pair(told.get("size"))


def _pair(size: Any) -> tuple[int, int] | None:
    """(H, W) of a side, a pair, or a mapping of either."""
    if isinstance(size, dict):
        if "height" in size and "width" in size:
            return int(size["height"]), int(size["width"])
        size = size.get("shortest_edge")
    if isinstance(size, int) and size > 0:
        return size, size
    if isinstance(size, list | tuple) and len(size) == 2:
        return int(size[0]), int(size[1])
    return None


def _three(values: Any) -> tuple[float, float, float] | None:
    if not isinstance(values, list | tuple) or len(values) != 3:
        return None
    first, second, third = map(float, values)
    return first, second, third
