"""What a comparison's numbers hold for and what not."""

from collections.abc import Mapping
from typing import Any

from regard.language import Phrases, phrase
from regard.reports.words import (
    count,
    listed,
)

Told = Mapping[str, Any]


def how_to_read(summary: Told) -> list[str]:
    """What the numbers hold for and what not."""
    first, split = summary["first"], summary["split"]
    if summary.get("of_arms"):
        return [_of_arms(summary)]
    runs = (first, *summary["others"])
    told = [
        phrase(
            "Each net was asked anew about {split}, {checkpoints}. An interval says what other "
            "images would give from the same nets; what another training would give, it does not. "
            "For that take several seeds (regard study).",
            split=split,
            checkpoints=", ".join(
                phrase("{run} at {checkpoint}", run=run["name"], checkpoint=run["checkpoint"])
                for run in runs
            ),
        )
    ]
    if len(summary["others"]) > 1:
        told.append(phrase("Intervals and p\u2011values are not corrected for the number of runs."))
    if any(run["own_contrast"] != summary["contrast"] for run in runs):
        told.append(phrase(_CONTRASTS[bool(summary["contrast"])], first=first["name"]))
    return told


_CONTRASTS: Phrases = {
    True: "All maps are made as {first} measures its own, with contrast; not every run here was "
    "trained to be measured so.",
    False: "All maps are made as {first} measures its own, without contrast; not every run here "
    "was trained to be measured so.",
}


def _of_arms(summary: Told) -> str:
    """What numbers of arms are, and where a claim about them stands."""
    seeds, folds = summary["of_arms"]["seeds"], summary["of_arms"]["folds"]
    pixels = summary["task"] == "segmentation"
    text = phrase(
        _OF_ARMS[folds > 1, pixels],
        split=summary["split"],
        seeds=count(len(seeds), "seed"),
        names=listed([str(seed) for seed in seeds]),
        folds=folds,
    )
    over = phrase("An interval over images says what other images would give from these nets.")
    if len(seeds) == 1 and folds == 1:
        claim = phrase("What another training would give, one seed does not say.")
    elif folds > 1 or pixels:
        claim = phrase("What is claimed of the arms, the study's own report says.")
    else:
        claim = phrase(
            "Whether other trainings and other images would show it too is said beside it."
        )
    return f"{text} {over} {claim}"


# By whether there are folds, and whether pixels are counted.
_OF_ARMS: Phrases = {
    (False, False): "Numbers are read from what the studies' runs wrote about {split}, with "
    "{seeds} ({names}) of each arm: means over the seeds, in which every image counts with its "
    "own mean.",
    (False, True): "Numbers are read from what the studies' runs wrote about {split}, with "
    "{seeds} ({names}) of each arm: pixels of all seeds count together.",
    (True, False): "Numbers are read from what the studies' runs wrote about {split}, with "
    "{seeds} ({names}) of each arm, pooled over {folds} folds: means over the seeds, in which "
    "every image counts with its own mean.",
    (True, True): "Numbers are read from what the studies' runs wrote about {split}, with "
    "{seeds} ({names}) of each arm, pooled over {folds} folds: pixels of all seeds count together.",
}
