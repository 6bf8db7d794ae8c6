"""Whether a classifier's numbers show that it tells classes apart, which accuracy alone may not."""

import math
from collections.abc import Mapping
from typing import Any

from regard.language import phrase
from regard.reports.words import between, decimal, percent, real

Numbers = Mapping[str, Any]


def skill_words(numbers: Numbers) -> str:
    """Accuracy beside that of naming the commonest class every time, and what shows skill else.

    Where a class is common its share is hard to beat, and says little of whether the classes are
    told apart: areas and balanced accuracy, of which guessing has 0.5 and 1/K, may show it.

    Args:
        numbers: of `evaluate`.
    """
    support = {name: values["support"] for name, values in numbers["per_class"].items()}
    commonest = max(support, key=lambda name: support[name])
    share, value = support[commonest] / max(sum(support.values()), 1), numbers["accuracy"]
    low, high, told = real(value["low"]), real(value["high"]), _told_apart(numbers, support)
    if low > share:
        text = (
            "Always answering {label} would be correct on {share}: the model is better than that."
        )
        return phrase(text, label=commonest, share=percent(share))
    if math.isnan(low):
        text = (
            "Always answering {label} would be correct on {share}; accuracy has no interval to be "
            "held against that."
        )
    elif high < share:
        text = "Always answering {label} would be correct on {share}: accuracy is below that."
    elif told:
        text = (
            "Always answering {label} would be correct on {share}: the interval of accuracy "
            "includes that."
        )
    else:
        text = (
            "Always answering {label} would be correct on {share}: the interval of accuracy "
            "includes that, and no skill is shown."
        )
    return " ".join(filter(None, [phrase(text, label=commonest, share=percent(share)), told]))


def _told_apart(numbers: Numbers, support: Mapping[str, int]) -> str:
    """What shows that classes are told apart: ROC AUC of two, else balanced accuracy."""
    area, mean = numbers.get("roc_auc"), numbers.get("balanced_accuracy")
    if len(support) == 2 and area and real(area["low"]) > 0.5:
        return phrase(
            "The classes are told apart all the same: ROC AUC is {value} ({interval}), and 0.5 is "
            "guessing.",
            value=decimal(area["value"]),
            interval=between(area),
        )
    # Classes without images are in no mean.
    chance = 1 / max(sum(count > 0 for count in support.values()), 1)
    if mean and real(mean["low"]) > chance:
        return phrase(
            "The classes are told apart all the same: balanced accuracy is {value} ({interval}), "
            "and {chance} is guessing.",
            value=decimal(mean["value"]),
            interval=between(mean),
            chance=decimal(chance),
        )
    return ""
