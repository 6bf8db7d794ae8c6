"""What tests of screening share."""

import pytest

from regard.training.train import train
from tinyset import config_of, write_set


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A set, and a run on it."""
    folder = tmp_path_factory.mktemp("screened")
    write_set(folder)
    train(config_of("training.epochs=1"), folder / "run", folder=folder)
    return folder
