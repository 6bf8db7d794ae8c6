"""What `regard compare` shows."""

from collections.abc import Mapping
from typing import Any

from regard.cli.console import plural, say, table, with_interval
from regard.cli.show_bench import show_latencies


def show_comparison(summary: Mapping[str, Any]) -> None:
    """Of every other run: each number of both, the difference with its interval, and the flips."""
    first = summary["first"]["name"]
    for other in summary["others"]:
        rows = _ROWS[summary["task"]](other)
        title = f"{other['name']} against {first} on {summary['split']}"
        title += f": {plural(other['images'], 'image')}, 95% intervals over images"
        table(title, ["", first, other["name"], "difference", "p"], rows)
        if "outcomes" in other:
            counts = other["outcomes"].items()
            say("Images: " + ", ".join(f"{name.replace('_', ' ')} {n}" for name, n in counts))
    runs = [summary["first"], *summary["others"]]
    show_latencies({run["name"]: run["bench"] for run in runs})


def _of_labels(other: Mapping[str, Any]) -> list[list[str]]:
    """Accuracy and scores of maps."""
    accuracy = other["accuracy"]
    first = _row(
        "accuracy",
        accuracy["before"]["value"],
        accuracy["after"]["value"],
        accuracy["difference"],
        accuracy["mcnemar"]["p_value"],
    )
    return [first, *_rows(other["scores"])]


def _of_sets(other: Mapping[str, Any]) -> list[list[str]]:
    """Accuracy of whole sets, the other metrics, and scores of maps."""
    accuracy, *scores = _of_labels(other)
    return [accuracy, *_rows(other["metrics"]), *scores]


def _of_masks(other: Mapping[str, Any]) -> list[list[str]]:
    """Metrics of pixels, each class's IoU, and scores of maps."""
    told = {**other["metrics"]}
    told |= {f"IoU, {name}": own["iou"] for name, own in other["per_class"].items()}
    return _rows(told | {f"{name} of maps": found for name, found in other["scores"].items()})


_ROWS = {"classification": _of_labels, "multilabel": _of_sets, "segmentation": _of_masks}


def _rows(told: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    return [
        _row(name, found["before"], found["after"], dict(found["difference"]), found["p_value"])
        for name, found in told.items()
    ]


def _row(
    name: str, before: float | None, after: float | None, difference: dict, p: float | None
) -> list[str]:
    shown = [_number(before), _number(after), with_interval(difference), _number(p, ".3g")]
    return [name, *shown]


def _number(value: float | None, form: str = ".3f") -> str:
    return "–" if value is None else format(value, form)
