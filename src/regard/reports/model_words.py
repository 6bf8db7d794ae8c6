"""A run's model and what it was trained with, in plain words."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from regard.guidance import TERMS, MapTerm
from regard.language import Phrases, phrase
from regard.reports.contents import RunContents
from regard.reports.words import (
    count,
    general,
    listed,
    percent,
    sentence,
)


def model_words(run: RunContents) -> str:
    """What it is, what it learned from, and what guided its gaze."""
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
