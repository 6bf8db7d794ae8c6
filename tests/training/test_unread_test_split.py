"""Training, the choice of the best epoch and early stopping never look at the test split."""

import polars as pl
import pytest

from regard.errors import DataError
from regard.runs.evaluate import evaluate_run
from regard.runs.files import load_json
from regard.runs.run import load_run
from regard.studies.remarks import remarks
from regard.studies.settings import Study
from regard.training.train import resume, train
from tinyset import config_of, log_lines, write_set


@pytest.mark.parametrize("how", ["garbage", "missing"])
def test_files_of_the_test_split_are_never_opened(tmp_path, how):
    write_set(tmp_path, counts={"train": 12, "val": 6, "test": 6})
    changes = ("training.epochs=4", "training.patience=2", "training.best=val.accuracy")
    train(config_of(*changes), tmp_path / "whole", folder=tmp_path)
    for path in (tmp_path / "images").glob("test-*"):
        path.write_bytes(b"no image") if how == "garbage" else path.unlink()
    out = tmp_path / "run"
    train(config_of(*changes), out, folder=tmp_path)
    resume(out)
    assert log_lines(out) == log_lines(tmp_path / "whole")
    assert not (out / "metrics" / "readings.jsonl").exists()
    with pytest.raises(DataError, match=r"test-00\.png"):
        evaluate_run(load_run(out), "test")


def test_every_reading_is_on_record(tmp_path):
    write_set(tmp_path, counts={"train": 12, "val": 6, "test": 6})
    train(config_of("training.epochs=1"), tmp_path / "run", folder=tmp_path)
    run = load_run(tmp_path / "run")
    evaluate_run(run, "test")
    evaluate_run(run, "val", by="regard score")
    told = [load_json(line) for line in run.files.readings.read_text().splitlines()]
    assert [(one["split"], one["command"]) for one in told] == [
        ("test", "regard evaluate"), ("val", "regard score"),
    ]  # fmt: skip
    assert all(one["checkpoint"] == run.checkpoint for one in told)
    assert all(one["time"].endswith("+00:00") for one in told)


def test_of_train_and_val_alone_val_is_test_and_a_share_of_train_chooses(tmp_path):
    write_set(tmp_path, counts={"train": 24, "val": 9})
    for number in range(9):  # what is chosen on is not what is reported
        (tmp_path / f"images/val-{number:02d}.png").write_bytes(b"no image")
    config = config_of("training.epochs=1", "data.val_from_train=0.25")
    train(config, tmp_path / "run", folder=tmp_path)
    manifest = load_run(tmp_path / "run").manifest()
    table = pl.read_parquet(tmp_path / "manifest.parquet")
    test = manifest.select("test")["image"].to_list()
    assert test == table.filter(split="val")["image"].to_list()
    assert len(manifest.select("val")) == 6


def study(**values):
    base = {"name": "s", "arms": {"a": {}}, "baseline": "a", "metrics": ["accuracy"]}
    return Study.model_validate(base | values)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"base": {}, "splits": ["val"]}, True),
        ({"base": {"training": {"best": "last"}}, "splits": ["val"]}, False),
        ({"base": {"training": {"best": "last", "patience": 2}}, "splits": ["val"]}, True),
        ({"base": {}, "splits": ["test"]}, False),
    ],
)
def test_a_reported_split_that_was_chosen_on_is_told(values, told):
    assert any("val is reported and was chosen on" in text
               for text in remarks(study(**values), {})) == told  # fmt: skip


def test_a_missing_test_split_says_what_to_do(tmp_path):
    write_set(tmp_path, counts={"train": 12, "val": 6})
    train(config_of("training.epochs=1"), tmp_path / "run", folder=tmp_path)
    with pytest.raises(DataError, match=r"set data\.val_from_train, and val becomes test and part"):
        evaluate_run(load_run(tmp_path / "run"), "test")
