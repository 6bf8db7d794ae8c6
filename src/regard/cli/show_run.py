"""What training and evaluation show."""

from pathlib import Path
from typing import Any

from regard.cli.console import BarView, console, errors, say, table, with_interval
from regard.runs.folder import RunFolder
from regard.training.progress import Progress


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
            kept = [k for k in ("loss", "accuracy", "energy") if k in values]
            shown.append(f"{split} " + " ".join(f"{k} {values[k]:.3f}" for k in kept))
        self._bars.console.print(" | ".join(shown) + (" *" if record["best"] else ""))

    def note(self, text: str) -> None:
        """Print a note."""
        errors.print(text, markup=False)


def next_steps(folder: Path) -> None:
    """Say what to do with a finished run."""
    say(f"{folder}: done (* marks the best epoch so far)")
    say(f"Next: regard evaluate {folder}; regard score {folder}; regard report {folder}")


def show_metrics(values: dict[str, Any], files: RunFolder) -> None:
    """Metrics with intervals, classes, and how often the split was read."""
    metrics, split = values["metrics"], values["split"]
    scalars = {k: v for k, v in metrics.items() if isinstance(v, dict) and "value" in v}
    rows = [[name, with_interval(value)] for name, value in scalars.items()]
    table(f"{split}: {values['images']} images, 95% intervals", ["metric", "value"], rows)
    rows = [
        [name, *(with_interval(own[k]) for k in ("precision", "recall", "f1"))]
        for name, own in metrics["per_class"].items()
    ]
    table("By class", ["class", "precision", "recall", "F1"], rows)
    names = values["classes"]
    if len(names) <= 20:
        confusion = [[n, *row] for n, row in zip(names, metrics["confusion"], strict=True)]
        table("Confusion, rows are the truth", ["", *names], confusion)
    reads = sum(1 for line in files.readings.read_text().splitlines() if f'"{split}"' in line)
    say(f"{files.metrics(split)}; this split has been read {reads} time{'s'[: reads != 1]}")


def show_gaze(summary: dict[str, Any], split: str) -> None:
    """Gaze scores by method, with intervals."""
    names = list(next(iter(summary.values()))["scores"])
    rows = [
        [method, *(with_interval(found["scores"][n]) for n in names), f"{found['dead_maps']:.1%}"]
        for method, found in summary.items()
    ]
    table(f"Gaze on {split}", ["method", *names, "dead maps"], rows)
    found = next(iter(summary.values()))
    area = found["mean_area"]
    if area is not None:
        console.print(
            f"A uniform map would have energy {area:.3f} (the regions' mean area) and gain 1; "
            f"{found['with_region']} of {found['images']} images have a region."
        )
