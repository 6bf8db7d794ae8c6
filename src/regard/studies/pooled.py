"""What the nets of a study's folds say of their test parts, put together seed by seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from regard.data.hierarchy import hierarchy_of
from regard.data.settings import Data
from regard.data.source import open_manifest
from regard.errors import RunError
from regard.evaluation.segmentation import evaluate_counted
from regard.runs.evaluate import metrics_of
from regard.runs.files import read_json, read_table, write_json, write_table
from regard.runs.folder import RunFolder
from regard.runs.grouped import GROUPS, with_groups
from regard.runs.reliance import reliance_numbers
from regard.runs.scored import class_gaze_summary, gaze_summary
from regard.studies.arm import split_numbers
from regard.studies.comparisons import Folds
from regard.studies.folds import dealt
from regard.studies.pixel_metrics import class_numbers
from regard.studies.settings import Study

SPLIT = "test"
TABLE = "pooled.parquet"


@dataclass(frozen=True)
class Pooled:
    """A study's runs pooled over the folds.

    Attributes:
        table: one row an arm and seed: `arm`, `seed`, `run` (a folder with predictions, scores and
            metrics of all images), `status`, `error`, and the metrics.
        folds: which image was test in which; None where no seed of any arm has all folds.
        own: images of each split of the manifest itself, which the folds did without.
    """

    table: pl.DataFrame
    folds: Folds | None
    own: Mapping[str, int]

    def told(self) -> dict[str, Any]:
        """What `summary.json` says of the folds."""
        sizes = [] if self.folds is None else np.bincount(self.folds.fold).tolist()
        return {
            "number": None if self.folds is None else self.folds.number,
            "images": sum(sizes),
            "test": sizes,
            "own_splits": dict(self.own),
        }


def pooled_folder(arm: str, seed: int) -> str:
    """The folder of what was pooled, relative to the study's."""
    return f"pooled/{arm}-seed{seed}"


def pool_folds(
    study: Study, rows: Sequence[Mapping[str, Any]], out: Path, own: Mapping[str, int]
) -> Pooled:
    """Write `pooled/ARM-seedN/` of every arm and seed that has all of its folds.

    There every image is predicted once, by the net whose test part it was in: metrics are those of
    all these predictions, not means of the folds' metrics.

    Args:
        study: with folds.
        rows: of the results, one a run.
        out: the study's folder.
        own: images of each split of the manifest itself.

    Raises:
        RunError: two arms whose folds are not of the same images.
    """
    found, folds = [], None
    for arm in study.arms:
        for seed in study.seeds:
            parts = sorted((r for r in rows if (r["arm"], r["seed"]) == (arm, seed)),
                           key=lambda row: row["fold"])  # fmt: skip
            row = {"arm": arm, "seed": seed, "run": pooled_folder(arm, seed)}
            failed = [part["fold"] for part in parts if part["status"] != "done"]
            if failed or len(parts) != study.folds:
                lacking = failed or sorted({*range(study.folds or 0)} - {p["fold"] for p in parts})
                error = f"fold {', '.join(map(str, lacking))} is not there"
                found.append(row | {"status": "failed", "error": error})
                continue
            numbers, own_folds = _pool(parts, out / row["run"], out)
            folds = _same(folds, own_folds, out / row["run"])
            found.append(row | {"status": "done", "error": None} | numbers)
    return Pooled(pl.DataFrame(found, infer_schema_length=None), folds, own)


def _same(before: Folds | None, folds: Folds, where: Path) -> Folds:
    alike = before is None or (
        np.array_equal(before.index, folds.index) and np.array_equal(before.fold, folds.fold)
    )
    if not alike:
        raise RunError(
            str(where),
            expected="the folds of the other arms",
            found="other images in test, or in other folds",
            remedy="give all arms one manifest, and run the study anew into another --out",
        )
    return folds


def _pool(
    parts: Sequence[Mapping[str, Any]], target: Path, out: Path
) -> tuple[dict[str, Any], Folds]:
    """Write what was pooled; returns its numbers, and the folds.

    Groups are those of all folds: one whose images are of one group tells none.
    """
    files = [RunFolder(out / part["run"]) for part in parts]
    told = [read_json(own.metrics(SPLIT)) for own in files]
    config, classes = files[0].read_config(), told[0]["classes"]
    if any(one["classes"] != classes for one in told):
        raise RunError(
            str(target),
            expected="folds of the same classes",
            found=" and ".join(str(len(one["classes"])) for one in told),
            remedy="see that train of every fold has every class",
        )
    predictions = [read_table(own.predictions(SPLIT)) for own in files]
    rows = {part["fold"]: t["index"].to_numpy() for part, t in zip(parts, predictions, strict=True)}
    folds = Folds(**dealt(rows), number=len(parts), val=config["data"]["val_from_train"])
    place, method = RunFolder(target), config["gaze"]["method"]
    data = Data.model_validate(config["data"])
    manifest = open_manifest(data, files[0].path)
    table = with_groups(pl.concat(predictions, how="diagonal").sort("index"), manifest)
    segments, by_class = "confusion" in table.columns, "label" not in table.columns
    hierarchy = hierarchy_of(data, files[0].path, classes)
    values: dict[str, Any] = {
        "split": SPLIT,
        "folds": [part["run"] for part in parts],
        "classes": classes,
        "images": len(table),
        **{name: _together([one.get(name) for one in told]) for name in GROUPS},
        "metrics": evaluate_counted(table, classes)
        if segments
        else metrics_of(table, hierarchy, told[0]["metrics"].get("positive")),
    }
    scores = _tables(files, "scores")
    if scores is not None:
        scores = with_groups(scores.filter(pl.col("method") == method), manifest)
        told_of = class_gaze_summary(scores, classes) if by_class else gaze_summary(scores)
        values["gaze"] = {method: told_of}
        write_table(place.scores(SPLIT), scores)
    backgrounds = _tables(files, "backgrounds")
    if backgrounds is not None:
        values["backgrounds"] = reliance_numbers(backgrounds)
        write_table(place.backgrounds(SPLIT), with_groups(backgrounds, manifest))
    write_table(place.predictions(SPLIT), table)
    write_json(place.metrics(SPLIT), values)
    numbers = split_numbers(values, SPLIT, method)
    if by_class:
        named = class_numbers(values, method)
        numbers |= {f"{SPLIT}.{name}": value for name, value in named.items()}
    return numbers, folds


def _together(groups: Sequence[int | None]) -> int | None:
    """Of all folds, as a group lies in one of them; None where some do not tell."""
    known = [count for count in groups if count is not None]
    return sum(known) if len(known) == len(groups) else None


def _tables(files: Sequence[RunFolder], kind: str) -> pl.DataFrame | None:
    """The rows of all folds; None where one of them has none."""
    paths = [getattr(own, kind)(SPLIT) for own in files]
    if not all(path.is_file() for path in paths):
        return None
    table = pl.concat([read_table(path) for path in paths], how="diagonal")
    return table.sort("index", maintain_order=True)
