"""A trained run, and commands with what they are refused."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from attacking import Commands


@pytest.fixture(scope="session")
def regard(tmp_path_factory):
    """Runs `regard WORDS`."""
    return Commands(tmp_path_factory.mktemp("notes"))


@dataclass(frozen=True)
class Trained:
    """A set, its config, and a run with predictions and scores; not to be changed."""

    folder: Path
    config: Path
    run: Path

    def copy(self, to: Path) -> Path:
        """The run, to be attacked."""
        shutil.rmtree(to, ignore_errors=True)
        return Path(shutil.copytree(self.run, to))


@pytest.fixture(scope="session")
def trained(regard, tmp_path_factory) -> Trained:
    from tinyset import write_config, write_set  # after the import hook

    folder = tmp_path_factory.mktemp("trained")
    manifest = write_set(folder)
    config = write_config(folder, f"data.manifest={manifest}", "gaze.method=gradcam")
    run = folder / "run"
    for words in (("train", config, "--out", run), ("score", run), ("evaluate", run)):
        done = regard(*words)
        assert done.code == 0, done.err
    return Trained(folder, config, run)
