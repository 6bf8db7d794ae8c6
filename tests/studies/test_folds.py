"""A study in folds: what is pooled, how it is compared, and what is refused."""

import numpy as np
import polars as pl
import pytest
import yaml
from sklearn.metrics import accuracy_score, f1_score
from small_study import STUDY, Watcher

from regard.cli.show_study import show_summary
from regard.data.settings import Data
from regard.data.source import open_manifest
from regard.errors import ConfigError, DataError
from regard.evaluation.crossed import corrected_folds
from regard.evaluation.flips import mcnemar_exact
from regard.evaluation.intervals import wilson_interval
from regard.evaluation.metrics import evaluate
from regard.evaluation.paired import paired_bootstrap
from regard.reports import study_report
from regard.studies.comparisons import Folds
from regard.studies.folds import refuse_folds
from regard.studies.pooled import pool_folds
from regard.studies.read import read_study
from regard.studies.runner import run_study
from regard.studies.settings import Job, arm_config
from regard.training.config import changed
from tinyset import in_this_process, write_set

COUNTS = {"train": 14, "val": 7, "test": 12}
CHANGES = (
    "base.training.epochs=1", "seeds=[0]", "folds=3", "comparisons=null",
    "arms={plain: {}, moved: {guidance: {terms: [{term: energy}], regions: misplaced}}}",
    "metrics=[accuracy, f1_macro, ece, energy]",
)  # fmt: skip


def folded(folder, *changes):
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(changed(STUDY, [*CHANGES, *changes]), sort_keys=False))
    return read_study(path)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("folds home")
    write_set(folder, counts=COUNTS)
    return folder


@pytest.fixture(scope="module")
def finished(home):
    with pytest.MonkeyPatch.context() as patched:
        in_this_process(patched)
        study, watcher = folded(home), Watcher()
        summary = run_study(study, home / "out", watcher, workers=1)
    return study, home / "out", summary


def parts(out, arm, kind="predictions"):
    return [
        pl.read_parquet(out / f"runs/{arm}-seed0-fold{k}/{kind}/test.parquet") for k in range(3)
    ]


def test_every_image_is_test_once_and_in_the_same_fold_for_all_arms(finished, home):
    _, out, summary = finished
    table = pl.read_parquet(out / "results.parquet")
    assert table.select("arm", "seed", "fold").rows() == [
        (arm, 0, k) for arm in ("plain", "moved") for k in range(3)
    ]
    images = pl.read_parquet(home / "manifest.parquet")["image"].to_list()
    found = [[part["index"].to_list() for part in parts(out, arm)] for arm in ("plain", "moved")]
    assert found[0] == found[1]
    assert sorted(row for part in found[0] for row in part) == list(range(len(images)))
    data = Data(manifest=str(home / "manifest.parquet"), folds=3)
    for k in range(3):
        manifest = open_manifest(data.model_copy(update={"fold": k}))
        assert manifest.select("test")["index"].to_list() == found[0][k]
    told = summary["folds"]
    assert (told["number"], told["images"], sum(told["test"])) == (3, 33, 33)
    assert told["own_splits"] == COUNTS


def test_metrics_are_those_of_the_pooled_predictions(finished):
    _, out, summary = finished
    for arm in ("plain", "moved"):
        table = pl.concat(parts(out, arm)).sort("index")
        assert pl.read_parquet(out / f"pooled/{arm}-seed0/predictions/test.parquet").equals(table)
        told = summary["arms"][arm]
        true, guess = table["label"].to_list(), table["predicted"].to_list()
        assert told["test.accuracy"]["value"] == pytest.approx(accuracy_score(true, guess))
        assert told["test.f1_macro"]["value"] == pytest.approx(
            f1_score(true, guess, average="macro")
        )
        energy = pl.concat(parts(out, arm, "scores"))["energy"].to_numpy()
        assert told["test.energy"]["value"] == pytest.approx(np.nanmean(energy))
        wilson = wilson_interval(int(table["correct"].sum()), 33).as_dict()
        assert told["test.accuracy"]["images"] == wilson
        assert told["test.accuracy"]["low"] is None  # one seed has no spread
        counts = np.array(summary["confusion"]["test"]["arms"][arm])
        assert counts.sum() == 33
        assert counts.trace() == table["correct"].sum()
    pooled = pl.read_parquet(out / "pooled.parquet")
    assert pooled.select("arm", "seed", "status").rows() == [
        ("plain", 0, "done"), ("moved", 0, "done"),
    ]  # fmt: skip


def test_differences_are_by_image_and_tested_over_folds(finished):
    _, out, summary = finished
    rows = {row["metric"].removeprefix("test."): row for row in summary["comparisons"]}
    plain, moved = (parts(out, arm) for arm in ("plain", "moved"))
    right = [np.concatenate([p["correct"].to_numpy() for p in side]) for side in (plain, moved)]
    d = [m["correct"].mean() - p["correct"].mean() for p, m in zip(plain, moved, strict=True)]
    row = rows["accuracy"]
    value = right[1].mean() - right[0].mean()
    expected = corrected_folds(d, 1.0, value=value)
    assert row["folds"]["difference"] == pytest.approx(expected.as_dict()["difference"])
    assert row["folds"]["p_value"] == pytest.approx(expected.as_dict()["p_value"])
    assert row["images"]["mcnemar"] == mcnemar_exact(*right).as_dict()
    assert row["images"]["difference"] == paired_bootstrap(*right).difference.as_dict()
    assert (row["basis"], row["both"]) == ("folds", None)
    f1 = [f1_score(m["label"], m["predicted"], average="macro", zero_division=0)
          - f1_score(p["label"], p["predicted"], average="macro", zero_division=0)
          for p, m in zip(plain, moved, strict=True)]  # fmt: skip
    whole = summary["arms"]["moved"]["test.f1_macro"]["value"]
    whole -= summary["arms"]["plain"]["test.f1_macro"]["value"]
    expected = corrected_folds(f1, 1.0, value=whole)
    found = rows["f1_macro"]["folds"]
    assert found["difference"] == pytest.approx(expected.as_dict()["difference"])
    energy = [pl.concat(parts(out, arm, "scores"))["energy"].to_numpy()
              for arm in ("plain", "moved")]  # fmt: skip
    d = energy[1] - energy[0]
    fold = np.repeat(range(3), [len(part) for part in parts(out, "plain", "scores")])
    each = [np.nanmean(d[fold == k]) for k in range(3)]
    found = rows["energy"]["folds"]["difference"]
    whole = np.nanmean(energy[1]) - np.nanmean(energy[0])
    expected = corrected_folds(each, 1.0, value=whole).as_dict()["difference"]
    assert found == pytest.approx(expected)
    assert found["high"] > found["low"]
    assert rows["ece"]["images"]["difference"]["method"] == "percentile"


def test_it_is_printed_and_reported(finished, capsys):
    study, out, summary = finished
    show_summary(study, summary)
    text = capsys.readouterr().out
    assert "Pooled over 3 folds, mean over 1 seed, 95% interval over images" in text
    assert "corrected t-test of Nadeau and Bengio" in text
    assert "own splits (train 14, val 7, test 12) are not used" in text
    html = study_report(out, pictures=0).read_text()
    assert "Pooled over 3 folds" in html
    assert "plain, seed 0, fold 2" in html
    assert "Nadeau and Bengio" in html


def test_val_can_be_a_share_of_the_other_folds(home):
    study = folded(home, "base.data.val_from_train=0.2")
    tests = []
    for k in range(3):
        data = arm_config(study, "moved", 0, None, 1, k).data
        manifest = open_manifest(data, home)
        rows = {part: manifest.select(part)["index"].to_list() for part in COUNTS}
        assert sorted(row for part in rows.values() for row in part) == list(range(33))
        assert len(rows["val"]) == pytest.approx(0.2 * (33 - len(rows["test"])), abs=1)
        plain = open_manifest(data.model_copy(update={"val_from_train": None}), home)
        assert rows["test"] == plain.select("test")["index"].to_list()
        tests += rows["test"]
    assert sorted(tests) == list(range(33))
    refuse_folds({job: arm_config(study, *job[:2], None, 1, job.fold) for job in study.jobs}, home)
    rows = np.arange(4)
    assert Folds(rows, rows, 5).ratio == pytest.approx((1 / 5) / (3 / 5))
    assert Folds(rows, rows, 5, 0.1).ratio == pytest.approx((1 / 5) / (4 / 5 * 0.9))


def test_a_lost_fold_leaves_its_seed_out(finished, tmp_path):
    study, out, _ = finished
    rows = pl.read_parquet(out / "results.parquet").to_dicts()
    rows[1]["status"] = "failed"
    pooled = pool_folds(study, rows, out, {})
    told = pooled.table.select("arm", "status", "error").rows()
    assert told[0] == ("plain", "failed", "fold 1 is not there")
    assert told[1][1] == "done"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("folds=2", "folds: expected"),
        ("splits=[val, test]", "splits val, test beside folds"),
        ("base.data.split=80/20", "base.data.split beside folds"),
        ("arms.moved.data={val_from_train: 0.2}", "arms.moved.data.val_from_train beside folds"),
        ("arms.moved.data={fold: 1}", "arms.moved.data.fold beside folds"),
    ],
)
def test_what_does_not_go_with_folds_is_one_line(home, change, text):
    with pytest.raises(ConfigError) as caught:
        folded(home, change)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def refused(folder, *changes):
    study = folded(folder, *changes)
    refuse_folds(
        {job: arm_config(study, *job[:2], None, 1, job.fold) for job in study.jobs}, folder
    )


def test_other_splits_and_rare_classes_are_refused(tmp_path):
    write_set(tmp_path, counts=COUNTS)
    refused(tmp_path)
    table = pl.read_parquet(tmp_path / "manifest.parquet")
    split = pl.when(pl.col("split") == "val").then(pl.lit("shifted")).otherwise("split")
    table.with_columns(split=split).write_parquet(tmp_path / "manifest.parquet")
    with pytest.raises(DataError, match=r"arm plain, .*found split 'shifted' \(7 images\)"):
        refused(tmp_path)
    rare = pl.when(pl.int_range(pl.len()) < 1).then(pl.lit("lichen")).otherwise("label")
    table.with_columns(label=rare).write_parquet(tmp_path / "manifest.parquet")
    with pytest.raises(DataError, match=r"every class in train of every fold, found 'lichen'"):
        refused(tmp_path)


@pytest.mark.parametrize(
    ("folds", "images", "group", "said"),
    [
        (
            3,
            2,
            None,
            "'lichen' of 2 images missing in some; give it 3 images or more, or leave it out",
        ),
        (
            5,
            1,
            None,
            "'lichen' of 1 image missing in some; give it 3 images or more, or leave it out",
        ),
        (
            3,
            6,
            "pond",
            "'lichen' of 1 group missing in some; give it 3 groups or more, or leave it",
        ),
    ],
)
def test_a_class_of_too_few_images_for_the_folds(tmp_path, folds, images, group, said):
    write_set(tmp_path, counts=COUNTS)
    table = pl.read_parquet(tmp_path / "manifest.parquet").with_row_index("row")
    few = pl.col("row") < images
    table = table.with_columns(label=pl.when(few).then(pl.lit("lichen")).otherwise("label"))
    if group is not None:
        own = pl.when(few).then(pl.lit(group)).otherwise(pl.col("row").cast(pl.String))
        table = table.with_columns(group=own)
    table.drop("row").write_parquet(tmp_path / "manifest.parquet")
    with pytest.raises(DataError) as caught:
        refused(tmp_path, f"folds={folds}")
    assert said in str(caught.value)


def test_synthetic_images_are_never_test(tmp_path):
    write_set(tmp_path, counts=COUNTS)
    table = pl.read_parquet(tmp_path / "manifest.parquet").drop("split")
    made = pl.int_range(pl.len()) % 5 == 0
    table.with_columns(synthetic=made).write_parquet(tmp_path / "manifest.parquet")
    refused(tmp_path)


def test_a_job_has_a_folder_of_its_own():
    assert Job("a", 0, 2).run == "runs/a-seed0-fold2"
    assert Job("a", 0).run == "runs/a-seed0"
    assert Job("a", 1, 0).words == "a, seed 1, fold 0"


def test_the_positive_class_is_that_of_the_runs(home, tmp_path, monkeypatch):
    in_this_process(monkeypatch)
    study = folded(home, "base.evaluate={positive: fern}", "metrics=[precision, average_precision]")
    summary = run_study(study, tmp_path / "out", Watcher(), workers=1)
    tables = {
        arm: pl.concat(parts(tmp_path / "out", arm)).sort("index") for arm in ("plain", "moved")
    }
    value = {
        arm: evaluate(table, positive="fern")["precision"]["value"] for arm, table in tables.items()
    }
    assert value["plain"] != evaluate(tables["plain"])["precision"]["value"]
    for arm, own in value.items():
        assert summary["arms"][arm]["test.precision"]["value"] == own
    row = next(row for row in summary["comparisons"] if row["metric"] == "test.precision")
    wanted = value["moved"] - value["plain"]
    assert row["images"]["difference"]["value"] == pytest.approx(wanted)
    assert row["folds"]["difference"]["value"] == pytest.approx(wanted)
