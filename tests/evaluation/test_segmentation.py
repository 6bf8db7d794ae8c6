"""Metrics of segmentations against scikit-learn and a loop over pixels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, jaccard_score

from regard.data.mask_classes import VOID
from regard.errors import DataError
from regard.evaluation.pixels import Boundary, boundary_counts, pixel_confusion
from regard.evaluation.segmentation import Pooled, evaluate_segmentation

NAMES = ["sky", "road", "tree", "pole"]
K = len(NAMES)


def masks(seed: int, height: int, width: int, void: float = 0.2):
    """A predicted and a true map; the last class is often absent from both."""
    rng = np.random.default_rng(seed)
    used = rng.integers(1, K + 1)
    predicted, true = rng.integers(0, used, (2, height, width)).astype(np.uint8)
    true[rng.random((height, width)) < void] = VOID
    return predicted, true


def metrics(pairs):
    confusions = np.stack([pixel_confusion(p, t, K) for p, t in pairs])
    boundaries = [boundary_counts(p, t, K) for p, t in pairs]
    return evaluate_segmentation(confusions, boundaries, NAMES, resamples=20)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 12))
def test_counts_and_metrics_are_those_of_scikit_learn(seed, height, width):
    pairs = [masks(seed + i, height, width) for i in range(3)]
    kept = [t != VOID for _, t in pairs]
    guess = np.concatenate([p[some] for (p, _), some in zip(pairs, kept, strict=True)])
    true = np.concatenate([t[some] for (_, t), some in zip(pairs, kept, strict=True)])
    found = metrics(pairs)
    expected = confusion_matrix(true, guess, labels=range(K)) if len(true) else np.zeros((K, K))
    assert np.array_equal(found["confusion"], expected)
    assert found["pixels"] == len(true)
    if not len(true):
        assert found["accuracy"]["value"] is None
        return
    assert found["accuracy"]["value"] == pytest.approx(accuracy_score(true, guess))
    there = np.union1d(true, guess)
    for key, score in (("iou", jaccard_score), ("dice", f1_score)):
        by_class = score(true, guess, labels=there, average=None)
        for c, value in zip(there, by_class, strict=True):
            assert found["per_class"][NAMES[c]][key]["value"] == pytest.approx(value)
        assert found[f"mean_{key}"]["value"] == pytest.approx(by_class.mean())
        for c in set(range(K)) - set(there.tolist()):
            assert found["per_class"][NAMES[c]][key]["value"] is None
    assert found["absent"] == [NAMES[c] for c in range(K) if c not in true]


def test_metrics_are_of_the_whole_set_and_no_mean_over_images():
    small = np.array([[0, 1]], np.uint8), np.array([[0, 0]], np.uint8)
    large = np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8)
    found = metrics([small, large])
    assert found["per_class"]["sky"]["iou"]["value"] == pytest.approx(17 / 18)
    assert found["mean_iou"]["value"] == pytest.approx((17 / 18 + 0) / 2)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.booleans(), st.integers(1, 9), st.integers(1, 9))
def test_flipping_image_and_mask_together_changes_nothing(seed, upside_down, height, width):
    pairs = [masks(seed + i, height, width) for i in range(2)]
    axis = 0 if upside_down else 1
    flipped = [(np.flip(p, axis), np.flip(t, axis)) for p, t in pairs]
    assert metrics(pairs) == metrics(flipped)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(1, 9), st.sampled_from([0, 0.1, 0.3]))
def test_boundaries_are_those_of_a_loop_over_pixels(seed, height, width, tolerance):
    predicted, true = masks(seed, height, width)
    assert_same(boundary_counts(predicted, true, K, tolerance), looped(predicted, true, tolerance))


def looped(predicted, true, tolerance):
    seen = np.where(true == VOID, VOID, predicted)
    edges = [_edge_pixels(ids) for ids in (seen, true)]
    reach = tolerance * np.hypot(*true.shape)
    rows = [[], [], [], []]
    for k in range(K):
        own, other = ([p for p, c in side if c == k] for side in edges)
        for row, value in zip(
            rows, (len(own), _close(own, other, reach), len(other), _close(other, own, reach)),
            strict=True,
        ):  # fmt: skip
            row.append(value)
    return Boundary(*map(np.array, rows))


def _edge_pixels(ids):
    height, width = ids.shape
    found = []
    for y in range(height):
        for x in range(width):
            around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
            inside = [ids[v, u] for v, u in around if 0 <= v < height and 0 <= u < width]
            if ids[y, x] != VOID and any(c not in (VOID, ids[y, x]) for c in inside):
                found.append(((y, x), ids[y, x]))
    return found


def _close(these, those, reach):
    return sum(any(np.hypot(y - v, x - u) <= reach for v, u in those) for y, x in these)


def assert_same(found, expected):
    for name in Boundary._fields:
        assert getattr(found, name).tolist() == getattr(expected, name).tolist(), name


def test_a_boundary_a_little_off_counts_and_one_far_off_does_not():
    true = np.zeros((100, 100), np.uint8)
    true[:, 50:] = 1
    near, far = true.copy(), true.copy()
    near[:, 50] = 0
    far[:, 50:60] = 0
    for guess, expected in ((true, 1.0), (near, 1.0), (far, 0.0)):
        found = metrics([(guess, true)])
        assert found["mean_boundary_f1"]["value"] == expected
    none = np.zeros_like(true)
    assert metrics([(none, true)])["mean_boundary_f1"]["value"] == 0
    assert metrics([(none, none)])["mean_boundary_f1"]["value"] is None


def test_intervals_hold_the_value_and_shrink_with_the_number_of_images():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 3, (60, 16, 16)).astype(np.uint8)
    wrong = rng.random(true.shape) < rng.random((60, 1, 1)) / 2
    guess = np.where(wrong, (true + 1) % 3, true)
    few, many = (metrics(list(zip(guess[:n], true[:n], strict=True)))["mean_iou"] for n in (8, 60))
    for found in (few, many):
        assert found["low"] < found["value"] < found["high"]
    assert many["high"] - many["low"] < few["high"] - few["low"]


@pytest.mark.parametrize(
    ("predicted", "true", "said"),
    [
        (np.zeros((2, 3)), np.zeros((3, 2)), "of one shape"),
        (np.zeros((2, 2)), np.full((2, 2), K), r"true: expected classes 0 to 3 or void \(255\)"),
        (np.full((2, 2), VOID), np.zeros((2, 2)), "predicted: expected classes 0 to 3, found 255"),
    ],
)
def test_what_is_no_class_is_refused(predicted, true, said):
    with pytest.raises(DataError, match=said):
        pixel_confusion(predicted.astype(np.uint8), true.astype(np.uint8), K)


def test_a_metric_of_a_class_is_of_the_images_that_show_it_or_are_taken_for_it():
    confusions = np.array([[[5, 0], [0, 0]], [[4, 1], [0, 0]], [[3, 0], [2, 0]]])
    boundaries = [np.zeros((4, 2))] * 3
    pooled = Pooled(confusions, boundaries)
    assert [pooled.concerned(f"iou.{c}").sum() for c in range(2)] == [3, 2]
    assert [pooled.concerned(f"recall.{c}").sum() for c in range(2)] == [3, 1]
    assert pooled.concerned("mean_iou").sum() == pooled.concerned("accuracy").sum() == 3
