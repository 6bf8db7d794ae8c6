"""What a screening found, on the terminal."""

from pathlib import Path
from typing import Any

from regard.cli.console import plural, say, table
from regard.language import probability
from regard.screening.maps import MAPS


def show_screening(values: dict[str, Any], out: Path) -> None:
    """Print counts by class, the rate of the positive class and its bound, and where it lies."""
    unread = values["unreadable"]
    say(f"{plural(values['images'], 'image')}, {plural(values['pieces'], 'piece')}")
    if unread:
        say(f"{plural(unread, 'image')} could not be read, see {out / 'bad_files.csv'}")
    known = {split: count for split, count in (values["learned"] or {}).items() if count}
    if known:
        told = " and ".join(f"{count:,} in {split}" for split, count in known.items())
        say(f"Of these images {told}: on what it has learned from a net is right more often")
    rows = [[name, f"{count:,}"] for name, count in values["predicted"].items()]
    table("Predicted", ["class", "pieces"], rows)
    told = values["positive"]
    if told is not None:
        rate = "–" if told["rate"] is None else f"{told['rate']:.3g}"
        say(
            f"{told['class']}, {_from(told)}: "
            f"{told['pieces']:,}, a rate of {rate}, at most {told['upper']:.3g} with "
            f"{told['level']:.0%} confidence" + _whose(values["groups"])
        )
    if values["groups"]:
        say(f"{plural(values['groups'], 'group')}: {out / 'groups.csv'}")
    maps = f"; maps: {out / MAPS}" if values["maps"] else ""
    say(f"Rows: {out / 'rows'}{maps}")


def _from(told: dict[str, Any]) -> str:
    if told["threshold"] is None:
        return f"where it is the most probable class ({told['threshold_from']})"
    return f"{probability(told['threshold'], 4)} or more ({told['threshold_from']})"


def _whose(groups: int) -> str:
    """The bound takes pieces for what was drawn, which those of other films say nothing of."""
    return f" among pieces of {'this group' if groups == 1 else 'these groups'}" if groups else ""
