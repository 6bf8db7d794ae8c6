"""Numbers and lists as a reader wants them."""

import inspect
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from regard.evaluation.direction import lower_is_better
from regard.evaluation.names import split_and_metric
from regard.evaluation.thresholds import ENDING
from regard.language import (
    Phrases,
    PhraseTuple,
    form_of,
    isolated,
    numeral,
    phrase,
    probability,
    spoken,
)
from regard.runs.files import NON_FINITE
from regard.scores.base import SCORES

NONE = "–"
_NAMES: Phrases = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "mean_iou": "Mean IoU",
    "mean_dice": "Mean Dice",
    "mean_boundary_f1": "Mean boundary F1",
    "boundary_f1": "Boundary F1",
    "precision_macro": "Macro precision",
    "recall_macro": "Macro recall",
    "f1_macro": "Macro F1",
    "roc_auc": "ROC AUC",
    "average_precision": "Average precision",
    "map": "mAP",
    "ap_micro": "Micro average precision",
    "f1_micro": "Micro F1",
    "f1_samples": "F1 of an image's set",
    "precision": "Precision",
    "recall": "Recall",
    "specificity": "Specificity",
    "f1": "F1",
    "log_loss": "Log loss",
    "cross_entropy": "Cross-entropy",
    "brier": "Brier score",
    "ece": "Calibration error",
    "loss": "Loss",
    "iou": "IoU",
    "hagtr": "HAGTR",
    "magtr": "MAGTR",
    "mangtr": "MANGTR",
    "max_box_acc": "MaxBoxAcc",
    "pxap": "PxAP",
    "dead_maps": "Dead maps",
    "hierarchical_f1": "Hierarchical F1",
    "tree_distance": "Distance in the tree",
    "mistake_distance": "Distance of a mistake",
    "accuracy_mean": "Accuracy, background at its mean",
    "accuracy_blur": "Accuracy, background blurred",
    "accuracy_same_class": "Accuracy, background of its class",
    "accuracy_random_class": "Accuracy, background of any class",
    "bg_gap": "Background gap",
}
_ABOUT: Phrases = {
    "accuracy": "share of the images classified correctly",
    "balanced_accuracy": "mean over the classes of recall, for classes that have images",
    "precision_macro": "mean over the classes of precision",
    "recall_macro": "mean over the classes of recall",
    "f1_macro": "mean over the classes of F1",
    "roc_auc": "chance that an image of the class ranks above one of another; 0.5 is guessing",
    "average_precision": "area under the precision-recall curve",
    "precision": "of those predicted so, the share that is",
    "recall": "of those that are, the share predicted so",
    "specificity": "of those that are not, the share not predicted so",
    "f1": "harmonic mean of precision and recall",
    "log_loss": "minus the log probability of the label, in nats",
    "brier": "squared distance of the probabilities from the truth",
    "ece": "mean gap between confidence and accuracy",
    "dead_maps": "share of the maps that are zero everywhere",
    "map": "mean over the classes of average precision, each ranked by itself",
    "ap_micro": "average precision of all pairs of image and class, ranked together",
    "f1_micro": "F1 of all pairs of image and class",
    "f1_samples": "mean over the images of the F1 of their sets",
    "hamming_loss": "share of the pairs of image and class that are wrong",
    "ranking_loss": "share of an image's pairs of a class it is of and one it is not that are "
    "ranked the wrong way round",
    "hierarchical_precision": "of the predicted labels and all above them, the share that is true",
    "hierarchical_recall": "of the true labels and all above them, the share predicted",
    "hierarchical_f1": "harmonic mean of hierarchical precision and recall",
    "tree_distance": "mean over the images of the edges from the predicted to the true label",
    "mistake_distance": "mean over the mistakes of the edges from the predicted to the true label",
    "accuracy_mean": "with the outside of the region exchanged for its mean colour",
    "accuracy_blur": "with the outside of the region blurred",
    "accuracy_same_class": "with the outside of the region from an image of the same class",
    "accuracy_random_class": "with the outside of the region from an image of any class",
    "bg_gap": "accuracy lost when the outside comes from any class rather than the same one",
}
# Why a number of a file has no interval, or a doubtful one.
_REASONS: PhraseTuple = (
    "all values are equal",
    "all folds differ alike",
    "needs two groups or more",
    "needs two images or more",
    "needs two values or more",
    "needs two folds or more",
    "needs images of a class and images of another",
    "needs images of the class and images of another",
    "no images",
    "no images to count",
    "no value is defined",
    "no image has a region",
    "all maps of one are zero everywhere",
    "no image has a map of both that is not zero everywhere",
    "a value is infinite, or too large to be squared",
    "the class is never predicted",
    "the class has no images",
    "the class has no images and no predictions",
    "undefined on these images",
    "undefined in every resample",
    "it is defined in no resample of both",
    "the same in every resample: too narrow",
)
_PREFIXES = ("", "k", "M", "G", "T", "P")


def real(value: Any) -> float:
    """A number of a JSON file; NaN for none."""
    if isinstance(value, str):
        return NON_FINITE.get(value, math.nan)
    return math.nan if value is None else float(value)


def decimal(value: Any, digits: int = 3) -> str:
    """With so many digits after the point, a true minus, and a dash for none.

    More digits where a number would be told as zero that is none.
    """
    x = real(value)
    if not math.isfinite(x):
        return NONE if math.isnan(x) else "∞" if x > 0 else "−∞"
    return numeral(format(x, f",{form_of(x, digits)}")).replace("-", "−")


def signed(value: Any, digits: int = 3) -> str:
    """As `decimal`, always with a sign."""
    text = decimal(value, digits)
    if text == NONE or not text.strip("−0.,"):
        return text.lstrip("−")
    return text if text.startswith("−") else f"+{text}"


def percent(value: Any, digits: int = 1) -> str:
    """A share as per cent."""
    text = decimal(real(value) * 100, digits)
    # The space does not break: a lone sign at the start of a line is hard to read.
    return text if text == NONE else f"{text}\N{NO-BREAK SPACE}%"


def whole(value: int) -> str:
    """A whole number, `1,200`."""
    return numeral(f"{value:,}")


def general(value: Any, digits: int = 6) -> str:
    """A number with as few digits as it needs, of so many at most: `0.5`, `1e−05`."""
    return numeral(f"{float(value):.{digits}g}")


def threshold_words(value: float) -> str:
    """A probability with three digits, and as many more as tell it from 1: `0.99999`."""
    return numeral(probability(value))


def seconds(value: Any) -> str:
    """With a tenth below ten, so that what took any time is not 0."""
    return decimal(value, 1 if real(value) < 9.95 else 0)


def count(value: int, one: str, many: str | None = None) -> str:
    """`1 image`, `1,200 images`; the nouns are looked up."""
    return f"{whole(value)} {phrase(one if spoken().one(value) else many or one + 's')}"


def magnitude(value: Any, unit: str) -> str:
    """Three digits with a prefix of a thousand each: `3.64 GFLOPs`, `102 MB`."""
    x = real(value)
    if not math.isfinite(x):
        return NONE
    # What would be rounded to 1,000 belongs to the next prefix.
    power = sum(abs(x) >= 999.5 * 1000**step for step in range(len(_PREFIXES) - 1))
    return f"{general(x / 1000**power, 3)}\N{NO-BREAK SPACE}{_PREFIXES[power]}{phrase(unit)}"


def between(interval: Mapping[str, Any], show: Any = decimal) -> str:
    """`0.443 to 0.634`, or a dash where there is no interval, or one without a width.

    That says that no resample differs, and not that the number is known for certain.
    """
    low, high = real(interval.get("low")), real(interval.get("high"))
    if math.isnan(low) or math.isnan(high) or low == high:
        return NONE
    # The unit is said once.
    return phrase(
        "{low} to {high}", low=show(low).removesuffix("\N{NO-BREAK SPACE}%"), high=show(high)
    )


def why_none(found: Mapping[str, Any]) -> str:
    """Why a file has no number; nothing where it has one."""
    return "" if found["value"] is not None else phrase(str(found.get("reason") or ""))


def pair_named(arm: str, against: str) -> str:
    """`guided − plain`, whichever way the names are written."""
    return f"{isolated(arm)} − {isolated(against)}"


def clauses(*parts: str) -> str:
    """Parts of a line one after another, those that are empty left out: `one; two`."""
    told = [part for part in parts if part]
    text = told[0] if told else ""
    for part in told[1:]:
        text = phrase("{before}; {after}", before=text, after=part)
    return text


def p_value(value: Any) -> str:
    """Three digits, and `< 0.001` below."""
    p = real(value)
    return f"< {decimal(0.001)}" if p < 0.001 else decimal(p)


def without_folders(error: Exception) -> str:
    """An error's message with files by their names: a report goes to others."""
    text = str(error)
    for path in (getattr(error, "where", None), getattr(error, "filename", None)):
        if path:
            text = text.replace(str(path), Path(str(path)).name)
    return text


def listed(names: Sequence[str], most: int = 8) -> str:
    """`a, b and c`; of many the first, and how many more."""
    shown = [isolated(name) for name in names[:most]]
    if len(names) > most:
        more = whole(len(names) - most)
        return phrase("{names} and {n} more", names=", ".join(shown), n=more)
    if len(shown) < 2:
        return "".join(shown)
    return phrase("{names} and {last}", names=", ".join(shown[:-1]), last=shown[-1])


def title(metric: str) -> str:
    """A metric's or a score's name."""
    if metric == "loss.dice":
        return phrase("Dice loss")
    if metric.startswith("loss."):
        term = metric[5:]
        return phrase("Guidance: {term}", term=said(term) if term in _NAMES else term)
    if metric.endswith(ENDING):
        own = title(metric.removesuffix(ENDING))
        return phrase("{metric} at the threshold", metric=own)
    if ":" in metric:  # of one class
        name, _, own = metric.partition(":")
        return f"{title(name)}, {isolated(own)}"
    return phrase(_NAMES.get(metric) or metric.replace("_", " ").capitalize())


def said(metric: str) -> str:
    """A metric's name within a sentence: small, unless it is written in capitals."""
    name = title(metric)
    if metric.endswith(ENDING):
        own = said(metric.removesuffix(ENDING))
        return phrase("{metric} at the threshold", metric=own)
    capitals = name[1:2].isupper() or name in ("IoU", "F1", "MaxBoxAcc", "PxAP", "mAP")
    return name if capitals else name[0].lower() + name[1:]


def on_split(metric: str, split: str) -> str:
    """`Accuracy on test`."""
    return phrase("{metric} on {split}", metric=title(metric), split=split)


def heads_of(names: Sequence[str]) -> tuple[tuple[str, ...], str | None]:
    """Heads of columns of `SPLIT.METRIC`, and the split of all of them, which no head repeats.

    Where the splits differ each head says its own, and there is none to be said of all.
    """
    pairs = [(metric, split) for split, metric in map(split_and_metric, names)]
    splits = {split for _, split in pairs}
    if len(splits) != 1:
        return tuple(f"{on_split(*pair)}#" for pair in pairs), None
    return tuple(f"{title(metric)}#" for metric, _ in pairs), splits.pop()


def about(metric: str) -> str:
    """One line on what a metric or a score is."""
    if metric in SCORES:
        text = inspect.getdoc(SCORES[metric].formula) or ""
        line = text.split(".\n")[0].split("\n\n")[0].rstrip(".")
        return phrase(" ".join(line.split()))
    if metric.endswith(ENDING):
        own = about(metric.removesuffix(ENDING))
        return phrase("{meaning}, at the threshold chosen on val", meaning=own)
    return phrase(_ABOUT[metric]) if metric in _ABOUT else ""


def meaning(metric: str) -> str:
    """One line on what a metric is, and that less of it is better where that is so."""
    lower = phrase("lower is better")
    line = about(metric)
    return clauses(line, lower if lower_is_better(metric) and lower not in line else "")


def sentence(text: str) -> str:
    """With a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:]}."


def columns(*heads: str) -> tuple[str, ...]:
    """Heads of a table's columns in the language of the report; `#` marks those of numbers."""
    return tuple(phrase(head.removesuffix("#")) + "#" * head.endswith("#") for head in heads)
