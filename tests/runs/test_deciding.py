"""The threshold of a run: chosen on val alone, kept, applied to what is evaluated after it."""

import json
import shutil

import polars as pl
import pytest

from regard.cli.show_run import show_metrics
from regard.data.loader import Loader
from regard.errors import ConfigError, RegardError, RunError
from regard.evaluation.settings import Evaluate, Gaze
from regard.evaluation.thresholds import AT_THRESHOLD, Choice, at_threshold, choose
from regard.reports.blocks import Table, Text
from regard.reports.class_curves import ranking_curves
from regard.reports.contents import read_run
from regard.reports.predictions import metrics_table
from regard.reports.threshold import threshold_blocks
from regard.runs.deciding import with_options
from regard.runs.evaluate import evaluate_run
from regard.runs.files import read_json, write_json, write_yaml
from regard.runs.run import load_run
from regard.studies.arm import evaluated, split_numbers
from regard.studies.preflight import _refuse_undecided
from regard.training.prepare import prepare
from regard.training.train import train
from tinyset import SEGMENTER, config_of, write_masks, write_set

RECALL = Evaluate(target_recall=0.75)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("decided")
    write_set(folder)
    train(config_of("training.epochs=1", "training.batch_size=4"), folder / "run", folder=folder)
    return folder / "run"


@pytest.fixture
def run(trained, tmp_path):
    """A copy beside the samples, to be written into."""
    folder = trained.parent / tmp_path.name
    yield load_run(shutil.copytree(trained, folder))
    shutil.rmtree(folder)


def test_it_is_chosen_on_val_and_applied_to_test(run):
    values = evaluate_run(run, "test", decide=RECALL)
    kept = read_json(run.files.threshold)
    assert values["threshold"] == kept == json.loads(json.dumps(kept))
    assert not run.files.predictions("val").exists()
    reads = [json.loads(line)["split"] for line in run.files.readings.read_text().splitlines()]
    assert reads == ["val", "test"]

    evaluate_run(run, "val")
    val = pl.read_parquet(run.files.predictions("val"))
    choice = Choice("recall", 0.75, "moss")
    assert kept["threshold"] == pytest.approx(choose(val, choice), rel=1e-6)
    told = {"by": "recall", "target": 0.75, "positive": "moss", "split": "val",
            "checkpoint": run.checkpoint, "images": 12, "positives": 4}  # fmt: skip
    assert told.items() <= kept.items()
    assert kept["metrics"]["recall"]["value"] == 0.75

    test = pl.read_parquet(run.files.predictions("test"))
    for name, interval in at_threshold(test, "moss", kept["threshold"]).items():
        assert values["metrics"][f"{name}_at_threshold"] == interval.as_dict()
    assert {f"test.{name}" for name in AT_THRESHOLD} <= split_numbers(
        values, "test", "gradcam"
    ).keys()


def test_what_val_was_predicted_to_be_is_read_and_not_made_again(run, monkeypatch):
    evaluate_run(run, "val")
    splits, own = [], Loader.batches
    monkeypatch.setattr(
        Loader, "batches", lambda loader, *a: splits.append(len(loader.data)) or own(loader, *a)
    )
    evaluate_run(run, "test", decide=RECALL)
    assert splits == [12]


def test_it_stays_until_another_is_asked_for(run):
    first = evaluate_run(run, "test", decide=RECALL)
    assert evaluate_run(run, "test")["threshold"] == first["threshold"]
    scored = evaluate_run(run, "test", gaze=[Gaze(scores=("energy",))])
    assert scored["threshold"] == first["threshold"]
    assert scored["metrics"] == first["metrics"]
    other = evaluate_run(run, "test", decide=Evaluate(threshold="youden"))["threshold"]
    assert (other["by"], other["target"]) == ("youden", None)
    assert evaluate_run(run, "val")["threshold"]["by"] == "youden"


def test_one_of_another_checkpoint_or_class_is_not_taken(run):
    evaluate_run(run, "test", decide=RECALL)
    changed = read_json(run.files.threshold) | {"checkpoint": "step-999"}
    run.files.threshold.write_text(json.dumps(changed))
    assert "threshold" not in evaluate_run(run, "test")
    evaluate_run(run, "test", decide=RECALL)
    plain = evaluate_run(run, "test", decide=Evaluate(positive="fern"))
    assert "threshold" not in plain
    assert plain["metrics"]["positive"] == "fern"
    fern = evaluate_run(run, "test", decide=Evaluate(positive="fern", target_recall=0.9))
    assert fern["threshold"]["positive"] == fern["metrics"]["positive"] == "fern"
    assert fern["metrics"]["recall"] == fern["metrics"]["per_class"]["fern"]["recall"]


def test_the_config_asks_for_it_too_and_a_study_sees_whether_it_is_done(run):
    evaluate_run(run, "test")
    assert evaluated(run, "test") == (not run.config["gaze"]["scores"])
    config = run.config | {"evaluate": {"target_recall": 0.5}}
    write_yaml(run.files.config, config)
    again = load_run(run.folder)
    gaze = [Gaze.model_validate(again.config["gaze"])]
    evaluate_run(run, "test", gaze=gaze)
    assert evaluated(run, "test")
    assert not evaluated(again, "test")
    assert evaluate_run(again, "test", gaze=gaze)["threshold"]["target"] == 0.5
    assert evaluated(again, "test")


def test_options_lie_over_the_config(run):
    run.config["evaluate"] = {"positive": "fern", "target_recall": 0.9}
    none = {"target_recall": None, "threshold": None, "positive": None}
    assert with_options(run, **none) is None
    found = with_options(run, **none | {"threshold": "f1"})
    assert found == Evaluate(positive="fern", threshold="f1")
    with pytest.raises(ConfigError, match=r"regard evaluate, target_recall: expected .* at most 1"):
        with_options(run, **none | {"target_recall": 1.5})
    with pytest.raises(ConfigError, match=r"regard evaluate, threshold: expected .*f1"):
        with_options(run, **none | {"threshold": "best"})


def test_a_run_without_val_has_nothing_to_choose_on(run):
    table = pl.read_parquet(run.folder.parent / "manifest.parquet")
    run.config["data"]["manifest"] = "../no-val.parquet"
    path = run.folder.parent / "no-val.parquet"
    table.filter(pl.col("split") != "val").write_parquet(path)
    with pytest.raises(RunError, match="expected a val split, on which a threshold is chosen"):
        evaluate_run(run, "test", decide=RECALL)
    path.unlink()


def refused(folder, *changes, base=None, **options):
    with pytest.raises(RegardError) as caught:
        prepare(config_of(*changes, **({} if base is None else {"base": base})), folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_cannot_be_chosen_is_refused_before_training(tmp_path):
    write_set(tmp_path, counts={"train": 12, "val": 6}, classes=("a", "b", "c"))
    text = refused(tmp_path, "evaluate.target_recall=0.9")
    assert "evaluate.threshold (--target-recall, --threshold, --positive): expected two" in text
    assert "found 3" in text
    write_set(tmp_path, counts={"train": 12})
    last = "training.best=last"
    assert "expected a val split" in refused(tmp_path, "evaluate.threshold=f1", last)
    text = refused(tmp_path, "evaluate.positive=mos", last)
    assert "evaluate.positive (--positive): expected fern or moss, found 'mos'" in text


def test_a_segmenter_has_no_positive_class(tmp_path):
    write_masks(tmp_path)
    text = refused(tmp_path, "evaluate.target_recall=0.9", base=SEGMENTER)
    assert "evaluate: expected nothing for a segmenter" in text


def test_a_study_cannot_compare_at_a_threshold_that_is_not_chosen():
    _refuse_undecided(["recall_at_threshold"], config_of("evaluate.threshold=f1"))
    _refuse_undecided(["recall"], config_of())
    with pytest.raises(ConfigError, match="expected a threshold for specificity_at_threshold"):
        _refuse_undecided(["accuracy", "specificity_at_threshold"], config_of())


def test_the_report_shows_both_thresholds_and_marks_the_curves(run):
    values = evaluate_run(run, "test", decide=RECALL)
    evaluate_run(run, "val")
    contents = read_run(run.folder)
    assert [split.name for split in contents.splits] == ["val", "test"]
    split = contents.split("test")
    _, words, table = threshold_blocks(split)
    assert (
        "chosen on val for a recall of 75 %, over 12 images of which 4 are moss"
        in (words.paragraphs[0])
    )
    shown = f"{100 * values['metrics']['recall_at_threshold']['value']:.1f}"
    assert f"On test it finds {shown}" in words.paragraphs[1]
    assert isinstance(table, Table)
    names = [row[0].text for row in table.rows]
    assert names == ["Accuracy", "Balanced accuracy", "Precision", "Recall", "Specificity", "F1"]
    assert table.rows[4][2].text == f"{values['metrics']['specificity_at_threshold']['value']:.3f}"
    chosen = table.head[2].removeprefix("At ").rstrip("#")
    assert table.head[3] == f"0 to 1: above at 0.5, below at {chosen}"
    metrics = values["metrics"]
    drawn = table.rows[3][3]
    assert drawn.above.value == metrics["recall"]["value"]
    assert drawn.span.value == metrics["recall_at_threshold"]["value"]
    assert "they are too good" in threshold_blocks(contents.split("val"))[1].paragraphs[1]
    listed = [row[0].text for row in metrics_table(split.numbers).rows]
    assert "Specificity" in listed
    assert not any("threshold" in name for name in listed)
    (drawings,) = ranking_curves(split.predictions, split.numbers)
    assert [("the ring is the threshold" in d.note) for d in drawings.drawings] == [1, 1, 0]


@pytest.mark.parametrize(
    ("threshold", "told"),
    [(0.9999999, "0.9999999"), (0.99949, "0.999"), (0.9996, "0.9996"), (0.25, "0.25"),
     (3.2e-9, "3.2e-09")],
)  # fmt: skip
def test_a_threshold_is_told_apart_from_0_and_1(run, capsys, threshold, told):
    values = evaluate_run(run, "test", decide=RECALL)
    values["threshold"] = values["threshold"] | {"threshold": threshold}
    show_metrics(values, run.files)
    assert f"Threshold {told} of moss" in capsys.readouterr().out
    write_json(run.files.metrics("test"), values)
    _, words, table = threshold_blocks(read_run(run.folder).split("test"))
    assert f"where its probability is {told} or more" in words.paragraphs[0]
    assert table.head[2] == f"At {told}#"


def test_without_a_threshold_the_report_has_none(run):
    evaluate_run(run, "test")
    split = read_run(run.folder).split("test")
    assert threshold_blocks(split) == []
    (drawings,) = ranking_curves(split.predictions, split.numbers)
    assert not any("ring" in drawing.note for drawing in drawings.drawings)


def test_the_report_says_that_another_was_chosen_since(run):
    evaluate_run(run, "test", decide=RECALL)

    def words():
        seen = read_run(run.folder)
        (split,) = [own for own in seen.splits if own.name == "test"]
        (told,) = [b for b in threshold_blocks(split, seen.threshold) if isinstance(b, Text)]
        return " ".join(told.paragraphs)

    assert "Since then" not in words()
    evaluate_run(run, "val", decide=Evaluate(target_recall=1.0))
    now = read_json(run.files.threshold)["threshold"]
    assert f"Since then {now:.3g} was chosen for moss" in words()
    evaluate_run(run, "test")
    assert "Since then" not in words()
