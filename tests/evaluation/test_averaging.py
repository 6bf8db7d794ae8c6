"""Mean maps: what they sum to, where their centre is, and what does not count."""

import numpy as np
import pytest
import torch

from regard.data.regions import Regions
from regard.evaluation.averaging import Averages
from regard.scores import score

SIZE = (8, 8)
GREY = torch.full((1, 3, *SIZE), 60, dtype=torch.uint8)


def averages(maps, labels, *, images=None, regions=None, classes=("fern", "moss")):
    found = Averages(classes, SIZE)
    given = GREY.expand(len(maps), -1, -1, -1) if images is None else images
    found.add(maps, torch.tensor(labels), given, regions, torch.arange(len(maps)))
    return found.groups()


def test_every_image_counts_alike_whatever_its_map_is_scaled_by():
    maps = torch.zeros(2, *SIZE)
    maps[0, 0, 0], maps[1, 7, 7] = 1000, 0.001
    every, fern = averages(maps, [0, 0])
    assert every.absolute[0, 0] == every.absolute[7, 7] == pytest.approx(0.5)
    assert float(every.absolute.sum()) == pytest.approx(1)
    assert every.numbers["mass"].tolist() == pytest.approx([1000, 0.001])
    assert every.centre == pytest.approx((0.5, 0.5))
    assert (every.name, fern.name, fern.images) == (None, "fern", 2)


def test_classes_have_their_own_maps_and_a_class_without_images_is_left_out():
    maps = torch.zeros(3, *SIZE)
    maps[0, 0, 0] = maps[1, 0, 7] = maps[2, 0, 7] = 1
    every, *groups = averages(maps, [0, 2, 2], classes=("fern", "moss", "oak"))
    assert [(g.name, g.images) for g in groups] == [("fern", 1), ("oak", 2)]
    assert groups[0].centre == pytest.approx((0.0625, 0.0625))
    assert groups[1].centre == pytest.approx((0.0625, 0.9375))
    assert float(every.absolute[0, 7]) == pytest.approx(2 / 3)


def test_signed_maps_cancel_in_the_mean_and_not_in_the_absolute_mean():
    maps = torch.zeros(2, *SIZE)
    maps[0, 2, 2], maps[0, 3, 3] = 3, -1
    maps[1, 2, 2] = -5
    every = averages(maps, [0, 1])[0]
    assert float(every.mean[2, 2]) == pytest.approx((0.75 - 1) / 2)
    assert float(every.absolute[2, 2]) == pytest.approx((0.75 + 1) / 2)
    assert every.numbers["positive"].tolist() == pytest.approx([0.75, 0])
    assert every.numbers["mass"].tolist() == [4, 5]


def test_maps_of_nothing_are_counted_and_in_no_mean():
    maps = torch.zeros(3, *SIZE)
    maps[0, 0, 0] = 2
    maps[1, 4, 4] = torch.nan
    every = averages(maps, [0, 0, 0])[0]
    assert (every.images, every.dead) == (3, 2)
    assert float(every.absolute[0, 0]) == 1
    assert bool(torch.isfinite(every.mean).all())
    assert np.isnan(every.numbers["positive"][1:]).all()
    dead = averages(torch.zeros(1, *SIZE), [0])[0]
    assert dead.centre is None
    assert dead.row()["mass"] == 0


def test_the_share_inside_is_the_energy_of_the_absolute_map_of_images_with_a_region():
    maps = torch.randn(3, 4, 4, generator=torch.manual_seed(0))
    attend = torch.zeros(3, *SIZE)
    attend[:, :4] = 1
    regions = Regions(attend, present=torch.tensor([True, True, False]))
    every = averages(maps, [0, 1, 1], regions=regions)[0]
    own = score(maps, regions, "energy", sign="absolute").numpy()
    assert every.numbers["inside"].tolist()[:2] == pytest.approx(own[:2].tolist())
    assert np.isnan(every.numbers["inside"][2])
    row = every.row()
    assert row["with_region"] == 2
    assert row["area"] == pytest.approx(0.5)
    assert row["inside"] == pytest.approx(float(own[:2].mean()))
    assert torch.equal(every.region, attend[0])


def test_batches_add_up():
    maps = torch.randn(6, 5, 5, generator=torch.manual_seed(1))
    labels = torch.tensor([0, 1, 1, 0, 1, 0])
    images = torch.randint(0, 256, (6, 3, *SIZE), generator=torch.manual_seed(2)).byte()
    whole, parts = Averages(("a", "b"), SIZE), Averages(("a", "b"), SIZE)
    index = torch.arange(6)
    whole.add(maps, labels, images, None, index)
    for start in (0, 2, 4):
        part = slice(start, start + 2)
        parts.add(maps[part], labels[part], images[part], None, index[part])
    for one, other in zip(whole.groups(), parts.groups(), strict=True):
        torch.testing.assert_close(one.absolute, other.absolute)
        torch.testing.assert_close(one.photo, other.photo)
        assert one.numbers["mass"].tolist() == other.numbers["mass"].tolist()
    torch.testing.assert_close(whole.groups()[0].photo, images.float().mean((0, 1)))
