"""A run in a few sentences and numbers, made from its files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from regard.evaluation.bounds import marks
from regard.guidance import TERMS, MapTerm
from regard.language import Phrases, phrase
from regard.reports.blocks import Fact, Facts
from regard.reports.contents import RunContents, SplitContents
from regard.reports.gaze import gaze_words, summary_of
from regard.reports.multilabel import set_facts, set_words
from regard.reports.segmentation import pixel_facts, pixel_words
from regard.reports.words import (
    between,
    count,
    general,
    listed,
    percent,
    real,
    sentence,
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
    words = [_model(run), _training(run)]
    for split in run.splits:
        words += _split(run, split)
    words.append(_readings(run))
    return [text for text in words if text]


def _model(run: RunContents) -> str:
    model, classes = run.config["model"], run.classes
    weights = model.get("weights")
    start = phrase(_STARTS.get(weights, _FROM_FILE), file=Path(str(weights)).name)
    encoder, spec = (model.get("options") or {}).get("encoder"), str(model.get("spec"))
    if run.segments and encoder:
        spec = phrase("{spec} over {encoder}", spec=spec, encoder=encoder)
    text = phrase(
        _TRAINED[run.task],
        spec=spec,
        start=start,
        classes=count(len(classes), "class", "classes"),
        names=listed(classes),
    )
    return " ".join(filter(None, [text, *_made_from(run), _guidance(run), _mixing(run)]))


_FROM_FILE = "from the weights in {file}"
_STARTS: Phrases = {
    None: "from random weights",
    "pretrained": "from the hub's pretrained weights",
    "bundled": "from the bundled ImageNet weights",
    "": _FROM_FILE,
}
_TRAINED: Phrases = {
    "classification": "The model is {spec}, trained {start} to tell {classes} apart ({names}).",
    "multilabel": "The model is {spec}, trained {start} to tell {classes} from their absence, each "
    "by itself ({names}).",
    "segmentation": "The model is {spec}, trained {start} to tell {classes} of pixels apart "
    "({names}).",
}
_ALONE: Phrases = {
    "classification": "It was trained on labels alone, without guidance.",
    "multilabel": "It was trained on sets of labels alone, without guidance.",
    "segmentation": "It was trained on masks alone, without guidance.",
}


def _made_from(run: RunContents) -> list[str]:
    """Of a pruned net and of a student, what they come from."""
    distil, told = run.config.get("distil"), []
    if run.config["model"].get("pruned"):
        told.append(phrase("Some of its channels were pruned away before this training."))
    if distil:
        told.append(
            phrase(
                "Beside its labels it learned from the net in {teacher}.",
                teacher=Path(str(distil["teacher"])).name,
            )
        )
    return told


def _guidance(run: RunContents) -> str:
    guidance = run.config.get("guidance") or {}
    terms = guidance.get("terms") or []
    if not terms:
        return phrase(_ALONE[run.task])
    text = phrase("Its gaze was guided by {terms}", terms=listed([_term(term) for term in terms]))
    parts = [text, *_combined(guidance)]
    if guidance.get("regions") == "misplaced":
        parts.append(phrase("with regions moved to the wrong place: it is a control"))
    elif guidance.get("regions") == "mean":
        parts.append(
            phrase("with the mean region of all samples for each of them: it is a control")
        )
    elif run.segments:
        parts.append(phrase("each time of one class of an image, with the class's own pixels"))
    else:
        parts += [phrase("each time of one of an image's labels")] if run.several else []
        parts += [_whose(guidance), *_widened(guidance)]
    return sentence(", ".join(parts))


def _mixing(run: RunContents) -> str:
    """Whether its images were mixed of two, and how; nothing where they were not."""
    how = (run.config.get("data") or {}).get("augment") or {}
    kinds = {"MixUp": how.get("mixup"), "CutMix": how.get("cutmix")}
    told = [
        phrase("{name} (alpha {alpha})", name=name, alpha=general(alpha))
        for name, alpha in kinds.items()
        if alpha
    ]
    if not told:
        return ""
    share = float(how.get("mix_probability", 1))
    text = (
        "All of its training images were mixed of two, by {kinds}; losses and accuracy of train "
        "are of these."
        if share == 1
        else "{share} of its training images were mixed of two, by {kinds}; losses and accuracy of "
        "train are of these."
    )
    kinds = phrase("{one} or {other}", one=told[0], other=told[1]) if told[1:] else told[0]
    return phrase(text, share=percent(share, 0), kinds=kinds)


# How terms and cross-entropy become one loss, where they are not simply added.
_COMBINED: Phrases = {
    "product": "as a product with the cross-entropy",
    "quotient": "as a quotient with the cross-entropy",
    "uncertainty": "in a sum with learned weights",
}


def _combined(guidance: Mapping[str, Any]) -> list[str]:
    share, how = guidance.get("cross_entropy", 1), guidance.get("combine", "sum")
    if how in _COMBINED:
        return [phrase(_COMBINED[how])]
    if share == 1:
        return []
    return [phrase("added to {share} times the cross-entropy", share=general(share))]


def _whose(guidance: Mapping[str, Any]) -> str:
    share = guidance.get("share", 1)
    if share == 1:
        return phrase("with each sample's own region")
    return phrase(
        "with {share} of the annotated samples, each with its own region", share=percent(share)
    )


def _widened(guidance: Mapping[str, Any]) -> list[str]:
    dilate = guidance.get("dilate", 0)
    if not dilate:
        return []
    return [phrase("widened by {share} of the shorter side", share=percent(dilate))]


def _term(term: Mapping[str, Any]) -> str:
    """`energy on the contrast map, weight 1`."""
    warmup = float(term.get("warmup_epochs") or 0)
    weight = phrase(
        "weight {weight} after {epochs} epochs of warm-up" if warmup else "weight {weight}",
        weight=general(term.get("weight", 1)),
        epochs=general(warmup),
    )
    kind = TERMS.get(term.get("term", ""))
    if kind is None or not issubclass(kind, MapTerm):
        return f"{term.get('term')}, {weight}"
    method = term.get("method", "gradcam")
    return phrase(
        _ON[bool(term.get("contrast")), method != "gradcam"],
        term=term.get("term"),
        method=method,
        weight=weight,
    )


# By whether it works on contrast maps, and whether another method than usual makes them.
_ON: Phrases = {
    (False, False): "{term} on the map, {weight}",
    (False, True): "{term} on the map by {method}, {weight}",
    (True, False): "{term} on the contrast map, {weight}",
    (True, True): "{term} on the contrast map by {method}, {weight}",
}


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
    if words and (grouped := grouped_words(told.get("groups"), told["images"], split.name)):
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
    return f"{text} {_against_the_commonest(numbers)}"


def _against_the_commonest(numbers: Mapping[str, Any]) -> str:
    """Accuracy beside that of naming the commonest class every time."""
    support = {name: values["support"] for name, values in numbers["per_class"].items()}
    commonest = max(support, key=lambda name: support[name])
    share, value = support[commonest] / max(sum(support.values()), 1), numbers["accuracy"]
    if real(value["low"]) > share:
        text = (
            "Always answering {label} would be correct on {share}: the model is better than that."
        )
    elif real(value["high"]) < share:
        text = "Always answering {label} would be correct on {share}: the model is worse than that."
    else:
        text = (
            "Always answering {label} would be correct on {share}: the interval includes that, so "
            "no skill is shown."
        )
    return phrase(text, label=commonest, share=percent(share))


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
