import json
import re
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from pages import HOSTILE, MATHS, see
from sklearn.metrics import average_precision_score

from regard.errors import RunError
from regard.evaluation.curves import precision_recall_curve
from regard.evaluation.table import predictions_table
from regard.reports import gaze, report, run_report
from regard.reports.album import photo_limit
from regard.reports.blocks import Card, Gallery, Page, Picture, Section
from regard.reports.class_curves import _steps
from regard.reports.drawing import canvas, plot
from regard.reports.galleries import ends
from regard.reports.history import calm
from regard.reports.layers import heat, outline, photo
from regard.reports.page import render
from regard.saliency.resizing import resize


@pytest.fixture(scope="module")
def page(trained):
    return see(run_report(trained, pictures=3))


def test_numbers_are_those_of_the_files(trained, page):
    metrics = json.loads((trained / "metrics" / "test.json").read_text())
    for name, shown in {"accuracy": "Accuracy", "brier": "Brier score", "f1": "F1"}.items():
        value = metrics["metrics"][name]
        row = page.row(shown)
        assert row[1] == f"{value['value']:.3f}"
        assert row[2].split("|")[0] == f"{value['low']:.3f} to {value['high']:.3f}"
    counts = metrics["metrics"]["confusion"]
    found = [row for row in page.rows if re.fullmatch(r"\d+\|[\d.]+\s%", ([*row, "", ""])[1])]
    assert [[int(cell.split("|")[0]) for cell in row[1:]] for row in found] == counts
    accuracy = metrics["metrics"]["accuracy"]["value"]
    assert f"On test, {accuracy:.1%}".replace("%", " %") in page.text
    assert "The test split was evaluated once." in page.text


def test_gaze_is_held_against_a_uniform_map_and_the_best(trained, page):
    scores = pl.read_parquet(trained / "scores" / "test.parquet")
    defined = scores.filter(pl.col("energy").is_not_nan())
    row = page.row("Energy")
    assert row[1].split("|")[0] == f"{defined['energy'].mean():.3f}"
    assert row[2] == f"{defined['area'].mean():.3f}"
    assert row[3] == "1.000"
    gain = page.row("Energy gain")
    assert gain[2:4] == ["1.000", f"{(1 / defined['area']).mean():.3f}"]


def two_methods(path):
    """The run's own method, and one that is worse by energy and dead on two of the images."""
    energy = pl.Series([0.4, 0.35, 0.5, 0.62, 0.58, 0.71])
    own = pl.read_parquet(path).with_columns(energy=energy, energy_gain=5 * energy, dead=False)
    dead = pl.int_range(pl.len()) < 2
    less = pl.Series([0.0, 0.0, 0.30, 0.31, 0.32, 0.29])
    other = own.with_columns(
        method=pl.lit("layercam"),
        dead=dead,
        energy=pl.when(dead).then(float("nan")).otherwise(energy - less),
    )
    pl.concat([own, other]).write_parquet(path)
    return own, other


def test_methods_are_ranked_from_the_stored_scores(run_folder):
    own, other = two_methods(run_folder / "scores" / "test.parquet")
    page = see(run_report(run_folder, pictures=0))
    assert "Methods compared" in page.text
    defined = other["energy"].is_finite()
    rows = [row for row in page.rows if row[0] == "Energy|higher is better"]
    assert len(rows) == 1
    assert rows[0][1] == str(defined.sum())
    assert rows[0][2].split("|")[0] == f"{own.filter(defined)['energy'].mean():.3f}"
    assert rows[0][3].split("|")[0] == f"{other.filter(defined)['energy'].mean():.3f}"
    difference = (other["energy"] - own["energy"]).filter(defined).mean()
    row = page.row("layercam − gradcam")
    assert row[1].split("|")[0] == f"{difference:.3f}".replace("-", "−")
    assert row[3] == "not told apart"  # four images of one sign would be so one time in eight
    share = 2 / own.height
    assert page.row("Dead maps")[3] == f"{share:.1%}".replace("%", "\N{NO-BREAK SPACE}%")
    assert f"there are many by layercam ({share * 100:.1f}" in page.text


def test_what_the_loss_is_the_sum_of_is_said(run_folder):
    def told(train, val):
        line = {"kind": "epoch", "epoch": 1, "best": True, "train": train, "val": val}
        (run_folder / "log.jsonl").write_text(json.dumps(line) + "\n")
        page = see(run_report(run_folder, pictures=0))
        drawn = [tag["aria-label"].partition(" over")[0] for tag in page.named("svg")]
        return [name for name in drawn if name in ("Loss", "Cross-entropy")], page.text

    alone = {"loss": 1.128049612, "cross_entropy": 1.128049731}
    drawn, text = told(alone, alone)
    assert drawn == ["Loss"]
    assert "at the best epoch; cross-entropy alone" in text
    parts = {"loss": 1.5, "cross_entropy": 1.0, "loss.energy": 0.5}
    drawn, text = told(parts, parts)
    assert drawn == ["Loss", "Cross-entropy"]
    assert "at the best epoch; cross-entropy and the terms that follow" in text
    assert "of which val has not all" not in text
    assert "of which val has not all" in told(parts | {"loss.distil": 0.1}, parts)[1]


def test_a_number_and_its_per_cent_stay_on_one_line(trained):
    html = run_report(trained, pictures=0).read_text(encoding="utf-8")
    assert "95\N{NO-BREAK SPACE}% interval" in html
    shown = re.sub(r"<(style|script|pre).*?</\1>|<[^>]*>", "", html, flags=re.S)
    assert not re.search(r"\d %", shown)


def test_one_method_alone_is_not_ranked(page):
    assert "Methods compared" not in page.text


def test_what_a_uniform_map_reaches_too_is_no_best_map(run_folder):
    path = run_folder / "scores" / "test.parquet"
    pl.read_parquet(path).with_columns(magtr=pl.lit(0.4)).write_parquet(path)
    page = see(run_report(run_folder, pictures=0))
    assert page.row("MAGTR")[2:4] == ["1.000", "–"]
    assert "how bright the map is there, not where it looks" in page.text


def test_terms_are_said_at_the_foot_and_linked_from_first_use(trained, page):
    html = run_report(trained).read_text()
    links = [t["href"][1:] for t in page.named("a") if t.get("class") == "term"]
    lines = [t["id"] for t in page.named("dt") if t.get("id", "").startswith("word-")]
    assert sorted(links) == sorted(lines)
    assert {"word-energy", "word-energy-gain", "word-uniform-map"} <= set(lines)
    assert "word-holm" not in lines
    assert html.index('href="#word-energy"') < html.index('id="word-energy"')


def test_guidance_and_maps_on_contrast_are_said(run_folder):
    config = yaml.safe_load((run_folder / "config.yaml").read_text())
    config["gaze"]["contrast"] = config["guidance"]["terms"][0]["contrast"] = True
    (run_folder / "config.yaml").write_text(yaml.safe_dump(config))
    page = see(run_report(run_folder, pictures=1))
    assert "Its gaze was guided by energy on the contrast map, weight 1, with each" in page.text
    assert "Maps by gradcam with contrast, each over its own maximum." in page.text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"combine": "product"}, "weight 1, as a product with the cross-entropy, with each"),
        ({"combine": "uncertainty"}, "weight 1, in a sum with learned weights, with each"),
        ({"cross_entropy": 0.5}, "weight 1, added to 0.5 times the cross-entropy, with each"),
        ({"terms.0.warmup_epochs": 2}, "weight 1 after 2 epochs of warm-up, with each"),
        ({"share": 0.1}, "with 10.0 % of the annotated samples, each with its own region"),
    ],
)
def test_how_terms_are_combined_is_said(run_folder, changes, said):
    config = yaml.safe_load((run_folder / "config.yaml").read_text())
    config["training"]["best"] = "last"
    for key, value in changes.items():
        place = config["guidance"]["terms"][0] if "terms" in key else config["guidance"]
        place[key.rpartition(".")[2]] = value
    (run_folder / "config.yaml").write_text(yaml.safe_dump(config))
    text = see(run_report(run_folder, pictures=0)).text.replace("\N{NO-BREAK SPACE}", " ")
    assert said in text
    assert "; the last is kept." in text


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ("bundled", "trained from the bundled ImageNet weights to tell"),
        ("../../home/me/net.safetensors", "trained from the weights in net.safetensors to tell"),
        (None, "trained from random weights to tell"),
    ],
)
def test_where_a_training_started_is_said(run_folder, weights, said):
    config = yaml.safe_load((run_folder / "config.yaml").read_text())
    config["model"]["weights"] = weights
    (run_folder / "config.yaml").write_text(yaml.safe_dump(config))
    assert said in see(run_report(run_folder, pictures=0)).text


@pytest.mark.parametrize(
    ("checkpoints", "said"),
    [
        (["step-1"] * 2, "The test split was evaluated 2 times, of one checkpoint."),
        (["step-1", "step-2"], "The test split was evaluated 2 times, of 2 checkpoints; to choose"),
    ],
)
def test_readings_are_told_by_checkpoint(run_folder, checkpoints, said):
    lines = [json.dumps({"split": "test", "checkpoint": name}) for name in checkpoints]
    (run_folder / "metrics" / "readings.jsonl").write_text("".join(f"{line}\n" for line in lines))
    assert said in see(run_report(run_folder, pictures=0)).text


def test_no_path_of_the_machine_stands_under_a_picture(run_folder):
    """Neither under pictures of absolute paths, nor where one cannot be read."""
    config = yaml.safe_load((run_folder / "config.yaml").read_text())
    manifest = Path(run_folder / config["data"]["manifest"]).resolve()
    table, folder = pl.read_parquet(manifest), manifest.parent
    moved = run_folder.parent / "elsewhere" / "m.parquet"
    moved.parent.mkdir()
    paths = {c: pl.concat_str(pl.lit(f"{folder}/"), pl.col(c)) for c in ("image", "region")}
    table = table.with_columns(**paths)
    table.write_parquet(moved)
    path = run_folder / "predictions" / "test.parquet"
    pl.read_parquet(path).with_columns(image=paths["image"]).write_parquet(path)
    config["data"]["manifest"] = str(moved)
    (run_folder / "config.yaml").write_text(yaml.safe_dump(config))
    page = see(run_report(run_folder, pictures=2))
    assert page.named("img")
    assert not any(str(folder) in tag["alt"] for tag in page.named("img"))
    assert str(folder) not in page.text.split("config.yaml")[0]


def test_without_any_region_there_is_no_switch_for_outlines():
    plain = Picture("data:,", "a photo", 4, 4, "data:,")
    outlined = Picture("data:,", "a photo", 4, 4, "data:,", "M0 0L1 1")
    for pictures, switches in (([plain], 0), ([plain, outlined], 1)):
        gallery = Gallery("all", "", [Card(pictures, "x")])
        html = render(Page("Run", "r", "", [Section("s", "S", [gallery])]))
        assert html.count('class="outlines"') == switches


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [((0.50, 0.54), 0.38, 0.66), ((0.97, 1.0), 0.74, 1.01), ((0.0, 0.01), -0.01, 0.26)],
)
def test_an_axis_of_shares_spans_a_quarter_at_the_least(values, low, high):
    with canvas() as drawn:
        axes = plot(drawn, "epoch")
        axes.plot([1, 2], values)
        calm(axes, "accuracy")
        assert axes.get_ylim()[1] - axes.get_ylim()[0] >= 0.25
        assert low <= axes.get_ylim()[0] <= values[0]
        assert values[1] <= axes.get_ylim()[1] <= high


@pytest.mark.parametrize("name", ["loss", "loss.energy", "energy_gain"])
def test_an_axis_without_bounds_is_not_filled_by_the_last_digits(name):
    with canvas() as drawn:
        axes = plot(drawn, "epoch")
        axes.plot([1, 2], [1.00001, 1.00002])
        calm(axes, name)
        low, high = axes.get_ylim()
        assert high - low == pytest.approx(0.02, rel=0.01)
        axes.plot([3], [1.5])
        axes.autoscale()
        calm(axes, name)
        assert axes.get_ylim()[1] < 1.6


def test_ticks_are_at_round_numbers():
    with canvas() as drawn:
        axes = plot(drawn, "epoch")
        axes.plot([1, 2], [0.745, 1.005])
        ticks = axes.get_yticks()
        assert np.allclose(np.diff(ticks), 0.05)


def test_right_is_drawn_against_wrong_where_there_are_both(run_folder):
    path = run_folder / "scores" / "test.parquet"
    table = pl.read_parquet(path)
    for correct, drawn in ((pl.lit(True), False), (pl.int_range(pl.len()) > 1, True)):
        table.with_columns(correct=correct).write_parquet(path)
        labels = [t["aria-label"] for t in see(run_report(run_folder, pictures=0)).named("svg")]
        assert any(text.startswith("Share of images at or below") for text in labels) == drawn


def test_precision_and_recall_are_drawn_as_steps_whose_area_is_the_average_precision():
    rng = np.random.default_rng(0)
    truth = rng.random(60) < 0.3
    sure = np.round(np.clip(0.3 * truth + rng.random(60) * 0.7, 0, 1), 2)
    sure[~truth] = np.where(np.arange((~truth).sum()) == 0, 1.0, sure[~truth])  # the first is wrong
    table = predictions_table(list(range(60)), [str(i) for i in range(60)], (~truth).astype(int),
                              np.stack([sure, 1 - sure], 1), ["yes", "no"])  # fmt: skip
    recall, precision = _steps(precision_recall_curve(table, "yes"))
    assert recall[0] == 0
    assert min(precision) > 0
    area = sum((recall[i] - recall[i - 1]) * precision[i] for i in range(1, len(recall)))
    assert area == pytest.approx(average_precision_score(truth, sure), abs=1e-12)


def test_best_epoch_and_counts_by_class(trained, page):
    log = [json.loads(line) for line in (trained / "log.jsonl").read_text().splitlines()]
    loss = next(r for r in log if r["kind"] == "epoch")["val"]["loss"]
    assert f"val {loss:.3f} at the best epoch" in page.text
    assert page.row(HOSTILE) == [HOSTILE, "4", "1", "3", "8"]


def test_hostile_names_are_text_and_nothing_else(page):
    assert HOSTILE in page.text
    assert MATHS in page.text
    assert all(tag["src"].startswith("data:image/") for tag in page.named("img"))
    assert not any(name.startswith("on") for tag in page.tags for name in tag.attributes)
    assert len(page.named("script")) == 1


def test_only_the_pages_own_script_may_run(trained, page):
    policy = next(t["content"] for t in page.named("meta") if "http-equiv" in t)
    assert "default-src 'none'" in policy
    assert "script-src 'sha256-" in policy
    assert "'unsafe-inline'" not in policy.split("script-src")[1]


def test_nothing_is_asked_of_the_network(trained, page):
    html = run_report(trained).read_text()
    assert "http://" not in html
    assert "https://" not in html
    assert page.named("link") == []
    assert re.findall(r"url\((?!#)", html) == []
    assert {t["href"][0] for t in page.named("a")} == {"#"}


def test_every_picture_says_what_it_shows(page):
    images, figures = page.named("img"), [t for t in page.named("svg")]
    assert len(images) > 6
    assert len(figures) > 10
    assert all(tag["alt"].strip() for tag in images)
    assert all(tag["aria-label"].strip() for tag in figures)


def test_names_within_figures_are_unique_and_found(trained):
    html = run_report(trained).read_text()
    names = re.findall(r' id="([^"]+)"', html)
    assert len(names) == len(set(names))
    assert set(re.findall(r"url\(#([^)]+)\)", html)) <= set(names)
    assert set(re.findall(r'href="#([^"]+)"', html)) <= set(names)


def test_figures_take_their_colours_from_the_style_sheet(trained):
    figures = re.findall(r"<svg role.*?</svg>", run_report(trained).read_text(), re.S)
    assert any("var(--c0)" in figure for figure in figures)
    assert not any(re.search(r"(fill|stroke): #", figure) for figure in figures)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("metrics/test.json", "metrics/test.json is not there"),
        ("predictions/test.parquet", "predictions/test.parquet is not there"),
        ("scores/test.parquet", "scores/test.parquet is not there"),
        ("metrics/readings.jsonl", "not on record how often"),
        ("log.jsonl", "no finished epoch"),
        ("checkpoints", "Pictures of test are left out"),
    ],
)
def test_a_missing_file_is_said(run_folder, path, said):
    gone = run_folder / path
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    pictures = int(path == "checkpoints")
    assert said in see(run_report(run_folder, pictures=pictures)).text


def test_a_damaged_file_is_said(run_folder):
    (run_folder / "scores" / "test.parquet").write_bytes(b"PAR1 nonsense")
    assert "scores/test.parquet cannot be read" in see(run_report(run_folder, pictures=0)).text


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("metrics/test.json", '"x"', "metrics/test.json cannot be read"),
        ("metrics/test.json", '{"metrics": 1}', "metrics/test.json cannot be read"),
        ("metrics/test.json", '{"gaze": {"gradcam": 1}}', "metrics/test.json cannot be read"),
        ("metrics/test.json", '{"metrics": null}', ""),
        ("environment.json", "null", ""),
        ("log.jsonl", '{"kind": "epoch", "epoch": 1e308}\n', "no finished epoch"),
        ("log.jsonl", '{"kind": "epoch", "epoch": "x"}\n', "no finished epoch"),
    ],
)
def test_what_is_no_file_of_a_run_counts_as_one_that_cannot_be_read(run_folder, path, text, said):
    (run_folder / path).write_text(text)
    assert said in see(run_report(run_folder, pictures=0)).text


def test_what_metrics_lack_is_one_line(run_folder):
    values = json.loads((run_folder / "metrics/test.json").read_text())
    del values["metrics"]["per_class"]
    (run_folder / "metrics/test.json").write_text(json.dumps(values))
    with pytest.raises(RunError, match=r"expected files as this version .*'per_class'; evaluate"):
        run_report(run_folder, pictures=0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"classes": [1, 2]}, "classes are no list of names"),
        ({"classes": "ab"}, "classes are no list of names"),
        ({"data": None}, "KeyError\\('data'\\)"),
        ({"training": 3}, "KeyError\\('training'\\)"),
    ],
)
def test_a_config_of_another_kind_is_one_line(run_folder, change, said):
    config = yaml.safe_load((run_folder / "config.yaml").read_text()) | change
    (run_folder / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(RunError, match=said):
        run_report(run_folder, pictures=0)


def test_a_lost_manifest_leaves_out_counts_and_pictures(run_folder):
    text = (run_folder / "config.yaml").read_text()
    (run_folder / "config.yaml").write_text(text.replace("manifest.parquet", "gone.parquet"))
    page = see(run_report(run_folder, pictures=1))
    assert "the manifest cannot be read" in page.text
    assert "Pictures of test are left out" in page.text
    assert page.named("img") == []


def test_another_manifest_shows_no_wrong_pictures(run_folder, tmp_path):
    path = run_folder / "predictions" / "test.parquet"
    table = pl.read_parquet(path).with_columns(image=pl.col("image").reverse())
    table.write_parquet(path)
    page = see(run_report(run_folder, pictures=1))
    assert "not the one that the predictions were made with" in page.text
    # The config still says what it was trained on.
    assert {tag["alt"].partition(",")[0] for tag in page.named("img")} == {"training image"}


def test_a_run_that_was_never_evaluated(run_folder):
    for kind in ("metrics", "predictions", "scores"):
        shutil.rmtree(run_folder / kind)
    assert "No split has been evaluated yet" in see(run_report(run_folder)).text


def test_nothing_but_the_report_is_left_behind(run_folder, tmp_path):
    before = set(run_folder.rglob("*"))
    out = tmp_path / "elsewhere" / "page.html"
    steps = []
    assert report(run_folder, out, pictures=1, progress=steps.append) == out
    assert set(run_folder.rglob("*")) == before
    assert [path.name for path in out.parent.iterdir()] == ["page.html"]
    assert sum(steps) >= 2


def test_a_folder_that_is_neither(tmp_path):
    with pytest.raises(
        RunError, match=r"config\.yaml .a run., study\.yaml or tuning\.yaml, found none of them"
    ):
        report(tmp_path)
    with pytest.raises(RunError, match="no such folder"):
        report(tmp_path / "none")


def test_a_page_of_500_noisy_pictures_stays_under_15_mb():
    generator = torch.manual_seed(0)
    noise = torch.randint(0, 256, (3, 360, 360), generator=generator).byte()
    rough = resize(torch.rand(1, 14, 14, generator=generator), (128, 128))[0]
    path = outline(resize(rough[None], (360, 360))[0])
    picture = Picture(photo(noise, photo_limit(500)), "noise", 360, 360, heat(rough), path)
    gallery = Gallery("all", "", [Card([picture], "noise")] * 500)
    html = render(Page("Run", "large", "", [Section("s", "S", [gallery])]))
    assert html.count("data:image/jpeg") == 500
    assert len(html.encode()) < 15e6


def test_colours_of_shares_follow_the_counts(trained, page):
    cells = [t["style"] for t in page.named("td") if "--share" in t.get("style", "")]
    counts = np.array(
        json.loads((trained / "metrics/test.json").read_text())["metrics"]["confusion"]
    )
    shares = counts / counts.sum(1, keepdims=True) * 100
    assert cells == [f"--share:{share:.1f}%" for share in shares.flatten()]


@pytest.mark.parametrize(
    ("rising", "low", "high"),
    [([], [], []), ([1], [1], []), ([1, 2, 3], [1, 2], [3]), ([*range(9)], [0, 1, 2], [8, 7, 6])],
)
def test_no_image_looks_elsewhere_and_at_the_region(rising, low, high):
    assert ends(rising, 3) == (low, high)


def test_energy_against_correctness_is_a_share_whatever_its_interval_would_be():
    """Of three groups whose energies are far apart, the mean's bounds would leave 0 to 1."""
    rows = {"index": range(6), "correct": [True] * 4 + [False] * 2, "group": list("aabcdd")}
    energy = [0.02, 0.02, 0.9, 0.95, 0.4, 0.5]
    scores = pl.DataFrame(rows | {"label": ["a"] * 6, "energy": energy})
    table = gaze.against_correctness(scores)[1]
    right, wrong, _ = table.rows
    assert right[3].text == "0.000 to 1.000"
    assert (right[4].span.low, right[4].span.high) == (0, 1)
    assert wrong[3].text == "–"


def test_a_mark_far_away_does_not_squeeze_a_histogram():
    values = np.array([0.5, 1.0, 1.5])
    assert gaze._reach(values, unit=False) == (-1.0, 3.0)
    assert gaze._reach(values / 2, unit=True) == (0.0, 1.0)
