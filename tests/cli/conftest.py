import sys
from typing import NamedTuple

import pytest
import torch

from regard.cli.main import main
from regard.training.train import train
from tinyset import config_of


class Answer(NamedTuple):
    """What a command answered."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def trained(tiny, tmp_path_factory):
    """A finished run, not to be changed."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("trained") / "run"
    train(config_of("training.epochs=2"), folder, folder=tiny)
    return folder


@pytest.fixture
def regard(monkeypatch, capsys):
    """Run a command in this process as the console script would."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["regard", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main()
        torch.set_num_threads(1)
        code = stopped.value.code
        return Answer(code if isinstance(code, int) else 0, *capsys.readouterr())

    return run
