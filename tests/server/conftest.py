"""A folder of small trained runs, and servers for it."""

import shutil

import pytest
import torch
from browser_site import api, own_site, served, site, site_folder, web  # noqa: F401
from server_tools import serving

from regard.evaluation.settings import Gaze
from regard.runs.evaluate import evaluate_run
from regard.runs.run import load_run
from regard.training.train import train
from tinyset import SEGMENTER, SETS, config_of, write_masks, write_set, write_sets

QUICK = ("training.epochs=1", "training.optimiser.lr=0.01")


def trained(folder, name, data, *changes, base=None, gaze=("gradcam",)):
    out = folder / "runs" / name
    given = {} if base is None else {"base": base}
    train(config_of(*QUICK, *changes, **given), out, folder=data)
    run = load_run(out)
    own = Gaze.model_validate(run.config["gaze"])
    evaluate_run(run, "test", gaze=[own.model_copy(update={"method": m}) for m in gaze])
    return out


@pytest.fixture(scope="session")
def whole_folder(tmp_path_factory):
    """Runs `one` and `two` of labels, `masks` of a segmenter, `sets` of sets; not to be changed."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("served folder")
    write_set(folder / "tiny")
    trained(folder, "one", folder / "tiny", "training.epochs=4", gaze=("gradcam", "layercam"))
    trained(folder, "two", folder / "tiny", "training.seed=1")
    (folder / "scenes").mkdir()
    write_masks(folder / "scenes")
    trained(folder, "masks", folder / "scenes", base=SEGMENTER)
    write_sets(folder / "tags")
    trained(folder, "sets", folder / "tags", base=SETS)
    return folder


@pytest.fixture
def own_folder(whole_folder, tmp_path):
    """A copy to be changed; a run's manifest is found relative to it."""
    return shutil.copytree(whole_folder, tmp_path / "own")


@pytest.fixture(scope="session")
def client(whole_folder, tmp_path_factory):
    with serving(whole_folder, tmp_path_factory.mktemp("cache")) as client:
        yield client


@pytest.fixture
def own(own_folder, tmp_path):
    with serving(own_folder, tmp_path / "cache") as client:
        client.folder = own_folder
        yield client
