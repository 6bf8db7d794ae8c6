"""What a tuning shows while it runs and when it is done."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from regard.cli.console import BarView, plural, print_json, say, table
from regard.cli.stopping import stop
from regard.errors import command
from regard.reports import tuning_report
from regard.reports.languages import language_of
from regard.runs.files import dump_json, read_table
from regard.studies.tuning import tune
from regard.studies.tuning_settings import Tuning
from regard.training.stopping import Interrupted

# Trials of the table, the best first.
SHOWN = 10


class TuningView(BarView):
    """A bar over the trials with the best so far, and a line a finished trial."""

    def __init__(self, tuning: Tuning) -> None:
        super().__init__(tuning.name)
        self._tuning = tuning
        self._best: dict[str, float] = {}

    def begun(self, rows: Sequence[dict[str, Any]], total: int) -> None:
        """Set the bar to what is done."""
        for row in rows:
            self._take(row)
        self._bars.update(self._task, total=total, completed=len(rows))
        if rows:
            self._print(f"going on with {plural(len(rows), 'trial')} done of {total}")

    def moved(self, done: float) -> None:
        """Move the bar."""
        self._bars.update(self._task, completed=done, description=self._title())

    def finished(self, row: dict[str, Any]) -> None:
        """Print what came of a trial, and what it tried."""
        self._take(row)
        tried = ", ".join(f"{_last(key)} {_said(value)}" for key, value in row["params"].items())
        text = f"trial {row['number']}: {row['error']}"
        if row["state"] != "failed":
            text = f"trial {row['number']}: {_values(row, self._tuning.metrics)}"
        if row["state"] == "pruned":
            text += f", broken off after {plural(row['epochs'], 'epoch')}"
        self._print(f"{text} ({tried})", "red" if row["state"] == "failed" else "")

    def _take(self, row: dict[str, Any]) -> None:
        """Hold on to the best of each objective."""
        if row["state"] == "complete":
            for own in self._tuning.objective:
                pick = min if own.lower else max
                value = row[own.metric]
                self._best[own.metric] = pick(value, self._best.get(own.metric, value))

    def _title(self) -> str:
        best = ", ".join(f"{metric} {value:.4g}" for metric, value in self._best.items())
        return f"trials, best {best}" if best else "trials"

    def _print(self, text: str, style: str = "") -> None:
        self._bars.console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def tune_and_show(
    tuning: Tuning, out: Path, *, as_json: bool = False, lang: str = "en", **how: Any
) -> None:
    """Run a tuning, print its best trials and write its report."""
    language_of(lang)  # an unknown one is refused before any work
    try:
        with TuningView(tuning) as view:
            summary = tune(tuning, out, view, **how)
    except (Interrupted, KeyboardInterrupt):
        stop("stopped; the same command goes on from here", 130)
    if as_json:
        print_json(summary)
    else:
        show_tuning(summary, out)
    path = tuning_report(out, language=lang)
    if not as_json:
        say(f"Report: {path}")


def show_tuning(summary: dict[str, Any], out: Path) -> None:
    """The best trials, what mattered, and the files to go on with."""
    metrics = [own["metric"] for own in summary["objectives"]]
    rows = ranked(read_table(out / "trials.parquet"), summary)
    keys = [name for name in rows.columns if name not in (*metrics, *_FIXED)]
    cells = [
        [row["number"], *(_number(row[m]) for m in metrics), *(_said(row[key]) for key in keys)]
        for row in rows.head(SHOWN).iter_rows(named=True)
    ]
    states = summary["states"]
    told = ", ".join(f"{count} {state}" for state, count in states.items() if count)
    heads = ["trial", *metrics, *map(_last, keys)]
    table(f"Best of {plural(sum(states.values()), 'trial')} ({told})", heads, cells)
    for row in summary["best"]:
        if row["equals"]:
            are = "is" if row["equals"] == 1 else "are"
            say(
                f"{plural(row['equals'], 'other trial')} {are} as good as trial {row['number']}, "
                "which is the first of them"
            )
    for metric, shares in summary["importance"].items():
        first = ", ".join(f"{key} {share:.0%}" for key, share in list(shares.items())[:4])
        say(f"What {metric} varies with: {first}")
    files = [str(out / best["config"]) for best in summary["best"]]
    if files:
        say("Values are of val, on which they were chosen: better than new images will show.")
        run = Path("runs") / Path(files[0]).stem
        say(f"Next: {command('train', files[0])}; {command('evaluate', run)}")
    if files[1:]:
        say(f"The front has {plural(len(files), 'config')}: {', '.join(files)}")


_FIXED = ("number", "state", "seconds", "epochs", "best_epoch", "error", "run")


def ranked(trials: pl.DataFrame, summary: dict[str, Any]) -> pl.DataFrame:
    """The complete trials, those of the front first, then by the first objective."""
    sole, best = summary["objectives"][0], [row["number"] for row in summary["best"]]
    done = trials.filter(pl.col("state") == "complete")
    return done.sort(
        ~pl.col("number").is_in(best),
        pl.col(sole["metric"]) * (1 if sole["better"] == "lower" else -1),
        "number",
    )


def _values(row: dict[str, Any], metrics: Sequence[str]) -> str:
    return ", ".join(f"{metric} {_number(row[metric])}" for metric in metrics)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _said(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else dump_json(value)


def _last(key: str) -> str:
    """The end of a key, which is enough beside its value."""
    parts = key.split(".")
    return ".".join(parts[-2:]) if parts[-1] in ("name", "kind") else parts[-1]
