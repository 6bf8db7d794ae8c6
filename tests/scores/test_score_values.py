"""Every score against a slow re-implementation with loops, and by hand."""

import math

import numpy as np
import pytest
import torch

import regard
from regard.data.regions import Regions
from regard.errors import ConfigError, DataError
from regard.scores import SCORES

SIZE = (9, 11)


def pixels(values, region, ignore):
    """(value, share inside) of the pixels that count."""
    return [
        (float(values[i, j]), float(region[i, j]))
        for i in range(values.shape[0])
        for j in range(values.shape[1])
        if not ignore[i, j]
    ]


def slow_energy(found):
    return sum(v * r for v, r in found) / sum(v for v, _ in found)


def slow_energy_gain(found):
    return slow_energy(found) / (sum(r for _, r in found) / len(found))


def slow_iou(found, quantile=0.8):
    # In the map's own precision, as the map is compared with it.
    values = np.array([v for v, _ in found], dtype=np.float32)
    cut = np.quantile(values, quantile)
    both = sum(v > cut and r > 0.5 for v, r in found)
    either = sum(v > cut or r > 0.5 for v, r in found)
    return both / either


def slow_hagtr(found):
    return max(v for v, r in found if r > 0.5) / max(v for v, _ in found)


def slow_magtr(found):
    peak = max(v for v, _ in found)
    return sum(v / peak * r for v, r in found) / sum(r for _, r in found)


def slow_mangtr(found):
    peak = max(v for v, _ in found)
    return sum(v / peak * (1 - r) for v, r in found) / sum(1 - r for _, r in found)


def slow_pointing(found):
    peak = max(v for v, _ in found)
    hits = [r > 0.5 for v, r in found if v == peak]
    return sum(hits) / len(hits)


SLOW = {
    "energy": slow_energy,
    "energy_gain": slow_energy_gain,
    "iou": slow_iou,
    "hagtr": slow_hagtr,
    "magtr": slow_magtr,
    "mangtr": slow_mangtr,
    "pointing": slow_pointing,
}


def test_every_score_of_regions_has_a_slow_copy_here():
    pooled = {name for name in SCORES if SCORES[name].pooled is not None}
    assert set(SLOW) | pooled == {name for name in SCORES if SCORES[name].asks == "region"}


def case(kind, seed):
    """Maps, regions and ignored pixels, (6, H, W) each."""
    generator = np.random.default_rng(seed)
    maps = generator.random((6, *SIZE))
    if kind == "sparse":
        maps = np.maximum(maps - 0.85, 0)
    if kind == "tied":
        maps = np.round(maps * 4) / 4
    regions = np.zeros((6, *SIZE))
    for region in regions:
        i, j = generator.integers(0, 5, 2)
        region[i : i + generator.integers(1, 5), j : j + generator.integers(1, 7)] = 1
    if kind == "soft":
        regions = np.clip(regions + 0.3 * generator.random(regions.shape), 0, 1)
    ignore = generator.random(regions.shape) < (0.3 if kind == "ignored" else 0)
    maps[:, 0, 0], ignore[:, 0, 0] = 1, False
    return maps.astype(np.float32), regions.astype(np.float32), ignore


@pytest.mark.parametrize("kind", ["plain", "sparse", "tied", "soft", "ignored"])
@pytest.mark.parametrize("name", list(SLOW))
def test_each_score_is_its_definition(name, kind):
    compared = 0
    for seed in range(5):
        maps, regions, ignore = case(kind, seed)
        given = Regions(torch.from_numpy(regions), ignore=torch.from_numpy(ignore).float())
        found = regard.score(torch.from_numpy(maps), given, name)
        for row in range(6):
            if not found[row].isnan():
                expected = SLOW[name](pixels(maps[row], regions[row], ignore[row]))
                assert float(found[row]) == pytest.approx(expected, rel=1e-5, abs=1e-7)
                compared += 1
    assert compared > 20


@pytest.mark.parametrize("quantile", [0.0, 0.25, 0.5, 0.8, 0.9, 0.99])
@pytest.mark.parametrize("size", [(4, 4), (9, 11), (21, 5)])
def test_iou_takes_what_is_above_numpy_s_quantile(quantile, size):
    generator = np.random.default_rng(3)
    for levels in (5, 10**6):
        maps = (generator.integers(0, levels, (8, *size)) / levels).astype(np.float32)
        maps[:, 0, 0] = 1
        regions = np.zeros_like(maps)
        regions[:, : size[0] // 2, 1:] = 1
        args = torch.from_numpy(maps), torch.from_numpy(regions)
        found = regard.score(*args, "iou", quantile=quantile)
        empty = np.zeros(size, dtype=bool)
        for row in range(8):
            expected = slow_iou(pixels(maps[row], regions[row], empty), quantile)
            assert float(found[row]) == pytest.approx(expected, abs=1e-7)


def test_iou_of_a_large_map():
    generator = np.random.default_rng(3)
    values = generator.random((224, 224)).astype(np.float32)
    region = np.zeros_like(values)
    region[40:150, 30:120] = 1
    found = regard.score(torch.from_numpy(values)[None], torch.from_numpy(region)[None], "iou")
    chosen = values > np.quantile(values, 0.8)
    expected = (chosen & (region > 0)).sum() / (chosen | (region > 0)).sum()
    assert float(found) == pytest.approx(expected, abs=1e-7)


# By hand ---------------------------------------------------------------------------------


def test_scores_of_one_map_by_hand():
    maps = torch.tensor([[[4.0, 2.0], [1.0, 1.0]]])
    region = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    expected = {
        "energy": 5 / 8,
        "energy_gain": 5 / 4,
        "hagtr": 1.0,
        "magtr": (1 + 0.25) / 2,
        "mangtr": (0.5 + 0.25) / 2,
        "pointing": 1.0,
        # Of four values the 0.8 quantile lies at place 2.4, between 2 and 4.
        "iou": 1 / 2,
    }
    for name, value in expected.items():
        assert regard.score(maps, region, name).item() == pytest.approx(value)


def test_pointing_shares_a_tie():
    maps = torch.zeros(1, 3, 4)
    maps[0, 0] = maps[0, 2, 1] = 2
    region = torch.zeros(1, 3, 4)
    region[0, 0, :2] = 1
    assert regard.score(maps, region, "pointing").item() == pytest.approx(2 / 5)


@pytest.mark.parametrize("tolerance", [0, 1, 2, 3, 15])
def test_pointing_tolerates_hits_near_by(tolerance):
    region = torch.zeros(1, 20, 20)
    region[0, 8:10, 5:9] = 1
    for row, column in [(9, 8), (10, 8), (12, 10), (6, 3), (7, 12), (0, 0), (19, 19)]:
        maps = torch.zeros(1, 20, 20)
        maps[0, row, column] = 1
        down = max(8 - row, row - 9, 0)
        across = max(5 - column, column - 8, 0)
        found = regard.score(maps, region, "pointing", tolerance=tolerance).item()
        assert found == float(max(down, across) <= tolerance)


def test_iou_s_ceiling_is_reached_by_a_map_whose_values_differ():
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(1, 50, 40, generator=generator)
    for rows in (2, 5, 10, 20, 40):
        region = torch.zeros(1, 50, 40)
        region[:, :rows] = 1
        area = rows / 50
        found = regard.score(region + 0.1 * noise, region, "iou").item()
        assert found == pytest.approx(min(area / 0.2, 0.2 / area), abs=1 / 400)
        best = SCORES["iou"].best(Regions(region).of(None)).item()
        assert best == pytest.approx(min(area / 0.2, 0.2 / area))
        assert math.isclose(regard.score(region, region, "iou").item(), min(1, 0.2 / area)) == (
            area <= 0.2
        )


def test_iou_is_defined_where_everything_is_region_and_scores_of_two_sides_are_not():
    maps, region = torch.arange(100.0).reshape(1, 10, 10) + 1, torch.ones(1, 10, 10)
    assert regard.score(maps, region, "iou").item() == pytest.approx(0.2)
    assert regard.score(maps, region, "energy").isnan().all()


def test_maps_that_are_not_one_a_region_are_refused():
    with pytest.raises(DataError, match=r"expected 2 maps \(B, h, w\), one a region"):
        regard.score(torch.ones(3, 5, 5), torch.ones(2, 5, 5), "energy")


@pytest.mark.parametrize("ious", [(), (0.0, 0.5), (0.5, 1.1), (-0.1,)])
def test_overlaps_that_make_no_hit_or_any_are_refused(ious):
    with pytest.raises(ConfigError, match=r"expected ious in \(0, 1\], one or more"):
        regard.score(torch.rand(1, 5, 5), torch.eye(5)[None], "max_box_acc", ious=ious)
