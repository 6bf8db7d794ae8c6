"""What scores are held against: a uniform map, and the best of all maps."""

import numpy as np
import polars as pl
import pytest

from regard.evaluation.bounds import marks


def scores(iou, area):
    return pl.DataFrame({"area": area, "iou": iou, "dead": [False] * len(area)})


def test_the_best_iou_follows_from_the_areas():
    area = np.array([0.05, 0.2, 0.4])
    held = marks(scores([0.1, 0.2, 0.3], area), "iou")
    assert held.best == pytest.approx(np.mean([0.05 / 0.2, 1.0, 0.2 / 0.4]))
    chance = 0.2 * area / (0.2 + area - 0.2 * area)
    assert held.uniform == pytest.approx(chance.mean())


@pytest.mark.parametrize(("above", "told"), [(0.0, True), (0.015, True), (0.05, False)])
def test_a_ceiling_is_told_though_some_pixels_tie_but_not_if_it_is_beaten(above, told):
    held = marks(scores([0.25 + above, 0.3], [0.05, 0.1]), "iou")
    assert np.isnan(held.best) != told
    assert not told or held.best == pytest.approx((0.25 + 0.5) / 2)


def test_what_a_uniform_map_reaches_is_no_ceiling():
    held = marks(scores([0.9, 0.8], [0.2, 0.4]).rename({"iou": "magtr"}), "magtr")
    assert held.uniform == 1
    assert np.isnan(held.best)
