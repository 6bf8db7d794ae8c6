"""A real run and a real study, as small as they can be, and folders made by hand."""

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from pages import HOSTILE, MATHS
from PIL import Image

from regard.evaluation.metrics import evaluate
from regard.evaluation.settings import Gaze
from regard.evaluation.table import predictions_table
from regard.runs.evaluate import evaluate_run
from regard.runs.files import dump_json, write_json, write_yaml
from regard.runs.run import load_run
from regard.runs.scored import gaze_summary
from regard.studies.read import read_study
from regard.studies.runner import conclude, run_study
from regard.studies.settings import Study
from regard.training.config import parse_config
from regard.training.train import train
from tinyset import SilentStudy, in_this_process, write_set


def draw_samples(folder: Path, names: tuple[str, str] = ("fern", "moss")) -> Path:
    """Sixteen images of 40 x 32 with a bright square as region, and their manifest."""
    rng, rows = np.random.default_rng(0), []
    folder.mkdir(parents=True)
    for number in range(16):
        kind = number % 2
        pixels = rng.integers(0, 90, (40, 32, 3), dtype=np.uint8)
        mask = np.zeros((40, 32), np.uint8)
        mask[8:24, 4:20] = 255
        pixels[8:24, 4:20, kind] = 250
        image = f"{number:02d} {HOSTILE.replace('/', '')}.jpg"
        Image.fromarray(pixels).save(folder / image)
        Image.fromarray(mask).save(folder / f"{number:02d}.png")
        split = "train" if number < 8 else "val" if number < 10 else "test"
        rows.append({"image": image, "region": f"{number:02d}.png", "label": names[kind],
                     "split": split})  # fmt: skip
    pl.DataFrame(rows).write_parquet(folder / "manifest.parquet")
    return folder / "manifest.parquet"


def config(manifest: Path, guided: bool = True, seed: int = 0) -> dict:
    return {
        "data": {"manifest": str(manifest), "size": 32},
        "model": {"spec": "regard:cnn2", "options": {"pool": "avg", "width": 4, "size": 32}},
        "training": {"epochs": 1, "batch_size": 8, "seed": seed, "threads": 1},
        "gaze": {"scores": ["energy", "energy_gain"]},
        "guidance": {"terms": [{"term": "energy", "weight": 1.0}] if guided else []},
    }


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one epoch on hostile names, evaluated on test."""
    folder = tmp_path_factory.mktemp("reports")
    manifest = draw_samples(folder / "data", (HOSTILE, MATHS))
    out = folder / "run"
    train(parse_config(config(manifest), "test"), out)
    run = load_run(out)
    evaluate_run(run, "test", gaze=[Gaze.model_validate(run.config["gaze"])])
    return out


@pytest.fixture
def run_folder(trained: Path, tmp_path: Path) -> Path:
    """A copy to be damaged; the manifest's path in it is absolute."""
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture(scope="session")
def study_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two arms by two seeds: made by hand but for one real run an arm, and concluded."""
    folder = tmp_path_factory.mktemp("study")
    manifest = draw_samples(folder / "data")
    arms = {"plain": {}, "guided": {"guidance": {"terms": [{"term": "energy"}]}}}
    study = Study(name="ferns", title=f"Ferns {HOSTILE}", about=MATHS, base={"data": {}},
                  arms=arms, baseline="plain", seeds=(0, 1),
                  metrics=("accuracy", "energy"))  # fmt: skip
    write_yaml(folder / "study.yaml", study.model_dump(mode="json"))
    rows = []
    for arm in arms:
        first = folder / "runs" / f"{arm}-seed0"
        train(parse_config(config(manifest, arm == "guided"), "test"), first)
        net = load_run(first)
        names = net.manifest().select("test").select("index", "image", "label")
        for seed in (0, 1):
            run = folder / "runs" / f"{arm}-seed{seed}"
            if seed:
                shutil.copytree(first, run)
            values = write_results(run, names, seed, better=arm == "guided")
            rows.append({"arm": arm, "seed": seed, "run": f"runs/{arm}-seed{seed}",
                         "status": "done", "error": None, "parameters": 1, "seconds": 2.0,
                         "epochs": 1, "best_epoch": 1, **values})  # fmt: skip
    rows.append({"arm": "guided", "seed": 2, "run": "runs/guided-seed2", "status": "failed",
                 "error": f"ValueError: {HOSTILE}"})  # fmt: skip
    conclude(study, folder, rows)
    return folder


FOLDS = {
    "name": "folded",
    "base": {
        "data": {"manifest": "data/manifest.parquet", "size": 32},
        "model": config(Path())["model"],
        "training": {
            "epochs": 5, "batch_size": 4, "threads": 1, "device": "cpu", "optimiser": {"lr": 0.01},
        },
        "gaze": {"scores": ["energy", "energy_gain"]},
    },
    "arms": {"plain": {}, "guided": {"guidance": {"terms": [{"term": "energy", "weight": 3.0}]}}},
    "baseline": "plain",
    "seeds": [0],
    "folds": 3,
    "metrics": ["accuracy", "energy"],
}  # fmt: skip


@pytest.fixture(scope="session")
def folds_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two arms in three folds, every run of them trained and evaluated."""
    folder = tmp_path_factory.mktemp("folds")
    write_set(folder / "data", counts={"train": 10, "val": 4, "test": 4})
    write_yaml(folder / "folded.yaml", FOLDS)
    with pytest.MonkeyPatch.context() as patched:
        in_this_process(patched)
        run_study(read_study(folder / "folded.yaml"), folder / "out", SilentStudy(), workers=1)
    return folder / "out"


def write_results(run: Path, names: pl.DataFrame, seed: int, *, better: bool) -> dict[str, float]:
    """Predictions, scores and metrics of six images with numbers that are known."""
    labels = [0 if label == "fern" else 1 for label in names["label"]]
    right = np.array([True, True, True, better, better, bool(seed)])
    sure = np.array([0.9, 0.8, 0.7, 0.65, 0.6, 0.55])
    first = np.where(right == (np.array(labels) == 0), sure, 1 - sure)
    table = predictions_table(names["index"].to_list(), names["image"].to_list(), labels,
                              np.stack([first, 1 - first], 1), ["fern", "moss"])  # fmt: skip
    energy = np.linspace(0.1, 0.3, 6) + (0.5 + 0.01 * seed) * better + 0.002 * seed
    scores = table.select("index", "image", "label", "predicted", "correct").with_columns(
        method=pl.lit("gradcam"), area=pl.Series([0.2] * 6), dead=pl.Series([False] * 6),
        energy=pl.Series(energy),
    )  # fmt: skip
    for kind, content in {"predictions": table, "scores": scores}.items():
        (run / kind).mkdir(exist_ok=True)
        content.write_parquet(run / kind / "test.parquet")
    values = {"split": "test", "checkpoint": "step-1", "classes": ["fern", "moss"], "images": 6,
              "metrics": evaluate(table), "gaze": {"gradcam": gaze_summary(scores)}}  # fmt: skip
    write_json(run / "metrics" / "test.json", values)
    (run / "metrics" / "readings.jsonl").write_text(
        dump_json({"split": "test", "checkpoint": "step-1"}) + "\n"
    )
    return {"test.accuracy": float(right.mean()), "test.energy": float(energy.mean())}
