"""A small study, run in processes, stopped, continued, and summed up."""

import json
import os
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import numpy as np
import polars as pl
import polars.selectors as cs
import pytest
import yaml
from polars.testing import assert_frame_equal
from small_study import STUDY, Watcher

from forked import Forked
from processes import alive, until, workers
from regard.data.annotation import Annotation
from regard.data.regions import overlap
from regard.data.source import samples_of
from regard.data.where import Where
from regard.errors import ConfigError, DataError, RunError
from regard.evaluation.intervals import student_interval
from regard.evaluation.paired import holm, paired_bootstrap, paired_student
from regard.evaluation.settings import Evaluate, Gaze
from regard.runs import folder as folder_module
from regard.runs.bench import bench_run
from regard.runs.checkpoints import load
from regard.runs.evaluate import evaluate_run
from regard.runs.files import read_json, read_table, write_json, write_table
from regard.runs.folder import RunFolder, locked
from regard.runs.log import read_log
from regard.runs.run import load_run
from regard.studies import arm as arm_module
from regard.studies import pool
from regard.studies.answers import Answers
from regard.studies.arm import alike, attempt, bench_arms, evaluated, is_of, run_arm
from regard.studies.compare_arms import compare_arms
from regard.studies.comparisons import verdict
from regard.studies.finished_arms import open_arms
from regard.studies.read import read_study
from regard.studies.remarks import remarks
from regard.studies.runner import conclude, run_study
from regard.studies.settings import arm_config
from regard.studies.summary import _arm, arms_table, compare
from regard.training.config import changed
from tinyset import (
    BASE,
    REGARD,
    SEGMENTER,
    SETS,
    TWIN,
    config_of,
    environment,
    in_this_process,
    same_tensors,
    steps_in,
    write_masks,
    write_pairs,
    write_set,
    write_sets,
)

COUNTS = {"train": 12, "val": 6, "test": 12}


def study_in(folder, *changes):
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(changed(STUDY, changes), sort_keys=False))
    return read_study(path)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study home")
    write_set(folder, counts=COUNTS)
    return folder


@pytest.fixture(scope="module")
def finished(home):
    """The study, run in two processes; one of its arms blows up."""
    study, watcher = study_in(home), Watcher()
    summary = run_study(study, home / "out", watcher, workers=2)
    return study, home / "out", watcher, summary


@pytest.fixture
def copy(finished):
    study, out, _, _ = finished
    target = out.with_name("copy")
    yield study, shutil.copytree(out, target)
    shutil.rmtree(target)


def test_every_run_has_a_row_whose_numbers_are_its_own_files(finished):
    study, out, watcher, _ = finished
    table = pl.read_parquet(out / "results.parquet")
    assert table.select("arm", "seed").rows() == [(a, s) for a in study.arms for s in study.seeds]
    done = table.filter(pl.col("status") == "done")
    assert done["arm"].to_list() == ["plain"] * 2 + ["moved"] * 2
    for row in done.iter_rows(named=True):
        run = load_run(out / row["run"])
        metrics = read_json(run.files.metrics("test"))
        epochs = list(read_log(run.files.log, "epoch"))
        assert row["test.accuracy"] == metrics["metrics"]["accuracy"]["value"]
        correct = pl.read_parquet(run.files.predictions("test"))["correct"]
        assert row["test.accuracy"] == correct.mean()
        energy = pl.read_parquet(run.files.scores("test"))["energy"].to_numpy()
        assert row["test.energy"] == pytest.approx(np.nanmean(energy))
        assert row["parameters"] == sum(p.numel() for p in run.net.parameters())
        assert row["epochs"] == len(epochs) == 2
        assert row["best_epoch"] == [e["epoch"] for e in epochs if e["best"]][-1]
        assert row["seconds"] == epochs[-1]["seconds"]
        assert run.config["training"]["seed"] == row["seed"]
    assert len(watcher.rows) == 6
    totals = [total for _, total in watcher.seen if isinstance(total, dict)]
    assert {run.run: n for run, n in totals[0].items()} == {
        f"runs/{arm}-seed{seed}": 2 for arm in study.arms for seed in study.seeds
    }


def test_a_failing_arm_is_reported_and_the_others_go_on(finished):
    _, out, _, summary = finished
    table = pl.read_parquet(out / "results.parquet")
    broken = table.filter(pl.col("arm") == "broken")
    assert broken["status"].to_list() == ["failed"] * 2
    assert all(text.startswith("not finite: ") for text in broken["error"])
    assert summary["arms"]["broken"]["test.accuracy"]["value"] is None
    pair = next(row for row in summary["comparisons"] if row["arm"] == "broken")
    assert (pair["seeds"], pair["images"], pair["both"], pair["p_holm"]) == (None,) * 4
    assert pair["verdict"] == "not tested"


def test_all_arms_and_seeds_see_the_same_split(finished):
    _, out, _, _ = finished
    runs = sorted((out / "runs").glob("[pm]*"))
    digests = {read_json(RunFolder(run).environment)["samples"] for run in runs}
    tables = [pl.read_parquet(RunFolder(run).predictions("test")) for run in runs]
    assert (len(runs), len(digests)) == (4, 1)
    assert all(t["image"].to_list() == tables[0]["image"].to_list() for t in tables)


def test_the_summary_is_what_direct_calls_give(finished):
    study, out, _, summary = finished
    assert summary == read_json(out / "summary.json")
    table = pl.read_parquet(out / "results.parquet")
    for arm in ("plain", "moved"):
        values = table.filter(pl.col("arm") == arm)["test.accuracy"].to_numpy()
        found = summary["arms"][arm]["test.accuracy"]
        expected = student_interval(values, within=(0, 1)).as_dict()
        assert {key: found[key] for key in expected} == expected
        assert found["sd"] == pytest.approx(values.std(ddof=1))
    pairs = [row for row in summary["comparisons"] if row["arm"] == "moved"]
    assert [row["metric"] for row in pairs] == [f"test.{name}" for name in study.metrics]
    for row, metric in zip(pairs, study.metrics, strict=True):
        both = [table.filter(pl.col("arm") == arm) for arm in ("plain", "moved")]
        plain, moved = (rows.sort("seed")[f"test.{metric}"].to_numpy() for rows in both)
        expected = paired_student(plain, moved, within=(-1, 1))
        assert row["seeds"] == expected.as_dict()
        corrected = row["both"]["p_value"]
        assert corrected is None or corrected >= row["seeds"]["p_value"]
        assert row["p_holm"] == (None if corrected is None else holm([corrected])[0])
        assert row["verdict"] == verdict(row)
    accuracy, energy, balanced = pairs
    assert balanced["images"]["difference"]["method"] == "percentile"
    for row, kind, column in (
        (accuracy, "predictions", "correct"),
        (energy, "scores", "energy"),
    ):
        means = [image_means(out, arm, kind, column) for arm in ("plain", "moved")]
        assert row["images"] == paired_bootstrap(*means, within=(-1, 1)).as_dict()


def test_no_interval_leaves_what_its_metric_may_be(finished):
    _, out, _, summary = finished
    table = pl.read_csv(out / "arms.csv")
    shares = table.filter(pl.col("metric").is_in(["test.accuracy", "test.roc_auc", "test.energy"]))
    known = shares.filter(pl.col("low").is_not_null())
    assert len(known)
    assert known["low"].min() >= 0
    assert known["high"].max() <= 1
    # Two seeds would have it far beyond: what is cut is no wider than it was.
    cut = [own for own in known.rows(named=True) if (own["low"], own["high"]) == (0, 1)]
    assert cut
    for row in summary["comparisons"]:
        for key in ("seeds", "both", "images"):
            found = (row[key] or {}).get("difference") or {}
            assert -1 <= (found.get("low") or 0) <= (found.get("high") or 0) <= 1


def test_seeds_that_agree_have_no_interval_and_say_why(finished):
    study, _, _, _ = finished
    row = {"arm": "plain", "status": "done", "run": "none", "test.accuracy": 0.2, "seed": 0}
    table = pl.DataFrame([row, row | {"seed": 1}])
    one = study.model_copy(update={"arms": {"plain": {}}, "metrics": ("accuracy",)})
    found = _arm(one, "plain", table, Answers(table, Path()), Path())
    told = found["test.accuracy"]
    assert (told["value"], told["low"], told["high"], told["sd"]) == (0.2, None, None, 0)
    rows = arms_table(one, {"arms": {"plain": found}, "costs": {"plain": {}}}).rows(named=True)
    assert (rows[0]["low"], rows[0]["reason"]) == (None, "all values are equal")


def image_means(out, arm, kind, column):
    """Each image's mean over the seeds where it is defined."""
    paths = [out / f"runs/{arm}-seed{seed}/{kind}/test.parquet" for seed in (0, 1)]
    values = [pl.read_parquet(path)[column].cast(pl.Float64).to_numpy() for path in paths]
    return np.ma.masked_invalid(values).mean(0).filled(np.nan)


def test_controls_say_how_much_the_misplaced_regions_cover(finished):
    _, out, _, summary = finished
    assert set(summary["controls"]) == {"moved"}
    run = load_run(out / "runs/moved-seed0")
    samples = samples_of(run.manifest(), "train", run.classes, run.data)
    own = Where(run.transform)
    moved = Where(run.transform, Annotation("misplaced"))
    shares = [float(overlap(own.region(s), moved.region(s))) for s in samples if s.region]
    assert summary["controls"]["moved"]["overlap"] == pytest.approx(np.mean(shares))
    assert np.mean(shares) < 0.2


def contents(out):
    return {
        path: path.stat().st_mtime_ns
        for path in (out / "runs").rglob("*")
        if path.is_file() and path.name != ".lock" and "broken" not in str(path)
    }


def test_finished_runs_are_kept_on_a_second_call(copy, monkeypatch):
    study, out = copy
    in_this_process(monkeypatch)
    before, table = contents(out), pl.read_parquet(out / "results.parquet")
    run_study(study, out, Watcher(), workers=1)
    assert contents(out) == before
    assert pl.read_parquet(out / "results.parquet").equals(table)


def test_more_seeds_may_join_and_another_study_may_not(copy, monkeypatch, home):
    study, out = copy
    in_this_process(monkeypatch)
    more = study.model_copy(update={"seeds": (0, 1, 2)})
    run_study(more, out, Watcher(), workers=1)
    assert pl.read_parquet(out / "results.parquet").height == 9
    other = study.model_copy(update={"metrics": ("energy",), "name": "other"})
    with pytest.raises(RunError, match="found a study that differs in name, metrics"):
        run_study(other, out, Watcher(), workers=1)
    (home / "foreign" / "runs").mkdir(parents=True)
    with pytest.raises(RunError, match="expected a new folder, found runs"):
        run_study(study, home / "foreign", Watcher(), workers=1)


def test_a_run_of_another_config_is_refused(copy):
    study, out = copy
    config = arm_config(study, "plain", 0, None, 1)
    longer = config.model_copy(update={"training": config.training.model_copy(
        update={"epochs": 9})})  # fmt: skip
    with pytest.raises(RunError, match="found a run of another config"):
        run_arm(longer, out / "runs/plain-seed0", ("test",), out)


def test_threads_and_settings_that_came_later_make_no_other_config(copy):
    study, _ = copy
    config = arm_config(study, "plain", 0, None, 1)
    saved = config.model_dump(mode="json")
    saved["training"]["threads"] = 7
    del saved["model"]["patch_weights"]
    assert is_of(saved, config)
    assert not is_of(saved | {"unheard": 1}, config)
    saved["training"]["epochs"] += 1
    assert not is_of(saved, config)


def test_an_evaluation_of_another_checkpoint_or_without_gaze_is_done_again(copy):
    study, out = copy
    folder = out / "runs/plain-seed0"
    run, config = load_run(folder), arm_config(study, "plain", 0, None, 1)
    values = read_json(run.files.metrics("test"))
    assert evaluated(run, "test")
    for change in ({"checkpoint": "step-0"}, {"gaze": None}):
        stale = {k: v for k, v in (values | change).items() if v is not None}
        write_json(run.files.metrics("test"), stale)
        assert not evaluated(run, "test")
        run_arm(config, folder, ("test",), out)
        assert read_json(run.files.metrics("test")) == values
    readings = run.files.readings.read_text().splitlines()
    assert len(readings) == 3


def test_what_was_asked_of_a_run_since_does_not_count(copy):
    study, out = copy
    folder, before = out / "runs/plain-seed0", pl.read_parquet(out / "results.parquet")
    run, config = load_run(folder), arm_config(study, "plain", 0, None, 1)
    evaluate_run(run, "test", gaze=[Gaze(method="saliency", scores=("energy",))])
    assert {"gradcam", "saliency"} == set(read_json(run.files.metrics("test"))["gaze"])
    assert evaluated(run, "test")
    summary = read_json(out / "summary.json")
    run_study(study, out, Watcher(), workers=1)
    after = pl.read_parquet(out / "results.parquet")
    assert after.drop("seconds").equals(before.drop("seconds"))
    assert read_json(out / "summary.json")["gaze"] == summary["gaze"]
    assert read_json(out / "summary.json")["arms"] == summary["arms"]
    for how in (Evaluate(positive="fern"), Evaluate(threshold="f1", positive="fern")):
        found = evaluate_run(run, "test", decide=how)
        assert found["metrics"]["positive"] == "fern"
        assert not evaluated(run, "test")
        numbers = run_arm(config, folder, ("test",), out)
        assert evaluated(run, "test")
        (own,) = before.filter(arm="plain", seed=0).select(cs.starts_with("test.")).to_dicts()
        assert {name: numbers[name] for name in own} == own
    values = read_json(run.files.metrics("test"))
    values["gaze"]["gradcam"]["scores"].pop("energy")
    write_json(run.files.metrics("test"), values)
    assert not evaluated(run, "test")


def test_a_threshold_that_was_asked_for_since_does_not_count(copy):
    study, out = copy
    run, config = load_run(out / "runs/plain-seed0"), arm_config(study, "plain", 0, None, 1)
    evaluate_run(run, "test", decide=Evaluate(target_recall=0.5))
    numbers = run_arm(config, run.folder, ("test",), out)
    assert evaluated(run, "test")
    assert not [name for name in numbers if name.endswith("_at_threshold")]


@pytest.mark.parametrize(
    ("task", "scores"), [(SEGMENTER, "[energy, pxap]"), (SETS, "[energy, max_box_acc]")]
)
def test_what_was_evaluated_once_is_not_asked_again(tmp_path, task, scores):
    (write_masks if task is SEGMENTER else write_sets)(tmp_path)
    config = config_of("training.epochs=1", f"gaze.scores={scores}", base=task)
    for times in (1, 2):
        run_arm(config, tmp_path / "run", ("test",), tmp_path)
        readings = (tmp_path / "run/metrics/readings.jsonl").read_text().splitlines()
        assert len(readings) == 1, times


def test_a_net_of_two_views_is_not_asked_again_for_what_it_cannot_have(tmp_path):
    write_pairs(tmp_path)
    config = config_of("training.epochs=1", "gaze.scores=[energy, deletion]", base=TWIN)
    for _ in range(2):
        run_arm(config, tmp_path / "run", ("test",), tmp_path)
    assert len((tmp_path / "run/metrics/readings.jsonl").read_text().splitlines()) == 1


def test_a_threshold_of_its_own_is_chosen_again(copy):
    _, out = copy
    run = load_run(out / "runs/plain-seed0")
    run.config["evaluate"] = {"target_recall": 0.9}
    assert not evaluated(run, "test")
    evaluate_run(run, "test", gaze=(Gaze.model_validate(run.config["gaze"]),))
    assert evaluated(run, "test")
    evaluate_run(run, "test", decide=Evaluate(target_recall=0.2))
    assert not evaluated(run, "test")


def test_a_latency_that_was_measured_otherwise_is_measured_anew(copy):
    _, out = copy
    row = {"run": "runs/plain-seed0", "seed": 0, "status": "done"}
    run = load_run(out / row["run"])
    first = bench_run(run, device="cpu", batches=[2], seconds=0.0)
    assert alike(first)
    (found,) = bench_arms([dict(row)], out, lambda *_: None)
    assert found["latency_ms"] == first["devices"][0]["batches"][0]["median_ms"]
    bench_run(run, device="cpu", batches=[2], seconds=0.0, bf16=True)
    bench_arms([dict(row)], out, lambda *_: None)
    assert read_json(run.files.bench)["devices"][0]["dtype"] == "float32"


def test_paths_of_arms_and_of_what_comes_before_start_from_the_file(home, tmp_path):
    values = {"base": changed(BASE, []), "name": "p", "seeds": [0], "metrics": ["accuracy"]}
    own = {"model": {"weights": "runs/a"}, "distil": {"teacher": "runs/b@last"}}
    (tmp_path / "p.yaml").write_text(
        yaml.safe_dump({**values, "arms": {"a": own, "b": {}}, "before": own, "baseline": "b"})
    )
    study = read_study(tmp_path / "p.yaml")
    for found in (study.arms["a"], study.before):
        assert found["model"]["weights"] == str(tmp_path / "runs/a")
        assert found["distil"]["teacher"] == str(tmp_path / "runs/b@last")


def test_a_dot_in_the_name_of_a_split_changes_nothing(tmp_path, monkeypatch):
    in_this_process(monkeypatch)
    write_set(tmp_path, counts=COUNTS)
    manifest = pl.read_parquet(tmp_path / "manifest.parquet")
    named = pl.col("split").replace("test", "test2024.1")
    manifest.with_columns(named).write_parquet(tmp_path / "dotted.parquet")
    found = {}
    for split, file in (("test", "manifest"), ("test2024.1", "dotted")):
        changes = ("arms={plain: {}, wide: {model: {options: {width: 8}}}}", "comparisons=null",
                   f"splits=['{split}']", "base.training.epochs=1")  # fmt: skip
        study = study_in(tmp_path, *changes, f"base.data.manifest={file}.parquet")
        run_study(study, tmp_path / split, Watcher(), workers=1)
        found[split] = read_json(tmp_path / split / "summary.json")
    told = [
        [{**row, "metric": row["metric"].removeprefix(split)} for row in own["comparisons"]]
        for split, own in found.items()
    ]
    assert told[0] == told[1]
    assert all(row["images"] is not None for row in told[0])


def test_a_study_of_groups_says_that_images_are_alike(finished):
    study, out, _, _ = finished
    summary = read_json(out / "summary.json")
    assert summary["groups"] == {}  # none are told
    grouped = summary | {"groups": {"test": {"images": 1200, "groups": 3}}}
    (said,) = set(remarks(study, grouped)) - set(remarks(study, summary))
    assert said.startswith("The 1,200 images of test are of 3 groups. Intervals and tests over")
    one = summary | {"groups": {"test": {"images": 5, "groups": 1}}}
    assert any("images of test are of 1 group:" in text for text in remarks(study, one))
    alone = summary | {"groups": {"test": {"images": 3, "groups": 3}}}
    assert remarks(study, alone) == remarks(study, summary)


def test_nothing_is_run_when_an_arm_or_a_split_is_wrong(home, tmp_path, monkeypatch):
    in_this_process(monkeypatch)
    wrong = study_in(home, "arms.plain={trainin: {epochs: 1}}")
    with pytest.raises(ConfigError, match="arm plain"):
        run_study(wrong, tmp_path / "a", Watcher())
    assert not (tmp_path / "a").exists()
    with pytest.raises(DataError, match="did you mean test"):
        run_study(study_in(home, "splits=[tset]"), tmp_path / "b", Watcher())
    assert not (tmp_path / "b" / "runs").exists()


def test_guidance_without_regions_is_refused_before_any_run(tmp_path, monkeypatch):
    write_set(tmp_path, counts=COUNTS, regions=False)
    monkeypatch.setattr(pool, "ProcessPoolExecutor", None)
    arms = "arms={plain: {}, guided: {guidance: {terms: [{term: energy}]}}}"
    study = study_in(tmp_path, arms, "comparisons=null")
    with pytest.raises(ConfigError) as caught:
        run_study(study, tmp_path / "out", Watcher())
    text = "study tiny, arm guided, guidance.terms: expected samples with a region in train, found"
    assert str(caught.value).startswith(text)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("model={spec: regard:cnn9}", "arm odd, model regard:cnn9"),
        ("model={weights: nowhere.pt}", "no such file"),
        ("data={size: 48}", "arm odd, data.size and data.views"),
        ("training={best: val.acuracy}", "did you mean val.accuracy"),
        ("gaze={layer: featurs}", "featurs"),
    ],
)
def test_what_can_be_known_of_an_arm_is_refused_before_any_run(
    home, tmp_path, monkeypatch, change, text
):
    monkeypatch.setattr(pool, "ProcessPoolExecutor", None)
    key, _, value = change.partition("=")
    study = study_in(
        home, f"arms={{plain: {{}}, odd: {{{key}: {value}}}}}", "comparisons=null",
        "base.model.options.pool=flatten",
    )  # fmt: skip
    with pytest.raises(ValueError, match="study tiny, arm odd, ") as caught:
        run_study(study, tmp_path / "out", Watcher())
    assert text in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_bad_file_of_the_test_split_is_refused_before_any_run(tmp_path, monkeypatch):
    write_set(tmp_path, counts=COUNTS)
    (tmp_path / "images/test-05.png").write_bytes(b"no image")
    monkeypatch.setattr(pool, "ProcessPoolExecutor", None)
    with pytest.raises(DataError, match=r"arm plain, .*test-05\.png: expected a readable image"):
        run_study(study_in(tmp_path), tmp_path / "out", Watcher())


def test_a_study_of_sheets_that_was_refused_may_be_mended(tmp_path, monkeypatch):
    in_this_process(monkeypatch)
    sheets = "data.sheets={counts: {train: 4, val: 2, test: 2}, size: [96, 96]}"
    changes = [sheets, "arms={plain: {}}", "comparisons=[]", "seeds=[0]", "base.training.epochs=1"]
    values = changed(STUDY, [*changes, "base.training.best=val.acuracy"])
    del values["base"]["data"]["manifest"]
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(ConfigError, match="did you mean val"):
        run_study(read_study(path), tmp_path / "out", Watcher())
    assert not (tmp_path / "out" / "runs").exists()
    path.write_text(yaml.safe_dump(changed(values, ["base.training.best=val.accuracy"])))
    run_study(read_study(path), tmp_path / "out", Watcher())
    assert pl.read_parquet(tmp_path / "out" / "results.parquet")["status"].to_list() == ["done"]
    other = changed(values, ["base.training.best=val.accuracy", "data.sheets.seed=7"])
    path.write_text(yaml.safe_dump(other))
    with pytest.raises(RunError, match="a study that differs in data"):
        run_study(read_study(path), tmp_path / "out", Watcher())


def test_when_every_run_fails_there_is_an_error(home, tmp_path, monkeypatch):
    in_this_process(monkeypatch)
    arms = "arms={broken: {training: {optimiser: {name: sgd, lr: 1.0e+30, momentum: 0.0}}}}"
    study = study_in(home, arms, "baseline=broken", "comparisons=null", "seeds=[0]")
    with pytest.raises(RunError, match="1 failed, the first with: not finite: ") as caught:
        run_study(study, tmp_path / "out", Watcher())
    assert str(caught.value).endswith("change the arm, and take another --out")
    assert "NumericalError" not in str(caught.value)


def test_an_error_is_told_as_text(home, tmp_path, monkeypatch):
    study = study_in(home)
    config = arm_config(study, "plain", 0, None, 1)
    missing = config.model_copy(update={"data": config.data.model_copy(
        update={"manifest": "nowhere.parquet"})})  # fmt: skip
    row = attempt(missing, tmp_path / "run", ("test",), home)
    assert row["status"] == "failed"
    assert row["error"].startswith(f"{home / 'nowhere.parquet'}: expected a manifest file, found")
    assert row["remedy"].startswith("mend that")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(arm_module, "run_arm", full)
    row = attempt(config, tmp_path / "run", ("test",), home)
    assert row["error"].startswith(
        "a file, or standard output: expected room on the disk, found No space left on device; make"
    )
    assert row["remedy"].startswith("mend that")

    def fails(*_):
        raise KeyError("a fault")

    monkeypatch.setattr(arm_module, "run_arm", fails)
    row = attempt(config, tmp_path / "run", ("test",), home)
    assert row["error"] == "stopped by: 'a fault'"
    assert row["remedy"] == "the same command tries again what failed"


def test_sheets_are_drawn_for_a_study_that_asks_for_them(tmp_path, monkeypatch):
    in_this_process(monkeypatch)
    values = changed(
        STUDY,
        [
            "data.sheets={counts: {train: 4, val: 2, test: 2, test_shifted: 2}, size: [96, 96]}",
            "base.training.epochs=1", "arms={plain: {}}", "comparisons=[]", "seeds=[0]",
            "splits=[test, test_shifted]",
        ],
    )  # fmt: skip
    del values["base"]["data"]["manifest"]
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(values))
    watcher = Watcher()
    run_study(read_study(path), tmp_path / "out", watcher)
    assert ("sheets", 10, 10) in watcher.seen
    table = pl.read_parquet(tmp_path / "out" / "results.parquet")
    assert {"test.accuracy", "test_shifted.accuracy"} <= set(table.columns)
    assert not (tmp_path / "out" / ".sheets.partial").exists()


def test_holm_corrects_the_comparisons_of_one_metric_together(home):
    study = study_in(home).model_copy(
        update={"arms": {"a": {}, "b": {}, "c": {}}, "comparisons": (("b", "a"), ("c", "a"))}
    )
    generator = np.random.default_rng(0)
    rows = []
    for arm, shift in (("a", 0.0), ("b", 0.1), ("c", 0.001)):
        for seed in range(4):
            value = 0.5 + shift + 0.01 * generator.random()
            rows.append({"arm": arm, "seed": seed, "run": "none", "test.accuracy": value})
    rows.reverse()
    done = pl.DataFrame(rows)
    found = [row for row in compare(study, done, home) if row["metric"] == "test.accuracy"]
    raw = [row["seeds"]["p_value"] for row in found]
    assert [row["p_holm"] for row in found] == pytest.approx(holm(raw).tolist())
    assert [row["verdict"] for row in found] == ["higher", "no difference shown"]
    assert found[0]["images"] is None


def test_killed_with_all_its_processes_and_continued_it_ends_the_same(finished, home, tmp_path):
    _, whole, _, _ = finished
    out, path = tmp_path / "out", home / "again.yaml"
    path.write_text(yaml.safe_dump(STUDY, sort_keys=False))
    words = [*REGARD, "study", path, "--out", out, "--workers", "1"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with Forked(words, env=environment(), start_new_session=True, **quiet) as process:
        log = out / "runs/plain-seed0/log.jsonl"
        until(lambda: steps_in(log) >= 1, process)
        os.killpg(process.pid, signal.SIGKILL)
    assert not (out / "results.parquet").exists()
    study = read_study(path)
    rows = []
    for seed in study.seeds:
        for arm in study.arms:
            name = f"runs/{arm}-seed{seed}"
            config = arm_config(study, arm, seed, None, 1)
            row = {"arm": arm, "seed": seed, "run": name}
            rows.append(row | attempt(config, out / name, study.splits, out))
    conclude(study, out, rows)
    volatile = ("seconds", "error")
    table, expected = (pl.read_parquet(f / "results.parquet").drop(volatile) for f in (out, whole))
    assert_frame_equal(table, expected, check_exact=True)
    for arm in ("plain", "moved"):
        name = f"runs/{arm}-seed0/checkpoints"
        assert same_tensors(load(out / name).model, load(whole / name).model)
    assert (
        json.loads((out / "summary.json").read_text())["comparisons"]
        == (read_json(whole / "summary.json")["comparisons"])
    )


@pytest.mark.parametrize(
    "how", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.torture)]
)
def test_no_training_outlives_its_study(home, tmp_path, how):
    path = home / "long.yaml"
    path.write_text(yaml.safe_dump(changed(STUDY, ["base.training.epochs=4000", "seeds=[0]"])))
    words = [*REGARD, "study", str(path), "--out", str(tmp_path / "out")]
    log = tmp_path / "out/runs/plain-seed0/log.jsonl"
    with Forked(words, env=environment(), stdout=subprocess.DEVNULL) as process:
        until(lambda: steps_in(log) >= 1, process)
        trainings = workers(process.pid)
        assert trainings
        process.send_signal(how)
    with locked(tmp_path / "out/runs/plain-seed0"):  # free at once, or it fails after a moment
        until(lambda: not any(alive(pid) for pid in trainings), seconds=60)


def test_controls_of_areas_to_avoid_tell_of_these(home, tmp_path, monkeypatch):
    in_this_process(monkeypatch)
    table = pl.read_parquet(home / "manifest.parquet")
    table.rename({"region": "avoid"}).write_parquet(home / "avoid.parquet")
    study = study_in(home)
    base = changed(
        study.base, ["data.manifest=" + str(home / "avoid.parquet"), "training.epochs=1"]
    )
    arms = {"plain": {}, "moved": study.arms["moved"]}
    one = study.model_copy(
        update={"base": base, "arms": arms, "seeds": (0,), "comparisons": (("moved", "plain"),)}
    )
    summary = run_study(one, tmp_path / "out", Watcher(), workers=1)
    assert summary["controls"]["moved"]["regions"] == "misplaced"
    assert 0 <= summary["controls"]["moved"]["overlap"] < 0.2


def test_nets_are_measured_one_after_the_other_at_the_end(home, tmp_path, monkeypatch):
    in_this_process(monkeypatch)
    measured = []

    def quickly(run):
        assert all((out / f"runs/plain-seed{seed}/metrics").is_dir() for seed in (0, 1))
        measured.append(run.folder.name)
        return bench_run(run, device="cpu", batches=[2], seconds=0.02)

    class Bar(Watcher):
        def benched(self, done, total):
            self.seen.append((done, total))

    monkeypatch.setattr(arm_module, "bench_run", quickly)
    out, watcher = tmp_path / "out", Bar()
    changes = ("base.training.epochs=1", "comparisons=null", "seeds=[0, 1]")
    arms = ("arms={plain: {}, wide: {model: {options: {width: 8}}}}",)
    run_study(study_in(home, *changes, *arms), out, Watcher())
    table = pl.read_parquet(out / "results.parquet")
    assert measured == []
    assert not {"latency_ms", "flops"} & set(table.columns)
    study = study_in(home, *changes, *arms, "bench=true")
    run_study(study, out, watcher)
    assert sorted(measured[:2]) == ["plain-seed0", "wide-seed0"]
    assert sorted(measured[2:]) == ["plain-seed1", "wide-seed1"]
    assert [seen for seen in watcher.seen if seen[1] == 4] == [(n, 4) for n in (1, 2, 3, 4)]
    table = pl.read_parquet(out / "results.parquet")
    for row in table.iter_rows(named=True):
        values = read_json(out / row["run"] / "bench.json")
        latency = values["devices"][0]["batches"][0]["median_ms"]
        assert (row["latency_ms"], row["flops"]) == (latency, values["flops"])
    assert table["flops"].n_unique() == 2
    run_study(study, out, Bar())
    assert len(measured) == 4
    assert pl.read_parquet(out / "results.parquet").equals(table)


def test_threads_stay_those_of_the_first_call(home, tmp_path, monkeypatch):
    """Sums hang on them, and so the weights of arms that have not begun yet."""
    in_this_process(monkeypatch)
    changes = ("arms={plain: {}, other: {training: {seed: 1}}}", "comparisons=null",
               "base.training.epochs=1")  # fmt: skip
    out, path = tmp_path / "out", home / "threads.yaml"

    def study(seeds):
        values = changed(STUDY, [*changes, f"seeds={seeds}"])
        del values["base"]["training"]["threads"]
        path.write_text(yaml.safe_dump(values, sort_keys=False))
        return read_study(path)

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("regard.machine.cores", lambda: 4)
    run_study(study([0]), out, Watcher(), workers=2)
    assert read_json(out / "threads.json") == {"threads": 2}
    run_study(study([0, 1]), out, Watcher(), workers=1)
    told = {read_json(path)["threads"] for path in out.glob("runs/*/environment.json")}
    assert len(list(out.glob("runs/*"))) == 4
    assert told == {2}


def test_mean_maps_are_of_as_many_images_as_the_study_says(home, tmp_path, monkeypatch):
    in_this_process(monkeypatch)
    changes = ("arms={plain: {}, other: {training: {seed: 1}}}", "comparisons=null", "seeds=[0]",
               "base.training.epochs=1")  # fmt: skip
    counts = []
    for number in (2, 10):
        run_study(study_in(home, *changes, f"mean_maps={number}"), tmp_path / "out", Watcher(),
                  workers=1)  # fmt: skip
        averages = (tmp_path / "out/runs/plain-seed0").glob("explanations/global/*/averages.json")
        counts.append(read_json(next(averages))["rows"][0]["images"])
    assert counts == [2, 10]


def test_a_training_whose_study_was_killed_is_waited_for(home, tmp_path):
    """It may take some seconds to finish its step and to save."""
    config = arm_config(study_in(home), "plain", 0, None, 1)
    out, held, free = tmp_path / "run", threading.Event(), threading.Event()

    def hold():
        with locked(out):
            held.set()
            assert free.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(60)
    threading.Timer(2 * folder_module.PATIENCE, free.set).start()
    run_arm(config, out, (), home)
    thread.join()
    assert (out / "checkpoints/best.json").is_file()


@pytest.mark.parametrize("folds", [None, 3, 6])
def test_groups_are_told_of_arms_and_of_folds(tmp_path, monkeypatch, folds):
    in_this_process(monkeypatch)
    write_set(tmp_path)
    table = pl.read_parquet(tmp_path / "manifest.parquet")
    half = (pl.int_range(pl.len()).over("split") % 2).cast(pl.String)
    table.with_columns(group=pl.col("split") + half).write_parquet(tmp_path / "manifest.parquet")
    values = {
        "name": "g",
        "base": changed(BASE, ["training.epochs=1"]),
        "arms": {"a": {}, "b": {"model": {"options": {"width": 8}}}},
        "baseline": "a",
        "seeds": [0],
        "metrics": ["accuracy"],
        "folds": folds,
    }
    (tmp_path / "g.yaml").write_text(yaml.safe_dump(values))
    study = read_study(tmp_path / "g.yaml")
    run_study(study, tmp_path / "g", Watcher(), workers=1)
    summary = read_json(tmp_path / "g/summary.json")
    expected = {"images": 48, "groups": 6} if folds else {"images": 12, "groups": 2}
    assert summary["groups"] == {"test": expected | {"groups_learned": 0}}
    assert any("groups. Intervals and tests over" in text for text in remarks(study, summary))
    (row,) = summary["comparisons"]
    assert row["images"]["difference"]["groups"] == expected["groups"]
    assert row["images"]["mcnemar"]["groups"] == expected["groups"]
    assert summary["arms"]["a"]["test.accuracy"]["images"]["groups"] == expected["groups"]
    if not folds:  # what a run does not tell of groups another one does
        path = RunFolder(tmp_path / "g/runs/b-seed0").predictions("test")
        write_table(path, read_table(path).drop("group"))
        assert run_study(study, tmp_path / "g", Watcher(), workers=1) == summary
    arms = open_arms([f"{tmp_path}/g:a", f"{tmp_path}/g:b"])
    compared = compare_arms(arms, "test", tmp_path / "out")
    assert compared["groups"] == expected["groups"]
