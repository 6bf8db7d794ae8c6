"""A comparison of two runs in plain words and a few numbers."""

from collections.abc import Mapping
from typing import Any

from regard.reports.blocks import Fact, Facts
from regard.reports.compare_metrics import metric_words
from regard.reports.compare_tables import reading
from regard.reports.words import (
    between,
    count,
    decimal,
    listed,
    p_value,
    percent,
    said,
    signed,
    title,
)

Told = Mapping[str, Any]
_LOOKS = ("energy", "magtr")


def comparison_facts(summary: Told, other: Told) -> Facts:
    """Accuracy, flips and gaze: the numbers that are looked for first."""
    first, accuracy, outcomes = summary["first"]["name"], other["accuracy"], other["outcomes"]
    images = f"of {count(other['images'], 'image')}"
    facts = [
        Fact(
            "Accuracy",
            f"{points(accuracy['difference']['value'])} points",
            f"{percent(accuracy['before']['value'])} with {first}, "
            f"{percent(accuracy['after']['value'])} with {other['name']}; interval "
            f"{between(accuracy['difference'], points)}",
        ),
        Fact(f"Right with {first} alone", f"{outcomes['right_becomes_wrong']:,}", images),
        Fact(f"Right with {other['name']} alone", f"{outcomes['wrong_becomes_right']:,}", images),
    ]
    facts += [_looked(other, name) for name in _LOOKS if name in other["scores"]]
    unlooked = other["unlooked"]
    if unlooked and unlooked["images"]:
        note = f"MAGTR of {other['name']} below {decimal(unlooked['median_before'])}, the median "
        note += f"with {first}; about half where the gaze has not changed"
        share = percent(unlooked["below"] / unlooked["images"], 0)
        facts.append(Fact("Right with both, map faint in the region", share, note))
    return Facts(facts)


def verdict_words(other: Told, word: str) -> str:
    """Whether the other one is the better or the worse, by the reading of its first difference."""
    if word.startswith("no"):
        return "No difference is shown."
    return f"On images such as these, {other['name']} is the {word} one."


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
        word = reading(key, difference)
        if word in kinds:
            kinds[word].append(f"{name} ({signed(difference['value'])})")
    told = [f"{word} {', '.join(names)}" for word, names in kinds.items() if names]
    found = "; ".join(told) if told else "no class's difference is shown"
    return f"By the {what} of single classes: {found}. These are not corrected for their number."


def _looked(other: Told, name: str) -> Fact:
    found = other["scores"][name]
    note = f"from {decimal(found['before'])} to {decimal(found['after'])}; interval "
    note += between(found["difference"], signed)
    return Fact(title(name), signed(found["difference"]["value"]), note)


def comparison_words(summary: Told, other: Told) -> list[str]:
    """What changed from the first run to this one, a paragraph a thought."""
    words = [_accuracy(summary, other), _over_trainings(other), _outcomes(summary, other)]
    looked = [_score(other, name) for name in _LOOKS if name in other["scores"]]
    words += [f"Of the maps, {listed(looked)}."] if looked else []
    words.append(metric_words(other))
    words.append(_unlooked(summary, other))
    words.append(_dead(summary, other))
    return [text for text in words if text]


def how_to_read(summary: Told) -> list[str]:
    """What the numbers hold for and what not."""
    first, split = summary["first"], summary["split"]
    if summary.get("of_arms"):
        return [_of_arms(summary)]
    told = [
        f"Each net was asked anew about {split}, "
        + ", ".join(f"{run['name']} at {run['checkpoint']}" for run in (first, *summary["others"]))
        + ". An interval says what other images would give from the same nets; "
        "what another training would give, it does not. For that take several seeds "
        "(regard study).",
    ]
    if len(summary["others"]) > 1:
        told.append("Intervals and p\u2011values are not corrected for the number of runs.")
    if any(run["own_contrast"] != summary["contrast"] for run in (first, *summary["others"])):
        kind = "with" if summary["contrast"] else "without"
        text = f"All maps are made as {first['name']} measures its own, {kind} contrast; not every "
        told.append(f"{text}run here was trained to be measured so.")
    return told


def _of_arms(summary: Told) -> str:
    """What numbers of arms are, and where a claim about them stands."""
    seeds, folds = summary["of_arms"]["seeds"], summary["of_arms"]["folds"]
    pixels = summary["task"] == "segmentation"
    text = f"Numbers are read from what the studies' runs wrote about {summary['split']}, with "
    text += f"{count(len(seeds), 'seed')} ({listed([str(seed) for seed in seeds])}) of each arm"
    text += f", pooled over {folds} folds" if folds > 1 else ""
    text += ": pixels of all seeds count together. " * pixels
    text += ": means over the seeds, in which every image counts with its own mean. " * (not pixels)
    text += "An interval over images says what other images would give from these nets. "
    if len(seeds) == 1 and folds == 1:
        return text + "What another training would give, one seed does not say."
    if folds > 1 or pixels:
        return text + "What is claimed of the arms, the study's own report says."
    return text + "Whether other trainings and other images would show it too is said beside it."


def _over_trainings(other: Told) -> str:
    """Of arms whether the difference in accuracy holds over trainings and images."""
    found = other.get("trainings")
    if not found:
        return ""
    both = found["over_both"]
    if both["p_value"] is None:
        return ""
    shown = "is shown" if both["p_value"] < 1 - both["difference"]["level"] else "is not shown"
    return (
        f"Over {count(len(found['seeds']), 'training')} and the images together the interval is "
        f"{between(both['difference'], points)} points (p {p_value(both['p_value'])}): that other "
        f"trainings and other images would show it too {shown}."
    )


def points(share: Any) -> str:
    """A difference of shares in percentage points."""
    return signed(None if share is None else share * 100, 1)


def _accuracy(summary: Told, other: Told) -> str:
    found, first = other["accuracy"], summary["first"]["name"]
    difference = found["difference"]
    text = f"With {other['name']}, {percent(found['after']['value'])} of "
    text += f"{count(other['images'], 'image')} of {summary['split']} are right, with {first} "
    text += f"{percent(found['before']['value'])}: {points(difference['value'])} points "
    text += f"({percent(summary['level'], 0)} interval {between(difference, points)}; "
    test = "McNemar's p" if found["mcnemar"] else "p over images"
    text += f"{test} {p_value(found['p_value'])}). "
    word = reading("accuracy", difference)
    return text + (
        "No difference is shown."
        if word.startswith("no")
        else f"On images such as these, {other['name']} is the {word} one."
    )


def _outcomes(summary: Told, other: Told) -> str:
    counts, seeds = other["outcomes"], (other.get("trainings") or {}).get("seeds") or [0]
    once = "Each image counted once a seed, " if len(seeds) > 1 else ""
    return once + (
        f"{count(counts['stays_right'], 'image')} are right with both and "
        f"{counts['stays_wrong']:,} wrong with both. Right with {summary['first']['name']} alone "
        f"are {counts['right_becomes_wrong']:,}, with {other['name']} alone "
        f"{counts['wrong_becomes_right']:,}."
    )


def _score(other: Told, name: str) -> str:
    found = other["scores"][name]
    difference = found["difference"]
    if difference["value"] is None:
        return f"{said(name)} is defined on no image with both"
    ends = f"from {decimal(found['before'])} to {decimal(found['after'])}"
    return f"mean {said(name)} goes {ends} ({reading(name, difference)})"


def _unlooked(summary: Told, other: Told) -> str:
    found = other["unlooked"]
    if not found or not found["images"]:
        return ""
    share = percent(found["below"] / found["images"], 0)
    text = (
        f"Of the {count(found['images'], 'image')} that are right with both, {found['below']:,} "
        f"({share}) have a MAGTR below {decimal(found['median_before'])} with {other['name']}, "
        f"the median that these images have with {summary['first']['name']}; with an unchanged "
        "gaze it would be about half."
    )
    if found["below"] <= found["images"] / 2:
        return text
    return f"{text} There the map is faint in the region, and the reason may lie elsewhere."


def _dead(summary: Told, other: Told) -> str:
    dead = other["dead_maps"]
    if not dead or not (dead["before"] or dead["after"]):
        return ""
    return (
        f"Maps that are zero everywhere, and in no score: {percent(dead['before'])} with "
        f"{summary['first']['name']}, {percent(dead['after'])} with {other['name']}."
    )
