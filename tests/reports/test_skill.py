"""What is said of a classifier's skill, beside the accuracy of naming the commonest class."""

import pytest

from regard.reports.skill import skill_words

COMMON = "Always answering well would be correct on 75.0\N{NO-BREAK SPACE}%"


def numbers(accuracy, area=None, balanced=(0.2, 0.5, 0.8), support=(36, 12)):
    def interval(ends):
        return dict(zip(("low", "value", "high"), ends, strict=True))

    names = ["well", "ill", "rare"][: len(support)]
    found = {"accuracy": interval(accuracy), "balanced_accuracy": interval(balanced)}
    found |= {} if area is None else {"roc_auc": interval(area)}
    return found | {
        "per_class": {name: {"support": n} for name, n in zip(names, support, strict=True)}
    }


def test_accuracy_above_the_commonest_class_says_it_all():
    words = skill_words(numbers((0.8, 0.9, 0.95), (0.9, 0.95, 1.0)))
    assert words == f"{COMMON}: the model is better than that."


def test_an_area_shows_skill_that_accuracy_does_not():
    words = skill_words(numbers((0.657, 0.958, 0.996), (0.989, 0.9977, 1.0), (0.52, 0.917, 0.99)))
    assert words == (
        f"{COMMON}: the interval of accuracy includes that. The classes are told apart all the "
        "same: ROC AUC is 0.998 (0.989 to 1.000), and 0.5 is guessing."
    )
    assert "no skill" not in words
    worse = skill_words(numbers((0.5, 0.6, 0.7), (0.989, 0.9977, 1.0)))
    assert worse.startswith(f"{COMMON}: accuracy is below that. The classes are told apart")


@pytest.mark.parametrize(("support", "low", "shown"), [
    ((36, 12), 0.52, "and 0.500 is guessing"),
    ((36, 6, 6), 0.35, "and 0.333 is guessing"),
    ((36, 12, 0), 0.35, None),
])  # fmt: skip
def test_balanced_accuracy_shows_skill_above_one_in_as_many_classes(support, low, shown):
    words = skill_words(numbers((0.6, 0.8, 0.9), (0.4, 0.6, 0.7), (low, 0.7, 0.9), support))
    assert (f"balanced accuracy is 0.700 ({low:.3f} to 0.900), {shown}" in words) == bool(shown)
    assert ("no skill is shown" in words) == (shown is None)


def test_without_skill_that_is_said_and_an_area_of_many_classes_is_none():
    words = skill_words(numbers((0.6, 0.8, 0.9), (0.4, 0.6, 0.7)))
    assert words == f"{COMMON}: the interval of accuracy includes that, and no skill is shown."
    many = skill_words(numbers((0.6, 0.8, 0.9), (0.9, 0.95, 1.0), support=(36, 6, 6)))
    assert "no skill is shown" in many


def test_without_an_interval_nothing_is_claimed_of_accuracy():
    words = skill_words(numbers((None, 0.8, None), None, (None, 0.7, None)))
    assert words == f"{COMMON}; accuracy has no interval to be held against that."
