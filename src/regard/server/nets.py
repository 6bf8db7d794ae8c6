"""Nets in memory, a few of them: the one that was not used for longest leaves."""

import logging
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch

from regard.errors import ModelError, RegardError, RunError
from regard.runs.checkpoints import FILES, SUMS, pointed
from regard.runs.files import read_json
from regard.runs.folder import RunFolder
from regard.runs.run import Run, load_run
from regard.saliency.layers import find_layer, readable_layers
from regard.saliency.unfit import unfit_methods
from regard.server.facts import Facts
from regard.server.finding import Folder

_LOG = logging.getLogger(__name__)
# Of so many checkpoints it is remembered what can be asked of them.
_TOLD = 200


@dataclass(frozen=True)
class Reach:
    """What can be asked of a net.

    Attributes:
        layers: that a map can be read from, last first.
        layer: that the run's own maps are read from.
        unfit: the methods that refuse the net, and what they need.
    """

    layers: tuple[str, ...] = ()
    layer: str | None = None
    unfit: Mapping[str, str] = field(default_factory=dict)


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
        device: where they answer, `auto`, `cpu`, `cuda` ...
    """

    def __init__(self, folder: Folder, most: int, device: str = "cpu") -> None:
        self._folder, self._most, self._device = folder, most, device
        self._held: OrderedDict[tuple[Path, Weights], Run] = OrderedDict()
        self._reach: OrderedDict[tuple[Path, Weights], Reach] = OrderedDict()

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
            self._held[key] = load_run(facts.found.path, weights.name, device=self._device)
        self._held.move_to_end(key)
        return self._held[key]

    def known_reach(self, facts: Facts, weights: Weights) -> Reach | None:
        """What `reach` gave before, for any thread."""
        return self._reach.get((facts.found.path, weights))

    def reach(self, facts: Facts, weights: Weights) -> Reach:
        """What can be asked of a checkpoint's net.

        Raises:
            RunError: see `run`.
            ModelError: see `run`; or the net breaks down, or there is no such layer.
        """
        run = self.run(facts, weights)
        with breaking(facts):
            found = reach_of(run, facts.gaze.layer)
        self._reach[facts.found.path, weights] = found
        while len(self._reach) > _TOLD:
            self._reach.popitem(last=False)
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
        return Weights(name, str(read_json(files.checkpoints / name / SUMS)[FILES[0]]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            facts.found.id,
            expected="a whole best checkpoint",
            found="none yet" if name is None else f"{name} without its checksums",
            remedy="wait for the run's first epoch, or train it again",
        ) from error


def reach_of(run: Run, asked: str | None) -> Reach:
    """What can be asked of a run's net, tried with noise.

    Args:
        run: loaded.
        asked: the layer of the run's own maps; None: found.
    """
    device, views = run.device, run.data.views
    noise = torch.randn(1, 3, *run.transform.size, generator=torch.Generator().manual_seed(0))
    images = noise.to(device) if len(views) == 1 else dict.fromkeys(views, noise.to(device))
    own = find_layer(run.net, images, asked).name
    unfit = unfit_methods(run.net, images, layer=own, view=run.explained_view)
    told = {name: f"needs {error.expected}" for name, error in unfit.items()}
    return Reach(tuple(readable_layers(run.net, images)), own, told)


@contextmanager
def breaking(facts: Facts) -> Iterator[None]:
    """Whatever a net of anyone's make raises when it is run is a refusal in one line.

    Raises:
        ModelError: it raised something.
    """
    try:
        yield
    except RegardError:
        raise
    except Exception as error:
        # It may be a fault of ours as well: its traceback belongs where the server prints.
        _LOG.warning("the net of %s", facts.found.id, exc_info=True)
        told = f"{type(error).__name__}: {error}".strip().splitlines()[0][:160]
        raise ModelError(
            f"the net of {facts.found.id}",
            expected="a net that runs",
            found=told,
            remedy="see what the server printed, and mend the net",
        ) from error
