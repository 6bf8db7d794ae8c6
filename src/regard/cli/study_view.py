"""A study while it runs: a table of its arms in the terminal, plain lines elsewhere."""

import time
from collections.abc import Mapping
from typing import Any, Self

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from regard.cli.console import errors, plural
from regard.studies.settings import BEFORE, Job, Study

# Before that the pace says nothing.
_SURE = 5.0
_HOUR, _MINUTE = 3600, 60


class StudyView:
    """How far every arm is, what its finished runs reached, and how long the rest will take.

    Args:
        study: that runs.
        out: its folder, which lines of runs begin with.
        console: to show it on; plain lines where it is no terminal.
    """

    def __init__(self, study: Study, out: Any, console: Console = errors) -> None:
        self._study, self._out, self._console = study, out, console
        self._epochs: dict[Job, int | None] = {}
        self._totals: dict[Job, int] = {}
        self._rows: dict[str, list[dict[str, Any]]] = {}
        self._begun: tuple[float, int] | None = None
        self._said = ""
        self._live = Live(console=console, get_renderable=self.shown, transient=True,
                          refresh_per_second=2, auto_refresh=console.is_terminal)  # fmt: skip
        self.remedies: list[str] = []

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def made(self, done: int, total: int) -> None:
        """While samples are made."""
        self._said = f"making samples: {done:,} of {total:,}"

    def epochs(self, done: Mapping[Job, int | None], total: Mapping[Job, int]) -> None:
        """Every second: epochs done of each run."""
        if self._totals.keys() != total.keys():  # the arms begin after the first trainings
            self._begun = None
        self._epochs, self._totals, self._said = dict(done), dict(total), ""
        if self._begun is None:
            self._begun = time.monotonic(), self._done()

    def averaged(self, done: int, total: int) -> None:
        """While maps are averaged."""
        self._said = f"averaging maps: {done} of {plural(total, 'arm')}"

    def benched(self, done: int, total: int) -> None:
        """While latencies are measured."""
        self._said = f"measuring latency: {done} of {plural(total, 'run')}"

    def finished(self, row: dict[str, Any]) -> None:
        """Print a run's main metric on each split, and how many runs are done."""
        self._rows.setdefault(row["arm"], []).append(row)
        run = self._out / row["run"]
        if row["status"] != "done":
            self.remedies.append(row["remedy"])
            self._print(f"{run}: {row['error']}{self._progress()}", "red")
            return
        first, names = self._study.splits[0], ("mean_iou", "map")
        name = next((name for name in names if f"{first}.{name}" in row), "accuracy")
        shown = [f"{split} {row[f'{split}.{name}']:.3f}" for split in self._study.splits]
        text = f"{run}: {name} " + ", ".join(shown) + f" ({row['seconds']:.0f} s)"
        self._print(text + self._progress())

    def left(self) -> float | None:
        """Seconds that the epochs still take at the pace of this call; None: not known yet."""
        if self._begun is None:
            return None
        since, before = self._begun
        taken, done = time.monotonic() - since, self._done() - before
        if taken < _SURE or not done:
            return None
        return taken / done * (sum(self._totals.values()) - self._done())

    def shown(self) -> Group:
        """The table of arms, and a line about all of it."""
        shown = Table(box=box.SIMPLE_HEAD)
        metric = self._study.metrics[0]
        heads = ("", "done", "running", "failed", "waiting", f"last {metric}", f"mean {metric}")
        for number, head in enumerate(heads):
            shown.add_column(Text(head), justify="right" if number else "left")
        arms = [*([BEFORE] if self._study.before is not None else []), *self._study.arms]
        for arm in arms:
            shown.add_row(*map(Text, self.cells(arm)))
        return Group(shown, Text(self._said or self._told()))

    def cells(self, arm: str) -> list[str]:
        """An arm's row."""
        rows = self._rows.get(arm, [])
        done = [row for row in rows if row["status"] == "done"]
        over = {row["run"] for row in rows}
        jobs = [job for job in self._epochs if job.arm == arm and job.run not in over]
        running = [job for job in jobs if self._epochs[job] is not None]
        name = f"{self._study.splits[0]}.{self._study.metrics[0]}"
        values = [row[name] for row in done if row.get(name) is not None]
        told = [f"{self._epochs[job]}/{self._totals[job]}" for job in running]
        return [
            arm,
            str(len(done)),
            "–" if not running else f"{len(running)} (epoch {', '.join(told)})",
            str(len(rows) - len(done)),
            str(len(jobs) - len(running)),
            f"{values[-1]:.3f}" if values else "–",
            f"{sum(values) / len(values):.3f}" if values else "–",
        ]

    def _done(self) -> int:
        """Epochs; those of a run that ended early count as all of its."""
        over = {row["run"] for rows in self._rows.values() for row in rows}
        return sum(self._totals[job] if job.run in over else epochs or 0
                   for job, epochs in self._epochs.items())  # fmt: skip

    def _told(self) -> str:
        total = sum(self._totals.values())
        return f"{self._done():,} of {total:,} epochs{_about(self.left())}" if total else ""

    def _progress(self) -> str:
        """`; 3 of 12 runs, about 5 min left`, where that is known."""
        arms = {job.arm for job in self._totals}
        number = sum(len(rows) for arm, rows in self._rows.items() if arm in arms)
        if not arms:
            return ""
        return f"; {number} of {plural(len(self._totals), 'run')}{_about(self.left())}"

    def _print(self, text: str, style: str = "") -> None:
        self._console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def _about(seconds: float | None) -> str:
    """`, about 5 min left`, or nothing."""
    if seconds is None or seconds <= 0:
        return ""
    if seconds >= 2 * _HOUR:
        return f", about {seconds / _HOUR:.0f} h left"
    if seconds >= 2 * _MINUTE:
        return f", about {seconds / _MINUTE:.0f} min left"
    return f", about {max(1, round(seconds))} s left"
