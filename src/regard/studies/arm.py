"""One run of a study, in a process of its own: train or go on, then evaluate."""

import hashlib
import json
from pathlib import Path
from typing import Any

from regard.errors import RunError
from regard.evaluation.settings import Gaze
from regard.models.build import parameters_of
from regard.runs.evaluate import evaluate_run
from regard.runs.files import read_json, write_json
from regard.runs.folder import RunFolder
from regard.runs.log import read_log
from regard.runs.run import load_run
from regard.training.config import Config
from regard.training.train import resume, train


def run_arm(config: Config, out: Path, splits: tuple[str, ...], folder: Path) -> dict[str, Any]:
    """Train into `out`, or go on there, evaluate on the splits; returns the run's numbers.

    A finished run is kept as it is. Paths in the config start from the study's folder.

    Raises:
        RunError: the folder holds a run of another config.
    """
    files, mark = RunFolder(out), out / "arm.json"
    own = config_digest(config)
    if mark.is_file() and read_json(mark)["config"] != own:
        raise RunError(
            str(out),
            expected="a run of this study's config",
            found="a run of another config",
            remedy="choose another --out for the study",
        )
    out.mkdir(parents=True, exist_ok=True)
    write_json(mark, {"config": own})
    if files.config.is_file():
        resume(out)
    else:
        train(config, out, folder=folder)
    if not all(files.metrics(split).is_file() for split in splits):
        run = load_run(out)
        for split in splits:
            evaluate_run(run, split, gaze=gaze_of(run.config))
    return numbers(files, splits)


def config_digest(config: Config) -> str:
    """A digest of a config, but for the number of threads, which the machine decides."""
    values = config.model_dump(mode="json", exclude={"training": {"threads"}})
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def gaze_of(config: dict[str, Any]) -> tuple[Gaze, ...]:
    """How a run's gaze is scored."""
    return (Gaze.model_validate(config["gaze"]),)


def numbers(files: RunFolder, splits: tuple[str, ...]) -> dict[str, Any]:
    """What a study's table says of a finished run, from its files."""
    epochs = list(read_log(files.log, "epoch"))
    best = [record for record in epochs if record["best"]]
    row: dict[str, Any] = {
        "parameters": parameters_of(load_run(files.path).net),
        "seconds": epochs[-1]["seconds"],
        "epochs": epochs[-1]["epoch"],
        "best_epoch": best[-1]["epoch"] if best else None,
    }
    for split in splits:
        row |= split_numbers(read_json(files.metrics(split)), split)
    return row


def split_numbers(values: dict[str, Any], split: str) -> dict[str, float | None]:
    """The values, without intervals, of `metrics/SPLIT.json`."""
    found = {
        name: metric["value"]
        for name, metric in values["metrics"].items()
        if isinstance(metric, dict) and "value" in metric
    }
    for summary in values.get("gaze", {}).values():
        found |= {name: score["value"] for name, score in summary["scores"].items()}
        found["dead_maps"] = summary["dead_maps"]
    return {f"{split}.{name}": value for name, value in found.items()}
