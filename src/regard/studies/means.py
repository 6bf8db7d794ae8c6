"""The mean maps of a study's arms: where each looks as a rule, class by class."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from regard.evaluation.settings import Gaze
from regard.progress import Progress
from regard.runs.averages import NUMBERS, average_maps
from regard.runs.files import read_json
from regard.runs.folder import RunFolder
from regard.runs.run import Run, load_run


def average_arms(
    rows: Sequence[dict[str, Any]],
    out: Path,
    split: str,
    limit: int | None,
    progress: Progress,
) -> None:
    """Average the maps of one finished run an arm, of the first seed that it has, where not done.

    As `regard explain --global` does, by the method of the run's gaze, into the run's folder.

    Args:
        rows: of the results.
        out: the study's folder.
        split: whose images are averaged.
        limit: at most so many of them, always the same; None: all.
        progress: called with (arms done, arms in all) after each.
    """
    first: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: (row["seed"], row.get("fold") or 0)):
        if row["status"] == "done":
            first.setdefault(row["arm"], row)
    for number, row in enumerate(first.values(), start=1):
        files = RunFolder(out / row["run"])
        run = load_run(files.path, device=files.read_config()["training"]["device"])
        method = Gaze.model_validate(run.config["gaze"]).method
        folder = run.folder / "explanations" / "global" / method
        if not _averaged(run, folder, split, limit):
            average_maps(run, split, method, folder, limit=limit)
        progress(number, len(first))


def _averaged(run: Run, folder: Path, split: str, limit: int | None) -> bool:
    """Whether the folder's maps are of this checkpoint and split, and of as many images."""
    path = folder / NUMBERS
    if not path.is_file():
        return False
    values = read_json(path)
    gaze = Gaze.model_validate(run.config["gaze"])
    wanted = {
        "checkpoint": run.checkpoint,
        "split": split,
        "limit": limit,
        "layer": gaze.layer,
        "contrast": gaze.contrast,
    }
    return all(key in values and values[key] == value for key, value in wanted.items())
