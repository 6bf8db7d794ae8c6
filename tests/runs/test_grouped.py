"""Images of few groups, which intervals and tests over images take whole."""

import polars as pl
import pytest
import torch

from regard.cli.show_compare import show_comparison
from regard.cli.show_run import show_metrics
from regard.data.manifest import Manifest, read_manifest
from regard.evaluation.averaging import Averages
from regard.evaluation.settings import Gaze
from regard.reports.compare_report import compare_report
from regard.reports.run_report import run_report
from regard.runs.averages import average_maps
from regard.runs.comparable import open_runs
from regard.runs.compare import compare_runs
from regard.runs.evaluate import evaluate_run
from regard.runs.grouped import drawn_groups, groups_of, told_groups
from regard.runs.run import load_run
from regard.training.train import train
from tinyset import (
    BASE,
    SEGMENTER,
    SETS,
    config_of,
    log_lines,
    write_masks,
    write_set,
    write_sets,
)

TOLD = "The 12 images of test are of 2 groups. Intervals and tests over images take whole groups"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A set whose images are of two patients a split, and two runs on it."""
    folder = tmp_path_factory.mktemp("grouped")
    write_set(folder)
    table = pl.read_parquet(folder / "manifest.parquet")
    half = (pl.int_range(pl.len()).over("split") % 2).cast(pl.String)
    table.with_columns(group=pl.col("split") + half).write_parquet(folder / "manifest.parquet")
    for name in ("one", "two"):
        train(config_of("training.epochs=1"), folder / name, folder=folder)
    return folder


def test_groups_are_counted_and_images_without_one_are_their_own(folder):
    manifest = read_manifest(folder / "manifest.parquet")
    assert [groups_of(manifest, split) for split in ("train", "test")] == [2, 2]
    group = pl.when(pl.int_range(pl.len()) % 4 > 0).then(pl.col("group"))
    some = manifest.table.with_columns(group=group)
    of_test = some.filter(split="test")["group"]
    expected = of_test.drop_nulls().n_unique() + of_test.null_count()
    assert groups_of(Manifest(some, manifest.root), "test") == expected > 2
    empty = pl.when(pl.int_range(pl.len()) % 4 > 0).then(pl.col("group")).otherwise(pl.lit(" "))
    blank = Manifest(manifest.table.with_columns(group=empty), manifest.root)
    assert groups_of(blank, "test") == expected
    assert len(drawn_groups(blank, range(48))) == 36
    assert drawn_groups(manifest, manifest.select("test")["index"][:1]) == {}
    none = manifest.table.with_columns(group=pl.lit(None, pl.String))
    assert groups_of(Manifest(none, manifest.root), "test") is None
    assert groups_of(Manifest(manifest.table.drop("group"), manifest.root), "test") is None


def test_groups_that_the_net_has_learned_from_are_told(tmp_path, capsys):
    write_set(tmp_path)
    table = pl.read_parquet(tmp_path / "manifest.parquet")
    of = pl.int_range(pl.len()).over("split") % 4
    # Of the four patients of test one lies in train and one in val; val has one of train.
    names = {"train": "abcd", "val": "aefg", "test": "behi"}
    found = pl.Series([names[split][n] for split, n in table.select("split", of).rows()])
    table.with_columns(group=found).write_parquet(tmp_path / "manifest.parquet")
    manifest = read_manifest(tmp_path / "manifest.parquet")
    told = {"groups": 4, "groups_learned": 2}
    assert told_groups(manifest, "test") == told
    assert told_groups(manifest, "val") == told | {"groups_learned": 1}
    for name in ("one", "two"):
        train(config_of("training.epochs=1"), tmp_path / name, folder=tmp_path)
    notes = [line["text"] for line in log_lines(tmp_path / "one") if line["kind"] == "note"]
    for split, count in (("val", 1), ("test", 2)):
        assert any(f"groups of {split} that lie in other splits, too: {count}" in n for n in notes)
    said = "of 4 groups, and 2 of these lie in other splits, too"
    run = load_run(tmp_path / "one")
    values = evaluate_run(run, "test")
    assert {key: values[key] for key in told} == told
    show_metrics(values, run.files)
    runs = open_runs([str(tmp_path / "one"), str(tmp_path / "two")], "test")
    show_comparison(compare_runs(runs, "test", tmp_path / "out"))
    assert " ".join(capsys.readouterr().out.split()).count(said) == 2
    run_report(tmp_path / "one", tmp_path / "one.html", pictures=0)
    assert said in (tmp_path / "one.html").read_text()


def test_it_is_said_wherever_intervals_over_images_are(folder, tmp_path, capsys):
    for name in ("one", "two"):
        run = load_run(folder / name)
        values = evaluate_run(run, "test")
        assert (values["groups"], values["images"]) == (2, 12)
    show_metrics(values, run.files)
    assert TOLD in " ".join(capsys.readouterr().out.split())
    run_report(folder / "one", tmp_path / "one.html", pictures=0)
    assert TOLD in (tmp_path / "one.html").read_text()
    runs = open_runs([str(folder / "one"), str(folder / "two")], "test")
    summary = compare_runs(runs, "test", tmp_path / "out")
    show_comparison(summary)
    assert TOLD in " ".join(capsys.readouterr().out.split())
    compare_report(tmp_path / "out", tmp_path / "out.html", pictures=0)
    assert TOLD in (tmp_path / "out.html").read_text()


def test_nothing_is_said_where_no_groups_are_told(folder, tmp_path, capsys):
    write_set(tmp_path)
    train(config_of("training.epochs=1"), tmp_path / "run", folder=tmp_path)
    run = load_run(tmp_path / "run")
    values = evaluate_run(run, "test")
    assert values["groups"] is None
    show_metrics(values, run.files)
    assert "groups" not in capsys.readouterr().out


def with_four_groups(folder):
    """Its manifest with four groups a split, of neighbours in it."""
    path = folder / "manifest.parquet"
    quarter = pl.int_range(pl.len()).over("split") * 4 // pl.len().over("split")
    table = pl.read_parquet(path)
    table.with_columns(group=pl.col("split") + quarter.cast(pl.String)).write_parquet(path)


def intervals_in(values):
    """Every interval in what is written as JSON, with the path to it."""
    if isinstance(values, dict):
        if {"low", "high", "groups"} <= values.keys():
            yield (), values
        for key, own in values.items():
            yield from (((key, *path), found) for path, found in intervals_in(own))
    elif isinstance(values, list):
        for own in values:
            yield from intervals_in(own)


TASKS = {"labels": (write_set, BASE), "masks": (write_masks, SEGMENTER), "sets": (write_sets, SETS)}


@pytest.mark.parametrize("task", TASKS)
def test_every_interval_of_a_run_and_of_a_comparison_is_over_groups(tmp_path, task):
    write, base = TASKS[task]
    write(tmp_path, **({"count": 32} if task == "masks" else {}))
    with_four_groups(tmp_path)
    for seed, name in enumerate(("one", "two")):
        config = config_of("training.epochs=1", f"training.seed={seed}", base=base)
        train(config, tmp_path / name, folder=tmp_path)
        run = load_run(tmp_path / name)
        gaze = Gaze(method="gradcam", scores=["energy", "iou"])
        values = evaluate_run(run, "test", gaze=[gaze], backgrounds=task == "labels")
        found = dict(intervals_in(values))
        assert ("metrics", "accuracy") in found
        assert any(path[0] == "gaze" for path in found)
        for path, own in found.items():
            # Of as many images as groups each is its own.
            if own["n"] > 4 and own["low"] is not None:
                assert own["groups"] in (2, 3, 4), path
        assert found["metrics", "accuracy"]["groups"] == 4
        written = ["predictions", "scores", *(["backgrounds"] if task == "labels" else [])]
        for what in written:
            table = pl.read_parquet(getattr(run.files, what)("test"))
            groups = read_manifest(tmp_path / "manifest.parquet").table["group"]
            assert table["group"].to_list() == groups[table["index"].to_list()].to_list()
            before = "image" if "image" in table.columns else "index"
            assert table.columns.index("group") == table.columns.index(before) + 1
        again = evaluate_run(run, "test", gaze=[gaze.model_copy(update={"method": "layercam"})])
        assert again["gaze"]["gradcam"] == values["gaze"]["gradcam"]
    runs = open_runs([str(tmp_path / "one"), str(tmp_path / "two")], "test")
    (other,) = compare_runs(runs, "test", tmp_path / "out")["others"]
    told = [(path, own) for path, own in intervals_in(other) if "difference" in path]
    assert len(told) > 8
    for path, own in told:
        if own["n"] > 4 and own["low"] is not None:
            assert own["groups"] in (2, 3, 4), path
    assert pl.read_parquet(tmp_path / "out/pairs.parquet")["group"].n_unique() == 4
    rows = average_maps(load_run(tmp_path / "one"), "test", "gradcam", tmp_path / "maps")["rows"]
    alone = Averages(("a",), (4, 4), {0: "p", 1: "p", 2: "q"})
    maps = torch.rand(4, 4, 4, generator=torch.manual_seed(0))
    alone.add(maps, torch.zeros(4, dtype=torch.int64), 200 * maps[:, None].expand(-1, 3, -1, -1),
              None, torch.arange(4))  # fmt: skip
    assert alone.groups()[0].units.sizes.tolist() == [2, 1, 1]
    assert rows[0]["mass_low"] < rows[0]["mass"] < rows[0]["mass_high"]


def test_what_a_threshold_finds_on_val_is_over_groups_however_val_came_to_be_known(
    tmp_path, capsys
):
    write_set(tmp_path)
    with_four_groups(tmp_path)
    config = config_of("training.epochs=1", "evaluate.target_recall=0.7")
    train(config, tmp_path / "run", folder=tmp_path)
    run = load_run(tmp_path / "run")
    values = evaluate_run(run, "test")
    asked_for_it = values["threshold"]
    assert {own["groups"] for own in asked_for_it["metrics"].values()} <= {2, 3, 4}
    show_metrics(values, run.files)
    told = " ".join(capsys.readouterr().out.split())
    positives, groups = asked_for_it["positives"], asked_for_it["metrics"]["recall"]["groups"]
    assert f"over {positives} images of {groups} groups" in told
    of_val = evaluate_run(run, "val")
    for name, own in asked_for_it["metrics"].items():
        assert own == of_val["threshold"]["metrics"][name]
        assert own == of_val["metrics"][f"{name}_at_threshold"]
    run_report(run.folder, pictures=0)
    page = (run.folder / "report.html").read_text()
    assert f"of which {positives}, of {groups} groups, are moss; recall there is" in page
    # Of predictions that were written before groups were told, too.
    table = pl.read_parquet(run.files.predictions("val"))
    table.drop("group").write_parquet(run.files.predictions("val"))
    run.files.threshold.unlink()
    assert evaluate_run(run, "test")["threshold"] == of_val["threshold"]


def test_of_one_group_intervals_are_over_its_images(tmp_path, capsys):
    write_set(tmp_path)
    train(config_of("training.epochs=1"), tmp_path / "run", folder=tmp_path)
    run = load_run(tmp_path / "run")
    before = evaluate_run(run, "test")
    path = tmp_path / "manifest.parquet"
    pl.read_parquet(path).with_columns(group=pl.col("split")).write_parquet(path)
    run = load_run(tmp_path / "run")
    values = evaluate_run(run, "test")
    assert values == before | {"groups": 1, "groups_learned": 0}
    assert "group" not in pl.read_parquet(run.files.predictions("test")).columns
    show_metrics(values, run.files)
    said = "The 12 images of test are of 1 group: intervals and tests are over its images, and say"
    assert said in " ".join(capsys.readouterr().out.split())


def test_what_was_scored_before_groups_were_told_has_them(tmp_path):
    write_set(tmp_path)
    train(config_of("training.epochs=1"), tmp_path / "run", folder=tmp_path)
    gaze = Gaze(method="gradcam", scores=["energy"])
    before = evaluate_run(load_run(tmp_path / "run"), "test", gaze=[gaze])
    assert before["gaze"]["gradcam"]["scores"]["energy"]["groups"] is None
    with_four_groups(tmp_path)
    other = gaze.model_copy(update={"method": "layercam"})
    values = evaluate_run(load_run(tmp_path / "run"), "test", gaze=[other])["gaze"]
    energy = {name: own["scores"]["energy"] for name, own in values.items()}
    assert {name: own["groups"] for name, own in energy.items()} == {
        "gradcam": 4,
        "layercam": 4 if energy["layercam"]["n"] else None,
    }
    scores = pl.read_parquet(tmp_path / "run/scores/test.parquet")
    assert scores.filter(method="gradcam")["group"].n_unique() == 4
    assert scores["group"].null_count() == 0


def test_mean_maps_of_one_group_have_intervals_over_its_images(tmp_path):
    write_set(tmp_path)
    path = tmp_path / "manifest.parquet"
    pl.read_parquet(path).with_columns(group=pl.col("split")).write_parquet(path)
    train(config_of("training.epochs=1"), tmp_path / "run", folder=tmp_path)
    row = average_maps(load_run(tmp_path / "run"), "test", "gradcam", tmp_path / "maps")["rows"][0]
    assert row["mass_low"] < row["mass"] < row["mass_high"]
