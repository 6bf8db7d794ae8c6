"""One run of a study, in a process of its own: train or go on, then evaluate."""

from pathlib import Path
from typing import Any, Literal

import torch

from regard.errors import ConfigError, NumericalError, RegardError, RunError, of_system
from regard.evaluation.settings import Gaze
from regard.evaluation.thresholds import ENDING
from regard.models.build import parameters_of
from regard.progress import Progress
from regard.runs.bench import bench_run
from regard.runs.bench_device import measured_on
from regard.runs.benched import bench_numbers, read_bench
from regard.runs.evaluate import evaluate_run, has_regions
from regard.runs.files import read_json, write_json
from regard.runs.folder import RunFolder, locked
from regard.runs.log import read_log
from regard.runs.own_numbers import own_answers, own_gaze, own_reading
from regard.runs.readings import checkpoint_of
from regard.runs.run import Run, load_run
from regard.studies.pixel_metrics import class_numbers
from regard.training.config import Config, parse_config
from regard.training.train import resume, train

# Seconds in which a training whose study is gone may finish its step and save.
SAVING = 20.0
# What may help when a run has failed.
AGAIN = "the same command tries again what failed"
MENDED = "mend that, then the same command tries again what failed"
OTHERWISE = "the same command would fail again: change the arm, and take another --out"


def attempt(config: Config, out: Path, splits: tuple[str, ...], folder: Path) -> dict[str, Any]:
    """What `run_arm` returns with status `done`; or `failed`, the error as text and a remedy.

    The error itself stays in its process: not every one survives the way to another.
    """
    try:
        return {"status": "done", "error": None} | run_arm(config, out, splits, folder)
    except RegardError as error:
        return {"status": "failed", "error": str(error), "remedy": MENDED}
    except NumericalError as error:
        return {"status": "failed", "error": str(error), "remedy": OTHERWISE}
    except OSError as error:
        return {"status": "failed", "error": str(of_system(error)), "remedy": MENDED}
    except Exception as error:  # no memory, or a fault of ours or of a library
        text = " ".join(str(error).split()) or type(error).__name__
        return {"status": "failed", "error": f"stopped by: {text}", "remedy": AGAIN}


def run_arm(config: Config, out: Path, splits: tuple[str, ...], folder: Path) -> dict[str, Any]:
    """Train into `out`, or go on there, evaluate on the splits; returns the run's numbers.

    A finished run is kept as it is. Paths in the config start from the study's folder.

    Raises:
        RunError: the folder holds a run of another config.
    """
    files = RunFolder(out)
    claim(out / "arm.json", config, "study")
    with locked(out, SAVING + 10):
        pass  # a training whose study was killed is done with it
    if files.config.is_file():
        resume(out)
    else:
        train(config, out, folder=folder)
    run = load_run(out, device=config.training.device)
    for split in splits:
        if not evaluated(run, split):
            evaluate_run(
                run,
                split,
                gaze=gaze_of(run.config),
                decide=own_reading(run.config),
                backgrounds=run.config["gaze"]["backgrounds"],
                by="regard study",
            )
    return numbers(run, splits)


def evaluated(run: Run, split: str) -> bool:
    """Whether the split's metrics are of the run's best checkpoint, asked as its config asks."""
    path = run.files.metrics(split)
    if checkpoint_of(path) != run.checkpoint:
        return False
    values = read_json(path)
    gaze = not has_regions(run, split) or own_gaze(values, run.config)
    return gaze and own_answers(values, run.config)


def claim(path: Path, config: Config, what: Literal["study", "tuning"], **more: Any) -> None:
    """Mark a run's folder as one of this config, or check that it is.

    Args:
        path: of the mark, a file in the run's folder.
        config: of the run.
        what: whose run it is.
        more: for people who read the mark.

    Raises:
        RunError: it is the mark of another config.
    """
    if not path.is_file():
        write_json(path, {**more, "config": config.model_dump(mode="json")})
    elif not is_of(read_json(path)["config"], config):
        raise RunError(
            str(path.parent),
            expected=f"a run of this {what}'s config",
            found="a run of another config",
            remedy=f"choose another --out for the {what}",
        )


def is_of(saved: dict[str, Any], config: Config) -> bool:
    """Whether a config as it was saved is this one, but for threads, which the machine decides.

    A setting that did not exist when it was saved has its default; what was saved of the others
    stands, whatever their defaults are now.
    """
    try:
        before = parse_config(saved, "")
    except ConfigError:
        return False
    unlike = {"training": {"threads"}}
    return before.model_dump(exclude=unlike) == config.model_dump(exclude=unlike)


def gaze_of(config: dict[str, Any]) -> tuple[Gaze, ...]:
    """How a run's gaze is scored."""
    return (Gaze.model_validate(config["gaze"]),)


def numbers(run: Run, splits: tuple[str, ...]) -> dict[str, Any]:
    """What a study's table says of a finished run, from its files."""
    files = run.files
    epochs = list(read_log(files.log, "epoch"))
    best = [record for record in epochs if record["best"]]
    row: dict[str, Any] = {
        "parameters": parameters_of(run.net),
        "seconds": epochs[-1]["seconds"],
        "epochs": epochs[-1]["epoch"],
        "best_epoch": best[-1]["epoch"] if best else None,
    }
    for split in splits:
        values, method = read_json(files.metrics(split)), run.config["gaze"]["method"]
        row |= split_numbers(values, split, method, at_threshold=own_reading(run.config).chooses)
        if run.segments or run.several:
            named = class_numbers(values, method)
            row |= {f"{split}.{name}": value for name, value in named.items()}
    return row


def bench_arms(rows: list[dict[str, Any]], out: Path, progress: Progress) -> list[dict[str, Any]]:
    """Measure latency and size of the finished runs that have not been, one at a time.

    Together they would slow each other down. Arms take turns, seed by seed, so that a slow hour of
    the machine hits all of them. What was measured of a run on another machine, with other threads
    or in bfloat16, cannot be held against the others, and is measured anew.

    Args:
        rows: of the results.
        out: the study's folder.
        progress: called with (runs done, runs in all) after each.

    Returns:
        The rows with `latency_ms` and `flops`.
    """
    # The nets of the folds of a seed are of one size and speed.
    done = [row for row in rows if row["status"] == "done" and not row.get("fold")]
    for number, row in enumerate(sorted(done, key=lambda row: row["seed"]), start=1):
        run = load_run(out / row["run"])
        bench = read_bench(run.files)
        if bench is None or bench["checkpoint"] != run.checkpoint or not alike(bench):
            bench = bench_run(run)
        row |= bench_numbers(bench)
        progress(number, len(done))
    return rows


def alike(bench: dict[str, Any]) -> bool:
    """Whether a latency was measured as it would be now."""
    now = measured_on(torch.device("cpu"), bf16=False)
    return now.items() <= bench["devices"][0].items()


def split_numbers(
    values: dict[str, Any], split: str, method: str, *, at_threshold: bool = True
) -> dict[str, float | None]:
    """The values, without intervals, of `metrics/SPLIT.json`.

    Args:
        values: of the file.
        split: that it is of.
        method: of the gaze.
        at_threshold: also what a chosen threshold makes of it.
    """
    found = {
        name: metric["value"]
        for name, metric in values["metrics"].items()
        if isinstance(metric, dict)
        and "value" in metric
        and (at_threshold or not name.endswith(ENDING))
    }
    if (summary := values.get("gaze", {}).get(method)) is not None:
        found |= {name: score["value"] for name, score in summary["scores"].items()}
        found["dead_maps"] = summary["dead_maps"]
    exchanged = values.get("backgrounds", {})
    found |= {name: value for name, value in exchanged.items() if name != "images"}
    return {f"{split}.{name}": value for name, value in found.items()}
