"""An arm image by image, from the files of its runs, against sums by hand."""

import json

import numpy as np
import polars as pl
import pytest

from regard.runs.files import write_json, write_table
from regard.runs.folder import RunFolder
from regard.studies.by_arm import confusions, gaze_spread
from regard.studies.settings import Study

AREA = [0.1, 0.2, 0.4, 0.1]
IOU = {
    ("plain", 0): [0.1, 0.2, np.nan, 0.3],
    ("plain", 1): [0.3, np.nan, np.nan, 0.1],
    ("guided", 0): [0.5, 0.9, 0.4, 0.2],
}
CONFUSION = {
    ("plain", 0): [[3, 1], [0, 2]],
    ("plain", 1): [[2, 2], [1, 1]],
    ("guided", 0): [[4, 0], [0, 2]],
}


@pytest.fixture
def study():
    arms = {"plain": {}, "guided": {}, "late": {}}
    return Study(
        name="s", base={}, arms=arms, baseline="plain", metrics=("accuracy", "iou", "pxap")
    )


@pytest.fixture
def done(tmp_path):
    rows = []
    for (arm, seed), values in IOU.items():
        run = f"runs/{arm}-seed{seed}"
        files = RunFolder(tmp_path / run)
        table = pl.DataFrame({"index": [5, 6, 7, 8], "area": AREA, "iou": values})
        write_table(files.scores("test"), table)
        told = {"classes": ["fern", "moss"], "confusion": CONFUSION[arm, seed]}
        write_json(files.metrics("test"), {"metrics": told})
        rows.append({"arm": arm, "seed": seed, "run": run})
    return pl.DataFrame(rows)


def test_each_image_counts_with_its_mean_over_the_seeds(study, done, tmp_path):
    plain, guided = gaze_spread(study, done, tmp_path)
    means = [0.2, 0.2, 0.2]  # of the third image nothing is known
    assert (plain["metric"], plain["arm"], plain["images"]) == ("test.iou", "plain", 3)
    assert plain["mean"] == pytest.approx(np.mean(means))
    assert plain["sd"] == pytest.approx(0, abs=1e-12)
    assert guided["images"] == 4
    assert guided["mean"] == pytest.approx(0.5)
    assert guided["median"] == pytest.approx(0.45)
    assert guided["sd"] == pytest.approx(np.std(IOU["guided", 0], ddof=1))
    ceiling = np.mean([min(a / 0.2, 0.2 / a) for a in AREA])
    assert guided["best"] == pytest.approx(ceiling)
    json.dumps(plain, allow_nan=False)


def test_confusions_are_summed_over_the_seeds(study, done, tmp_path):
    found = confusions(study, done, tmp_path)
    assert found == {
        "test": {
            "classes": ["fern", "moss"],
            "arms": {"plain": [[5, 3], [1, 3]], "guided": [[4, 0], [0, 2]]},
        }
    }


def test_what_an_arm_is_held_against_is_of_the_images_of_all_its_seeds(study, done, tmp_path):
    plain, _ = gaze_spread(study, done, tmp_path)
    known = [AREA[0], AREA[1], AREA[3]]  # the second is defined by the first seed alone
    assert plain["best"] == pytest.approx(np.mean([min(a / 0.2, 0.2 / a) for a in known]))
    values = {**IOU, ("plain", 0): [np.nan] * 4}
    for (arm, seed), own in values.items():
        table = pl.DataFrame({"index": [5, 6, 7, 8], "area": AREA, "iou": own})
        write_table(RunFolder(tmp_path / f"runs/{arm}-seed{seed}").scores("test"), table)
    plain, _ = gaze_spread(study, done, tmp_path)
    known = [AREA[0], AREA[3]]
    assert plain["images"] == 2
    assert plain["best"] == pytest.approx(np.mean([min(a / 0.2, 0.2 / a) for a in known]))
