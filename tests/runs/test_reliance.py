"""Backgrounds exchanged under a run: the table, the numbers, and what a study makes of them."""

import polars as pl
import pytest
import torch

from regard.data.sample import Draw
from regard.data.samples import Samples
from regard.data.source import samples_of
from regard.evaluation.predict import model_input
from regard.runs.evaluate import evaluate_run
from regard.runs.files import read_json
from regard.runs.reliance import GAP, MEASURED, reliance_numbers, reliance_table
from regard.runs.run import load_run
from regard.scores.background import background_reliance
from regard.studies.arm import evaluated, split_numbers
from regard.training.train import train
from tinyset import config_of


@pytest.fixture(scope="module")
def run(tiny, tmp_path_factory):
    out = tmp_path_factory.mktemp("reliance") / "run"
    config = config_of("training.epochs=1", "gaze.backgrounds=true")
    train(config, out, folder=tiny)
    return load_run(out)


def test_the_table_is_what_the_score_says(run):
    table = reliance_table(run, "test")
    samples = samples_of(run.manifest(), "test", run.classes, run.data)
    data = Samples([s for s in samples if s.boxes or s.region or s.avoid], run.transform)
    batch = data.batch([Draw(row) for row in range(len(data))])
    images = model_input(batch, run.transform, torch.device("cpu"))
    found = background_reliance(run.net, images, batch.regions, batch.labels)
    assert table["index"].to_list() == batch.index.tolist()
    expected = found.means()
    for name in ("mean", "blur", "random_class"):
        own = table[f"accuracy_{name}"].drop_nans().mean()
        assert own == pytest.approx(expected[name])


def test_numbers_are_written_and_go_into_a_study(run):
    values = evaluate_run(run, "test", backgrounds=True)
    assert values == read_json(run.files.metrics("test"))
    assert set(values["backgrounds"]) == {"images", *MEASURED, GAP}
    table = pl.read_parquet(run.files.backgrounds("test"))
    numbers = split_numbers(values, "test", "gradcam")
    for name in (*MEASURED, GAP):
        assert numbers[f"test.{name}"] == table[name].drop_nans().mean()
    assert "test.images" not in numbers


def test_the_gap_is_the_difference_of_the_two_rates_that_stand_beside_it():
    nan = float("nan")
    table = pl.DataFrame({
        "accuracy_mean": [1.0, 1.0, 0.0],
        "accuracy_blur": [1.0, 0.0, nan],
        "accuracy_same_class": [1.0, 1.0, nan],
        "accuracy_random_class": [0.0, 1.0, 0.0],
        GAP: [1.0, 0.0, nan],
    })  # fmt: skip
    found = reliance_numbers(table)
    assert found["accuracy_mean"] == pytest.approx(2 / 3)
    assert found["accuracy_blur"] == 0.5
    assert found["accuracy_random_class"] == 0.5
    assert found[GAP] == found["accuracy_same_class"] - found["accuracy_random_class"] == 0.5
    alone = reliance_numbers(table[2:])
    assert alone["accuracy_random_class"] is None
    assert alone[GAP] is None


def test_a_study_asks_when_its_config_says_so(run):
    evaluate_run(run, "val")
    assert not evaluated(run, "val")
    values = evaluate_run(run, "val", backgrounds=True)
    assert ("gaze" in values) == evaluated(run, "val")
