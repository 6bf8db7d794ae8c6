"""Which numbers are better the lower they are, however they are named."""

import pytest

from regard.evaluation.direction import LOWER, lower_is_better


@pytest.mark.parametrize("name", [*sorted(LOWER), "mangtr", "deletion", "loss.energy"])
def test_what_is_better_lower_is_so_by_class_and_of_a_split(name):
    assert lower_is_better(name)
    assert lower_is_better(f"{name}:a.b")
    assert lower_is_better(f"val.{name}")
    assert lower_is_better(f"test_shifted.{name}")


@pytest.mark.parametrize("name", ["accuracy", "energy", "macro_f1", "iou:loss", "iou:a.loss"])
def test_other_numbers_are_better_higher(name):
    assert not lower_is_better(name)
    assert not lower_is_better(f"test.{name}")
