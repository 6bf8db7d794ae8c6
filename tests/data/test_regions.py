import math
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regard.data.keys import key, keyed_generator
from regard.data.regions import Regions, as_regions, boxes_to_mask, misplace, overlap
from regard.errors import DataError


def slow_mask(boxes, height, width):
    """Pixel by pixel: the largest share that any one box covers."""

    def share(low, high, pixel):
        return max(0.0, min(high, pixel + 1) - max(low, pixel))

    return torch.tensor(
        [
            [
                max([share(x0, x1, x) * share(y0, y1, y) for x0, y0, x1, y1 in boxes], default=0.0)
                for x in range(width)
            ]
            for y in range(height)
        ],
        dtype=torch.float32,
    )


edges = st.floats(-12, 25, width=32) | st.integers(-12, 25).map(float)


@settings(max_examples=80, deadline=None)
@given(
    boxes=st.lists(st.tuples(edges, edges, edges, edges), max_size=4),
    height=st.integers(1, 13),
    width=st.integers(1, 13),
)
def test_boxes_cover_what_a_loop_over_pixels_says(boxes, height, width):
    mask = boxes_to_mask(torch.tensor(boxes).view(-1, 4), (height, width))
    torch.testing.assert_close(mask, slow_mask(boxes, height, width), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("box", "area"),
    [
        ((1, 1, 3, 4), 6),
        ((0, 0, 8, 6), 48),
        ((-5, -5, 2, 3), 6),
        ((6.5, 5.5, 100, 1e9), 0.75),
        ((-math.inf, -math.inf, math.inf, math.inf), 48),
        ((2.25, 2.25, 2.75, 2.75), 0.25),
        ((3, 3, 3, 5), 0),
        ((5, 1, 2, 4), 0),
        ((5, 4, 2, 1), 0),
        ((8, 0, 12, 6), 0),
        ((-4, 0, 0, 6), 0),
    ],
)
def test_a_box_covers_its_area_inside_the_image(box, area):
    assert boxes_to_mask(torch.tensor([box]), (6, 8)).sum() == pytest.approx(area)


def test_the_first_pixel_lies_between_edges_0_and_1():
    mask = boxes_to_mask(torch.tensor([[0.0, 0.0, 1.0, 1.0], [3.0, 1.0, 4.0, 2.0]]), (2, 4))
    assert mask.tolist() == [[1, 0, 0, 0], [0, 0, 0, 1]]


def test_boxes_that_lie_over_each_other_count_once():
    twice = torch.tensor([[1.0, 1.0, 4.0, 4.0], [2.0, 2.0, 5.0, 5.0]])
    assert boxes_to_mask(twice, (6, 6)).max() == 1
    assert boxes_to_mask(twice, (6, 6)).sum() == 9 + 9 - 4


def test_no_boxes_cover_nothing():
    assert boxes_to_mask(torch.zeros(0, 4), (2, 3)).tolist() == [[0, 0, 0], [0, 0, 0]]


def blob(top, left, height, width, size=(40, 50)):
    region = torch.zeros(size)
    region[top : top + height, left : left + width] = torch.linspace(0.5, 1, width)
    return region


def cut_out(region):
    rows = (region > 0).any(1).nonzero().flatten()
    columns = (region > 0).any(0).nonzero().flatten()
    return region[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 30), st.integers(0, 38), st.integers(1, 10), st.integers(1, 12), st.integers()
)
def test_a_misplaced_region_is_the_same_shape_elsewhere_in_the_frame(
    top, left, height, width, seed
):
    region = blob(top, left, height, width)
    moved = misplace(region, keyed_generator(seed))
    assert torch.equal(cut_out(moved), cut_out(region))
    assert moved.sum() == pytest.approx(region.sum().item(), rel=1e-6)
    assert overlap(region, moved) == 0


def test_a_large_region_moves_to_the_least_overlap_it_can_reach():
    region = blob(5, 5, 30, 40)
    moves = [overlap(region, misplace(region, keyed_generator(i))).item() for i in range(20)]
    corners = [
        overlap(region, region.roll(s, (0, 1))) for s in ((-5, -5), (-5, 5), (5, -5), (5, 5))
    ]
    assert min(corners) <= min(moves)
    assert max(moves) < 0.85


def test_moves_are_drawn_from_all_that_are_clear_of_the_region():
    region = blob(18, 23, 4, 4)
    moved = [misplace(region, keyed_generator(i)) for i in range(40)]
    places = torch.stack([(m > 0).nonzero().float().mean(0) for m in moved])
    assert len({tuple(place.tolist()) for place in places}) > 35
    middle = torch.tensor([19.5, 24.5])
    assert (places.mean(0) - middle).abs().max() < 5
    quarters = {tuple((place > middle).tolist()) for place in places}
    assert len(quarters) == 4


def test_a_region_across_the_frame_moves_the_other_way_alone():
    region = torch.zeros(20, 30)
    region[8:11] = 1
    moved = misplace(region, keyed_generator(1))
    assert overlap(region, moved) == 0
    assert (moved.sum(1) > 0).sum() == 3
    assert moved.sum() == 90


def test_a_region_that_spans_the_frame_is_wrapped_around():
    region = torch.zeros(20, 30)
    region[0], region[:, 0], region[-1, -1] = 1, 1, 1
    moved = misplace(region, keyed_generator(1))
    assert moved.sum() == region.sum()
    assert overlap(region, moved) < 0.2


def test_a_region_that_covers_everything_and_an_empty_one_stay():
    assert torch.equal(misplace(torch.ones(6, 7), keyed_generator(0)), torch.ones(6, 7))
    empty = torch.zeros(6, 7)
    moved = misplace(empty, keyed_generator(0))
    assert torch.equal(moved, empty)
    assert moved is not empty


def test_a_move_depends_on_its_key_alone():
    region = blob(3, 4, 5, 6)
    first, other = keyed_generator(7, "misplaced", 12), keyed_generator(7, "misplaced", 13)
    moved = misplace(region, first)
    torch.manual_seed(99)
    assert torch.equal(misplace(region, keyed_generator(7, "misplaced", 12)), moved)
    assert not torch.equal(misplace(region, other), moved)
    assert torch.equal(region, blob(3, 4, 5, 6))


def test_keys_are_the_same_on_every_machine_and_tell_their_parts_apart():
    assert key(0, "order", 3) == 554563163506081016
    assert len({key(1, 23), key(12, 3), key(123), key("1", "2", "3"), key(23, 1)}) == 5
    assert 0 <= key("anything") < 2**63


def test_overlap_is_the_share_of_the_first():
    small, large = torch.zeros(2, 4, 4), torch.zeros(2, 4, 4)
    small[0, :2, :2], large[0, :, 1:] = 1, 1
    assert overlap(small, large)[0] == 0.5
    assert overlap(large, small)[0] == pytest.approx(2 / 12)
    assert overlap(small, large)[1].isnan()


def test_a_tensor_means_regions_present_for_all():
    evidence = as_regions(torch.eye(4)[None].repeat(2, 1, 1)).of(None)
    assert evidence.present.tolist() == [True, True]
    assert evidence.area.tolist() == [0.25, 0.25]
    regions = Regions(torch.zeros(1, 2, 2))
    assert as_regions(regions) is regions


def test_a_tensor_of_booleans_is_a_region():
    assert as_regions(torch.eye(4)[None] > 0).of(None).area.tolist() == [0.25]


@pytest.mark.parametrize("shape", [(4, 4), (4,), (1, 1, 1, 4, 4)])
def test_a_tensor_of_another_shape_is_refused(shape):
    with pytest.raises(DataError, match=r"a tensor \(B, H, W\) or \(B, K, H, W\), found shape"):
        as_regions(torch.zeros(shape))


def test_avoided_areas_are_taken_out_and_ignored_ones_not_counted():
    attend = torch.tensor([[[1.0, 1.0, 0.5, 0.0]]])
    avoid = torch.tensor([[[1.0, 0.25, 0.0, 1.0]]])
    ignore = torch.tensor([[[0.0, 0.0, 0.0, 1.0]]])
    evidence = Regions(attend, avoid, ignore).of(None)
    assert evidence.inside.tolist() == [[[0.0, 0.75, 0.5, 0.0]]]
    assert evidence.counted.tolist() == [[[1.0, 1.0, 1.0, 0.0]]]
    assert evidence.area.item() == pytest.approx(1.25 / 3)


def test_partial_means_present_and_neither_empty_nor_everything():
    attend = torch.stack([torch.zeros(3, 3), torch.ones(3, 3), torch.eye(3), torch.eye(3)])
    present = torch.tensor([True, True, True, False])
    assert Regions(attend, present=present).of(None).partial.tolist() == [False, False, True, False]


def test_a_region_of_all_counted_pixels_is_everything():
    ignore = torch.zeros(1, 7, 11)
    ignore[:, :3] = 1
    evidence = Regions(1 - ignore, ignore=ignore).of(None)
    assert evidence.area.item() == 1
    assert not evidence.partial.item()
    resized = torch.nn.functional.interpolate(torch.ones(1, 1, 50, 200), (31, 77), mode="bilinear")
    assert not Regions(resized[0] - 1e-7).of(None).partial.item()
    everything = Regions(torch.ones(1, 7, 11), ignore=torch.ones(1, 7, 11)).of(None)
    assert everything.area.item() == 0


@pytest.mark.parametrize("by_class", [False, True])
def test_regions_by_class_are_chosen_by_the_target(by_class):
    attend = torch.arange(6.0).view(2, 3, 1, 1).expand(2, 3, 2, 2) / 6
    present = torch.tensor([[True, False, True], [True, True, False]])
    regions = Regions(attend, present=present if by_class else present[:, 0])
    evidence = regions.of(torch.tensor([2, 1]))
    torch.testing.assert_close(evidence.area, torch.tensor([2 / 6, 4 / 6]))
    assert evidence.present.tolist() == [True, True]
    assert regions.of(torch.tensor([1, 2])).present.tolist() == [not by_class] * 2
    assert regions.size == (2, 2)


def test_regions_by_class_need_targets():
    with pytest.raises(DataError, match="no targets; pass targets"):
        Regions(torch.zeros(2, 3, 4, 4)).of(None)


def test_a_part_of_a_batch_and_another_device_keep_all_that_belongs_to_an_image():
    attend, avoid, ignore = torch.rand(3, 4, 2, 5)
    present = torch.tensor([True, False, True, True])
    regions = Regions(attend, avoid, ignore, present)
    mask = torch.tensor([True, False, False, True])
    for rows, chosen in ((slice(1, 3), [1, 2]), (torch.tensor([3, 0]), [3, 0]), (mask, [0, 3])):
        part = regions[rows]
        assert len(part) == 2
        for name in ("attend", "avoid", "ignore", "present"):
            assert torch.equal(getattr(part, name), getattr(regions, name)[chosen])
    moved = Regions(attend, present=present).to("meta")
    assert (moved.attend.device.type, moved.present.device.type) == ("meta", "meta")
    assert moved.avoid is None


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"avoid": torch.zeros(1, 3, 3)}, "regions, avoid: expected shape (1, 4, 4)"),
        ({"ignore": torch.zeros(2, 4, 4)}, "regions, ignore: expected shape (1, 4, 4)"),
        ({"present": torch.ones(3, dtype=torch.bool)}, "regions, present: expected shape (1,)"),
    ],
)
def test_parts_of_another_shape_are_refused(parts, told):
    with pytest.raises(DataError, match=re.escape(told)):
        Regions(torch.zeros(1, 4, 4), **parts)


@pytest.mark.usefixtures("unchecked")
def test_presence_in_numbers_is_refused():
    told = "regions, present: expected whether each has a region, bool, found torch.int64"
    with pytest.raises(DataError, match=re.escape(told)):
        Regions(torch.zeros(2, 4, 4), present=torch.tensor([0, 1]))
