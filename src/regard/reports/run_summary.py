"""A run in a few sentences and numbers, made from its files."""

from collections.abc import Mapping
from typing import Any

from regard.evaluation.bounds import marks
from regard.language import phrase
from regard.reports.blocks import Fact, Facts
from regard.reports.contents import RunContents, SplitContents
from regard.reports.gaze import gaze_words, summary_of
from regard.reports.model_words import model_words
from regard.reports.multilabel import set_facts, set_words
from regard.reports.segmentation import pixel_facts, pixel_words
from regard.reports.skill import skill_words
from regard.reports.words import (
    between,
    count,
    percent,
    real,
)
from regard.runs.grouped import grouped_words
from regard.runs.inference import in_words


def run_facts(run: RunContents) -> Facts:
    """Accuracy and energy of each evaluated split, the best epoch, and readings of test."""
    facts = []
    for split in run.splits:
        if run.segments:
            facts += pixel_facts(split.name, split.numbers)
        elif run.several:
            facts += set_facts(split.name, split.numbers)
        elif "accuracy" in split.numbers:
            value = split.numbers["accuracy"]
            note = phrase(
                "{interval} over {images}",
                interval=between(value, percent),
                images=count(value["n"], "image"),
            )
            name = phrase("Accuracy on {split}", split=split.name)
            facts.append(Fact(name, percent(value["value"]), note))
        facts += _energy(run, split)
    if run.best_epoch is not None:
        chosen = run.config.get("training", {}).get("best", "")
        note = phrase(
            "of {epochs}, by {metric}" if chosen else "of {epochs}",
            epochs=len(run.epochs),
            metric=chosen,
        )
        facts.append(Fact(phrase("Best epoch"), str(run.best_epoch), note))
    return Facts(facts[:8])


def _energy(run: RunContents, split: SplitContents) -> list[Fact]:
    value = (summary_of(split, run.method).get("scores") or {}).get("energy")
    if value is None or split.scores is None or real(value["value"]) != real(value["value"]):
        return []
    held = marks(split.scores, "energy")
    note = phrase("a uniform map has {share}", share=percent(held.uniform)) if held else ""
    name = phrase("Energy in the region, {split}", split=split.name)
    return [Fact(name, percent(value["value"]), note)]


def run_words(run: RunContents) -> list[str]:
    """The summary, a paragraph a thought."""
    words = [model_words(run), _training(run)]
    for split in run.splits:
        words += _split(run, split)
    words.append(_readings(run))
    return [text for text in words if text]


def _training(run: RunContents) -> str:
    if not run.epochs:
        return phrase("No epoch of training is finished.")
    chosen = run.config.get("training", {}).get("best")
    if run.best_epoch is None:
        text = "It was trained for {epochs}."
    elif chosen == "last":
        text = "It was trained for {epochs}; the last is kept."
    elif chosen:
        text = "It was trained for {epochs}; epoch {best} was the best by {metric}."
    else:
        text = "It was trained for {epochs}; epoch {best} was the best."
    epochs = count(len(run.epochs), "epoch")
    return phrase(text, epochs=epochs, best=run.best_epoch, metric=chosen)


def _split(run: RunContents, split: SplitContents) -> list[str]:
    words = []
    if run.segments and split.numbers:
        words.append(pixel_words(split.name, split.numbers))
        asked = (split.metrics or {}).get("inference")
        if asked:
            text = phrase("The images were asked about at {size}.", size=in_words(asked))
            words.append(text)
    elif run.several and split.numbers:
        words.append(set_words(split.name, split.numbers))
    elif "accuracy" in split.numbers:
        words.append(_accuracy(split.name, split.numbers))
    told = split.metrics or {}
    if words and (grouped := grouped_words(told, told["images"], split.name)):
        words.append(grouped)
    if split.scores is not None and "energy" in split.scores.columns:
        words.append(gaze_words(split.scores, summary_of(split, run.method), split.name))
    return words


def _accuracy(name: str, numbers: Mapping[str, Any]) -> str:
    value = numbers["accuracy"]
    text = phrase(
        "On {split}, {share} of {images} are classified correctly ({level} interval {interval}).",
        split=name,
        share=percent(value["value"]),
        images=count(value["n"], "image"),
        level=percent(value["level"], 0),
        interval=between(value, percent),
    )
    return f"{text} {skill_words(numbers)}"


def _readings(run: RunContents) -> str:
    if not run.readings:
        return phrase(
            "It is not on record how often a split was evaluated (metrics/readings.jsonl)."
        )
    number = run.read("test")
    if number == 0:
        return phrase("The test split has never been evaluated.")
    if number == 1:
        return phrase("The test split was evaluated once.")
    used = {r.get("checkpoint") for r in run.readings if r.get("split") == "test"}
    if len(used) == 1:
        text = "The test split was evaluated {number} times, of one checkpoint."
        return phrase(text, number=number)
    return phrase(
        "The test split was evaluated {number} times, of {checkpoints} checkpoints; to choose "
        "among them by its numbers would make these too good.",
        number=number,
        checkpoints=len(used),
    )
