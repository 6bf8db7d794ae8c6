"""What a run's config says, as the server needs it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from regard.data.settings import Data, Task
from regard.evaluation.settings import Gaze
from regard.runs.folder import RunFolder
from regard.server.finding import Found


@dataclass(frozen=True)
class Facts:
    """What a run's config says.

    Attributes:
        found: the run.
        config: the resolved config.
        data: its section.
        gaze: its section.
        classes: in the order of the logits.
        spec: of the net.
    """

    found: Found
    config: dict[str, Any]
    data: Data
    gaze: Gaze
    classes: tuple[str, ...]
    spec: str

    @property
    def files(self) -> RunFolder:
        """What is where in the folder."""
        return RunFolder(self.found.path)

    @property
    def task(self) -> Task:
        """What was learned."""
        return self.data.learned

    @property
    def manifest(self) -> Path:
        """The file of its manifest, which may lie anywhere: it is the run's own data."""
        return self.found.path / self.data.manifest


def facts_of(found: Found) -> Facts:
    """What the config of a run says.

    Raises:
        RunError: it cannot be read, or is of another version.
    """
    files = RunFolder(found.path)
    config = files.read_config()
    try:
        return Facts(
            found,
            config,
            Data.model_validate(config["data"]),
            Gaze.model_validate(config["gaze"]),
            tuple(config["classes"]),
            str(config["model"]["spec"]),
        )
    except (KeyError, TypeError, AttributeError, ValidationError) as error:
        raise files.foreign(error) from error
