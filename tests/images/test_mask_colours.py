from itertools import combinations

import pytest
from ciede2000 import ciede2000, lab

from regard.images.mask_colours import WRONG, class_colours


def named(count):
    return [f"class {k}" for k in range(count)]


def least(colours, **how):
    seen = [lab(colour, **how) for colour in colours]
    return min(ciede2000(a, b) for a, b in combinations(seen, 2))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        # Sharma et al., table 1.
        ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
        ((50.0, 2.5, 0.0), (50.0, 3.2592, 0.3350), 1.0),
        ((22.7233, 20.0904, -46.6940), (23.0331, 14.9730, -42.5619), 2.0373),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_the_measure_is_the_published_one(first, second, expected):
    assert ciede2000(first, second) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("count", "apart", "colour_blind"),
    [(4, 30, 14), (8, 27, 14), (12, 23, 10), (20, 18, 8.8), (32, 8, 5)],
)
def test_classes_and_what_is_wrong_are_told_apart(count, apart, colour_blind):
    shown = [*class_colours(named(count)), WRONG]
    assert least(shown) > apart
    assert least(shown, deuteranopia=True) > colour_blind


def test_parts_of_streets_are_told_apart():
    parts = ["flat", "construction", "object", "nature", "sky", "human", "vehicle", "void"]
    assert least([*class_colours(parts), WRONG]) > 20


def test_a_class_keeps_its_colour_whatever_follows():
    every = class_colours(named(255))
    assert len({*every, WRONG}) == 256
    for count in (1, 8, 20, 21, 40):
        assert class_colours(named(count)) == every[:count]
