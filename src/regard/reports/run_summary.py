"""A run in a few sentences and numbers, made from its files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from regard.evaluation.bounds import marks
from regard.guidance import TERMS, MapTerm
from regard.reports.blocks import Fact, Facts
from regard.reports.contents import RunContents, SplitContents
from regard.reports.gaze import gaze_words, summary_of
from regard.reports.multilabel import set_facts, set_words
from regard.reports.segmentation import pixel_facts, pixel_words
from regard.reports.words import between, count, listed, percent, real
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
            note = f"{between(value, percent)} over {count(value['n'], 'image')}"
            facts.append(Fact(f"Accuracy on {split.name}", percent(value["value"]), note))
        facts += _energy(run, split)
    if run.best_epoch is not None:
        chosen = run.config.get("training", {}).get("best", "")
        note = f"of {len(run.epochs)}, by {chosen}" if chosen else f"of {len(run.epochs)}"
        facts.append(Fact("Best epoch", str(run.best_epoch), note))
    return Facts(facts[:8])


def _energy(run: RunContents, split: SplitContents) -> list[Fact]:
    value = (summary_of(split, run.method).get("scores") or {}).get("energy")
    if value is None or split.scores is None or real(value["value"]) != real(value["value"]):
        return []
    held = marks(split.scores, "energy")
    note = f"a uniform map has {percent(held.uniform)}" if held else ""
    return [Fact(f"Energy in the region, {split.name}", percent(value["value"]), note)]


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
    start = {
        None: "from random weights",
        "pretrained": "from the hub's pretrained weights",
        "bundled": "from the bundled ImageNet weights",
    }
    known = start.get(weights, f"from the weights in {Path(str(weights)).name}")
    encoder = (model.get("options") or {}).get("encoder")
    over = f" over {encoder}" if run.segments and encoder else ""
    text = f"The model is {model.get('spec')}{over}, trained {known} to tell "
    text += f"{count(len(classes), 'class', 'classes')} "
    text += "of pixels " * run.segments
    text += "from their absence, each by itself" if run.several else "apart"
    text += f" ({listed(classes)})."
    return f"{text} {_guidance(run)}{_mixing(run)}"


_LEARNED = {
    "classification": "labels",
    "multilabel": "sets of labels",
    "segmentation": "masks",
}


def _guidance(run: RunContents) -> str:
    learned = _LEARNED[run.task]
    guidance = run.config.get("guidance") or {}
    terms = guidance.get("terms") or []
    if not terms:
        return f"It was trained on {learned} alone, without guidance."
    text = f"Its gaze was guided by {listed([_term(term) for term in terms])}{_combined(guidance)}"
    if guidance.get("regions") == "misplaced":
        return f"{text}, with regions moved to the wrong place: it is a control."
    if guidance.get("regions") == "mean":
        return f"{text}, with the mean region of all samples for each of them: it is a control."
    if run.segments:
        return f"{text}, each time of one class of an image, with the class's own pixels."
    if run.several:
        text += ", each time of one of an image's labels"
    return f"{text}, with {_whose(guidance)} own region{_widened(guidance)}."


def _mixing(run: RunContents) -> str:
    """Whether its images were mixed of two, and how; nothing where they were not."""
    how = (run.config.get("data") or {}).get("augment") or {}
    kinds = {"MixUp": how.get("mixup"), "CutMix": how.get("cutmix")}
    told = [f"{name} (alpha {alpha:g})" for name, alpha in kinds.items() if alpha]
    if not told:
        return ""
    share = float(how.get("mix_probability", 1))
    many = "All" if share == 1 else percent(share, 0)
    text = f" {many} of its training images were mixed of two, by {' or '.join(told)}"
    return f"{text}; losses and accuracy of train are of these."


# How terms and cross-entropy become one loss, where they are not simply added.
_COMBINED = {
    "product": ", as a product with the cross-entropy",
    "quotient": ", as a quotient with the cross-entropy",
    "uncertainty": ", in a sum with learned weights",
}


def _combined(guidance: Mapping[str, Any]) -> str:
    share = guidance.get("cross_entropy", 1)
    alone = f", added to {share:g} times the cross-entropy" if share != 1 else ""
    return _COMBINED.get(guidance.get("combine", "sum"), alone)


def _whose(guidance: Mapping[str, Any]) -> str:
    share = guidance.get("share", 1)
    if share == 1:
        return "each sample's"
    return f"{percent(share)} of the annotated samples, each with its"


def _widened(guidance: Mapping[str, Any]) -> str:
    dilate = guidance.get("dilate", 0)
    return f", widened by {percent(dilate)} of the shorter side" if dilate else ""


def _term(term: Mapping[str, Any]) -> str:
    """`energy on the contrast map, weight 1`."""
    weight = f"weight {float(term.get('weight', 1)):g}"
    warmup = float(term.get("warmup_epochs") or 0)
    weight += f" after {warmup:g} epochs of warm-up" if warmup else ""
    kind = TERMS.get(term.get("term", ""))
    if kind is None or not issubclass(kind, MapTerm):
        return f"{term.get('term')}, {weight}"
    method = term.get("method", "gradcam")
    which = "contrast map" if term.get("contrast") else "map"
    by = "" if method == "gradcam" else f" by {method}"
    return f"{term.get('term')} on the {which}{by}, {weight}"


def _training(run: RunContents) -> str:
    if not run.epochs:
        return "No epoch of training is finished."
    text = f"It was trained for {count(len(run.epochs), 'epoch')}"
    if run.best_epoch is None:
        return f"{text}."
    chosen = run.config.get("training", {}).get("best")
    if chosen == "last":
        return f"{text}; the last is kept."
    by = f" by {chosen}" if chosen else ""
    return f"{text}; epoch {run.best_epoch} was the best{by}."


def _split(run: RunContents, split: SplitContents) -> list[str]:
    words = []
    if run.segments and split.numbers:
        words.append(pixel_words(split.name, split.numbers))
        asked = (split.metrics or {}).get("inference")
        words += [f"The images were asked about at {in_words(asked)}."] if asked else []
    elif run.several and split.numbers:
        words.append(set_words(split.name, split.numbers))
    elif "accuracy" in split.numbers:
        words.append(_accuracy(split.name, split.numbers))
    if split.scores is not None and "energy" in split.scores.columns:
        words.append(gaze_words(split.scores, summary_of(split, run.method), split.name))
    return words


def _accuracy(name: str, numbers: Mapping[str, Any]) -> str:
    value = numbers["accuracy"]
    text = (
        f"On {name}, {percent(value['value'])} of {count(value['n'], 'image')} are classified "
        f"correctly ({percent(value['level'], 0)} interval {between(value, percent)})."
    )
    return f"{text} {_against_the_commonest(numbers)}"


def _against_the_commonest(numbers: Mapping[str, Any]) -> str:
    """Accuracy beside that of naming the commonest class every time."""
    support = {name: values["support"] for name, values in numbers["per_class"].items()}
    commonest = max(support, key=lambda name: support[name])
    share, value = support[commonest] / max(sum(support.values()), 1), numbers["accuracy"]
    text = f"Always answering {commonest} would be correct on {percent(share)}: "
    if real(value["low"]) > share:
        return f"{text}the model is better than that."
    if real(value["high"]) < share:
        return f"{text}the model is worse than that."
    return f"{text}the interval includes that, so no skill is shown."


def _readings(run: RunContents) -> str:
    if not run.readings:
        return "It is not on record how often a split was evaluated (metrics/readings.jsonl)."
    number = run.read("test")
    if number == 0:
        return "The test split has never been evaluated."
    if number == 1:
        return "The test split was evaluated once."
    used = {r.get("checkpoint") for r in run.readings if r.get("split") == "test"}
    if len(used) == 1:
        return f"The test split was evaluated {number} times, of one checkpoint."
    return (
        f"The test split was evaluated {number} times, of {len(used)} checkpoints; to choose among "
        "them by its numbers would make these too good."
    )
