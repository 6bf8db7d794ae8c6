"""What `regard compare` shows."""

from collections.abc import Mapping
from typing import Any

from regard.cli.console import NONE, decimal, plural, say, table, with_interval
from regard.cli.show_bench import show_latencies
from regard.reports.compare_verdicts import dead_words
from regard.runs.grouped import grouped_words

MOST_CLASSES = 20


def show_comparison(summary: Mapping[str, Any]) -> None:
    """Of every other run: each number of both, the difference with its interval, and the flips."""
    first = summary["first"]["name"]
    for other in summary["others"]:
        rows = _ROWS[summary["task"]](other)
        title = f"{other['name']} against {first} on {summary['split']}"
        title += f": {plural(other['images'], 'image')}, 95% intervals over images"
        table(title, ["", first, other["name"], "difference", "p", "images"], rows)
        if grouped := grouped_words(summary, other["images"], summary["split"]):
            say(grouped)
        if dead := dead_words(summary, other):
            say(dead)
        if summary["task"] != "segmentation":
            _show_classes(summary, other)
            _say_trainings(other)
            counts = other["outcomes"].items()
            say("Images: " + ", ".join(f"{name.replace('_', ' ')} {n}" for name, n in counts))
    runs = [summary["first"], *summary["others"]]
    show_latencies({run["name"]: run["bench"] for run in runs})


def _say_trainings(other: Mapping[str, Any]) -> None:
    """Of arms the difference in accuracy over trainings, and over trainings and images."""
    found = other.get("trainings")
    if found:
        told = [
            f"{words} {with_interval(test['difference'])}, p {_p(test['p_value'])}"
            for words, test in (
                ("over seeds", found["over_seeds"]),
                ("over seeds and images", found["over_both"]),
            )
        ]
        say("Accuracy, " + "; ".join(told))


def _show_classes(summary: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    """Recall of every class, where they are few enough to be read."""
    found = other["per_class"]
    if len(found) > MOST_CLASSES:
        return
    rows = _rows({label: own["recall"] for label, own in found.items()})
    first = summary["first"]["name"]
    table("Recall of each class", ["", first, other["name"], "difference", "p", "images"], rows)


def _of_labels(other: Mapping[str, Any]) -> list[list[str]]:
    """Accuracy, of sets of labels that of whole sets, scores of maps, and the other metrics."""
    accuracy = other["accuracy"]
    first = _row(
        "accuracy",
        accuracy["before"]["value"],
        accuracy["after"]["value"],
        accuracy["difference"],
        accuracy["p_value"],
    )
    return [first, *_rows(other["scores"]), *_rows(other["metrics"])]


def _of_masks(other: Mapping[str, Any]) -> list[list[str]]:
    """Metrics of pixels, each class's IoU, and scores of maps."""
    told = {**other["metrics"]}
    told |= {f"IoU, {name}": own["iou"] for name, own in other["per_class"].items()}
    return _rows(told | {f"{name} of maps": found for name, found in other["scores"].items()})


_ROWS = {"classification": _of_labels, "multilabel": _of_labels, "segmentation": _of_masks}


def _rows(told: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    return [
        _row(name, found["before"], found["after"], dict(found["difference"]), found["p_value"])
        for name, found in told.items()
    ]


def _row(
    name: str, before: float | None, after: float | None, difference: dict, p: float | None
) -> list[str]:
    told = with_interval(difference)
    told = f"{told} ({difference['reason']})" if difference["value"] is None else told
    shown = [decimal(before), decimal(after), told, _p(p)]
    return [name, *shown, f"{difference['n']:,}"]


def _p(value: float | None) -> str:
    return NONE if value is None else f"{value:.3g}"
