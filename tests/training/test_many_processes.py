"""Processes that train one net together do what one process does; killed, they leave it whole."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import several
import torch
from several import CASES, in_processes

from processes import children, until
from regard.data.loader import Loader, Share
from regard.errors import ConfigError, LostProcessError, RunError
from regard.runs.checkpoints import checkpoints, load
from regard.runs.log import read_log
from regard.training import group as grouping
from regard.training.group import ALONE, Alone, buckets, taking_part
from regard.training.loop import Trainer
from regard.training.measuring import in_turn
from regard.training.preflight_group import device_for, refuse_processes, refuse_unlike
from regard.training.stopping import Stopping
from regard.training.train import resume, train
from sharing import made_once
from tinyset import (
    SETS,
    config_of,
    environment,
    log_lines,
    run_regard,
    same_tensors,
    steps_in,
    write_config,
    write_masks,
    write_set,
    write_sets,
)

SMALL = {"train": 10, "val": 5, "test": 2}  # steps of 4, 4 and 2: the last one is uneven
SHORT = (
    "model.spec=regard:cnn1",
    "training.batch_size=4",
    "training.epochs=4",
    "guidance.terms=[{term: energy, weight: 0.5, warmup_epochs: 1}, {term: background_swap}]",
    "training.keep_epochs=all",
    "training.checkpoint_steps=3",
    "data.augment={rotate: 10, flip: 0.5}",
    "gaze.scores=[energy]",  # which has no threshold that rounding could cross
)
# Everything that has a state of its own in each process, too.
LONG = (
    *SHORT,
    "model.spec=regard:cnn2",
    "model.options.dropout=0.25",
    "training.epochs=10",
    "guidance.combine=uncertainty",
    "training.imbalance=both",
    "training.clip=1.0",
    "training.schedule={name: plateau, factor: 0.5, patience: 0}",
    "training.best=val.accuracy",
)
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Sets, and teachers of two of them."""

    def make(home):
        for name, write in (("tiny", write_set), ("sets", write_sets)):
            (home / name).mkdir()
            write(home / name, counts=SMALL)
        (home / "masks").mkdir()
        write_masks(home / "masks", count=14)
        for name, base in (("tiny", {}), ("sets", {"base": SETS})):
            config = config_of("training.epochs=1", **base)
            train(config, home / name / "teacher", folder=home / name)

    return made_once(tmp_path_factory, "several", make)


@pytest.fixture(scope="module")
def alone(home, tmp_path_factory):
    """What one process finds."""

    def make(_):
        torch.save({case: several.gradients(home, case) for case in CASES}, home / "1.pt")
        train(config_of(*SHORT), home / "one", folder=home / "tiny")

    made_once(tmp_path_factory, "several-1", make)
    return torch.load(home / "1.pt")


def found_by(size, home, tmp_path_factory):
    """What so many find."""

    def make(_):
        job = {"into": f"{size}.pt"}
        if size == 2:  # two uninterrupted runs, too
            job["runs"] = {str(home / "two"): SHORT, str(home / "whole"): LONG}
        in_processes(home, size, job)

    made_once(tmp_path_factory, f"several-{size}", make)
    return torch.load(home / f"{size}.pt")


@pytest.fixture(scope="module")
def two(home, tmp_path_factory):
    return found_by(2, home, tmp_path_factory)


@pytest.fixture(scope="module")
def three(home, tmp_path_factory):
    return found_by(3, home, tmp_path_factory)


@pytest.fixture(scope="module")
def whole(home, two):
    """Two uninterrupted runs in two processes."""
    assert two
    return home


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("size", ["two", pytest.param("three", marks=pytest.mark.torture)])
def test_the_gradient_is_that_of_one_process(alone, request, size, case):
    (steps, told), (wanted, expected) = request.getfixturevalue(size)[case], alone[case]
    assert len(steps) == len(wanted) >= 2
    for step, (own, one) in enumerate(zip(steps, wanted, strict=True)):
        assert (own - one).norm() < 1e-6 * one.norm(), step
    for (rows, right, parts), (all_rows, all_right, all_parts) in zip(told, expected, strict=True):
        assert (rows, right) == (all_rows, pytest.approx(all_right))
        assert parts == pytest.approx(all_parts, rel=1e-5)


def test_some_of_these_steps_leave_a_process_without_an_image_or_a_region(home):
    trainer = several.made(home, "energy", ALONE)
    sizes, regions = [], []
    for batch in trainer.prepared.train.batches(trainer.draws(0)):
        sizes.append(len(batch))
        regions.append(int(batch.regions.present.sum()))
    assert sizes == [4, 4, 2]
    assert all(0 < some < size for some, size in zip(regions[:2], sizes, strict=False))


@pytest.mark.parametrize("size", ["two", pytest.param("three", marks=pytest.mark.torture)])
def test_statistics_of_batch_norms_are_means_over_the_shares(home, request, size):
    count, found = {"two": 2, "three": 3}[size], request.getfixturevalue(size)["statistics"]
    prepared = several.prepare(config_of("training.batch_size=4"), home / "tiny")
    trainer = Trainer(prepared, several.RunFolder(home), several.Unwritten(), several.Silent())
    batch = next(iter(prepared.train.batches(trainer.draws(0))))
    first = {name: value.clone() for name, value in prepared.net.state_dict().items()}
    images, wanted = prepared.transform.normalise(batch.images["image"]), {}
    for part in torch.tensor_split(images, count):
        prepared.net.load_state_dict(first)
        prepared.net.train()(part)
        for name, value in prepared.net.named_buffers():
            share = len(part) / len(images) if value.is_floating_point() else 1 / count
            wanted[name] = wanted.get(name, 0) + share * value
    assert any("running_var" in name for name in wanted)
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value.to(found[name].dtype), rtol=1e-5, atol=1e-7)


def test_a_short_training_ends_as_in_one_process(alone, whole):
    assert alone
    one, two = (load(whole / name / "checkpoints").model for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-4, atol=1e-5)
    (lines, notes), (others, more) = (_told(whole / name) for name in ("one", "two"))
    assert notes == []
    assert more == ["2 processes share the 4 images of a step"]
    assert [list(line) for line in others] == [list(line) for line in lines]
    for other, line in zip(others, lines, strict=True):
        assert other == pytest.approx(line, rel=1e-3, abs=1e-4, nan_ok=True)
    kept = [sorted(p.name for p in (whole / n / "scores/epochs").iterdir()) for n in ("one", "two")]
    assert kept[0] == kept[1]


def _told(run):
    """The numbers of a run's steps and epochs, by flat names, and its notes."""
    lines = [line for line in log_lines(run) if line["kind"] in ("step", "epoch", "untrained")]
    for line in lines:
        del line["kind"]
        for split in ("train", "val"):
            line |= {f"{split}.{k}": float(v) for k, v in line.pop(split, {}).items()}
    return lines, [line["text"] for line in read_log(run / "log.jsonl", "note")]


def test_another_number_of_processes_goes_on_and_ends_the_same(alone, whole, tmp_path):
    assert alone
    run = whole / tmp_path.name
    shutil.copytree(whole / "two", run)
    for path in checkpoints(run / "checkpoints")[:1]:
        shutil.rmtree(path)
    resume(run)
    one, gone_on = load(whole / "one" / "checkpoints").model, load(run / "checkpoints").model
    for name, value in one.items():
        torch.testing.assert_close(gone_on[name], value, rtol=1e-4, atol=1e-5)
    assert _told(run)[1][-1] == "going on in one process, after 2 processes"
    assert load(run / "checkpoints").state["processes"] == 1


@pytest.mark.torture
def test_a_killed_process_ends_all_and_resumed_they_end_the_same(whole, tmp_path):
    run = whole / "killed"
    config = write_config(whole / "tiny", *LONG)
    with _torchrun("train", config, "--out", run) as job:
        _wait_for(run, 8, job)
        (worker,) = [pid for pid in children(job.pid) if _number(pid) == 1]
        killed = time.monotonic()
        os.kill(worker, signal.SIGKILL)
        err = job.communicate(timeout=300)[1]
    assert job.returncode != 0
    assert time.monotonic() - killed < 120
    assert len(_lines(err)) == 1
    assert "another process of this training has ended" in _lines(err)[0]
    assert 8 <= steps_in(run / "log.jsonl") < 40
    assert not list(run.rglob(".*.partial"))
    with _torchrun("train", run, "--resume") as job:
        _wait_for(run, 16, job)
        os.kill(job.pid, signal.SIGTERM)
        err = job.communicate(timeout=300)[1]
    step = load(run / "checkpoints").state["step"]
    assert _lines(err) == [
        f"regard: stopped after step {step}; go on with: regard train {run} --resume"
    ]
    in_processes(whole, 2, {"resumed": str(run)})
    for which in ("last", "best"):
        found, wanted = (load(p / "checkpoints", which) for p in (run, whole / "whole"))
        assert same_tensors(found.model, wanted.model)
        assert same_tensors(found.optimiser, wanted.optimiser)
    assert log_lines(run) == log_lines(whole / "whole")


@pytest.mark.parametrize("torchrun", [False, pytest.param(True, marks=pytest.mark.torture)])
def test_a_mistake_that_one_process_finds_is_one_line(home, tmp_path, torchrun):
    shutil.copytree(home / "tiny", tmp_path, dirs_exist_ok=True)
    for path in (tmp_path / "images").glob("train-*[0-9].png"):
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])  # the header is whole
    words = "train", write_config(tmp_path), "--out", tmp_path / "run"
    jobs = [_torchrun(*words)] if torchrun else several.started(["-m", "regard", *words], 2)
    err = "".join(job.communicate(timeout=300)[1] for job in jobs)
    assert all(job.returncode for job in jobs)
    (line,) = _lines(err)
    assert "expected a readable image" in line
    assert "regard/" not in err  # no traceback of Regard's


def _torchrun(*words):
    return subprocess.Popen(
        [*map(str, (*TORCHRUN, "-m", "regard", *words))],
        env=environment() | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def _wait_for(run, step, job):
    until(lambda: steps_in(run / "log.jsonl") >= step, job)


def _number(pid):
    """Which of the processes this is."""
    told = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return next((int(each[5:]) for each in told if each.startswith(b"RANK=")), None)


def _lines(err):
    """What Regard says, and not torchrun."""
    return [line for line in err.splitlines() if line.startswith("regard: ")]


class Pretended(Alone):
    """One of several processes that only seem to be there; the others tell what is given."""

    def __init__(self, size, *others):
        self.size, self.others = size, others

    def gather(self, value):
        return [value, *self.others]


def test_more_processes_than_images_of_a_step_are_refused():
    config = config_of("training.batch_size=2", "training.accumulate=2")
    refuse_processes(config, Pretended(4))
    with pytest.raises(ConfigError, match=r"at most 4, the images of a step .* found 5; start"):
        refuse_processes(config, Pretended(5))


def test_processes_that_share_a_gpu_are_refused():
    config = config_of()
    assert device_for(config, Pretended(2, None)) == torch.device("cpu")
    shared = (("node", 0), ("other", 0), ("node", 0))
    with pytest.raises(ConfigError, match="a GPU for each process, found 2 processes at GPU 0"):
        device_for(config, Pretended(4, *shared))
    with pytest.raises(
        ConfigError, match="expected a device of this machine, found 'meta'; use auto or cpu"
    ):
        device_for(config_of("training.device=meta"), Pretended(2, None))


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("samples, labels, regions or splits", "other"),
        ("settings", {}),
        ("teacher", "other weights"),
        ("checkpoint", "step-5"),
    ],
)
def test_processes_with_other_files_are_refused(what, change):
    config = config_of()
    own = {
        "samples, labels, regions or splits": "digest",
        "settings": config.model_dump(mode="json"),
        "teacher": None,
        "checkpoint": None,
    }
    refuse_unlike(Pretended(2, own), config, "digest")
    with pytest.raises(RunError, match=f"process 1 of 2: .* found another {what}"):
        refuse_unlike(Pretended(2, own | {what: change}), config, "digest")


def test_a_checkpoint_of_the_same_name_with_other_weights_is_refused(alone, home, tmp_path):
    assert alone
    for name in ("a", "b"):
        shutil.copytree(home / "one" / "checkpoints", tmp_path / name)
    own, other = (load(tmp_path / name) for name in ("a", "b"))
    (other.path / "checksums.json").write_text("{}")

    class Recorded(Pretended):
        def gather(self, value):
            self.value = value
            return super().gather(value)

    group = Recorded(2)
    refuse_unlike(group, config_of(), "digest", own)
    with pytest.raises(RunError, match=r"process 1 of 2: .* found another checkpoint"):
        refuse_unlike(Pretended(2, group.value), config_of(), "digest", other)


@pytest.mark.parametrize(("command", "words"), [("study", ["x"]), ("tune", ["x"])])
def test_other_commands_are_not_for_several_processes(command, words, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    answer = run_regard(command, *words)
    assert answer.returncode == 2
    assert answer.stderr == (
        f"regard: regard {command}: expected one process, found 2 of them, as torchrun starts "
        "them; start it without torchrun; only regard train is shared by processes\n"
    )


def test_without_torchrun_there_is_no_group():
    with taking_part() as group:
        assert group is ALONE
    assert (group.first, group.speaks(), group.gather(3), group.collect(3)) == (
        True, True, [3], [3],
    )  # fmt: skip
    assert group.by_first(lambda: 5) == 5


def test_who_fails_lets_the_others_know():
    left = []

    class Leaving(Alone):
        def leave(self):
            left.append(True)

    with pytest.raises(ZeroDivisionError), taking_part(Leaving()):
        _ = 1 / 0
    assert left == [True]


def test_a_process_that_fails_and_lives_on_is_lost_to_the_others(whole):
    assert (whole / "lost").read_text().startswith("another process of this training has ended")


def test_a_lost_process_is_an_error_of_one_line():
    class Broken(grouping.Processes):
        def __init__(self):
            pass

    group = Broken()
    with pytest.raises(LostProcessError) as caught, group._waiting():
        raise RuntimeError("[/gloo/pair.cc:5] Connection closed by peer. This is\nand more")
    assert group.lost
    assert str(caught.value) == (
        "another process of this training has ended, or cannot be reached any more "
        "(Connection closed by peer); go on from the last checkpoint with --resume"
    )


def test_tensors_are_added_up_in_parts_of_one_kind(monkeypatch):
    monkeypatch.setattr(grouping, "BUCKET", 40)
    tensors = [torch.zeros(4), torch.zeros(2, dtype=torch.int64), torch.zeros(5), torch.zeros(30)]
    tensors.append(torch.zeros(1))
    sizes = [[tensor.numel() for tensor in bucket] for bucket in buckets(tensors)]
    assert sizes == [[4, 5], [30], [1], [2]]
    assert list(buckets([])) == []


def test_what_is_dealt_out_comes_back_in_order():
    assert in_turn([[0, 3, 6], [1, 4], [2, 5]]) == list(range(7))
    assert in_turn([[0], [], []]) == [0]


def test_one_of_several_processes_takes_a_second_signal_down_too():
    for many in (True, False):
        stopping = Stopping(many)
        stopping._ask()
        assert stopping.asked
        if many:
            stopping._ask()
        else:
            with pytest.raises(KeyboardInterrupt):
                stopping._ask()


def test_an_empty_share_has_the_form_of_the_others(home):
    trainer = several.made(home, "mixed", ALONE)
    loader = Loader(trainer.prepared.train.data, 4, share=Share(2, 3, cuts=True))
    *_, last = loader.batches(trainer.draws(0))
    assert len(last) == 0
    assert last.images["image"].shape == (0, 3, 32, 32)
    assert last.shares.shape == (0, 2)
    assert len(last.regions) == 0
