"""Files of a run that are damaged: never a wrong load, never a traceback."""

import random
import shutil
from pathlib import Path

import polars as pl
import pytest
from attacking import content
from damaging import damage
from polars.testing import assert_frame_equal

from regard.errors import RegardError, RunError
from regard.files.parquet import read_parquet
from regard.runs.checkpoints import SUMS, load, pointed
from regard.runs.files import read_json, read_table, write_table
from regard.runs.log import read_lines, read_log
from tinyset import same_tensors


def lengths(quick: int, full: int) -> list:
    return [quick, pytest.param(full, marks=pytest.mark.torture)]


def refused(error: Exception) -> None:
    assert "\n" not in str(error)
    assert "expected" in str(error)
    assert "found" in str(error)


@pytest.mark.parametrize("places", lengths(50, 5000))
def test_a_checkpoint_with_damage_is_passed_over_and_named(places, trained, tmp_path, tally):
    """At random places of all files of all checkpoints, the two pointers among them."""
    whole = trained.run / "checkpoints"
    true = {path.name: load(whole, path.name) for path in whole.glob("step-*")}
    best, newest = pointed(whole, "best"), load(whole).path.name
    files = sorted(p.relative_to(whole) for p in whole.rglob("*") if p.is_file())
    survived = 0
    for number in range(places):
        folder = tmp_path / "checkpoints"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(whole, folder)
        hit = folder / files[number % len(files)]
        before = hit.read_bytes()
        how = damage(hit, number)
        changed = hit.read_bytes() != before
        found = load(folder)
        if changed and hit.parent.name == newest and hit.name != SUMS:
            assert found.path.name != newest, how
            assert found.damaged[0].startswith(f"{newest}: "), how
        elif hit.parent.name != newest:
            assert (found.path.name, found.damaged) == (newest, ()), how
        right(found, true)
        try:
            right(load(folder, "best"), {best: true[best]})
        except RunError as error:
            assert changed, how
            refused(error)
        survived += 1
    tally("damage to a checkpoint", places, survived)


def right(found, true) -> None:
    wanted = true[found.path.name]
    assert same_tensors(found.model, wanted.model)
    assert same_tensors(found.optimiser, wanted.optimiser)
    assert found.state == wanted.state


@pytest.mark.parametrize("places", lengths(50, 5000))
def test_a_table_with_damage_is_refused(places, trained, tmp_path, tally):
    """Every byte counts: there is no damage with which other numbers are read."""
    source = trained.run / "scores/test.parquet"
    true, path = pl.read_parquet(source), tmp_path / "table.parquet"
    survived = 0
    for number in range(places):
        path.write_bytes(source.read_bytes())
        how = damage(path, number)
        if path.read_bytes() == source.read_bytes():
            survived += 1
            continue
        with pytest.raises(RunError) as caught:
            read_table(path, ["energy"] if number % 2 else None)
        refused(caught.value)
        assert str(path) in str(caught.value), how
        survived += 1
    tally("damage to a table", places, survived)
    assert_frame_equal(read_table(source), true)


def test_a_table_of_another_program_is_read_and_ours_by_others(tmp_path):
    table = pl.DataFrame({"a": [1, 2], "b": [["x"], None]})
    table.write_parquet(tmp_path / "other.parquet")
    write_table(tmp_path / "own.parquet", table)
    assert_frame_equal(read_parquet(tmp_path / "other.parquet"), table)
    assert_frame_equal(pl.read_parquet(tmp_path / "own.parquet"), table)
    assert_frame_equal(pl.scan_parquet(tmp_path / "own.parquet").collect(), table)
    with pytest.raises(RunError, match="none"):
        read_table(tmp_path / "own.parquet", ["none"])


TEXTS = ("config.yaml", "environment.json", "log.jsonl", "metrics/test.json",
         "metrics/readings.jsonl", "checkpoints/best.json")  # fmt: skip


@pytest.mark.parametrize("places", lengths(50, 5000))
def test_a_text_with_damage_is_refused_or_read(places, trained, tmp_path, tally):
    """What is no YAML or JSON any more is told as such, whatever the bytes are."""
    from regard.runs.folder import RunFolder

    readers = {".json": read_json, ".jsonl": lambda path: [*read_lines(path), *read_log(path)]}
    survived = 0
    for number in range(places):
        name = TEXTS[number % len(TEXTS)]
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes((trained.run / name).read_bytes())
        damage(path, number)
        read = readers.get(path.suffix, lambda path: RunFolder(path.parent).read_config())
        try:
            read(path)
        except RegardError as error:
            refused(error)
        survived += 1
    tally("damage to a text", places, survived)


READERS = {
    "evaluate": lambda run, t: ["evaluate", run],
    "explain": lambda run, t: ["explain", run, "--limit", 1],
    "report": lambda run, t: ["report", run, "--pictures", 1],
    "score": lambda run, t: ["score", run, "--method", "hirescam"],
    "compare": lambda run, t: ["compare", t.run, run, "--out", run.parent / "compared"],
    "screen": lambda run, t: ["screen", run, t.folder / "images", "--out", run.parent / "screened"],
    "bench": lambda run, t: ["bench", run, "--seconds", 0.01, "--batch", 1],
    "export": lambda run, t: ["export", run, "--format", "torch"],
    "resume": lambda run, t: ["train", run, "--resume"],
    "more epochs": lambda run, t: ["train", run, "--resume"],
}


@pytest.mark.parametrize("places", lengths(3, 400))
def test_every_reader_of_a_run_with_damage(places, regard, trained, tmp_path, tally):
    """A command ends well, or with one line; never with a traceback, never without an end."""
    files = sorted(p.relative_to(trained.run) for p in trained.run.rglob("*") if p.is_file())
    survived, names = 0, [*READERS]
    for number in range(places):
        run = trained.copy(tmp_path / "run")
        for old in ("compared", "screened"):
            shutil.rmtree(tmp_path / old, ignore_errors=True)
        dice = random.Random(number)
        name = names[number % len(names)]
        if name == "more epochs":
            config = run / "config.yaml"
            config.write_text(config.read_text().replace("epochs: 2", "epochs: 3"))
        how = damage(run / dice.choice(files), number)
        done = regard(*READERS[name](run, trained))
        told = (name, how, done.code, done.err[-3000:])
        assert done.code in (0, 1, 2), told
        assert "Traceback" not in done.err, told
        assert len(done.lines) == (done.code != 0), told
        survived += 1
    tally("readers of a run with damage", places, survived)


def log_of(run: Path) -> list[dict]:
    lines = content(run)["log.jsonl"]
    assert isinstance(lines, list)
    return lines


@pytest.mark.parametrize("places", lengths(1, 60))
def test_a_training_goes_on_from_the_checkpoint_before(places, regard, trained, tmp_path, tally):
    """With a damaged newest one: named in the log, and the end is that of an undisturbed run."""
    undisturbed = log_of(trained.run)
    survived = 0
    for number in range(places):
        run = trained.copy(tmp_path / "run")
        shutil.rmtree(run / "predictions")
        newest = load(run / "checkpoints").path
        hit = sorted(newest.iterdir())[number % 4]
        before, how = hit.read_bytes(), damage(hit, number + 1)
        if hit.read_bytes() == before:
            survived += 1
            continue
        done = regard("train", run, "--resume")
        assert done.code == 0, (how, done.err)
        assert f"checkpoint {newest.name}: " in done.err, (how, done.err)
        log = [line for line in log_of(run) if line["kind"] != "note"]
        assert log == undisturbed, how
        assert same_tensors(
            load(run / "checkpoints").model, load(trained.run / "checkpoints").model
        )
        survived += 1
    tally("a training with a damaged checkpoint", places, survived)


def test_a_part_of_a_screening_with_damage_is_asked_again(regard, trained, tmp_path, tally):
    words = ["screen", trained.run, trained.folder / "images", "--out", tmp_path / "s",
             "--part", 30]  # fmt: skip
    assert regard(*words).code == 0
    wanted, part = content(tmp_path / "s"), tmp_path / "s/rows/part-000001.parquet"
    damage(part, 5)
    assert Path(part).is_file()
    done = regard(*words)
    assert done.code == 0, done.err
    assert content(tmp_path / "s") == wanted
    tally("a damaged part of a screening", 1, 1)
