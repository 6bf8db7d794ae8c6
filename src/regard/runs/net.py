"""The net and the transform that a run's config describes."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from regard.data.settings import sides
from regard.data.transforms import Transform
from regard.models.build import build_model
from regard.models.settings import NAMED, Model
from regard.models.specs import moved
from regard.runs.checkpoints import load
from regard.runs.folder import RunFolder


def from_checkpoint(model: Model, files: RunFolder) -> Model:
    """The section for a net whose every weight comes from a checkpoint, so that none is fetched.

    Nor is an architecture, where the run's folder keeps it.
    """
    kept = files.architecture
    known = {"spec": f"hf:./{kept.parent.name}", "options": {}} if kept.is_file() else {}
    return model.model_copy(update={"weights": None, **known})


def weights_file(path: Path) -> Path:
    """The file of weights; of a run's folder that of its best checkpoint.

    Raises:
        RunError: a run without a whole one.
    """
    files = RunFolder(path)
    if not files.config.is_file():
        return path
    return load(files.checkpoints, "best").path / "model.safetensors"


def net_of(model: Model, classes: int, folder: Path) -> nn.Module:
    """The net of a config's `model` section; paths of files and folders start from the folder."""
    weights = model.weights
    if weights not in (None, *NAMED):
        weights = str(weights_file(folder / str(weights)))
    net = build_model(
        moved(model.spec, lambda path: str(folder / path)),
        classes,
        weights,
        head=model.head.kind,
        head_width=model.head.width,
        head_dropout=model.head.dropout,
        inputs=model.inputs,
        patch_weights=model.patch_weights,
        pruned=None if model.pruned is None else folder / model.pruned,
        **model.options,
    )
    # Convolutions run fastest so; images may come in any order in memory.
    return net.to(memory_format=torch.channels_last)


def transform_of(data: dict[str, Any]) -> Transform:
    """The transform of a resolved `data` section."""
    return Transform(
        sides(data["size"]),
        tuple(data["mean"]),
        tuple(data["std"]),
        data["fit"],
        data["interpolation"],
        data["max_pixels"],
    )
