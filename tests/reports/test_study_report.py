import json
import re
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from pages import HOSTILE, MATHS, see

from regard.reports import report, study_report
from regard.reports.study_words import quality


@pytest.fixture(scope="module")
def page(study_folder):
    linked = study_folder / "runs" / "plain-seed0" / "report.html"
    linked.write_text("<p>")
    return see(study_report(study_folder, pictures=2))


@pytest.fixture
def copy(study_folder, tmp_path):
    return shutil.copytree(study_folder, tmp_path / "study")


def here(copy: Path) -> None:
    """Let the copied runs find the copied manifest."""
    for config in copy.glob("runs/*/config.yaml"):
        lines = config.read_text().splitlines()
        moved = f"  manifest: {copy / 'data' / 'manifest.parquet'}"
        kept = [moved if line.strip().startswith("manifest:") else line for line in lines]
        config.write_text("\n".join(kept))


def comparison(folder: Path, metric: str) -> dict:
    rows = json.loads((folder / "summary.json").read_text())["comparisons"]
    return next(row for row in rows if row["metric"] == metric)


def test_shown_and_not_shown_are_told_apart(study_folder, page):
    energy, accuracy = (comparison(study_folder, f"test.{m}") for m in ("energy", "accuracy"))
    assert energy["verdict"] == "higher"
    assert accuracy["verdict"] == "no difference shown"
    shown, rest = (row["both"]["difference"] for row in (energy, accuracy))
    told = "guided − plain Better Energy on test "
    told += f"+{shown['value']:.3f} +{shown['low']:.3f} to +{shown['high']:.3f} "
    told += f"No difference shown Accuracy on test +{rest['value']:.3f} "
    assert told in page.text


def test_arms_and_comparisons_are_those_of_the_summary(study_folder, page):
    arms = json.loads((study_folder / "summary.json").read_text())["arms"]
    row = next(r for r in page.rows if r and r[0] == "Energy|on test" and len(r) == 3)
    for cell, arm in zip(row[1:], ("plain", "guided"), strict=True):
        value = arms[arm]["test.energy"]
        assert cell.split("|")[0] == f"{value['value']:.3f}"
        assert cell.endswith(f"sd {value['sd']:.3f}")
    row = next(r for r in page.rows if r and r[0] == "guided − plain|Energy on test")
    found = comparison(study_folder, "test.energy")
    assert row[1].startswith(f"+{found['seeds']['difference']['value']:.3f}")
    images = found["images"]["difference"]
    assert images["low"] == images["high"]  # all differ by the same, which is no interval
    assert row[4] == f"+{images['value']:.3f}|–"
    assert row[5] == "better"


def test_what_others_reported_stands_beside_it(copy):
    settings = yaml.safe_load((copy / "study.yaml").read_text())
    told = {"guided": 0.75, "plain": 0.5155, "vgg16": 0.76}
    values = {"test.accuracy": told, "test.iou": {"plain": 0.1}}
    settings["published"] = {"source": "Ross & others", "values": values, "others": ["vgg16"]}
    (copy / "study.yaml").write_text(yaml.safe_dump(settings))
    seen = see(report(copy, pictures=0))
    assert "On test here, and as published: Ross & others" in seen.text
    arms = json.loads((copy / "summary.json").read_text())["arms"]
    ours = arms["guided"]["test.accuracy"]["value"]
    less = f"{ours - 0.75:+.3f}".replace("-", "−")
    row = next(r for r in seen.rows if r[:1] == ["guided"] and "published" in " ".join(r))
    assert row[1:] == [f"{ours:.4f}|published 0.7500, {less}", "–"]
    row = next(r for r in seen.rows if r[:1] == ["plain"] and "published" in " ".join(r))
    assert row[2] == "–|published 0.1000"
    assert next(r for r in seen.rows if r[:1] == ["vgg16"]) == ["vgg16", "–|published 0.7600", "–"]


def test_gaze_and_confusion_are_those_of_the_summary(study_folder, page):
    summary = json.loads((study_folder / "summary.json").read_text())
    assert {row["arm"] for row in summary["gaze"]} == {"plain", "guided"}
    for told in summary["gaze"]:
        title = "Energy on test" if told["metric"] == "test.energy" else None
        if title is None:
            continue
        row = next(r for r in page.rows if r[:1] == [f"{told['arm']}|{title}"])
        assert row[1:4] == [f"{told[name]:.3f}" for name in ("mean", "median", "sd")]
    assert "Who is taken for whom" in page.text
    for arm, counts in summary["confusion"]["test"]["arms"].items():
        assert f"{arm} on test" in page.text
        assert sum(map(sum, counts)) == sum(
            len(pl.read_parquet(path))
            for path in (study_folder / "runs").glob(f"{arm}-seed*/predictions/test.parquet")
        )


def test_many_arms_and_comparisons_stay_readable(copy):
    settings = yaml.safe_load((copy / "study.yaml").read_text())
    summary = json.loads((copy / "summary.json").read_text())
    rows = list(summary["comparisons"])
    for number in range(13):
        arm = f"arm{number}"
        settings["arms"][arm] = {}
        summary["arms"][arm] = summary["arms"]["guided"]
        summary["comparisons"] += [{**row, "arm": arm} for row in rows]
    (copy / "study.yaml").write_text(yaml.safe_dump(settings))
    (copy / "summary.json").write_text(json.dumps(summary))
    seen = see(report(copy, pictures=0))
    energy = summary["arms"]["guided"]["test.energy"]["value"]
    row = next(r for r in seen.rows if r[:1] == ["arm3"])
    assert any(cell.startswith(f"{energy:.3f}|") for cell in row)
    assert "Differences in Energy on test, with 95 % intervals" in seen.text
    assert "Differences in Accuracy on test, with 95 % intervals" in seen.text
    row = seen.row("arm3 − plain")
    known = {own["metric"]: own["both"]["difference"] for own in rows}
    signs = {"test.accuracy": "○no difference shown", "test.energy": "▲better"}
    told = [f"{signs[name]}+{known[name]['value']:.3f}|" for name in known]
    bounds = [(own["low"], own["high"]) for own in known.values()]
    told = [
        text + ("–" if low == high else f"+{low:.3f} to ")
        for text, (low, high) in zip(told, bounds, strict=True)
    ]
    assert all(cell.startswith(text) for cell, text in zip(row[1:], told, strict=True))
    assert "Every comparison in words" in seen.text
    head = next(r for r in seen.rows if r[:1] == ["Comparison"] and len(r) == 3)
    assert head == ["Comparison", "Accuracy", "Energy"]
    assert "Differences on test with their intervals: ▲ better" in seen.text
    arms = sorted(f"arm{number}" for number in range(13))  # as YAML has them
    names = ", ".join(f"{arm} − plain" for arm in arms[:8])
    lead = f"14 comparisons are better in some metric and worse in none: {names} and 6 more."
    assert lead in seen.text
    gain = known["test.energy"]["value"]
    assert f"Largest improvements shown: Energy on test +{gain:.3f} (arm0 − plain)." in seen.text


def told_of(copy, verdicts):
    """The report of comparisons whose verdicts in two metrics are given."""
    settings = yaml.safe_load((copy / "study.yaml").read_text())
    summary = json.loads((copy / "summary.json").read_text())
    rows = {row["metric"]: row for row in summary["comparisons"]}
    summary["comparisons"] = []
    settings["arms"] = {"plain": {}}
    for number, pair in enumerate(verdicts):
        settings["arms"][f"arm{number}"] = {}
        for name, word in zip(("test.accuracy", "test.energy"), pair, strict=True):
            row = json.loads(json.dumps(rows[name])) | {"arm": f"arm{number}", "verdict": word}
            row["both"]["difference"]["value"] = number / 10
            summary["comparisons"].append(row)
    (copy / "study.yaml").write_text(yaml.safe_dump(settings))
    (copy / "summary.json").write_text(json.dumps(summary))
    return see(report(copy, pictures=0)).text


def test_the_lead_tells_gains_losses_both_and_neither_apart(copy):
    none = "no difference shown"
    pairs = [("higher", "higher"), ("lower", "higher"), ("lower", none), (none, none)]
    text = told_of(copy, [*pairs, ("higher", none)])
    assert (
        "2 comparisons are better in some metric and worse in none: arm0 − plain and arm4" in text
    )
    assert "1 comparison is better in one metric and worse in another: arm1 − plain." in text
    assert "1 comparison is worse in some metric and better in none: arm2 − plain." in text
    assert "1 comparison shows no difference in any metric: arm3 − plain." in text
    most = "Accuracy on test +0.400 (arm4 − plain); Energy on test +0.100 (arm1 − plain)."
    assert f"Largest improvements shown: {most}" in text


def test_a_lead_of_nothing_shown_is_one_sentence(copy):
    text = told_of(copy, [("no difference shown",) * 2] * 4)
    assert "No difference is shown in any of 4 comparisons." in text
    assert "Largest improvements" not in text


def test_few_comparisons_have_a_lead_above_their_cards(copy):
    none = "no difference shown"
    text = told_of(copy, [("lower", "higher"), (none, none)])
    assert "1 comparison is better in one metric and worse in another: arm0 − plain." in text
    assert "1 comparison shows no difference in any metric: arm1 − plain." in text
    assert "Largest improvements" not in text
    assert "comparison is" not in told_of(copy, [("lower", "higher")])


def changed(folder: Path, arm: str, **columns) -> None:
    """Other scores for an arm's shown run."""
    path = folder / "runs" / f"{arm}-seed0" / "scores" / "test.parquet"
    pl.read_parquet(path).with_columns(**columns).write_parquet(path)


def test_a_gaze_that_hardly_changed_is_said_and_not_shown(copy):
    here(copy)
    for arm in ("plain", "guided"):
        changed(copy, arm, energy=pl.Series(np.linspace(0.1, 0.3, 6) + 0.02 * (arm == "guided")))
    seen = see(report(copy, pictures=2))
    assert "energy rose in 6 of 6 images. The gaze hardly changed anywhere: " in seen.text
    assert "no image's energy by more than 0.020." in seen.text
    changed(copy, "guided", energy=pl.Series(np.linspace(0.1, 0.3, 6) + 0.00004))
    assert "no image's energy by as much as 0.001." in see(report(copy, pictures=2)).text
    assert "the largest change first" not in seen.text


def test_images_that_are_left_out_are_counted_with_the_reason(copy):
    here(copy)
    energy, area = [0.9, 0.8, None, 0.7, float("nan"), None], [0.2, 0.2, None, 0.2, 0.2, 1.0]
    changed(copy, "plain", area=pl.Series(area))
    changed(copy, "guided", energy=pl.Series(energy), area=pl.Series(area),
            dead=pl.Series([False] * 4 + [True, False]))  # fmt: skip
    text = see(report(copy, pictures=1)).text
    assert "energy rose in 3 of 3 images. Left out of the 6 images: " in text
    assert "1 without a region, 1 whose region is the whole image and 1 whose map is zero " in text


def test_what_correction_takes_away_is_said_at_the_row(copy):
    here(copy)
    summary = json.loads((copy / "summary.json").read_text())
    row = next(r for r in summary["comparisons"] if r["metric"] == "test.energy")
    row |= {"verdict": "no difference shown", "p_holm": 0.06}
    summary["comparisons"].append({**row, "arm": "other", "seeds": None, "images": None})
    (copy / "summary.json").write_text(json.dumps(summary))
    page = see(report(copy, pictures=0))
    assert f"+{row['both']['difference']['high']:.3f}, not after correction for 2 comp" in page.text
    assert page.row("guided − plain") is not None
    cell = next(r for r in page.rows if r and r[0] == "guided − plain|Energy on test")[5]
    assert cell == "no difference shown|not after correction for 2 comparisons"


def test_a_better_gaze_with_worse_accuracy_is_said(copy):
    here(copy)
    said = "guided has more of its maps' energy in the region than plain"
    assert said not in see(report(copy, pictures=0)).text
    summary = json.loads((copy / "summary.json").read_text())
    row = next(r for r in summary["comparisons"] if r["metric"] == "test.accuracy")
    row |= {"verdict": "lower", "p_holm": 0.01}
    row["both"]["difference"] |= {"value": -0.1, "low": -0.2, "high": -0.05}
    (copy / "summary.json").write_text(json.dumps(summary))
    text = see(report(copy, pictures=0)).text
    assert f"On test, {said}" in text
    assert "and is less accurate (−0.100)" in text


def test_lines_of_arms_that_lie_on_each_other_differ(study_folder, page):
    keys = [t["class"] for t in page.named("li") if "--tone" in t.get("style", "")]
    assert keys[2:] == ["wide", "line"] * 2
    html = (study_folder / "report.html").read_text()
    figure = next(f for f in re.findall(r"<svg role.*?</svg>", html, re.S)
                  if "Share of images at or below each energy" in f)  # fmt: skip
    widths = re.findall(r"fill: none; stroke: var\(--c(\d)\);[^\"]*?stroke-width: ([\d.]+)", figure)
    assert [(tone, float(width)) for tone, width in widths][:2] == [("5", 4.5), ("0", 1.8)]


def test_arms_are_compared_by_the_cross_entropy_and_not_by_a_loss_of_other_parts(copy):
    for arm, terms in (("plain", 0.0), ("guided", 0.5)):
        for folder in (copy / "runs").glob(f"{arm}-*"):
            own = {"loss": 0.4 + terms, "cross_entropy": 0.4}
            own |= {"loss.energy": terms} if terms else {}
            line = {"kind": "epoch", "epoch": 1, "best": True, "train": own, "val": own}
            (folder / "log.jsonl").write_text(json.dumps(line) + "\n")
    seen = see(study_report(copy))
    labels = [tag["aria-label"] for tag in seen.named("svg")]
    assert any(text.startswith("Cross-entropy on val by epoch") for text in labels)
    assert not any(text.startswith("Loss on val") for text in labels)
    assert "Not drawn is the loss" in seen.text
    for folder in (copy / "runs").glob("guided-*"):
        (folder / "log.jsonl").write_text(json.dumps(line).replace("0.9", "0.4") + "\n")
    assert "Not drawn is the loss" not in see(study_report(copy)).text


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
    assert "energy rose in 6 of 6 images. It changed by 0.05 or more in 6 of them" in page.text
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
    here(copy)
    (copy / path).unlink()
    assert said in see(report(copy, pictures=1)).text


@pytest.mark.parametrize(
    ("metric", "verdict", "word"),
    [
        ("test.energy", "higher", "better"),
        ("test.mangtr", "higher", "worse"),
        ("test.bg_gap", "higher", "worse"),
        ("test.bg_gap", "lower", "better"),
        ("test.accuracy_random_class", "lower", "worse"),
    ],
)
def test_which_direction_is_better_is_known_of_every_kind_of_metric(metric, verdict, word):
    assert quality({"metric": metric, "verdict": verdict}) == word


def test_what_does_not_hold_with_other_images_is_said_at_the_row(copy):
    here(copy)
    summary = json.loads((copy / "summary.json").read_text())
    row = next(r for r in summary["comparisons"] if r["metric"] == "test.energy")
    row |= {"verdict": "no difference shown", "p_holm": 0.2}
    row["both"]["difference"] |= {"low": -0.1, "high": 0.9}
    (copy / "summary.json").write_text(json.dumps(summary))
    page = see(report(copy, pictures=0))
    cell = next(r for r in page.rows if r and r[0] == "guided − plain|Energy on test")[5]
    assert cell == "no difference shown|over seeds on these images, not with other images"


def test_what_runs_cost_and_how_often_test_was_read(study_folder, page):
    row = next(r for r in page.rows if r[:2] == ["plain", "2"])
    assert row[2:] == ["1", "1.0", "2.0"]
    assert "The test split was read once with each of these runs." in page.text
