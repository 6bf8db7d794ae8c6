"""Scores over all thresholds, of an image and of a set: slow copies, OpenCV, and by hand."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

import regard
from regard.data.regions import Regions
from regard.errors import ConfigError
from regard.scores import SCORES, tally
from regard.scores.boxes import boxes_of, largest_box, overlaps

POOLED = [name for name in SCORES if SCORES[name].pooled is not None]
each_pooled = pytest.mark.parametrize("name", POOLED)


def case(seed, count=6, size=(15, 18), smooth=True):
    """Maps and regions of one or two rectangles, (N, H, W)."""
    generator = np.random.default_rng(seed)
    coarse = torch.from_numpy(generator.random((count, 1, 5, 6)) ** 2).float()
    maps = torch.nn.functional.interpolate(coarse, size, mode="bilinear", align_corners=False)
    maps = maps[:, 0] if smooth else torch.from_numpy(generator.random((count, *size))).float()
    regions = torch.zeros(count, *size)
    for region in regions:
        for _ in range(generator.integers(1, 3)):
            y, x = generator.integers(0, 9, 2)
            region[y : y + generator.integers(2, 9), x : x + generator.integers(2, 9)] = 1
    return maps, regions


def stretched(values):
    values = values.double().numpy()
    return (values - values.min()) / (values.max() - values.min())


# Slow copies -----------------------------------------------------------------------------


def flooded(mask, steps):
    """The connected areas of a mask as sets of pixels, by walking."""
    left = {(int(y), int(x)) for y, x in zip(*np.nonzero(mask), strict=True)}
    areas = []
    while left:
        area, edge = set(), [left.pop()]
        while edge:
            y, x = edge.pop()
            area.add((y, x))
            near = {(y + i, x + j) for i, j in steps} & left
            left -= near
            edge += near
        areas.append(area)
    return areas


FOUR = [(0, 1), (1, 0), (0, -1), (-1, 0)]
EIGHT = [*FOUR, (1, 1), (1, -1), (-1, 1), (-1, -1)]


def slow_box(area, size):
    (ymin, ymax), (xmin, xmax) = ((min(side), max(side)) for side in zip(*area, strict=True))
    return xmin, ymin, min(xmax + 1, size[1] - 1), min(ymax + 1, size[0] - 1)


def slow_boxes(mask):
    """Of the areas, and of the rims of their holes: pixels beside a space that is shut in."""
    found = [slow_box(area, mask.shape) for area in flooded(mask, EIGHT)]
    for space in flooded(~mask, FOUR):
        beside = {(y + i, x + j) for y, x in space for i, j in FOUR} - space
        inside = all(0 <= y < mask.shape[0] and 0 <= x < mask.shape[1] for y, x in beside)
        if inside:
            found.append(slow_box(beside, mask.shape))
    return found


def slow_overlap(a, b):
    """By counting pixels, corners included."""
    first, second = (
        {(y, x) for y in range(ymin, ymax + 1) for x in range(xmin, xmax + 1)}
        for xmin, ymin, xmax, ymax in (a, b)
    )
    return len(first & second) / len(first | second)


def slow_hits(values, region):
    """(3, 1000): whether a box at each threshold of the published code is a hit."""
    greys = (stretched(values) * 255).astype(np.uint8)
    true = [slow_box(area, region.shape) for area in flooded(region.numpy() > 0.5, EIGHT)]
    hits, known = [], {}
    for threshold in np.arange(0, 1, 0.001):
        level = int(threshold * greys.max())
        if level not in known:
            known[level] = max(
                (slow_overlap(a, b) for a in slow_boxes(greys > level) for b in true), default=0
            )
        hits.append([known[level] >= d for d in (0.3, 0.5, 0.7)])
    return np.array(hits).T


def slow_pxap(maps, regions):
    """From the curve's definition, threshold by threshold, over the pixels of all images."""
    values = np.concatenate([stretched(row).ravel() for row in maps])
    inside = regions.numpy().ravel() > 0.5
    area = last = 0.0
    for threshold in [1.0, *np.arange(0, 1, 0.001)[::-1]]:
        taken = values >= threshold
        if taken.any():
            recall = (taken & inside).sum() / inside.sum()
            area += (taken & inside).sum() / taken.sum() * (recall - last)
            last = recall
    return area


@pytest.mark.parametrize("seed", range(3))
def test_max_box_acc_is_its_definition(seed):
    maps, regions = case(seed, smooth=seed < 2)
    hits = np.stack([slow_hits(*pair) for pair in zip(maps, regions, strict=True)])
    rows = tally(maps, regions, "max_box_acc")
    assert SCORES["max_box_acc"].together(rows) == pytest.approx(hits.mean(0).max(1).mean())
    found = regard.score(maps, regions, "max_box_acc")
    np.testing.assert_allclose(found, hits.max(2).mean(1), rtol=1e-6)
    # One threshold for all is no better than each image's own.
    assert SCORES["max_box_acc"].together(rows) <= float(found.mean()) + 1e-7


@pytest.mark.parametrize("seed", range(3))
def test_pxap_is_its_definition(seed):
    maps, regions = case(seed, smooth=seed < 2)
    rows = tally(maps, regions, "pxap")
    assert SCORES["pxap"].together(rows) == pytest.approx(slow_pxap(maps, regions), rel=1e-9)
    alone = [slow_pxap(maps[i : i + 1], regions[i : i + 1]) for i in range(len(maps))]
    np.testing.assert_allclose(regard.score(maps, regions, "pxap"), alone, rtol=1e-6)


def test_pxap_is_average_precision_of_the_steps():
    maps, regions = case(7)
    steps = np.concatenate([np.floor(stretched(row).ravel() * 1000 + 1e-9) for row in maps])
    expected = average_precision_score(regions.ravel().numpy() > 0.5, steps)
    rows = tally(maps, regions, "pxap")
    assert SCORES["pxap"].together(rows) == pytest.approx(expected, abs=1e-4)


def test_boxes_are_those_of_opencv_s_contours():
    cv2 = pytest.importorskip("cv2")
    generator = np.random.default_rng(0)
    for _ in range(500):
        size = generator.integers(2, 14, 2)
        mask = generator.random(size) < generator.random()
        grey = (mask * 255).astype(np.uint8)
        contours = cv2.findContours(grey, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[-2]
        boxes = [_of_opencv(cv2.boundingRect(contour), mask.shape) for contour in contours]
        assert sorted(map(tuple, boxes_of(mask, holes=True).tolist())) == sorted(boxes)
        if contours:
            sizes = [cv2.contourArea(contour) for contour in contours]
            largest = {box for box, s in zip(boxes, sizes, strict=True) if s == max(sizes)}
            assert tuple(largest_box(mask)[0].tolist()) in largest
        else:
            assert largest_box(mask).shape == (0, 4)


def _of_opencv(rectangle, size):
    x, y, width, height = rectangle
    return x, y, min(x + width, size[1] - 1), min(y + height, size[0] - 1)


# By hand ---------------------------------------------------------------------------------


def test_boxes_by_hand():
    mask = np.zeros((6, 8), dtype=bool)
    mask[1, 1] = mask[2, 2] = True  # they meet at a corner
    mask[4:, 5:] = True  # it ends at the image's border, where there is no further pixel
    assert boxes_of(mask).tolist() == [[1, 1, 3, 3], [5, 4, 7, 5]]
    assert largest_box(mask).tolist() == [[5, 4, 7, 5]]
    ring = np.ones((5, 5), dtype=bool)
    ring[2, 2] = False
    ring = np.pad(ring, 1)
    assert boxes_of(ring).tolist() == [[1, 1, 6, 6]]
    assert boxes_of(ring, holes=True).tolist() == [[1, 1, 6, 6], [2, 2, 5, 5]]


def test_overlaps_count_the_corners():
    boxes, others = np.array([[1, 2, 5, 6]]), np.array([[3, 1, 4, 5], [1, 2, 5, 6], [6, 2, 9, 6]])
    assert overlaps(boxes, others).tolist() == [[8 / 27, 1.0, 0.0]]
    assert overlaps(np.array([[0, 0, 0, 0]]), np.array([[0, 0, 0, 0]])).item() == 1
    assert overlaps(boxes, others[:0]).shape == (1, 0)


def test_max_box_acc_takes_one_threshold_for_all():
    """Each image has a threshold at which its box fits, and they share none."""
    maps, regions = torch.zeros(2, 12, 12), torch.zeros(2, 12, 12)
    regions[:, 1:6, 1:6] = 1
    maps[0, 1:6, 1:6] = 1  # fits above every level below the plinth
    maps[0] += 0.5 * (maps[0] == 0)
    maps[0, 0, 0] = 0
    maps[1, 1:6, 1:6] = 0.25
    maps[1, 3, 3] = 1
    assert regard.score(maps, regions, "max_box_acc").tolist() == [1, 1]
    rows = tally(maps, regions, "max_box_acc")
    shares = rows.mean(0)
    assert rows.shape == (2, 3, 255)
    # Above 0 the first map is the image but for a corner; above a quarter the second is a point.
    assert shares[2, :63].tolist() == [0.5] * 63
    assert shares[2, 64:127].tolist() == [0] * 63
    assert shares[2, 128:].tolist() == [0.5] * 127
    assert SCORES["max_box_acc"].together(rows) == pytest.approx(0.5)


def test_a_hit_in_part_of_the_overlaps_counts_in_part():
    maps, region = torch.zeros(1, 40, 40), torch.zeros(1, 40, 40)
    region[0, 0:10, 0:19] = 1  # its box is 11 x 20 with its corners
    maps[0, 0:10, 0:11] = 1  # 11 x 12
    assert regard.score(maps, region, "max_box_acc").item() == pytest.approx(2 / 3)
    for least, hit in [(0.6, 1), (0.601, 0)]:
        assert regard.score(maps, region, "max_box_acc", ious=[least]).item() == hit


def test_all_boxes_or_the_largest_alone():
    maps, region = torch.zeros(1, 20, 20), torch.zeros(1, 20, 20)
    maps[0, :8, :8] = maps[0, 12:16, 12:16] = 1
    region[0, 12:16, 12:16] = 1
    assert regard.score(maps, region, "max_box_acc").item() == 1
    assert regard.score(maps, region, "max_box_acc", boxes="largest").item() == 0
    # Two boxes of the region: one that is found is enough.
    region[0, :8, :8] = 1
    assert regard.score(maps, region, "max_box_acc", boxes="largest").item() == 1


def test_pxap_by_hand():
    maps = torch.tensor([[[1.0, 0.8], [0.4, 0.0]], [[0.4, 1.0], [0.8, 0.0]]])
    regions = torch.tensor([[[1.0, 0.0], [1.0, 0.0]], [[1.0, 0.0], [0.0, 0.0]]])
    # Alone: 1 of 1 at recall 1/2, then 2 of 3; and 1 of 3.
    found = regard.score(maps, regions, "pxap")
    torch.testing.assert_close(found, torch.tensor([(1 + 2 / 3) / 2, 1 / 3]))
    # Together: 1 of 2 at recall 1/3, then 3 of 6.
    together = SCORES["pxap"].together(tally(maps, regions, "pxap"))
    assert together == pytest.approx((1 / 2 + 2 * 3 / 6) / 3)


def test_ignored_pixels_are_left_out_of_both_sides():
    maps, region, ignore = torch.rand(1, 6, 6), torch.zeros(1, 6, 6), torch.zeros(1, 6, 6)
    region[0, :3], ignore[0, :, 4:] = 1, 1
    rows = tally(maps, Regions(region, ignore=ignore), "pxap")
    assert rows.sum(2).tolist() == [[12, 12]]


# Of a set --------------------------------------------------------------------------------


@each_pooled
def test_undefined_images_do_not_count(name):
    maps, regions = case(1)
    expected = SCORES[name].together(tally(maps, regions, name))
    more = torch.cat([maps, torch.zeros(1, 15, 18), maps[:2]])
    others = torch.cat([regions, regions[:1], torch.zeros(1, 15, 18), regions[:1]])
    present = torch.arange(len(more)) < 8
    rows = tally(more, Regions(others, present=present), name)
    assert rows.flatten(1).isnan().all(1).tolist() == [False] * 6 + [True] * 3
    assert SCORES[name].together(rows) == pytest.approx(expected, rel=1e-12)
    assert np.isnan(SCORES[name].together(rows[6:]))
    assert regard.score(more, Regions(others, present=present), name).isnan().sum() == 3


@each_pooled
def test_batches_do_not_matter_for_a_set(name):
    maps, regions = case(2)
    together = tally(maps, regions, name)
    parts = [tally(maps[i : i + 4], regions[i : i + 4], name) for i in (0, 4)]
    assert torch.equal(torch.cat(parts), together)
    assert torch.equal(SCORES[name].alone(together[:1]), regard.score(maps[:1], regions[:1], name))


@each_pooled
def test_twice_the_images_give_the_same(name):
    rows = tally(*case(3), name)
    once, twice = SCORES[name].together(rows), SCORES[name].together(torch.cat([rows, rows]))
    assert once == pytest.approx(twice, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("pxap", {"step": 0}),
        ("pxap", {"step": 1.0}),
        ("max_box_acc", {"ious": ()}),
        ("max_box_acc", {"ious": (0.5, 1.1)}),
        ("max_box_acc", {"boxes": "some"}),
    ],
)
def test_options_out_of_range_are_refused(name, options):
    with pytest.raises(ConfigError, match=f"score {name}: expected"):
        regard.score(*case(0), name, **options)
