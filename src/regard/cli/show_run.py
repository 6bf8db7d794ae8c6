"""What training and evaluation show."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from regard.cli.console import BarView, console, errors, plural, say, table, with_interval
from regard.errors import RegardError, command
from regard.evaluation.standings import Standing, all_standings
from regard.evaluation.thresholds import Choice
from regard.language import probability
from regard.runs.evaluate import regions_by_split
from regard.runs.explanations import INDEX
from regard.runs.files import read_table
from regard.runs.folder import RunFolder
from regard.runs.grouped import grouped_words
from regard.runs.inference import in_words
from regard.runs.log import read_lines
from regard.scores.base import SCORES
from regard.training.progress import Progress
from regard.training.watching import Silent, Watcher

SHOWN = 12
# Metrics of a class, of which each task has some: name and title.
BY_CLASS = {
    "average_precision": "average precision",
    "precision": "precision",
    "recall": "recall",
    "iou": "IoU",
    "dice": "Dice",
    "boundary_f1": "boundary F1",
    "f1": "F1",
}


class TrainingView(BarView):
    """A progress bar over steps, and a line an epoch."""

    def __init__(self) -> None:
        super().__init__("starting")

    def step(self, progress: Progress, steps: int, loss: float) -> None:
        """Move the bar."""
        title = f"epoch {progress.epoch + 1}, loss {loss:.3f}"
        self._bars.update(self._task, description=title, completed=progress.batch, total=steps)

    def epoch(self, record: dict[str, Any]) -> None:
        """Print the epoch's numbers."""
        shown = [f"epoch {record['epoch']:>3}"]
        for split in ("train", "val"):
            values = record.get(split, {})
            kept = [k for k in ("loss", "accuracy", "map", "mean_iou", "energy") if k in values]
            kept += [k for k in values if k.startswith("loss.") and k != "loss.dice"]
            shown.append(f"{split} " + " ".join(f"{k} {values[k]:.3f}" for k in kept))
        text = " | ".join(shown) + (" *" if record["best"] else "")
        self._bars.console.print(text, markup=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """Print a note."""
        errors.print(text, markup=False, soft_wrap=True)


@contextmanager
def watching(shown: bool) -> Iterator[Watcher]:
    """Who watches a training; nobody where another process shows it."""
    if not shown:
        yield Silent()
        return
    with TrainingView() as view:
        yield view


def next_steps(folder: Path, before: int | None = None) -> None:
    """Say what to do with a finished run; `before` are its epochs, if it was finished already."""
    if before is None:
        say(f"{folder}: done (* marks the best epoch so far)")
    else:
        say(f"{folder}: was already finished, after {plural(before, 'epoch')}; nothing was trained")
    try:
        splits = regions_by_split(folder)
    except RegardError:
        splits = {}  # the manifest has gone; those who need it will say so
    told = _of(list(splits))
    steps = [["evaluate", folder, *told]]
    if any(splits.values()):
        steps.append(["score", folder, *_of([name for name in splits if splits[name]])])
    config = RunFolder(folder).read_config()
    segments = config["data"].get("task") == "segmentation"
    chosen = ["--class", config["classes"][0]] if segments else []
    steps += [["explain", folder, *told, *chosen], ["report", folder]]
    say("Next: " + "; ".join(command(*step) for step in steps))


def _of(splits: list[str]) -> list[str]:
    """The option that names the best of some splits to look at; none for test, the default."""
    chosen = next((name for name in ("test", "val") if name in splits), splits[0] if splits else "")
    return ["--split", chosen] if chosen not in ("", "test") else []


def show_metrics(values: dict[str, Any], files: RunFolder) -> None:
    """Metrics with intervals, classes, and how often the split was read."""
    metrics, split = values["metrics"], values["split"]
    scalars = {k: v for k, v in metrics.items() if isinstance(v, dict) and "value" in v}
    rows = [[name, with_interval(value)] for name, value in scalars.items()]
    seen = f" at {in_words(values['inference'])}" if "inference" in values else ""
    table(f"{split}: {values['images']} images{seen}, 95% intervals", ["metric", "value"], rows)
    if grouped := grouped_words(values, values["images"], split):
        say(grouped)
    known = [k for k in BY_CLASS if k in next(iter(metrics["per_class"].values()))]
    rows = [
        [name, *(with_interval(own[k]) for k in known)]
        for name, own in metrics["per_class"].items()
    ]
    table("By class", ["class", *(BY_CLASS[k] for k in known)], rows)
    if "threshold" in values:
        say(_decided(values["threshold"]))
    names = values["classes"]
    if len(names) <= 20 and "confusion" in metrics:
        confusion = [[n, *row] for n, row in zip(names, metrics["confusion"], strict=True)]
        table("Confusion, rows are the truth", ["", *names], confusion)
    reads = sum(line.get("split") == split for line in read_lines(files.readings))
    say(f"{files.metrics(split)}; this split has been read {reads} time{'s'[: reads != 1]}")


def _decided(how: Mapping[str, Any]) -> str:
    """The threshold, how it was chosen, and what it found there."""
    aim = Choice(how["by"], how["target"], how["positive"]).words
    found = with_interval(how["metrics"]["recall"])
    text = (
        f"Threshold {probability(how['threshold'])} of {how['positive']}, chosen on {how['split']}"
    )
    text = f"{text} for {aim}: recall there {found} over {plural(how['positives'], 'image')}"
    groups = how["metrics"]["recall"].get("groups")
    return text if groups is None else f"{text} of {plural(groups, 'group')}"


def show_gaze(summary: dict[str, Any], split: str) -> None:
    """Gaze scores by method, with intervals."""
    scored = [found["scores"] for found in summary.values()]
    names = list(dict.fromkeys(name for own in scored for name in own))
    rows = [[name, *(with_interval(own.get(name)) for own in scored)] for name in names]
    rows.append(["dead maps", *(f"{found['dead_maps']:.1%}" for found in summary.values())])
    table(f"Gaze on {split}, means and 95% intervals", ["score", *summary], rows)
    for method, found in summary.items():
        if "per_class" in found:
            _gaze_by_class(found["per_class"], list(found["scores"]), f"Gaze by class, {method}")
    found = next(iter(summary.values()))
    uniform = found["uniform_energy"]
    if uniform is not None:
        console.print(
            f"A uniform map would have energy {uniform:.3f} (the mean area of these maps' regions) "
            f"and gain 1; {found['with_region']} of {found['images']} images have a region."
        )


def _gaze_by_class(classes: Mapping[str, Any], names: Sequence[str], title: str) -> None:
    """The scores of a segmenter's classes, each against its own pixels."""
    rows = [
        [
            name,
            "–" if own["mean_area"] is None else f"{own['mean_area']:.3f}",
            *(with_interval(own["scores"][n]) for n in names[:4]),
            f"{own['dead_maps']:.1%}",
        ]
        for name, own in classes.items()
    ]
    table(title, ["class", "area", *names[:4], "dead maps"], rows)


def show_ranking(scores: Path, split: str) -> None:
    """Which methods are best by each score, which are level with them and which behind."""
    rows = []
    for name, (best, *others) in all_standings(read_table(scores)).items():
        level = [_placed(standing) for standing in others if standing.leads]
        behind = [_placed(standing) for standing in others if not standing.leads]
        texts = (", ".join(found) or "–" for found in (level, behind))
        rows.append([f"{name} ({SCORES[name].better} is better)", _placed(best), *texts])
    if rows:
        columns = ["score", "best method", "not told apart from it", "behind"]
        table(
            f"Methods on {split}, by paired tests over the images that all of them score",
            columns,
            rows,
            left=4,
        )


def _placed(standing: Standing) -> str:
    return f"{standing.method} {standing.interval.value:.3f}"


def show_explanations(rows: Sequence[dict[str, Any]], folder: Path) -> None:
    """The first explanations: what was predicted, and where the map is drawn."""
    shown = [[Path(row["image"]).name, _answered(row), row["overlay"]] for row in rows[:SHOWN]]
    table(f"Explanations in {folder}", ["image", "predicted", "map"], shown, left=3)
    more = len(rows) - len(shown)
    if more:
        say(f"{plural(more, 'more map')}; {folder / INDEX} lists all of them")


def _answered(row: Mapping[str, Any]) -> str:
    """The predicted class, or classes; of a segmenter on how much of the image it is predicted."""
    if "share" in row:
        return f"{row['target']} on {row['share']:.1%}"
    if isinstance(row["predicted"], list):
        return ", ".join(row["predicted"]) or "nothing"
    return f"{row['predicted']} {row['probability']:.1%}"


def show_averages(values: Mapping[str, Any], folder: Path) -> None:
    """Mean maps: how much there is of them, where, and how much of it in the regions."""
    rows = values["rows"]
    shown = [
        [
            "all" if row["class"] is None else row["class"],
            row["images"],
            row["dead"],
            _number(row["mass"], "{:.3g}"),
            ", ".join(_number(row[f"centre_{side}"]) for side in ("down", "across")),
            with_interval(
                {"value": row["inside"], "low": row["inside_low"], "high": row["inside_high"]}
            ),
            _number(row["area"], "{:.3f}"),
        ]
        for row in rows[: 1 + SHOWN]
    ]
    columns = ["label", "images", "dead", "mass", "centre (down, across)", "inside", "area"]
    table(f"Mean maps of {values['method']} on {values['split']}", columns, shown)
    if len(rows) > len(shown):
        say(f"{plural(len(rows) - len(shown), 'more class')} in the files")
    say(f"{folder}: mean.png, classes.png, averages.json, averages.parquet, maps.safetensors")


def _number(value: float | None, form: str = "{:.2f}") -> str:
    return "–" if value is None else form.format(value)
