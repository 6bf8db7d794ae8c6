"""Runs compared on the same samples: what is asked afresh, written, and refused."""

import shutil

import polars as pl
import pytest

from regard import explain, score
from regard.data.annotation import Annotation
from regard.data.sample import Draw
from regard.data.samples import Samples
from regard.data.source import samples_of
from regard.errors import ConfigError, DataError, RunError
from regard.evaluation.comparison import SCORES
from regard.evaluation.predict import model_input
from regard.runs.comparable import open_runs
from regard.runs.compare import compare_runs, default_folder, passes, refuse_folder
from regard.runs.files import read_json, write_json
from regard.runs.run import load_run, open_run
from regard.training.train import train
from tinyset import config_of, write_set


@pytest.fixture(scope="module")
def runs(tiny, tmp_path_factory):
    """Two finished runs, of two epochs and of one from another seed; not to be changed."""
    folder = tmp_path_factory.mktemp("runs")
    train(config_of("training.epochs=2"), folder / "plain", folder=tiny)
    changes = ("training.epochs=1", "training.seed=3", "gaze.contrast=true")
    train(config_of(*changes), folder / "other", folder=tiny)
    return folder


def files(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def compared(out, *texts, split="test", **options):
    return compare_runs(open_runs([str(t) for t in texts], split), split, out, **options)


@pytest.fixture(scope="module")
def done(runs, tmp_path_factory):
    out = tmp_path_factory.mktemp("compared") / "out"
    before = files(runs)
    seen = []
    summary = compared(out, runs / "plain", runs / "other", progress=seen.append)
    return out, summary, before, seen


def test_every_image_as_single_images_give_it(runs, done, tiny):
    pairs = pl.read_parquet(done[0] / "pairs.parquet")
    for end, name in (("before", "plain"), ("after", "other")):
        run = load_run(runs / name)
        samples = samples_of(run.manifest(), "test", run.classes, run.data)
        ready = Samples(samples, run.transform, annotation=Annotation("own"))
        assert pairs["index"].to_list() == [sample.index for sample in samples]
        for row, found in enumerate(pairs.iter_rows(named=True)):
            (probabilities,) = run.predict(tiny / found["image"])
            best = int(probabilities.argmax())
            assert found[f"predicted_{end}"] == run.classes[best]
            assert found[f"probability_{end}"] == pytest.approx(
                float(probabilities[best]), abs=1e-5
            )
            assert found[f"right_{end}"] == (found["label"] == run.classes[best])
            batch = ready.batch([Draw(row)])
            images = model_input(batch, run.transform, next(run.net.parameters()).device)
            maps = explain(run.net, images, batch.labels, "gradcam")
            for each in SCORES:
                value = float(score(maps, batch.regions, each))
                assert found[f"{each}_{end}"] == pytest.approx(value, abs=1e-4, nan_ok=True), each


def test_only_the_reading_is_written_into_the_runs(runs, done):
    _, _, before, seen = done
    after = files(runs)
    changed = {path.as_posix() for path in after if before.get(path) != after[path]}
    readings = {f"{name}/metrics/readings.jsonl" for name in ("plain", "other")}
    assert changed == readings
    for name in ("plain", "other"):
        (line,) = (runs / name / "metrics" / "readings.jsonl").read_text().splitlines()
        assert '"split": "test"' in line
        assert load_run(runs / name).checkpoint in line
    assert sum(seen) == 2 * 12


def test_the_summary_says_what_was_compared(runs, done):
    out, summary, _, _ = done
    assert read_json(out / "summary.json") == summary
    assert (summary["split"], summary["method"], summary["contrast"]) == ("test", "gradcam", False)
    (other,) = summary["others"]
    for told, name in ((summary["first"], "plain"), (other, "other")):
        assert (told["name"], (out / told["folder"]).resolve()) == (name, (runs / name).resolve())
        assert told["checkpoint"] == load_run(runs / name).checkpoint
    assert (summary["first"]["own_contrast"], other["own_contrast"]) == (False, True)
    pairs = pl.read_parquet(out / "pairs.parquet")
    right = [float(pairs[f"right_{end}"].to_numpy().mean()) for end in ("before", "after")]
    assert [other["accuracy"][e]["value"] for e in ("before", "after")] == pytest.approx(right)
    assert set(other["scores"]) == set(SCORES)
    # Every third image has no region.
    assert other["scores"]["magtr"]["difference"]["n"] <= 8


def test_the_same_run_twice_and_a_third_with_another_method(runs, tmp_path):
    texts = [runs / "plain", runs / "plain", f"{runs / 'plain'}@last", runs / "other"]
    opened = open_runs([str(text) for text in texts], "val")
    assert [named.name for named in opened] == ["plain", "plain-2", "plain@last", "other"]
    assert passes(opened) == len({named.key for named in opened}) <= 3
    summary = compare_runs(opened, "val", tmp_path / "out", method="saliency")
    same = summary["others"][0]
    assert same["accuracy"]["difference"]["value"] == 0
    assert all(found["difference"]["value"] == 0 for found in same["scores"].values())
    pairs = pl.read_parquet(tmp_path / "out" / "pairs.parquet")
    assert pairs["run"].unique(maintain_order=True).to_list() == ["plain-2", "plain@last", "other"]
    assert (len(pairs), summary["method"]) == (3 * 12, "saliency")
    assert (
        default_folder([named.name for named in opened]).as_posix()
        == "compare/plain-vs-plain-2-vs-plain@last-vs-other"
    )


def test_without_regions_the_predictions_alone(tmp_path):
    write_set(tmp_path / "set", regions=False)
    train(config_of("training.epochs=1"), tmp_path / "run", folder=tmp_path / "set")
    summary = compared(tmp_path / "out", tmp_path / "run", tmp_path / "run")
    (other,) = summary["others"]
    assert (other["scores"], other["unlooked"]) == ({}, None)
    assert other["outcomes"]["right_becomes_wrong"] == 0
    columns = pl.read_parquet(tmp_path / "out" / "pairs.parquet").columns
    assert "energy_before" not in columns


def test_a_checkpoint_after_the_at(runs, tmp_path):
    run = shutil.copytree(runs / "plain", tmp_path / "a@run")
    best, last = (load_run(runs / "plain", which).checkpoint for which in ("best", "last"))
    assert open_run(str(run)).checkpoint == best
    assert open_run(f"{run}@best").checkpoint == best
    assert open_run(f"{run}@last").checkpoint == open_run(f"{run}@{last}").checkpoint == last
    shutil.copytree(run / "checkpoints" / last, run / "checkpoints" / "epoch-0")
    assert open_run(f"{run}@0").checkpoint == "epoch-0"
    shutil.copytree(runs / "other", tmp_path / "a@run@0")
    assert open_run(f"{run}@0").folder == tmp_path / "a@run@0"


@pytest.mark.parametrize(
    ("after", "found"),
    [("@0", "'epoch-0'"), ("@step-77777", "step-77777"), ("@bset", "'bset'"), ("@", "nothing")],
)
def test_a_missing_checkpoint_is_told_with_those_there_are(runs, after, found):
    with pytest.raises(RunError, match=r"there are: best, last, step-\d+") as told:
        open_run(f"{runs / 'plain'}{after}")
    assert found in str(told.value)


def test_no_run_before_the_at(tmp_path):
    with pytest.raises(RunError, match="no such folder"):
        open_run(f"{tmp_path}/nowhere@0")


def test_other_classes_and_other_samples_are_refused(runs, tmp_path):
    write_set(tmp_path / "set", classes=("fern", "lichen"))
    train(config_of("training.epochs=1"), tmp_path / "run", folder=tmp_path / "set")
    with pytest.raises(RunError, match="the second without moss and with lichen"):
        open_runs([str(runs / "plain"), str(tmp_path / "run")], "test")
    write_set(tmp_path / "set", counts={"train": 24, "val": 12, "test": 9})
    train(config_of("training.epochs=1"), tmp_path / "less", folder=tmp_path / "set")
    with pytest.raises(DataError, match="12 and 9 of them, 9 by the same row"):
        open_runs([str(runs / "plain"), str(tmp_path / "less")], "test")
    write_set(tmp_path / "set")
    with pytest.raises(DataError, match="another image for 12 of 12"):
        open_runs([str(runs / "plain"), str(tmp_path / "less")], "test")
    with pytest.raises(ConfigError, match="two runs or more"):
        open_runs([str(runs / "plain")], "test")


def test_another_region_of_the_same_image_is_refused(runs, tiny, tmp_path):
    run = shutil.copytree(runs / "plain", tmp_path / "run")
    table = pl.read_parquet(tiny / "manifest.parquet")
    paths = [str(tiny / p) for p in table["image"]]
    regions = [str(tiny / "images/test-01-region.png") if p else None for p in table["region"]]
    table.with_columns(image=pl.Series(paths), region=pl.Series(regions)).write_parquet(
        tmp_path / "manifest.parquet"
    )
    text = (run / "config.yaml").read_text().splitlines()
    lines = [f"  manifest: {tmp_path}/manifest.parquet" if "manifest:" in x else x for x in text]
    (run / "config.yaml").write_text("\n".join(lines))
    with pytest.raises(DataError, match="another region for 7 of 12"):
        open_runs([str(runs / "plain"), str(run)], "test")


def test_a_folder_of_something_else_is_refused(done, tmp_path):
    refuse_folder(tmp_path / "new")
    refuse_folder(done[0])
    (tmp_path / "mine").mkdir()
    refuse_folder(tmp_path / "mine")
    (tmp_path / "mine" / "pairs.parquet").write_text("of a comparison that was stopped")
    refuse_folder(tmp_path / "mine")
    for name in ("notes.txt", "summary.json"):
        shutil.rmtree(tmp_path / "mine")
        (tmp_path / "mine").mkdir()
        write_json(tmp_path / "mine" / name, {"kind": "of mine"})
        with pytest.raises(RunError, match="a folder with other files"):
            refuse_folder(tmp_path / "mine")
    with pytest.raises(RunError, match="found a file"):
        refuse_folder(tmp_path / "mine" / "summary.json")


def test_an_unknown_method_is_refused_before_anything_is_read(runs, tmp_path):
    before = files(runs)
    with pytest.raises(ConfigError, match="did you mean gradcam"):
        compared(tmp_path / "out", runs / "plain", runs / "other", method="gradcan")
    assert files(runs) == before
    assert not (tmp_path / "out").exists()


def test_a_run_of_the_same_samples_under_other_paths_is_compared(runs, tiny, tmp_path):
    """As a retraining from corrections has them."""
    table = pl.read_parquet(tiny / "manifest.parquet")
    paths = [name for name in ("image", "region") if name in table.columns]
    table.with_columns(pl.format("{}/{}", pl.lit(str(tiny)), pl.col(n)).alias(n)
                       for n in paths).write_parquet(tmp_path / "manifest.parquet")  # fmt: skip
    train(config_of("training.epochs=1"), tmp_path / "again", folder=tmp_path)
    summary = compared(tmp_path / "out", runs / "plain", tmp_path / "again")
    assert summary["others"][0]["images"] == 12
