"""Memory that runs out, that the kernel takes away, and that must not leak."""

import os
import resource
import signal
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from subprocess import PIPE

import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

import regard
from endings import assert_same
from forked import Forked
from processes import until
from regard.evaluation.settings import Gaze
from regard.runs.evaluate import evaluate_run
from regard.runs.log import read_log
from regard.runs.run import load_run
from regard.training.train import resume, train
from smallnets import tiny
from tinyset import (
    BASE,
    REGARD,
    SEGMENTER,
    SETS,
    config_of,
    environment,
    log_lines,
    steps_in,
    write_config,
    write_masks,
    write_set,
    write_sets,
)

MB = 2**20
METHODS = ("gradcam", "layercam", "scorecam", "integrated_gradients", "smoothgrad", "occlusion")
LEAK = 24  # megabytes that an allocator may still take after its first tenth


def resident(pid="self"):
    """Megabytes that a process holds."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / MB


def started(words):
    quiet = {"stdout": PIPE, "stderr": PIPE, "text": True, "start_new_session": True}
    return Forked([*REGARD, *map(str, words)], env=environment(), **quiet)


@pytest.mark.parametrize("count", [120, pytest.param(2000, marks=pytest.mark.torture)])
def test_explanations_leak_nothing(count, tally):
    net, draw = tiny().eval(), torch.Generator().manual_seed(0)
    early = 0.0
    for number, method in enumerate(islice(cycle(METHODS), count)):
        maps = regard.explain(net, torch.randn(2, 3, 64, 64, generator=draw), None, method)
        assert bool(maps.isfinite().all())
        if number == count // 10:
            early = resident()
    assert resident() < early + LEAK
    tally("memory: explanations without a leak", count, count)


@pytest.mark.parametrize(
    "kind",
    ["classifier", "segmenter", pytest.param("sets", marks=pytest.mark.torture)],
)
def test_a_split_that_does_not_fit_is_evaluated_alike(kind, tmp_path, tally):
    base = {"classifier": BASE, "segmenter": SEGMENTER, "sets": SETS}[kind]
    {"classifier": write_set, "segmenter": write_masks, "sets": write_sets}[kind](tmp_path)
    train(config_of("training.epochs=1", base=base), tmp_path / "run", folder=tmp_path)
    run = load_run(tmp_path / "run")
    # Scores without a threshold, which rounding could cross.
    gaze = [Gaze.model_validate({**run.config["gaze"], "scores": ["energy", "mangtr"]})]
    told = []
    for room in (1000, 2):

        def bounded(_, given, room=room):
            if len(given[0]) > room:
                raise MemoryError

        hook = run.net.register_forward_pre_hook(bounded)
        evaluate_run(run, "test", gaze=gaze)
        hook.remove()
        tables = [pl.read_parquet(path) for path in sorted(tmp_path.glob("run/*/test*.parquet"))]
        told.append(tables)
    assert len(told[0]) >= 2
    for one, other in zip(*told, strict=True):
        assert_frame_equal(one, other, abs_tol=1e-5)
    tally("memory: splits that do not fit", 1, 1)


@pytest.mark.parametrize("size", [9000, 40_000])
def test_images_that_no_memory_holds_are_told_in_one_line(size, regard, tmp_path, tally):
    write_set(tmp_path, counts={"train": 4, "val": 2, "test": 2})
    config = write_config(tmp_path, f"data.size={size}", f"model.options.size={size}")
    done = regard("train", config, "--out", tmp_path / "run", megabytes=1500)
    assert done.code == 2, done.err
    (line,) = done.lines
    assert "memory" in line
    assert "Traceback" not in done.err
    tally("memory: images that no memory holds", 1, 1)


@pytest.mark.torture
def test_fifty_epochs_leak_nothing(tmp_path, tally):
    write_set(tmp_path, counts={"train": 64, "val": 16, "test": 2}, side=64)
    terms = "guidance.terms=[{term: energy}, {term: iou}, {term: background_swap}]"
    config = write_config(
        tmp_path, "training.epochs=50", "data.size=64", "model.options.size=64", terms
    )
    log, held = tmp_path / "run/log.jsonl", {}
    with started(["train", config, "--out", tmp_path / "run"]) as process:
        for epoch in (5, 49):
            until(lambda: log.exists() and log.read_text().count('"epoch",') >= epoch, process)  # noqa: B023
            held[epoch] = resident(process.pid)
        process.communicate()
    assert process.returncode == 0
    assert held[49] < held[5] + LEAK
    tally("memory: epochs without a leak", 50, 50)


@pytest.mark.torture
@pytest.mark.parametrize("spare", [500, 900, 1500])
def test_a_step_that_does_not_fit_under_a_limit_is_made_of_smaller_parts(tmp_path, tally, spare):
    """A real failed allocation, as under `ulimit -v`; of 500 MB not even one image may be sure."""
    write_set(tmp_path, counts={"train": 512, "val": 8, "test": 2}, side=96, every=1000)
    config = write_config(
        tmp_path, "data.size=96", "model.options={width: 32, size: 96, pool: avg}",
        "training.batch_size=512", "training.epochs=2",
    )  # fmt: skip
    run = tmp_path / "run"
    with started(["train", config, "--out", run]) as process:
        size = int(Path(f"/proc/{process.pid}/statm").read_text().split()[0])
        limit = size * resource.getpagesize() + spare * MB
        resource.prlimit(process.pid, resource.RLIMIT_AS, (limit, limit))
        _, err = process.communicate()
    notes = [line["text"] for line in read_log(run / "log.jsonl", "note")]
    assert [text for text in notes if "memory" in text], notes
    if process.returncode == 2 and spare == 500:
        assert "Traceback" not in err
        assert "expected memory for one image" in err.splitlines()[-1]
        resume(run)
    else:
        assert process.returncode == 0, err
    steps = [line for line in log_lines(run) if line["kind"] == "step"]
    assert [line["step"] for line in steps] == [1, 2]
    tally("memory: steps that do not fit", 1, 1)


@contextmanager
def caged(pid, megabytes):
    """The process may take so much more memory; above it the kernel kills it."""
    cage = Path(f"/sys/fs/cgroup/memory/regard-test-{os.getpid()}")
    try:
        cage.mkdir()
        (cage / "memory.limit_in_bytes").write_text(str(megabytes * MB))
        (cage / "cgroup.procs").write_text(str(pid))
    except OSError as error:
        pytest.skip(f"no memory cgroup can be made here: {error}")
    yield
    cage.rmdir()


@pytest.mark.torture
@pytest.mark.parametrize("megabytes", [12, 24, 48])
def test_a_kill_by_the_kernel_is_resumed(tmp_path, tally, megabytes):
    write_set(tmp_path, counts={"train": 96, "val": 16, "test": 2}, side=64)
    changes = (
        "data.size=64", "model.options={width: 16, size: 64}", "training.epochs=3",
        "training.batch_size=32", "training.checkpoint_steps=2",
    )  # fmt: skip
    config, run = write_config(tmp_path, *changes), tmp_path / "run"
    train(config_of(*changes), tmp_path / "whole", folder=tmp_path)
    with started(["train", config, "--out", run]) as process:
        with caged(process.pid, megabytes):
            _, err = process.communicate()
    assert process.returncode == -signal.SIGKILL, err
    assert steps_in(run / "log.jsonl") < 9
    if (run / "environment.json").exists():
        resume(run)
    else:
        train(config_of(*changes), run, folder=tmp_path)
    assert_same(run, tmp_path / "whole")
    tally("memory: kills by the kernel", 1, 1)
