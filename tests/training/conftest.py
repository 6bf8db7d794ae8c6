"""What tests of training share."""

import pytest

from regard.runs.folder import RunFolder
from regard.runs.log import Log
from regard.training.loop import Trainer
from regard.training.prepare import prepare
from regard.training.watching import Silent
from tinyset import config_of


@pytest.fixture
def trainer(tiny, tmp_path):
    """Make a trainer that has not begun."""
    opened = []

    def make(*changes, folder=tiny):
        prepared = prepare(config_of(*changes), folder)
        log = Log(tmp_path / "log.jsonl")
        opened.extend([prepared, log])
        return Trainer(prepared, RunFolder(tmp_path), log, Silent())

    yield make
    for each in opened:
        each.close()
