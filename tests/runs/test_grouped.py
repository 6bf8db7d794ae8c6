"""Images of few groups: what intervals over images do not say."""

import polars as pl
import pytest

from regard.cli.show_compare import show_comparison
from regard.cli.show_run import show_metrics
from regard.data.manifest import Manifest, read_manifest
from regard.reports.compare_report import compare_report
from regard.reports.run_report import run_report
from regard.runs.comparable import open_runs
from regard.runs.compare import compare_runs
from regard.runs.evaluate import evaluate_run
from regard.runs.grouped import groups_of
from regard.runs.run import load_run
from regard.training.train import train
from tinyset import config_of, write_set

TOLD = "The 12 images of test are of 2 groups: intervals over images take them for independent"


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
    none = manifest.table.with_columns(group=pl.lit(None, pl.String))
    assert groups_of(Manifest(none, manifest.root), "test") is None
    assert groups_of(Manifest(manifest.table.drop("group"), manifest.root), "test") is None


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
    assert "independent" not in capsys.readouterr().out
