"""What became of a pruned run, on the terminal."""

from typing import Any

from regard.cli.console import say, table
from regard.errors import command

STAGES = {"before": "before", "cut": "cut, not trained", "after": "trained after it"}


def show_pruning(values: dict[str, Any]) -> None:
    """Print the net's sizes and what is right on val, before the cut and after."""
    told = {title: values[stage] for stage, title in STAGES.items() if values[stage] is not None}
    metric = values["before"]["metric"]
    columns = ["", "parameters", "MACs", "weights", *([] if metric is None else [f"val {metric}"])]
    rows = [
        [
            title,
            f"{own['parameters']:,}",
            f"{own['flops'] / 2e6:,.1f} M",
            f"{own['bytes'] / 1e6:.2f} MB",
            *([] if metric is None else [f"{own['right']:.3f}"]),
        ]
        for title, own in told.items()
    ]
    share = f"{values['share']:.0%} of each layer's channels, by {values['importance']}"
    table(f"{share}; {values['before']['samples']} samples of val", columns, rows)
    folder = values["folder"]
    then = command("evaluate", folder)
    say(f"{folder}: a run like any other; test was not looked at: {then}")
