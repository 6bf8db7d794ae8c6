"""What a study shows while it runs and when it is done."""

from pathlib import Path
from typing import Any

from regard.cli.console import BarView, plural, plus_minus, print_json, say, table
from regard.cli.stopping import stop
from regard.reports import study_report
from regard.studies.runner import run_study
from regard.studies.settings import Study

FEW_SEEDS = 3


class StudyView(BarView):
    """A bar over the epochs of all runs, and a line a finished run."""

    def __init__(self, study: Study, out: Path) -> None:
        super().__init__(study.name)
        self._study, self._out = study, out
        self.remedies: list[str] = []

    def made(self, done: int, total: int) -> None:
        """Move the bar while samples are made."""
        self._bars.update(self._task, description="making samples", completed=done, total=total)

    def epochs(self, done: dict[str, int], total: int) -> None:
        """Move the bar over epochs."""
        self._bars.update(
            self._task,
            description=f"training {len(done)} runs, epochs",
            completed=sum(done.values()),
            total=total * len(done),
        )

    def averaged(self, done: int, total: int) -> None:
        """Move the bar while maps are averaged."""
        self._bars.update(self._task, description="averaging maps", completed=done, total=total)

    def benched(self, done: int, total: int) -> None:
        """Move the bar while latencies are measured."""
        self._bars.update(self._task, description="timing runs", completed=done, total=total)

    def finished(self, row: dict[str, Any]) -> None:
        """Print a run's accuracy, mAP or mean IoU on each split."""
        run = self._out / row["run"]
        if row["status"] != "done":
            self.remedies.append(row["remedy"])
            self._print(f"{run}: {row['error']}", "red")
            return
        first, names = self._study.splits[0], ("mean_iou", "map")
        name = next((name for name in names if f"{first}.{name}" in row), "accuracy")
        shown = [f"{split} {row[f'{split}.{name}']:.3f}" for split in self._study.splits]
        self._print(f"{run}: {name} " + ", ".join(shown) + f" ({row['seconds']:.0f} s)")

    def _print(self, text: str, style: str = "") -> None:
        self._bars.console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def run_and_show(
    study: Study, out: Path, *, workers: int | None = None, as_json: bool = False
) -> None:
    """Run a study, print its tables and write its report."""
    try:
        with StudyView(study, out) as view:
            summary = run_study(study, out, view, workers=workers)
    except KeyboardInterrupt:
        stop("stopped; the same command goes on from here", 130)
    if as_json:
        print_json(summary)
    else:
        show_summary(study, summary)
    path = study_report(out)
    if not as_json:
        say(f"Report: {path}")
    if view.remedies:
        failed = plural(len(view.remedies), "run")
        stop("; ".join([f"{failed} failed", *dict.fromkeys(view.remedies)]), 1)


def show_summary(study: Study, summary: dict[str, Any]) -> None:
    """The arms with intervals over seeds, the comparisons, and the controls."""
    names = [f"{split}.{metric}" for split in study.splits for metric in study.metrics]
    arms = summary["arms"]
    rows = [[name, *(plus_minus(arms[arm].get(name)) for arm in arms)] for name in names]
    title = f"Mean over {plural(len(study.seeds), 'seed')} and 95% interval (Student t)"
    table(title, ["", *arms], rows)
    rows = [
        [
            row["metric"],
            f"{row['arm']} - {row['against']}",
            plus_minus(row["seeds"]["difference"]) if row["seeds"] else "–",
            "–" if row["p_holm"] is None else f"{row['p_holm']:.3g}",
            row["verdict"],
        ]
        for row in summary["comparisons"]
    ]
    columns = ["", "difference", "over seeds", "p (Holm)", "verdict"]
    table("Differences, paired by seed, and their 95% intervals", columns, rows, left=2)
    _show_gaze(summary["gaze"])
    _show_published(study, arms)
    _say_seeds(len(study.seeds))
    _say_dead(study, arms)
    for arm, found in summary["controls"].items():
        share = "an unknown share" if found["overlap"] is None else f"{found['overlap']:.1%}"
        say(f"{arm}: the {found['regions']} regions cover {share} of the true ones")


def _show_gaze(rows: list[dict[str, Any]]) -> None:
    """How scores of maps are spread over images, and what they are to be held against."""
    names = ("mean", "median", "sd", "uniform", "best")
    cells = [
        [row["metric"], row["arm"], *("–" if row[n] is None else f"{row[n]:.3f}" for n in names)]
        for row in rows
    ]
    if cells:
        columns = ["", "arm", "mean", "median", "sd", "uniform map", "best map"]
        table("Over images, each with its mean over the seeds", columns, cells, left=2)


def _show_published(study: Study, arms: dict[str, Any]) -> None:
    """What others reported beside what came out."""
    if study.published is None:
        return
    rows = [
        [name, arm, f"{value:.4f}", plus_minus(arms[arm].get(name))]
        for name, values in study.published.values.items()
        for arm, value in values.items()
    ]
    table(f"Beside {study.published.source}", ["", "arm", "published", "here"], rows, left=2)


def _say_seeds(count: int) -> None:
    """What few seeds allow to say."""
    if count == 1:
        say("One seed allows no interval and no test; take 3 or more (--seeds 3).")
    elif count < FEW_SEEDS:
        say(f"Intervals over {count} seeds are very wide; take 3 or more (--seeds 3).")


def _say_dead(study: Study, arms: dict[str, Any]) -> None:
    """The share of maps that are zero everywhere and have no score, where there are any."""
    for split in study.splits:
        shares = {arm: arms[arm].get(f"{split}.dead_maps") for arm in arms}
        dead = {arm: found["value"] for arm, found in shares.items() if found and found["value"]}
        if dead:
            told = ", ".join(f"{arm} {value:.1%}" for arm, value in dead.items())
            say(f"Dead maps on {split} (zero everywhere, in no score of the gaze): {told}")
