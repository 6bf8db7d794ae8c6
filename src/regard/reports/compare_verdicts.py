"""Which of two runs is the better one, in plain words."""

from collections.abc import Mapping
from typing import Any

from regard.language import Phrases, isolated, phrase
from regard.reports.compare_tables import READINGS, reading
from regard.reports.words import (
    between,
    clauses,
    count,
    decimal,
    percent,
    signed,
    why_none,
)

Told = Mapping[str, Any]


def change_places(summary: Told, other: Told, change: Told) -> dict[str, str]:
    """What a sentence on a metric's change names, by the places of its template.

    Args:
        summary: of the comparison.
        other: the run held against the first one.
        change: of the metric: `before`, `after` and `difference`.
    """
    return {
        "other": other["name"],
        "split": summary["split"],
        "images": count(other["images"], "image"),
        "after": decimal(change["after"]),
        "first": summary["first"]["name"],
        "before": decimal(change["before"]),
        "difference": signed(change["difference"]["value"]),
        "interval": between(change["difference"], signed),
    }


def verdict_words(other: Told, word: str) -> str:
    """Whether the other one is the better or the worse, by the reading of its first difference."""
    return phrase(_VERDICTS[word], arm=other["name"])


_VERDICTS: Phrases = {
    "better": "On images such as these, {arm} is the better one.",
    "worse": "On images such as these, {arm} is the worse one.",
    "no difference shown": "No difference is shown.",
}


def class_words(other: Told, key: str, what: str) -> str:
    """Which classes are better, which worse, without a correction for their number.

    Args:
        other: what is held against the first.
        key: the metric of a class that decides.
        what: its name in a sentence, `IoU`.
    """
    kinds: dict[str, list[str]] = {"better": [], "worse": []}
    for name, own in other["per_class"].items():
        difference = own[key]["difference"]
        word = reading(key, own[key])
        if word in kinds:
            kinds[word].append(f"{isolated(name)} ({signed(difference['value'])})")
    told = [
        f"{phrase(READINGS[word])} {', '.join(names)}" for word, names in kinds.items() if names
    ]
    return phrase(
        "By the {metric} of single classes: {found}. These are not corrected for their number.",
        metric=what,
        found=clauses(*told) or phrase("no class's difference is shown"),
    )


def map_words(summary: Told, other: Told) -> str:
    """Why the energy of maps cannot be compared, if so, and how many maps are zero everywhere."""
    energy = other["scores"].get("energy")
    why = why_none(energy["difference"]) if energy else ""
    text = phrase("The energy of maps cannot be compared: {reason}.", reason=why) if why else ""
    return " ".join(filter(None, [text, dead_words(summary, other)]))


def dead_words(summary: Told, other: Told) -> str:
    """How many maps of both are zero everywhere; nothing where none is."""
    dead = other["dead_maps"]
    if not dead or not (dead["before"] or dead["after"]):
        return ""
    return phrase(
        "Maps that are zero everywhere, and in no score: {before} with {first}, {after} with "
        "{other}.",
        before=percent(dead["before"]),
        first=summary["first"]["name"],
        after=percent(dead["after"]),
        other=other["name"],
    )


def points(share: Any) -> str:
    """A difference of shares in percentage points."""
    return signed(None if share is None else share * 100, 1)
