"""What a run's folder holds, read for a report: a missing file is said, and no reason to stop."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import polars as pl
import yaml

from regard.data.settings import Task, task_in
from regard.errors import RunError
from regard.evaluation.label_sets import validate_sets
from regard.evaluation.table import validate
from regard.language import Phrases, phrase
from regard.runs.benched import read_bench
from regard.runs.files import read_json, read_table
from regard.runs.folder import RunFolder
from regard.runs.log import read_lines, read_log
from regard.settings.yaml_text import read_yaml_file

T = TypeVar("T")
Check = Callable[[pl.DataFrame], pl.DataFrame]
_ORDER = ("train", "val", "test")


@dataclass(frozen=True)
class SplitContents:
    """What was written about a split.

    Attributes:
        name: of the split.
        metrics: of `metrics/SPLIT.json`.
        predictions: of `predictions/SPLIT.parquet`.
        scores: of `scores/SPLIT.parquet`, of the method that the config names; of a segmenter and
            of sets of labels a row is an image and a class.
        methods: of `scores/SPLIT.parquet`, of all methods.
        missing: what is not there, in words.
    """

    name: str
    metrics: Mapping[str, Any] | None
    predictions: pl.DataFrame | None
    scores: pl.DataFrame | None
    methods: pl.DataFrame | None
    missing: tuple[str, ...]

    @property
    def numbers(self) -> Mapping[str, Any]:
        """The metrics alone; empty when there are none."""
        return (self.metrics or {}).get("metrics") or {}


@dataclass(frozen=True)
class RunContents:
    """A run's files.

    Attributes:
        folder: where it lies.
        config: the resolved config.
        environment: versions and machine.
        untrained: the log's line of what was measured before the first step, if it was.
        epochs: the log's lines of epochs.
        notes: what the log says to a reader.
        readings: a line for each time that a split was evaluated.
        splits: evaluated ones, train, val and test first.
        bench: of `bench.json`, if the net's latency was measured.
        threshold: of `threshold.json`, if one was chosen: by what the run decides now.
    """

    folder: Path
    config: dict[str, Any]
    environment: dict[str, Any]
    untrained: dict[str, Any] | None
    epochs: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]
    readings: tuple[dict[str, Any], ...]
    splits: tuple[SplitContents, ...]
    bench: dict[str, Any] | None
    threshold: dict[str, Any] | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return tuple(self.config.get("classes") or ())

    @property
    def task(self) -> Task:
        """What was learned."""
        return task_in(self.config)

    @property
    def segments(self) -> bool:
        """Whether the net is a segmenter."""
        return self.task == "segmentation"

    @property
    def several(self) -> bool:
        """Whether an image has a set of labels."""
        return self.task == "multilabel"

    @property
    def method(self) -> str:
        """The method of the maps that were scored."""
        return self.config.get("gaze", {}).get("method", "gradcam")

    @property
    def maps(self) -> str:
        """How the maps that were scored are made, in words."""
        contrast = self.config.get("gaze", {}).get("contrast")
        return phrase("{method} with contrast", method=self.method) if contrast else self.method

    @property
    def best_epoch(self) -> int | None:
        """The epoch whose checkpoint is the best one."""
        best = [record["epoch"] for record in self.epochs if record.get("best")]
        return best[-1] if best else None

    def split(self, name: str) -> SplitContents | None:
        """The split of that name, if it was evaluated."""
        return next((split for split in self.splits if split.name == name), None)

    def read(self, split: str) -> int:
        """How often the split was evaluated."""
        return sum(reading.get("split") == split for reading in self.readings)


def read_run(folder: Path) -> RunContents:
    """Read a run's folder.

    Raises:
        RunError: it has no config.
    """
    files = RunFolder(folder)
    config = files.read_config()
    files.refuse_links()
    for key in ("data", "model", "training"):
        if not isinstance(config.get(key), dict):
            raise files.foreign(KeyError(key))
    method = (config.get("gaze") or {}).get("method")
    check = _CHECKS[task_in(config)]
    kinds = {"metrics": ".json", "predictions": ".parquet", "scores": ".parquet"}
    found = {
        path.stem for kind, suffix in kinds.items() for path in (folder / kind).glob(f"*{suffix}")
    }
    names = sorted(found, key=_rank)
    return RunContents(
        folder=folder,
        config=config,
        environment=attempt(lambda: _mapping(read_json(files.environment)), {}),
        untrained=attempt(lambda: next(read_log(files.log, "untrained"), None), None),
        epochs=tuple(attempt(lambda: [_epoch(r) for r in read_log(files.log, "epoch")], [])),
        notes=tuple(attempt(lambda: [r["text"] for r in read_log(files.log, "note")], [])),
        readings=tuple(attempt(lambda: list(read_lines(files.readings)), [])),
        splits=tuple(_read_split(files, name, method, check) for name in names),
        bench=read_bench(files),
        threshold=attempt(lambda: {**_mapping(read_json(files.threshold))}, None),
    )


def _rank(split: str) -> tuple[int, str]:
    return (_ORDER.index(split) if split in _ORDER else len(_ORDER)), split


def _read_split(files: RunFolder, name: str, method: str | None, check: Check) -> SplitContents:
    metrics = attempt(lambda: _metrics(read_json(files.metrics(name))), None)
    predictions = attempt(lambda: check(read_table(files.predictions(name))), None)
    methods = attempt(lambda: read_table(files.scores(name)), None)
    scores = attempt(lambda: _of_method(methods, method), None)
    values = {"metrics": metrics, "predictions": predictions, "scores": scores}
    missing = [_missing(files, kind, name) for kind, value in values.items() if value is None]
    return SplitContents(name, metrics, predictions, scores, methods, tuple(missing))


def _mapping(values: Any) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise TypeError("no mapping")
    return values


def _metrics(values: Any) -> dict[str, Any]:
    """What `regard evaluate` writes; another thing counts as one that cannot be read."""
    _, gaze = (_mapping(_mapping(values).get(key) or {}) for key in ("metrics", "gaze"))
    for one in gaze.values():
        _mapping(one)
    return values


def _epoch(record: dict[str, Any]) -> dict[str, Any]:
    if type(record.get("epoch")) is not int or not 0 <= record["epoch"] < 10**9:
        raise ValueError("no epoch")
    return record


def _missing(files: RunFolder, kind: str, name: str) -> str:
    path: Path = getattr(files, kind)(name)
    return phrase(
        _MISSING[kind][path.exists()],
        file=f"{kind}/{path.name}",
    )


# Of a file that is not there, and of one that cannot be read.
_MISSING: Phrases = {
    "metrics": (
        "{file} is not there, so metrics with their intervals are left out.",
        "{file} cannot be read, so metrics with their intervals are left out.",
    ),
    "predictions": (
        "{file} is not there, so the confusion matrix, the curves and the errors are left out.",
        "{file} cannot be read, so the confusion matrix, the curves and the errors are left out.",
    ),
    "scores": (
        "{file} is not there, so where the model looks is left out.",
        "{file} cannot be read, so where the model looks is left out.",
    ),
}


def _counted(table: pl.DataFrame) -> pl.DataFrame:
    """A segmenter's predictions, with counts of pixels."""
    if not {"index", "image", "confusion", "boundary"} <= set(table.columns):
        raise ValueError("no counts of pixels")
    return table


_CHECKS: dict[Task, Check] = {
    "classification": validate,
    "multilabel": validate_sets,
    "segmentation": _counted,
}


def _of_method(table: pl.DataFrame | None, method: str | None) -> pl.DataFrame | None:
    """The rows of one method: the config's, else the first."""
    if table is None:
        return None
    methods = table["method"].unique(maintain_order=True).to_list()
    chosen = method if method in methods else methods[0]
    return table.filter(pl.col("method") == chosen)


def described(folder: Path, what: str, key: str) -> dict[str, Any]:
    """The values of `WHAT.yaml` in the folder of a study or a tuning.

    Args:
        folder: of it.
        what: `study` or `tuning`, and the name of the file.
        key: a section that it has to have.

    Raises:
        RunError: there is no such file with that section.
    """
    values = attempt(lambda: read_yaml_file(folder / f"{what}.yaml"), None)
    if not isinstance(values, dict) or not isinstance(values.get(key), dict):
        raise RunError(
            str(folder),
            expected=f"a {what}'s folder",
            found=f"no {what}.yaml with {key}" if folder.is_dir() else "no such folder",
            remedy=f"give a folder that regard {_COMMANDS[what]} wrote",
        )
    return values


_COMMANDS = {"study": "study", "tuning": "tune"}


def attempt(read: Callable[[], T], otherwise: T) -> T:
    """What was read, or else a stand-in: a report is made of what there is."""
    try:
        return read()
    except (OSError, ValueError, LookupError, TypeError, AttributeError, *_OF_OTHERS):
        return otherwise


_OF_OTHERS = (yaml.YAMLError, pl.exceptions.PolarsError, pl.exceptions.PanicException)
