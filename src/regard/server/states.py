"""What has become of a run: whether it is being trained, how far it is, what it measured."""

import fcntl
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from regard.data.settings import Task, task_in
from regard.errors import RegardError
from regard.files.parquet import read_parquet
from regard.reports.contents import attempt
from regard.runs.files import NON_FINITE, read_json
from regard.runs.folder import RunFolder
from regard.server.answers import Numbers, RunLine, State
from regard.server.finding import Found, own_files
from regard.training.train import finished

# Bytes at the end of a log, in which its last epoch is looked for.
_TAIL = 1 << 18
_NAME = re.compile(r"(?P<arm>.+)-seed(?P<seed>\d+)(?:-fold(?P<fold>\d+))?")


@dataclass(frozen=True)
class Config:
    """What the list of runs tells of a config; of one that cannot be read why."""

    task: Task | None
    spec: str | None
    epochs: int | None
    views: int | None
    problem: str | None


def line_of(found: Found, parent: Found | None) -> RunLine:
    """What the list of runs tells of a folder; whatever is wrong with it is told, not raised."""
    try:
        return _run_line(found, parent) if found.kind == "run" else _set_line(found)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        return _line(found, state="failed", problem=f"cannot be read: {_short(error)}")


def _run_line(found: Found, parent: Found | None) -> RunLine:
    files = RunFolder(found.path)
    config = _config(files)
    epoch = last_epoch(files.log)
    state = "failed" if config.problem else state_of(found.path)
    named = _NAME.fullmatch(found.path.name) if parent and parent.kind == "study" else None
    arm = named["arm"] if named else None
    if parent is not None and parent.kind == "tuning":
        arm = f"trial {found.path.name}"
    if state == "stopped" and parent is not None and _failed(parent, found):
        state = "failed"
    return _line(
        found,
        state=state,
        task=config.task,
        spec=config.spec,
        study=None if parent is None else parent.id,
        arm=arm,
        seed=int(named["seed"]) if named else None,
        fold=int(named["fold"]) if named and named["fold"] else None,
        epoch=None if epoch is None else epoch.get("epoch"),
        epochs=config.epochs,
        views=config.views,
        metrics=_metrics(found.path),
        problem=config.problem,
    )


def _set_line(found: Found) -> RunLine:
    """Of a study or a tuning."""
    told = found.path / ("summary.json" if found.kind == "study" else "tuning.json")
    busy = is_locked(found.path)
    state: State = "training" if busy else "done" if told.is_file() else "stopped"
    return _line(found, state=state)


def _line(found: Found, **known: Any) -> RunLine:
    empty: dict[str, Any] = dict.fromkeys(RunLine.model_fields)
    return RunLine(
        **empty
        | {"id": found.id, "name": found.path.name, "kind": found.kind, "metrics": {}}
        | {"updated": _updated(found.path), "report": (found.path / "report.html").is_file()}
        | known
    )


def _config(files: RunFolder) -> Config:
    try:
        values = files.read_config()
        task = task_in(values)
        views = len(values["data"]["views"])
        return Config(task, values["model"]["spec"], values["training"]["epochs"], views, None)
    except RegardError as error:
        return Config(None, None, None, None, f"expected {error.expected}, found {error.found}")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        return Config(None, None, None, None, f"a config.yaml of another version: {_short(error)}")


def state_of(folder: Path) -> State:
    """What has become of a run."""
    if is_locked(folder):
        return "training"
    if finished(folder) is not None:
        return "done"
    return "stopped" if (folder / "checkpoints").is_dir() else "new"


def is_locked(folder: Path) -> bool:
    """Whether a process trains into the folder.

    A shared hold is asked for and let go at once; a training that begins in this very moment waits.
    """
    try:
        with (folder / ".lock").open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            fcntl.flock(handle, fcntl.LOCK_UN)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def last_epoch(log: Path) -> dict[str, Any] | None:
    """The last line of an epoch at the end of a log."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL))
            lines = file.read().split(b"\n")[:-1]
    except OSError:
        return None
    for line in reversed(lines):
        if b'"kind": "epoch"' in line:
            found = attempt(lambda line=line: json.loads(line), None)
            if isinstance(found, dict):
                return found
    return None


def _failed(parent: Found, run: Found) -> bool:
    """Whether the study's table says that the run has failed."""
    path = parent.path / "results.parquet"
    rows = attempt(lambda: read_parquet(path, ["run", "status"]), None)
    name = run.path.relative_to(parent.path).as_posix()
    return rows is not None and ((rows["run"] == name) & (rows["status"] == "failed")).any()


def _metrics(folder: Path) -> dict[str, Numbers]:
    """The numbers of every split that was evaluated, without intervals."""
    found = {}
    for path in own_files(folder / "metrics", "*.json"):
        values = attempt(lambda path=path: read_json(path), None)
        numbers = attempt(lambda values=values: _numbers(values), None)
        if numbers:
            found[path.stem] = numbers
    return found


def _numbers(values: Mapping[str, Any]) -> Numbers:
    own = dict(values["metrics"])
    for told in values.get("gaze", {}).values():
        own = told["scores"] | own
    return {
        name: number(value["value"])
        for name, value in own.items()
        if isinstance(value, Mapping) and "value" in value
    }


def number(value: Any) -> float | None:
    """A number of a JSON file, None for one that is not finite or none at all."""
    if isinstance(value, str):
        value = NON_FINITE.get(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _updated(folder: Path) -> str | None:
    """When something in the folder was written last, of the files that tell."""
    names = ("log.jsonl", "metrics", "results.parquet", "summary.json", "tuning.json", ".")
    times = [seen.st_mtime for name in names if (seen := _seen(folder / name)) is not None]
    if not times:
        return None
    return datetime.fromtimestamp(max(times), UTC).isoformat(timespec="seconds")


def _seen(path: Path) -> Any:
    return attempt(path.stat, None)


def _short(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:160]
