import json
import shutil
from pathlib import Path

import polars as pl
import pytest
from pages import HOSTILE, MATHS, see

from regard.reports import report, study_report


@pytest.fixture(scope="module")
def page(study_folder):
    linked = study_folder / "runs" / "plain-seed0" / "report.html"
    linked.write_text("<p>")
    return see(study_report(study_folder, pictures=2))


@pytest.fixture
def copy(study_folder, tmp_path):
    return shutil.copytree(study_folder, tmp_path / "study")


def comparison(folder: Path, metric: str) -> dict:
    rows = json.loads((folder / "summary.json").read_text())["comparisons"]
    return next(row for row in rows if row["metric"] == metric)


def test_shown_and_not_shown_are_told_apart(study_folder, page):
    energy, accuracy = (comparison(study_folder, f"test.{m}") for m in ("energy", "accuracy"))
    assert energy["verdict"] == "higher"
    assert accuracy["verdict"] == "no difference shown"
    found = energy["seeds"]["difference"]
    told = f"Energy on test is higher by {found['value']:.3f} (interval over 2 seeds "
    assert f"{told}+{found['low']:.3f} to +{found['high']:.3f}" in page.text
    assert "which is better" in page.text
    assert (
        f"No difference shown for accuracy on test (+{accuracy['seeds']['difference']['value']:.3f}"
        in page.text
    )


def test_arms_and_comparisons_are_those_of_the_summary(study_folder, page):
    arms = json.loads((study_folder / "summary.json").read_text())["arms"]
    row = next(r for r in page.rows if r and r[0] == "Energy|on test" and len(r) == 3)
    for cell, arm in zip(row[1:], ("plain", "guided"), strict=True):
        value = arms[arm]["test.energy"]
        assert cell.split("|")[0] == f"{value['value']:.3f}"
        assert cell.endswith(f"sd {value['sd']:.3f}")
    row = next(r for r in page.rows if r and r[0] == "guided less plain|Energy on test")
    found = comparison(study_folder, "test.energy")
    assert row[1].startswith(f"+{found['seeds']['difference']['value']:.3f}")
    images = found["images"]["difference"]
    assert row[3] == f"+{images['value']:.3f}|+{images['low']:.3f} to +{images['high']:.3f}"
    assert row[4] == "better"


def test_runs_are_listed_and_linked(page):
    assert [t["href"] for t in page.named("a") if "report" in t["href"]] == [
        "runs/plain-seed0/report.html"
    ]
    failed = page.row("guided, seed 2")
    assert failed[1] == f"failed|ValueError: {HOSTILE}"
    assert "1 run failed" in page.text


def test_links_start_from_the_file_that_is_written(study_folder, tmp_path):
    (study_folder / "runs" / "plain-seed0" / "report.html").write_text("<p>")
    out = study_folder.parent / "a b" / "page.html"
    links = [t["href"] for t in see(study_report(study_folder, out, pictures=0)).named("a")]
    assert f"../{study_folder.name}/runs/plain-seed0/report.html" in links


def test_galleries_show_the_same_images_under_every_arm(study_folder, page):
    tables = {
        arm: pl.read_parquet(study_folder / f"runs/{arm}-seed0/predictions/test.parquet")
        for arm in ("plain", "guided")
    }
    won = tables["guided"]["correct"] & ~tables["plain"]["correct"]
    assert f"Wrong under plain, right under guided {won.sum()} images" in page.text
    assert "Right under plain, wrong under guided" not in page.text
    assert "it rose in 6 of 6 images" in page.text
    photos = [t for t in page.named("img") if t.get("class") != "map"]
    assert len(photos) == 2 * (2 + 2)
    assert all(t["alt"].strip() for t in page.named("img"))


def test_hostile_titles_are_text(study_folder, page):
    html = (study_folder / "report.html").read_text()
    assert f"Ferns {HOSTILE}" in page.text
    assert MATHS in page.text
    assert all(t["src"].startswith("data:") for t in page.named("img"))
    assert "http://" not in html
    assert "https://" not in html
    assert len(html) < 3e6


def test_a_study_without_a_control_is_told_so(page):
    assert "No arm was guided with regions in the wrong place" in page.text


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("summary.json", "summary.json cannot be read"),
        ("results.parquet", "results.parquet cannot be read"),
        ("data/manifest.parquet", "Pictures of test are left out"),
    ],
)
def test_a_missing_file_is_said(copy, path, said):
    for config in copy.glob("runs/*/config.yaml"):
        lines = config.read_text().splitlines()
        moved = f"  manifest: {copy / 'data' / 'manifest.parquet'}"
        kept = [moved if line.strip().startswith("manifest:") else line for line in lines]
        config.write_text("\n".join(kept))
    (copy / path).unlink()
    assert said in see(report(copy, pictures=1)).text
