"""A finished or running training, loaded to be used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from regard.data.hierarchy import Hierarchy, hierarchy_of
from regard.data.manifest import Manifest
from regard.data.settings import Data, Task
from regard.data.source import open_manifest
from regard.data.transforms import ON_BLACK, Source, Transform, several
from regard.errors import DataError, RunError
from regard.evaluation.answers import probabilities_of
from regard.files.atomic import digest
from regard.models.device import device_of, put
from regard.models.settings import Model
from regard.models.tensors import refuse_other_kinds
from regard.runs.checkpoints import FILES, load, named_checkpoints
from regard.runs.folder import RunFolder
from regard.runs.net import from_checkpoint, net_of, transform_of
from regard.saliency.capture import evaluating
from regard.saliency.outputs import logits_of

Sources = Source | Sequence[Source]


@dataclass(frozen=True)
class Run:
    """A trained net with what is needed to use it.

    Attributes:
        folder: where it lies.
        net: in evaluation mode, on the device that it was loaded for.
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
    def device(self) -> torch.device:
        """Where the net is."""
        return next(self.net.parameters()).device

    @property
    def weights(self) -> str:
        """SHA-256 of the file of its weights, by which a net is known again."""
        return digest(self.files.checkpoints / self.checkpoint / FILES[0])

    @property
    def data(self) -> Data:
        """The `data` section of the config."""
        return Data.model_validate(self.config["data"])

    @property
    def task(self) -> Task:
        """What was learned."""
        return self.data.learned

    @property
    def segments(self) -> bool:
        """Whether the net is a segmenter, whose answers are of pixels."""
        return self.task == "segmentation"

    @property
    def several(self) -> bool:
        """Whether an image has a set of labels, each of which the net tells by itself."""
        return self.task == "multilabel"

    def hierarchy(self) -> Hierarchy | None:
        """The tree of the classes, if the run has one.

        Raises:
            DataError: its file is gone, or has changed so that it no longer fits.
        """
        return hierarchy_of(self.data, self.folder, self.classes)

    def manifest(self) -> Manifest:
        """The manifest that the run was trained on, with the run's splits."""
        return open_manifest(self.data, self.folder)

    @property
    def explained_view(self) -> str | None:
        """The view that methods of pixels explain: the first of several; None for one alone."""
        views = self.data.views
        return views[0] if len(views) > 1 else None

    def predict(self, images: Sources | Mapping[str, Sources], *, batch_size: int = 32) -> Tensor:
        """Probabilities (N, K) of images: paths, PIL images, uint8 tensors or arrays.

        Of a net for sets of labels each class has its own, between 0 and 1 by itself.

        Args:
            images: one or several, a tensor (3, H, W) or a batch (N, 3, H, W), an array (H, W, 3)
                or (N, H, W, 3); of a model of several views a mapping of each view to them.
            batch_size: images in one forward pass.

        Raises:
            DataError: an image cannot be read, or other views than the model takes, or not as many
                images of each.
        """
        given = images if isinstance(images, Mapping) else {self.data.views[0]: images}
        many = {view: several(own) for view, own in given.items()}
        count = _refuse_other_views(many, self.data.views, self.folder)
        found = []
        with evaluating(self.net), torch.no_grad():
            for start in range(0, count, batch_size):
                batch = {
                    view: self.transform(own[start : start + batch_size], black=view in ON_BLACK)
                    for view, own in many.items()
                }
                views = {view: pixels.to(self.device) for view, pixels in batch.items()}
                taken = views if len(views) > 1 else next(iter(views.values()))
                logits = logits_of(self.net(taken)).float()
                found.append(probabilities_of(logits, self.task).cpu())
        return torch.cat(found) if found else torch.zeros(0, len(self.classes))


def _refuse_other_views(
    given: Mapping[str, Sequence[Source]], wanted: Sequence[str], folder: Path
) -> int:
    """How many images there are of every view."""
    counts = {view: len(images) for view, images in given.items()}
    if set(counts) != set(wanted) or len(set(counts.values())) > 1:
        raise DataError(
            str(folder),
            expected="as many images of each view: " + ", ".join(wanted),
            found=", ".join(f"{number} of {view}" for view, number in counts.items()) or "none",
            remedy="predict({" + ", ".join(f'"{view}": [...]' for view in wanted) + "})",
        )
    return next(iter(counts.values()))


def load_run(folder: str | Path, checkpoint: str = "best", *, device: str = "cpu") -> Run:
    """Load a run's net from its best checkpoint (or `last`, `step-N`, `epoch-N`).

    Args:
        folder: the run's.
        checkpoint: of it.
        device: where its net answers: `cpu`, `cuda` ...; `auto` is the first GPU, else the CPU.

    Raises:
        ConfigError: this machine has no such device.
        RunError: no run, or no such whole checkpoint.
        ModelError: the model cannot be built here.
    """
    place = device_of(device, "device")
    files = RunFolder(Path(folder))
    config = files.read_config()
    files.refuse_links()
    classes, model, transform = _parts(files, config)
    saved = load(files.checkpoints, checkpoint)
    net = net_of(from_checkpoint(model, files), len(classes), Path(folder))
    try:
        refuse_other_kinds(saved.model, net.state_dict())
        net.load_state_dict(saved.model)
    except (RuntimeError, ValueError) as error:
        raise RunError(
            str(saved.path),
            expected=f"the weights of {model.spec}",
            found=str(error).splitlines()[0],
            remedy="restore the run's config.yaml",
        ) from error
    net = put(net.eval(), place, str(folder))
    return Run(Path(folder), net, config, classes, transform, saved.path.name)


def open_run(text: str, *, device: str = "cpu") -> Run:
    """Load the run of `FOLDER` (its best checkpoint) or `FOLDER@CHECKPOINT`.

    What follows the last @ is `best`, `last`, `step-N`, `epoch-N` or an epoch's number; it is part
    of the folder's name where the whole text is a run's folder, or what stands before it is none.

    Raises:
        RunError: no run, or no such whole checkpoint.
        ModelError: the model cannot be built here.
    """
    folder, checkpoint = split_checkpoint(text)
    if checkpoint is None:
        return load_run(folder, device=device)
    name = f"epoch-{int(checkpoint)}" if checkpoint.isdecimal() else checkpoint
    files = RunFolder(folder)
    known = named_checkpoints(files.checkpoints)
    if name not in ("best", "last", *known):
        raise RunError(
            text,
            expected="after the @ an epoch's number, best, last, step-N or epoch-N",
            found=f"{name!r}, which is not in {files.checkpoints}" if name else "nothing",
            remedy="there are: " + ", ".join(["best", "last", *known]),
        )
    return load_run(folder, name, device=device)


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
        raise files.foreign(error) from error
