"""Why scores of maps of two models are defined for no image."""

import numpy as np
import polars as pl
import pytest

from regard.evaluation.gaze import score_differences
from regard.evaluation.undefined import why_undefined

NOT_BOTH = "no image has a map of both that is not zero everywhere"
ONE = "all maps of one are zero everywhere"


def scores(dead, area=0.3):
    energy = [np.nan if own or np.isnan(area) else 0.5 for own in dead]
    return pl.DataFrame(
        {"index": range(len(dead)), "image": list("abc"), "label": ["x"] * 3, "method": "gradcam",
         "area": [area] * 3, "dead": dead, "energy": energy}
    )  # fmt: skip


@pytest.mark.parametrize(("first", "second", "area", "why"), [
    ([True, True, False], [False, False, True], 0.3, NOT_BOTH),
    ([True, True, True], [False, False, True], 0.3, ONE),
    ([False] * 3, [False] * 3, np.nan, "no image has a region"),
])  # fmt: skip
def test_the_reason_is_told(first, second, area, why):
    found = score_differences(scores(first, area), scores(second, area), ["energy"])["energy"]
    assert (found["before"], found["p_value"]) == (None, None)
    assert (found["difference"]["value"], found["difference"]["reason"]) == (None, why)


def test_where_some_image_has_both_there_is_none():
    found = score_differences(
        scores([True, False, False]), scores([False, False, False]), ["energy"]
    )
    assert found["energy"]["difference"]["n"] == 2
    assert found["energy"]["difference"]["reason"] != ONE
    assert why_undefined([0.5, 0.5], [[False, True], [False, False]]) == "no value is defined"
