"""What came of a tuning: the table of trials, the best configs as files, what mattered."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
import polars as pl
import yaml
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import TrialState

from regard.errors import RunError
from regard.files.atomic import write_atomically
from regard.runs.files import dump_json, write_json, write_table
from regard.studies.tuning_settings import Tuning
from regard.studies.tuning_space import values_of
from regard.studies.tuning_work import Row, Worker

# Fewer complete trials say nothing of which key matters.
FEW = 10
NUMBERS = {"seconds": pl.Float64, "epochs": pl.Int64, "best_epoch": pl.Int64, "error": pl.String}


def conclude(worker: Worker) -> dict[str, Any]:
    """Write `trials.parquet`, `tuning.json` and the best configs.

    Returns:
        The summary.

    Raises:
        RunError: every trial failed.
    """
    tuning, folder, rows = worker.tuning, worker.folder, worker.rows()
    write_table(folder.table, table_of(tuning, rows))
    failed = [row for row in rows if row["state"] == "failed"]
    if len(failed) == len(rows):
        raise RunError(
            str(folder.path),
            expected="trials that work",
            found=f"{len(failed)} failed, the first with: {failed[0]['error']}",
            remedy="mend that in the tuning file, and take another --out",
        )
    best = front(tuning, rows)
    files = _write_best(worker, best)
    values = {
        "name": tuning.name,
        "objectives": [
            {"metric": own.metric, "better": "lower" if own.lower else "higher"}
            for own in tuning.objective
        ],
        "sampler": tuning.sampler,
        "pruning": tuning.prunes.kind,
        "trials": worker.total,
        "states": {
            state: sum(row["state"] == state for row in rows)
            for state in ("complete", "pruned", "failed")
        },
        "epochs": sum(row["epochs"] for row in rows),
        "seconds": sum(row["seconds"] or 0.0 for row in rows),
        "threads": worker.place.origin.threads,
        "best": [
            {key: row[key] for key in (*_KEYS, *tuning.metrics)}
            | {"config": file, "equals": _equals(tuning, row, rows)}
            for row, file in zip(best, files, strict=True)
        ],
        "importance": _importance(worker.place.study, tuning),
    }
    write_json(folder.summary, values)
    return values


_KEYS = ("number", "run", "params", "best_epoch", "epochs")


def table_of(tuning: Tuning, rows: Sequence[Row]) -> pl.DataFrame:
    """One row a trial: number, state, objectives, a column for each key searched, and the rest."""
    keys = {key: [row["params"][key] for row in rows] for key in tuning.search}
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in ("number", "state")}
    columns |= {
        metric: pl.Series([row[metric] for row in rows], dtype=pl.Float64)
        for metric in tuning.metrics
    }
    columns |= {key: _column(values) for key, values in keys.items()}
    columns |= {
        name: pl.Series([row[name] for row in rows], dtype=kind) for name, kind in NUMBERS.items()
    }
    return pl.DataFrame({**columns, "run": [row["run"] for row in rows]})


def _column(values: Sequence[Any]) -> pl.Series:
    """Values of one kind as they are; of several kinds, and lists and sections, as text."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} and kinds:
        return pl.Series(values, dtype=pl.Float64 if float in kinds else pl.Int64)
    if kinds in ({str}, {bool}):
        return pl.Series(values)
    return pl.Series([v if isinstance(v, str) else dump_json(v) for v in values])


def front(tuning: Tuning, rows: Sequence[Row]) -> list[Row]:
    """The complete trials that no other one beats: the best one, or the front of two objectives.

    A trial is beaten by one that is as good in every objective and better in one; of equal ones
    the first stays. In the order of the first objective, the best first.
    """
    done = [row for row in rows if row["state"] == "complete"]
    signs = [1 if own.lower else -1 for own in tuning.objective]
    costs = {
        row["number"]: [s * row[m] for s, m in zip(signs, tuning.metrics, strict=True)]
        for row in done
    }
    ordered = sorted(done, key=lambda row: (costs[row["number"]], row["number"]))
    kept: list[Row] = []
    for row in ordered:
        # What comes before is as good in the first objective, so only the last one counts.
        if not kept or costs[row["number"]][-1] < costs[kept[-1]["number"]][-1]:
            kept.append(row)
    return kept[: None if len(signs) > 1 else 1]


def _equals(tuning: Tuning, best: Row, rows: Sequence[Row]) -> int:
    """How many other complete trials are as good, of which this one is but the first."""
    done = [row for row in rows if row["state"] == "complete"]
    values = [best[metric] for metric in tuning.metrics]
    return sum([row[metric] for metric in tuning.metrics] == values for row in done) - 1


def _write_best(worker: Worker, best: Sequence[Row]) -> list[str]:
    """A config file for each of the best trials; those of an earlier call go."""
    tuning, folder = worker.tuning, worker.folder.path
    names = (
        ["best.yaml"] if len(tuning.objective) == 1 else [f"best-{r['number']}.yaml" for r in best]
    )
    for path in folder.glob("best*.yaml"):
        if path.name not in names:
            path.unlink()
    for row, name in zip(best, names, strict=False):
        text = best_file(tuning, row, worker.place.origin.threads)
        write_atomically(folder / name, lambda path, text=text: path.write_text(text, "utf-8"))
    return names[: len(best)]


def best_file(tuning: Tuning, row: Mapping[str, Any], threads: int) -> str:
    """The config of a trial as a file for `regard train`, with where it comes from."""
    told = ", ".join(f"{metric} {row[metric]:.6g}" for metric in tuning.metrics)
    head = (
        f"# Trial {row['number']} of the tuning {' '.join(tuning.name.split())}: {told} at epoch "
        f"{row['best_epoch']}.\n# Chosen on val, so that is better than new images will show; "
        "test was not read.\n"
    )
    values = values_of(tuning, row["params"], threads)
    return head + yaml.safe_dump(_plain(values), sort_keys=False, allow_unicode=True)


def _plain(value: Any) -> Any:
    """Tuples as lists: YAML has no other."""
    if isinstance(value, Mapping):
        return {key: _plain(own) for key, own in value.items()}
    return [_plain(own) for own in value] if isinstance(value, list | tuple) else value


def _importance(study: optuna.Study, tuning: Tuning) -> dict[str, dict[str, float]]:
    """By objective the share of the variance that each key explains (fANOVA, Hutter et al., 2014).

    Empty for fewer than ten complete trials, or values that are all the same.
    """
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    found = {}
    for place, metric in enumerate(tuning.metrics):
        values = [trial.values[place] for trial in done]
        if len(done) < FEW or len(set(values)) < 2:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shares = get_param_importances(
                study,
                evaluator=FanovaImportanceEvaluator(seed=tuning.seed),
                target=lambda trial, place=place: trial.values[place],
            )
        found[metric] = {key: float(share) for key, share in shares.items()}
    return found
