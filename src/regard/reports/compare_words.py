"""A comparison of two runs in plain words and a few numbers."""

from collections.abc import Mapping
from typing import Any

from regard.language import Phrases, phrase
from regard.reports.blocks import Fact, Facts
from regard.reports.compare_metrics import metric_words
from regard.reports.compare_tables import READINGS, reading
from regard.reports.compare_verdicts import dead_words, points, verdict_words
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
    whole,
    why_none,
)
from regard.runs.grouped import grouped_words

Told = Mapping[str, Any]
_LOOKS = ("energy", "magtr")


def comparison_facts(summary: Told, other: Told) -> Facts:
    """Accuracy, flips and gaze: the numbers that are looked for first."""
    first, accuracy, outcomes = summary["first"]["name"], other["accuracy"], other["outcomes"]
    images = phrase("of {images}", images=count(other["images"], "image"))
    facts = [
        Fact(
            title("accuracy"),
            phrase("{value} points", value=points(accuracy["difference"]["value"])),
            phrase(
                "{before} with {first}, {after} with {other}; interval {interval}",
                before=percent(accuracy["before"]["value"]),
                first=first,
                after=percent(accuracy["after"]["value"]),
                other=other["name"],
                interval=between(accuracy["difference"], points),
            ),
        ),
        *(
            Fact(phrase("Right with {arm} alone", arm=name), whole(outcomes[outcome]), images)
            for name, outcome in (
                (first, "right_becomes_wrong"),
                (other["name"], "wrong_becomes_right"),
            )
        ),
    ]
    facts += [_looked(other, name) for name in _LOOKS if name in other["scores"]]
    unlooked = other["unlooked"]
    if unlooked and unlooked["images"]:
        facts.append(_left(first, other["name"], unlooked))
    return Facts(facts)


def _left(first: str, other: str, unlooked: Told) -> Fact:
    """The share of what is right with both and looked at less."""
    places = {"other": other, "median": decimal(unlooked["median_before"]), "first": first}
    if unlooked["elsewhere"] is None:
        note = phrase(
            "MAGTR of {other} below {median}, the median with {first}; about half where the gaze "
            "has not changed",
            **places,
        )
        share = percent(unlooked["below"] / unlooked["images"], 0)
        return Fact(phrase("Right with both, map faint in the region"), share, note)
    note = phrase(
        "MAGTR of {other} below {median}, the median with {first}, and less energy in the region",
        **places,
    )
    share = percent(unlooked["elsewhere"] / unlooked["images"], 0)
    return Fact(phrase("Right with both, region looked at less"), share, note)


def _looked(other: Told, name: str) -> Fact:
    found = other["scores"][name]
    note = why_none(found["difference"]) or phrase(
        "from {before} to {after}; interval {interval}",
        before=decimal(found["before"]),
        after=decimal(found["after"]),
        interval=between(found["difference"], signed),
    )
    return Fact(title(name), signed(found["difference"]["value"]), note)


def comparison_words(summary: Told, other: Told) -> list[str]:
    """What changed from the first run to this one, a paragraph a thought."""
    words = [_accuracy(summary, other), _over_trainings(other), _outcomes(summary, other)]
    words.append(grouped_words(summary, other["images"], summary["split"]))
    looked = [_score(other, name) for name in _LOOKS if name in other["scores"]]
    words += [phrase("Of the maps, {changes}.", changes=listed(looked))] if looked else []
    words.append(metric_words(other))
    words.append(_unlooked(summary, other))
    words.append(dead_words(summary, other))
    return [text for text in words if text]


def _over_trainings(other: Told) -> str:
    """Of arms whether the difference in accuracy holds over trainings and images."""
    found = other.get("trainings")
    if not found:
        return ""
    both = found["over_both"]
    if both["p_value"] is None:
        return ""
    return phrase(
        _OVER_BOTH[both["p_value"] < 1 - both["difference"]["level"]],
        trainings=count(len(found["seeds"]), "training"),
        interval=between(both["difference"], points),
        p=p_value(both["p_value"]),
    )


# By whether it is shown.
_OVER_BOTH: Phrases = {
    True: "Over {trainings} and the images together the interval is {interval} points (p {p}): "
    "that other trainings and other images would show it too is shown.",
    False: "Over {trainings} and the images together the interval is {interval} points (p {p}): "
    "that other trainings and other images would show it too is not shown.",
}


def _accuracy(summary: Told, other: Told) -> str:
    found, first = other["accuracy"], summary["first"]["name"]
    difference = found["difference"]
    test = phrase("McNemar's p") if found["mcnemar"] else phrase("p over images")
    text = phrase(
        "With {other}, {after} of {images} of {split} are right, with {first} {before}: "
        "{difference} points ({level} interval {interval}; {test} {p}).",
        other=other["name"],
        after=percent(found["after"]["value"]),
        images=count(other["images"], "image"),
        split=summary["split"],
        first=first,
        before=percent(found["before"]["value"]),
        difference=points(difference["value"]),
        level=percent(summary["level"], 0),
        interval=between(difference, points),
        test=test,
        p=p_value(found["p_value"]),
    )
    return f"{text} {verdict_words(other, reading('accuracy', found))}"


def _outcomes(summary: Told, other: Told) -> str:
    counts, seeds = other["outcomes"], (other.get("trainings") or {}).get("seeds") or [0]
    return phrase(
        _OUTCOMES[len(seeds) > 1],
        both=count(counts["stays_right"], "image"),
        neither=whole(counts["stays_wrong"]),
        first=summary["first"]["name"],
        lost=whole(counts["right_becomes_wrong"]),
        other=other["name"],
        won=whole(counts["wrong_becomes_right"]),
    )


# By whether there are several seeds.
_OUTCOMES: Phrases = {
    True: "Each image counted once a seed, {both} are right with both and {neither} wrong with "
    "both. Right with {first} alone are {lost}, with {other} alone {won}.",
    False: "{both} are right with both and {neither} wrong with both. Right with {first} alone are "
    "{lost}, with {other} alone {won}.",
}


def _score(other: Told, name: str) -> str:
    found = other["scores"][name]
    difference = found["difference"]
    if difference["value"] is None:
        return phrase(
            "{score} is defined on no image with both ({reason})",
            score=said(name),
            reason=why_none(difference),
        )
    return phrase(
        "mean {score} goes from {before} to {after} ({reading})",
        score=said(name),
        before=decimal(found["before"]),
        after=decimal(found["after"]),
        reading=phrase(READINGS[reading(name, found, other["scores"])]),
    )


def _unlooked(summary: Told, other: Told) -> str:
    found = other["unlooked"]
    if not found or not found["images"]:
        return ""
    text = phrase(
        "Of the {images} that are right with both and have a map, {below} ({share}) have a MAGTR "
        "below {median} with {other}, the median that these images have with {first}; with an "
        "unchanged gaze it would be about half.",
        images=count(found["images"], "image"),
        below=whole(found["below"]),
        share=percent(found["below"] / found["images"], 0),
        median=decimal(found["median_before"]),
        other=other["name"],
        first=summary["first"]["name"],
    )
    if found["below"] <= found["images"] / 2:
        return text
    if found["elsewhere"] is None:
        faint = phrase("There the map is faint in the region, and the reason may lie elsewhere.")
    elif found["elsewhere"]:
        faint = phrase(
            "With {n} of them less of the map's energy is in the region, too: there the reason may "
            "lie elsewhere.",
            n=whole(found["elsewhere"]),
        )
    else:
        faint = phrase(
            "With none of them less of the map's energy is in the region: the maps lie there more "
            "narrowly."
        )
    return f"{text} {faint}"
