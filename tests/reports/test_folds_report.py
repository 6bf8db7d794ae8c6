"""The report of a study in folds, whose runs were trained."""

import json
import re

import polars as pl
import pytest
from pages import see

from regard.reports import study_report


@pytest.fixture(scope="module")
def page(folds_folder):
    return see(study_report(folds_folder, pictures=1))


@pytest.fixture(scope="module")
def summary(folds_folder):
    return json.loads((folds_folder / "summary.json").read_text())


def test_what_was_run_is_said(page, summary):
    assert "2 arms (plain and guided), trained with 1 seed each in 3 folds" in page.text
    sizes = summary["folds"]["test"]
    assert sum(sizes) == 18
    size = str(sizes[0]) if min(sizes) == max(sizes) else f"{min(sizes)} to {max(sizes)}"
    assert f"Each of 18 images is test in one fold (of {size} images)" in page.text
    assert "Nadeau and Bengio" in page.text


def test_metrics_are_those_of_all_predictions_together(folds_folder, page, summary):
    for arm in ("plain", "guided"):
        paths = [f"runs/{arm}-seed0-fold{k}/predictions/test.parquet" for k in range(3)]
        tables = [pl.read_parquet(folds_folder / path) for path in paths]
        right = pl.concat(tables)["correct"]
        assert len(right) == 18
        value = summary["arms"][arm]["test.accuracy"]
        assert value["value"] == pytest.approx(right.mean())
        row = next(r for r in page.rows if r and r[0] == "Accuracy|on test" and len(r) == 3)
        interval = value["images"]
        told = f"{right.mean():.3f}|{interval['low']:.3f} to {interval['high']:.3f}"
        assert row[1 + (arm == "guided")] == told
    assert "Pooled over 3 folds, with 95 % intervals over images" in page.text


def test_differences_are_over_folds(page, summary):
    assert "Over folds" in page.text
    assert "Over seeds" not in page.text
    for name, title in (("accuracy", "Accuracy"), ("energy", "Energy")):
        found = next(r for r in summary["comparisons"] if r["metric"] == f"test.{name}")
        row = next(r for r in page.rows if r and r[0] == f"guided − plain|{title} on test")
        assert row[1] == shown(found["folds"]["difference"])
        assert row[3] == shown(found["images"]["difference"])


def shown(found):
    """A difference as a cell has it."""
    value, *ends = (
        f"{found[key]:+.3f}".replace("-", "−").replace("+0.000", "0.000").replace("−0.000", "0.000")
        for key in ("value", "low", "high")
        if found[key] is not None
    )
    return f"{value}|{' to '.join(ends) or '–'}"


def test_every_fold_is_listed_and_counted(folds_folder, page, summary):
    for arm in ("plain", "guided"):
        for fold in range(3):
            assert page.row(f"{arm}, seed 0, fold {fold}")[1] == "done"
        assert sum(map(sum, summary["confusion"]["test"]["arms"][arm])) == 18
    assert "Counts are summed over the folds and seeds" in page.text
    assert "Every run, with its metrics on test" in page.text
    # Pictures are of one fold, whose images are a third of all.
    assert re.search(r"From plain to guided, energy rose in \d of \d images\.", page.text)
    assert "Left out of the 6 images" in page.text


def test_its_own_splits_are_said_not_to_count(page):
    assert "The manifest's own splits (" in page.text
