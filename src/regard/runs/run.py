"""A finished or running training, loaded to be used."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from regard.data.manifest import Manifest
from regard.data.settings import Data
from regard.data.source import open_manifest
from regard.data.transforms import Source, Transform
from regard.errors import DataError, RunError
from regard.models.build import build_model
from regard.models.settings import NAMED, Model
from regard.models.specs import moved
from regard.runs.checkpoints import load, named_checkpoints
from regard.runs.folder import RunFolder
from regard.saliency.capture import evaluating
from regard.saliency.outputs import logits_of


@dataclass(frozen=True)
class Run:
    """A trained net with what is needed to use it.

    Attributes:
        folder: where it lies.
        net: in evaluation mode, on the CPU.
        config: the resolved config, as a mapping.
        classes: names, in the order of the logits.
        transform: images to what `net` takes.
        checkpoint: name of the checkpoint that the weights come from.
    """

    folder: Path
    net: nn.Module
    config: dict[str, Any]
    classes: tuple[str, ...]
    transform: Transform
    checkpoint: str

    @property
    def files(self) -> RunFolder:
        """What is where in the folder."""
        return RunFolder(self.folder)

    @property
    def data(self) -> Data:
        """The `data` section of the config."""
        return Data.model_validate(self.config["data"])

    def manifest(self) -> Manifest:
        """The manifest that the run was trained on, with the run's splits."""
        return open_manifest(self.data, self.folder)

    def predict(self, images: Source | Sequence[Source], *, batch_size: int = 32) -> Tensor:
        """Probabilities (N, K) of images: paths, PIL images or uint8 tensors (3, H, W).

        Raises:
            DataError: an image cannot be read, or the model takes several views.
        """
        if len(self.data.views) > 1:
            raise DataError(
                str(self.folder),
                expected="a model of one view",
                found="views " + ", ".join(self.data.views),
                remedy="write a manifest of the images, and use regard evaluate",
            )
        many = cast(list[Source], [*images] if isinstance(images, list | tuple) else [images])
        device = next(self.net.parameters()).device
        found = []
        with evaluating(self.net), torch.no_grad():
            for start in range(0, len(many), batch_size):
                batch = self.transform(many[start : start + batch_size]).to(device)
                found.append(logits_of(self.net(batch)).float().softmax(1).cpu())
        return torch.cat(found) if found else torch.zeros(0, len(self.classes))


def load_run(folder: str | Path, checkpoint: str = "best") -> Run:
    """Load a run's net from its best checkpoint (or `last`, or `step-N`).

    Raises:
        RunError: no run, or no such whole checkpoint.
        ModelError: the model cannot be built here.
    """
    files = RunFolder(Path(folder))
    config = files.read_config()
    classes, model, transform = _parts(files, config)
    saved = load(files.checkpoints, checkpoint)
    net = net_of(from_checkpoint(model, files), len(classes), Path(folder))
    try:
        net.load_state_dict(saved.model)
    except RuntimeError as error:
        raise RunError(
            str(saved.path),
            expected=f"the weights of {model.spec}",
            found=str(error).splitlines()[0],
            remedy="restore the run's config.yaml",
        ) from error
    return Run(Path(folder), net.eval(), config, classes, transform, saved.path.name)


def open_run(text: str) -> Run:
    """Load the run of `FOLDER` (its best checkpoint) or `FOLDER@CHECKPOINT`.

    What follows the last @ is `best`, `last`, `step-N`, `epoch-N` or an epoch's number; it is part
    of the folder's name where the whole text is a run's folder, or what stands before it is none.

    Raises:
        RunError: no run, or no such whole checkpoint.
        ModelError: the model cannot be built here.
    """
    folder, checkpoint = split_checkpoint(text)
    if checkpoint is None:
        return load_run(folder)
    name = f"epoch-{int(checkpoint)}" if checkpoint.isdecimal() else checkpoint
    files = RunFolder(folder)
    known = named_checkpoints(files.checkpoints)
    if name not in ("best", "last", *known):
        raise RunError(
            text,
            expected="after the @ an epoch's number, best, last or step-N",
            found=f"{name!r}, which is not in {files.checkpoints}" if name else "nothing",
            remedy="there are: " + ", ".join(["best", "last", *known]),
        )
    return load_run(folder, name)


def split_checkpoint(text: str) -> tuple[Path, str | None]:
    """A run's folder, and what the text has after the last @, see `open_run`."""
    folder, at, checkpoint = text.rpartition("@")
    if at and not _is_run(Path(text)) and _is_run(Path(folder)):
        return Path(folder), checkpoint
    return Path(text), None


def _is_run(folder: Path) -> bool:
    return RunFolder(folder).config.is_file()


def _parts(files: RunFolder, config: dict[str, Any]) -> tuple[tuple[str, ...], Model, Transform]:
    try:
        data, model = Data.model_validate(config["data"]), Model.model_validate(config["model"])
        return tuple(config["classes"]), model, transform_of(data.model_dump())
    except (KeyError, TypeError, ValidationError) as error:
        first = error.errors()[0]["msg"] if isinstance(error, ValidationError) else repr(error)
        raise RunError(
            str(files.config),
            expected="the config that regard train wrote",
            found=first[:120],
            remedy="restore it",
        ) from error


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
        **model.options,
    )
    # Convolutions run fastest so; images may come in any order in memory.
    return net.to(memory_format=torch.channels_last)


def transform_of(data: dict[str, Any]) -> Transform:
    """The transform of a resolved `data` section."""
    size = data["size"]
    height, width = (size, size) if isinstance(size, int) else size
    return Transform(
        (height, width),
        tuple(data["mean"]),
        tuple(data["std"]),
        data["fit"],
        data["interpolation"],
        data["max_pixels"],
    )
