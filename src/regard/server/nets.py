"""Nets in memory, a few of them: the one that was not used for longest leaves."""

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import torch

from regard.errors import RunError
from regard.models.anatomy import possible_layers
from regard.runs.checkpoints import FILES, pointed
from regard.runs.files import read_json
from regard.runs.folder import RunFolder
from regard.runs.run import Run, load_run
from regard.saliency.capture import trace
from regard.saliency.layers import find_layer
from regard.server.facts import Facts
from regard.server.finding import Folder

# The names of a net's layers, and that of the run's own maps.
Layers = tuple[list[str], str | None]
# Of so many checkpoints the layers are remembered.
_TOLD = 200


@dataclass(frozen=True)
class Weights:
    """The checkpoint that a run is shown with.

    Attributes:
        name: `step-N`.
        digest: of its weights.
    """

    name: str
    digest: str


class Nets:
    """Loads nets, and holds the `most` that were used last. For one thread alone.

    Args:
        folder: that is served.
        most: nets.
    """

    def __init__(self, folder: Folder, most: int) -> None:
        self._folder, self._most = folder, most
        self._held: OrderedDict[tuple[Path, Weights], Run] = OrderedDict()
        self._layers: OrderedDict[tuple[Path, Weights], Layers] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def run(self, facts: Facts, weights: Weights) -> Run:
        """A run with the net of a checkpoint.

        Raises:
            RunError: the checkpoint is damaged.
            ModelError: the net cannot be built here.
        """
        key = facts.found.path, weights
        if key not in self._held:
            for name in FILES:
                self._folder.inside(facts.files.checkpoints / weights.name / name)
            while len(self._held) >= self._most:
                self._held.popitem(last=False)
            self._held[key] = load_run(facts.found.path, weights.name)
        self._held.move_to_end(key)
        return self._held[key]

    def known_layers(self, facts: Facts, weights: Weights) -> Layers | None:
        """What `layers` gave before, for any thread."""
        return self._layers.get((facts.found.path, weights))

    def layers(self, facts: Facts, weights: Weights) -> Layers:
        """The layers that a map can be read from, and the one of the run's own maps.

        Raises:
            RunError: see `run`.
            ModelError: see `run`; or there is no such layer.
        """
        found = layers_of(self.run(facts, weights), facts.gaze.layer)
        self._layers[facts.found.path, weights] = found
        while len(self._layers) > _TOLD:
            self._layers.popitem(last=False)
        return found


def weights_of(facts: Facts) -> Weights:
    """The best checkpoint of a run, without reading its weights.

    Raises:
        RunError: there is none yet, or it is damaged.
    """
    files = RunFolder(facts.found.path)
    name = pointed(files.checkpoints, "best")
    try:
        if name is None or Path(name).name != name:
            raise FileNotFoundError
        return Weights(name, str(read_json(files.checkpoints / name / "checksums.json")[FILES[0]]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            facts.found.id,
            expected="a whole best checkpoint",
            found="none yet" if name is None else f"{name} without its checksums",
            remedy="wait for the run's first epoch, or train it again",
        ) from error


def layers_of(run: Run, asked: str | None) -> Layers:
    """The layers that a map can be read from, and the one that the run's own are read from."""
    device = next(run.net.parameters()).device
    blank = torch.zeros(1, 3, *run.transform.size, device=device)
    views = run.data.views
    images = blank if len(views) == 1 else dict.fromkeys(views, blank)
    names = possible_layers(trace(run.net, images), run.transform.size)
    return list(dict.fromkeys(names)), find_layer(run.net, images, asked).name
