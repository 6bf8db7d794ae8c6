"""A run that was stopped anywhere ends as if nothing had happened, bit for bit."""

import json
import shlex
import shutil
import signal
from unittest import mock

import pytest
from PIL import Image

from endings import assert_same
from regard.errors import RunError
from regard.runs.checkpoints import checkpoints, load
from regard.runs.folder import locked
from regard.training.loop import Trainer
from regard.training.train import resume, train
from tinyset import (
    config_of,
    log_lines,
    start_until,
    steps_in,
    write_config,
    write_set,
)

# Everything that has a state: order, copies, augmentation, dropout, momenta, rates, counters.
EVERYTHING = (
    "guidance.terms=[{term: energy, weight: 0.5, warmup_epochs: 3}, {term: background_swap},"
    "{term: rrr, weight: 0.01}]",
    "guidance.combine=uncertainty",
    "training.keep_epochs=all",
    "data.augment={rotate: 20, flip: 0.5, translate: 0.1, brightness: 0.2, saturation: 0.2}",
    "model.options.dropout=0.25",
    "training.epochs=8",
    "training.batch_size=4",
    "training.accumulate=2",
    "training.imbalance=both",
    "training.label_smoothing=0.05",
    "training.clip=1.0",
    "training.optimiser={name: adamw, lr: 0.02, backbone_lr: 0.01, weight_decay: 0.01}",
    "training.schedule={name: plateau, factor: 0.5, patience: 0}",
    "training.best=val.accuracy",
    "training.patience=6",
    "training.checkpoint_steps=3",
)


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory):
    """The same training, never interrupted."""
    run = tmp_path_factory.mktemp("whole") / "run"
    train(config_of(*EVERYTHING), run, folder=tiny)
    return run


@pytest.fixture
def copy(whole, tmp_path):
    """A copy of the finished run, to be damaged; paths in its config stay right."""
    folder = whole.parent / tmp_path.name
    yield shutil.copytree(whole, folder)
    shutil.rmtree(folder)


def cut(run, step):
    """Make the run look as when it was killed right after this step's checkpoint."""
    for path in checkpoints(run / "checkpoints"):
        if int(path.name[5:]) > step:
            shutil.rmtree(path)


def test_the_uninterrupted_run_exercises_what_has_a_state(whole):
    lines = log_lines(whole)
    steps = [line for line in lines if line["kind"] == "step"]
    epochs = [line for line in lines if line["kind"] == "epoch"]
    assert [line["step"] for line in steps] == list(range(1, len(steps) + 1))
    assert len(steps) == 4 * len(epochs)
    assert len({line["lr"] for line in steps}) > 1
    assert not all(line["best"] for line in epochs)
    assert all("loss.energy" in line and "cross_entropy" in line for line in steps)


@pytest.mark.parametrize("kills", [(11,), pytest.param((1, 4, 11, 18), marks=pytest.mark.torture)])
def test_killed_then_interrupted_it_ends_the_same(whole, tiny, tmp_path, tally, kills):
    config, run = write_config(tmp_path, *EVERYTHING), tmp_path / "läuft hier"
    (tmp_path / "manifest.parquet").symlink_to(tiny / "manifest.parquet")
    (tmp_path / "images").symlink_to(tiny / "images")
    words = ["train", config, "--out", run]
    for step in kills:
        code, _, _ = start_until(words, run / "log.jsonl", step)
        assert code == -signal.SIGKILL
        assert step <= steps_in(run / "log.jsonl") < 32
        words = ["train", run, "--resume"]
    code, _, err = start_until(words, run / "log.jsonl", 25, signal.SIGINT)
    last = load(run / "checkpoints")
    assert code == 130
    assert err.splitlines()[-1] == (
        f"regard: stopped after step {last.state['step']}; go on with: "
        f"regard train {shlex.quote(str(run))} --resume"
    )
    assert "Traceback" not in err
    assert last.state["log_bytes"] == (run / "log.jsonl").stat().st_size
    resume(run)
    assert_same(run, whole)
    tally("kill -9, then Ctrl-C: training", len(kills) + 1, len(kills) + 1)


@pytest.mark.torture
def test_with_loading_processes_killed_and_resumed_it_ends_the_same(whole, tiny, tmp_path):
    config, run = write_config(tmp_path, *EVERYTHING, "data.workers=1"), tmp_path / "run"
    shutil.copytree(tiny, tmp_path, dirs_exist_ok=True)
    code, _, _ = start_until(["train", config, "--out", run], run / "log.jsonl", 5)
    assert code == -signal.SIGKILL
    resume(run)
    assert_same(run, whole)


@pytest.mark.torture
def test_a_signal_to_all_its_processes_leaves_a_checkpoint_not_a_broken_loader(
    whole, tiny, tmp_path
):
    """As torchrun, systemd and `kill -- -GROUP` send it."""
    config, run = write_config(tmp_path, *EVERYTHING, "data.workers=2"), tmp_path / "run"
    shutil.copytree(tiny, tmp_path, dirs_exist_ok=True)
    words = ["train", config, "--out", run]
    code, _, err = start_until(words, run / "log.jsonl", 5, signal.SIGTERM)
    step = load(run / "checkpoints").state["step"]
    assert step >= 5
    assert f"stopped after step {step}" in err
    assert "Traceback" not in err
    assert code == 130
    resume(run)
    assert_same(run, whole)


def test_a_run_killed_before_its_first_checkpoint_begins_again(copy, whole):
    shutil.rmtree(copy / "checkpoints")
    (copy / "checkpoints" / ".step-0.99.partial").mkdir(parents=True)
    log = (copy / "log.jsonl").read_text()
    (copy / "log.jsonl").write_text(log[: log.index('{"kind": "step"')])
    resume(copy)
    assert_same(copy, whole)
    assert not list((copy / "checkpoints").glob(".*"))


def test_a_run_whose_checkpoints_were_lost_is_not_trained_anew(copy):
    shutil.rmtree(copy / "checkpoints")
    before = (copy / "log.jsonl").read_bytes()
    with pytest.raises(RunError, match="a checkpoint, as the log tells of steps, found none"):
        resume(copy)
    assert (copy / "log.jsonl").read_bytes() == before


@pytest.mark.parametrize("damage", ["partial", "no checksums", "flipped byte", "cut short"])
def test_a_kill_while_saving_falls_back_to_the_checkpoint_before(copy, whole, damage):
    newest = checkpoints(copy / "checkpoints")[0]
    if damage == "partial":
        newest.rename(newest.with_name(f".{newest.name}.77.partial"))
    elif damage == "no checksums":
        (newest / "checksums.json").unlink()
    elif damage == "flipped byte":
        content = bytearray((newest / "model.safetensors").read_bytes())
        content[-5] ^= 1
        (newest / "model.safetensors").write_bytes(content)
    else:
        content = (newest / "optimiser.safetensors").read_bytes()
        (newest / "optimiser.safetensors").write_bytes(content[:-100])
    before = checkpoints(copy / "checkpoints")[0 if damage == "partial" else 1].name
    resume(copy)
    assert_same(copy, whole, notes=False)
    notes = [line["text"] for line in log_lines(copy) if line["kind"] == "note"]
    said = [text for text in notes if newest.name in text]
    assert len(said) == (damage != "partial")
    assert all(text.endswith(f"going on from {before}") for text in said)


def turn_a_bit(checkpoint):
    content = bytearray((checkpoint / "model.safetensors").read_bytes())
    content[-5] ^= 1
    (checkpoint / "model.safetensors").unlink()  # a kept epoch has the same bytes
    (checkpoint / "model.safetensors").write_bytes(content)


class KilledError(BaseException):
    """The process ends here."""


def ended_in_epoch(number, changes, folder):
    """A run whose process ended as the epoch began."""
    own, calls = Trainer._epoch, 0

    def epoch(trainer):
        nonlocal calls
        calls += 1
        if calls == number:
            raise KilledError
        own(trainer)

    with mock.patch.object(Trainer, "_epoch", epoch), pytest.raises(KilledError):
        train(config_of(*changes), folder / "run", folder=folder)
    return folder / "run"


@pytest.mark.parametrize(("damaged", "steps"), [(1, 2), (2, 4)])
def test_newer_damaged_checkpoints_make_way_though_the_best_one_was_pruned(
    tmp_path, damaged, steps
):
    """The newest is the best, and the best one that an older one tells of has made way for it."""
    write_set(tmp_path)
    changes = ("training.epochs=4", f"training.checkpoint_steps={steps}",
               "training.best=" + ("last" if damaged == 1 else "val.balanced_accuracy"),
               "training.keep_epochs=all")  # fmt: skip
    train(config_of(*changes), tmp_path / "whole", folder=tmp_path)
    run = ended_in_epoch(3 if damaged == 1 else 4, changes, tmp_path)
    for path in checkpoints(run / "checkpoints")[:damaged]:
        turn_a_bit(path)
    resume(run)
    assert_same(run, tmp_path / "whole", notes=False)
    names = [{p.name for p in f.glob("checkpoints/epoch-*")} for f in (run, tmp_path / "whole")]
    assert names[0] == names[1] == {f"epoch-{number}" for number in range(5)}


def test_an_epoch_that_a_kill_left_unkept_is_kept(copy, whole):
    cut(copy, int(checkpoints(whole / "checkpoints")[0].name[5:]))
    last = max(int(p.name[6:]) for p in (whole / "checkpoints").glob("epoch-*"))
    shutil.rmtree(copy / f"checkpoints/epoch-{last}")
    resume(copy)
    assert (copy / f"checkpoints/epoch-{last}/model.safetensors").is_file()


def test_what_guidance_did_not_do_is_told_also_after_a_kill_in_the_first_epoch(tmp_path):
    write_set(tmp_path)
    for path in (tmp_path / "images").glob("*-region.png"):
        Image.new("L", (32, 32), 255).save(path)
    changes = ("training.epochs=2", "training.checkpoint_steps=1",
               "guidance.terms=[{term: energy}]")  # fmt: skip
    train(config_of(*changes), tmp_path / "whole", folder=tmp_path)
    own, steps = Trainer._step, 0

    def step(trainer, batch):
        nonlocal steps
        steps += 1
        if steps == 3:
            raise KilledError
        own(trainer, batch)

    with mock.patch.object(Trainer, "_step", step), pytest.raises(KilledError):
        train(config_of(*changes), tmp_path / "run", folder=tmp_path)
    resume(tmp_path / "run")
    assert_same(tmp_path / "run", tmp_path / "whole")
    notes = [line["text"] for line in log_lines(tmp_path / "run") if line["kind"] == "note"]
    assert any("energy has done nothing" in text for text in notes)


def test_when_no_checkpoint_is_whole_there_is_one_error(copy):
    for path in checkpoints(copy / "checkpoints"):
        (path / "state.json").write_text("{")
    with pytest.raises(RunError, match="expected a whole checkpoint") as caught:
        resume(copy)
    names = [path.name for path in checkpoints(copy / "checkpoints")]
    assert len(names) >= 2
    assert all(name in str(caught.value) for name in names)


def test_resuming_a_finished_run_changes_no_file(copy):
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in files(copy)}
    resume(copy)
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in files(copy)} == before


def files(run):
    return [p for p in run.rglob("*") if p.is_file() and p.name != ".lock"]


def test_the_log_is_cut_back_to_the_checkpoint(copy, whole):
    before, after = checkpoints(whole / "checkpoints")[1], copy / "log.jsonl"
    cut(copy, int(before.name[5:]))
    with after.open("a") as log:
        log.write('{"kind": "step", "step": 999}\n{"kind": "st')
    resume(copy)
    steps = [line["step"] for line in log_lines(copy) if line["kind"] == "step"]
    assert steps == list(range(1, len(steps) + 1))
    assert_same(copy, whole)


def test_a_log_that_lost_its_end_is_refused(copy):
    log = copy / "log.jsonl"
    log.write_bytes(log.read_bytes()[:-50])
    with pytest.raises(RunError, match="expected at least the"):
        resume(copy)


@pytest.mark.parametrize("which", ["best", "last"])
def test_a_pointer_that_a_kill_left_behind_is_set_right(copy, whole, which):
    path = copy / "checkpoints" / f"{which}.json"
    before = path.read_text()
    path.write_text(json.dumps({"checkpoint": "step-0"}))
    resume(copy)
    assert_same(copy, whole)
    assert path.read_text() == before


def test_a_locked_folder_lets_no_second_training_in(copy, tiny, tmp_path):
    with locked(copy), pytest.raises(RunError, match="no other process writes into"):
        resume(copy)
    new = tmp_path / "new"
    with locked(new), pytest.raises(RunError, match="no other process writes into"):
        train(config_of(), new, folder=tiny)
    assert [p.name for p in new.iterdir()] == [".lock"]


@pytest.mark.parametrize("change", ["label", "split", "boxes", "avoid"])
def test_another_manifest_than_at_the_beginning_is_refused(tmp_path, change):
    import polars as pl

    path = write_set(tmp_path, counts={"train": 8, "val": 4, "test": 4})
    train(config_of("training.epochs=1"), tmp_path / "run", folder=tmp_path)
    table = pl.read_parquet(path)
    column = {
        "label": pl.col("label").reverse(),
        "split": pl.col("split").str.replace("test", "val"),
        "boxes": pl.lit([[1.0, 1.0, 5.0, 5.0]]).alias("boxes"),
        "avoid": pl.col("image").alias("avoid"),
    }[change]
    table.with_columns(column).write_parquet(path)
    with pytest.raises(RunError, match="expected the manifest that the run began with"):
        resume(tmp_path / "run")


def test_a_folder_that_is_no_run_is_refused(tmp_path, copy):
    with pytest.raises(RunError, match="expected a run's folder, found no such folder"):
        resume(tmp_path / "nowhere")
    (copy / "environment.json").unlink()
    with pytest.raises(RunError, match=r"expected an environment\.json"):
        resume(copy)


def test_training_into_an_existing_run_is_refused(copy, tiny):
    before = (copy / "log.jsonl").read_bytes()
    with pytest.raises(RunError, match="expected a new folder, found a finished run"):
        train(config_of(), copy, folder=tiny)
    assert (copy / "log.jsonl").read_bytes() == before
