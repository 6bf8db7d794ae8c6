"""Epochs that are kept, and trainings that begin where another one ended."""

import polars as pl
import pytest
import torch
import yaml

from regard.errors import RunError
from regard.runs.checkpoints import load
from regard.runs.log import read_log
from regard.runs.run import load_run
from regard.studies.read import read_study
from regard.studies.runner import run_study
from regard.training.train import train
from tinyset import BASE, config_of, in_this_process, same_tensors


class Quiet:
    def made(self, done, total): ...

    def epochs(self, done, total): ...

    def finished(self, row): ...


@pytest.fixture(scope="module")
def kept(tiny, tmp_path_factory):
    out = tmp_path_factory.mktemp("kept") / "run"
    terms = "guidance.terms=[{term: energy, weight: 0.5}]"
    train(config_of("training.epochs=4", "training.keep_epochs=[0, 2]", terms), out, folder=tiny)
    return out


def test_kept_epochs_stay_when_others_go(kept):
    names = {path.name for path in (kept / "checkpoints").iterdir() if path.is_dir()}
    assert {"epoch-0", "epoch-2"} <= names
    assert not names & {"epoch-1", "epoch-3", "epoch-4", "step-3"}
    first, second = (load(kept / "checkpoints", f"epoch-{n}") for n in (0, 2))
    assert (first.state["step"], second.state["step"]) == (0, 6)
    assert not same_tensors(first.model, second.model)
    assert load_run(kept, "epoch-2").checkpoint == "epoch-2"
    with pytest.raises(RunError, match="no such checkpoint"):
        load_run(kept, "epoch-1")


def test_the_gaze_of_kept_epochs_is_there_image_by_image(kept):
    (untrained,) = read_log(kept / "log.jsonl", "untrained")
    epochs = {0: untrained} | {r["epoch"]: r for r in read_log(kept / "log.jsonl", "epoch")}
    assert len(epochs) == 5
    for epoch in (0, 2):
        for split in ("train", "val"):
            table = pl.read_parquet(kept / "scores/epochs" / f"{split}-{epoch}.parquet")
            assert table["index"].is_sorted()
            for name in ("energy", "mangtr"):
                mean = table[name].drop_nans().mean()
                assert mean == pytest.approx(epochs[epoch][split][name], nan_ok=True)
        right = (table["label"] == table["predicted"]).mean()
        assert right == pytest.approx(epochs[epoch]["val"]["accuracy"])
        lost = table["loss.energy"].drop_nans().mean()
        assert lost == pytest.approx(epochs[epoch]["val"]["loss.energy"])
    assert not (kept / "scores/epochs/val-1.parquet").exists()


def test_a_training_begins_with_another_one_s_weights(kept, tiny, tmp_path):
    changes = ("training.epochs=1", "training.keep_epochs=[0]", f"model.weights={kept}")
    train(config_of(*changes), tmp_path / "next", folder=tiny)
    best = load(kept / "checkpoints", "best").model
    assert same_tensors(load(tmp_path / "next/checkpoints", "epoch-0").model, best)
    assert not same_tensors(load_run(tmp_path / "next").net.state_dict(), best)


def test_all_arms_begin_where_the_first_training_ended(tiny, tmp_path, monkeypatch):
    in_this_process(monkeypatch)
    base = {**BASE, "data": {**BASE["data"], "manifest": str(tiny / "manifest.parquet")}}
    study = {
        "name": "stages",
        "base": base,
        "before": {"training": {"epochs": 2, "keep_epochs": [0]}},
        "arms": {
            "plain": {"training": {"keep_epochs": [0]}},
            "guided": {
                "training": {"keep_epochs": [0]},
                "guidance": {"terms": [{"term": "energy"}]},
            },
        },
        "baseline": "plain",
        "seeds": [0, 1],
        "metrics": ["accuracy"],
    }
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(study))
    summary = run_study(read_study(path), tmp_path / "out", Quiet(), workers=1)
    assert set(summary["arms"]) == {"plain", "guided"}
    runs = tmp_path / "out/runs"
    for seed in (0, 1):
        best = load(runs / f"before-seed{seed}/checkpoints", "best").model
        for arm in ("plain", "guided"):
            began = load(runs / f"{arm}-seed{seed}/checkpoints", "epoch-0").model
            assert same_tensors(began, best)
        first = load(runs / f"before-seed{seed}/checkpoints", "epoch-0").model
        assert not same_tensors(first, best)
    ended = [load_run(runs / f"{arm}-seed0").net.state_dict() for arm in ("plain", "guided")]
    assert not all(torch.equal(a, b) for a, b in zip(*(e.values() for e in ended), strict=True))
