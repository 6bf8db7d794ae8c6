"""Where a trained net answers: on the processor, or on whatever else this machine has."""

import multiprocessing
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
import torch

from regard.errors import ConfigError, RunError
from regard.models.device import take_gpu
from regard.runs.run import load_run, open_run
from regard.server.nets import Nets
from regard.server.service import Service
from regard.studies import pool, runner
from tinyset import config_of, environment, run_regard, train, write_set

TESTS = Path(__file__).parents[1]
# What is done of each kind, and methods of which a kind has at least these.
DONE = [
    "trained and evaluated as a study does",
    "explained",
    "compared",
    "reported",
    "gradcam",
    "scorecam",
]
MORE = {"labels": ["other backgrounds", "cam", "rise"], "views": ["rollout", "chefer"]}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("device")
    write_set(folder, counts={"train": 8, "test": 4})
    train(config_of("training.epochs=1", "training.best=last"), folder / "run", folder=folder)
    return folder / "run"


@pytest.mark.parametrize("kind", ["labels", "sets", "masks", "views"])
def test_everything_can_be_asked_of_a_net_on_another_device(kind, tmp_path):
    words = [sys.executable, str(TESTS / "on_card.py"), kind, str(tmp_path)]
    found = subprocess.run(
        words, env=environment(), capture_output=True, text=True, timeout=300, check=False
    )
    assert found.returncode == 0, found.stderr[-3000:]
    assert not {*DONE, *MORE.get(kind, [])} - set(found.stdout.splitlines())


def test_a_net_lies_on_the_device_that_is_asked_for(run, monkeypatch):
    assert load_run(run).device == open_run(f"{run}@last").device == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert load_run(run, device="auto").device == torch.device("cpu")
    with pytest.raises(
        ConfigError, match="device: expected a device of this machine, found 'meta'"
    ):
        load_run(run, device="meta")


def test_a_device_without_room_for_the_net_is_one_line(run, monkeypatch):
    def full(net, *device, **_):
        if device:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB.\nMore")
        return net

    monkeypatch.setattr(torch.nn.Module, "to", full)
    with pytest.raises(RunError, match=r"memory for the net on cpu, found CUDA out of .* cpu$"):
        load_run(run)


@pytest.mark.parametrize("command", ["evaluate", "score", "explain", "serve", "compare"])
def test_a_device_that_is_not_there_is_refused_in_one_line(command, run):
    runs = [run, f"{run}@last"] if command == "compare" else [run]
    answer = run_regard(command, *runs, "--device", "xpu:7", cwd=run.parent)
    assert answer.returncode == 2
    (line,) = answer.stderr.strip().splitlines()
    assert "expected a device of this machine, found 'xpu:7'; use auto or cpu" in line


def test_a_server_hands_its_device_to_its_nets(run, tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr("regard.server.service.device_of", lambda name, _: given.append(name))
    monkeypatch.setattr(
        "regard.server.service.Nets",
        lambda *told: given.append(told[-1]) or Nets(*told),
    )
    Service.of(run.parent, cache=tmp_path, device="cuda:3")
    assert given == ["cuda:3", "cuda:3"]


def test_processes_take_gpus_in_turn(monkeypatch):
    taken = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    monkeypatch.setattr(pool, "stop_with_parent", lambda: None)
    begun = multiprocessing.get_context("forkserver").Value("i", 0)
    for _ in range(3):
        pool.begin(begun)
    assert taken == [0, 1, 0]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    take_gpu(1)
    assert taken == [0, 1, 0]


@pytest.mark.parametrize(
    ("device", "gpus", "expected"), [("auto", 2, 2), ("cuda", 1, 1), ("cpu", 2, 6), ("auto", 0, 6)]
)
def test_a_study_has_a_process_a_gpu(device, gpus, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(runner, "cores", lambda: 6)
    monkeypatch.setattr(runner, "PROCESS_MB", 1)
    monkeypatch.setattr(runner, "free_mb", lambda: 100)
    study = mock.Mock(base={"training": {"device": device}}, jobs=range(9))
    assert runner._workers(study) == expected
