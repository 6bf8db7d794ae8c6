import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from regard.data.annotation import Annotation, annotated, dilated
from regard.data.held import Held
from regard.data.regions import boxes_to_mask, overlap
from regard.data.sample import Draw, Sample, says_where
from regard.data.samples import Samples
from regard.data.settings import Augment
from regard.data.transforms import Transform
from regard.errors import DataError
from regard.images.decoding import decode_grey

STRETCH = Transform((48, 64), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
ORIENTATION = 0x0112


def spot(row, column, size=(96, 128), width=6.0):
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    return (255 * np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * width**2))).astype(np.uint8)


def save(path, array, orientation=1):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    options = {"quality": 95} if path.suffix == ".jpg" else {}
    Image.fromarray(array).save(path, exif=exif, **options)
    return str(path)


@pytest.fixture
def folder(tmp_path):
    save(tmp_path / "photo.png", spot(30, 90))
    save(tmp_path / "cut.png", spot(30, 90)[::-1].copy())
    save(tmp_path / "region.png", spot(30, 90))
    save(tmp_path / "stamp.png", spot(70, 30))
    return tmp_path


def sample(folder, index=0, **rest):
    return Sample(index, (("image", str(folder / "photo.png")),), label=1, **rest)


def one(sample, transform=STRETCH, **options):
    data = Samples([sample], transform, **options)
    return data.batch([Draw(0)])


def centre(weights):
    weights = weights.double() * (weights > 0.3 * weights.max())
    y, x = torch.meshgrid(*(torch.arange(side) + 0.5 for side in weights.shape), indexing="ij")
    return torch.stack([(weights * y).sum(), (weights * x).sum()]) / weights.sum()


def test_a_batch_holds_views_labels_rows_and_regions(folder):
    views = (("image", str(folder / "photo.png")), ("segmented", str(folder / "cut.png")))
    region = str(folder / "region.png")
    data = Samples([Sample(7, views, 2, region), Sample(9, views, 0)], STRETCH)
    batch = data.batch([Draw(1), Draw(0)])
    assert list(batch.images) == ["image", "segmented"]
    assert batch.images["image"].dtype == torch.uint8
    assert batch.images["image"].shape == (2, 3, 48, 64)
    assert batch.labels.tolist() == [0, 2]
    assert batch.index.tolist() == [9, 7]
    assert batch.regions.present.tolist() == [False, True]
    assert batch.regions.attend[0].sum() == 0
    assert (centre(batch.images["image"][1, 0]) - centre(batch.regions.attend[1])).norm() < 0.2
    assert torch.equal(batch.images["segmented"], batch.images["image"].flip(2))
    assert batch[1:].index.tolist() == [7]
    assert batch[1:].regions.present.tolist() == [True]


def test_without_any_region_there_are_none(folder):
    assert one(sample(folder)).regions is None
    assert (
        one(sample(folder, boxes=((0.0, 0.0, 9.0, 9.0),)), annotation=Annotation("none")).regions
        is None
    )


def test_a_sample_with_no_boxes_is_present_and_empty(folder):
    regions = one(sample(folder, boxes=())).regions
    assert regions.present.tolist() == [True]
    assert regions.attend.sum() == 0


def test_a_threshold_makes_the_region_hard(folder):
    soft = one(sample(folder, region=str(folder / "region.png"))).regions.attend
    hard = one(sample(folder, region=str(folder / "region.png"), region_threshold=100))
    above = (decode_grey(folder / "region.png") > 100).float().mean()
    assert hard.regions.attend.mean() == pytest.approx(above.item(), rel=0.01)
    assert hard.regions.attend.max() == 1
    assert (soft - 0.5).abs().min() < 0.1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("fit", ["stretch", "pad", "crop"])
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_boxes_of_the_upright_image_lie_on_what_they_mark(tmp_path, orientation, fit, suffix):
    size = (517, 389) if orientation > 4 else (389, 517)
    row, column = 0.45 * size[0], 0.55 * size[1]
    upright = torch.from_numpy(spot(row, column, size, width=20.0))
    array = as_stored(upright, orientation).numpy()
    path = save(tmp_path / f"photo.{suffix}", array, orientation)
    box = (column - 20, row - 20, column + 20, row + 20)
    transform = Transform((48, 64), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), fit)
    batch = one(Sample(0, (("image", path),), 0, boxes=(box,)), transform)
    marked = centre(batch.images["image"][0, 0])
    assert (marked - centre(batch.regions.attend[0])).norm() < 1


def as_stored(upright, orientation):
    """The array that the orientation turns upright."""
    upright = {1: upright, 2: upright.flip(1), 3: upright.flip(0, 1), 4: upright.flip(0)}.get(
        orientation, upright
    )
    turned = {5: upright.T, 6: upright.T.flip(0), 7: upright.T.flip(0, 1), 8: upright.T.flip(1)}
    return turned.get(orientation, upright).contiguous()


def test_boxes_on_a_large_image_are_drawn_as_the_full_mask_would_be(tmp_path):
    path = save(tmp_path / "sheet.png", np.zeros((1501, 1003), np.uint8))
    boxes = ((100.0, 50.5, 700.25, 900.0), (300.0, 1000.0, 2000.0, 1400.0))
    drawn = one(Sample(0, (("image", path),), 0, boxes=boxes)).regions.attend[0]
    full = STRETCH.fit_mask(boxes_to_mask(torch.tensor(boxes), (1501, 1003)))
    assert (drawn - full).abs().max() < 0.05
    assert drawn.mean() == pytest.approx(full.mean().item(), rel=1e-3)


def test_what_is_avoided_without_a_region_leaves_the_rest_to_look_at(folder):
    regions = one(sample(folder, avoid=str(folder / "stamp.png"))).regions
    assert regions.present.tolist() == [True]
    inside = regions.of(None).inside
    torch.testing.assert_close(inside, 1 - regions.avoid)
    assert inside.min() < 0.05


@pytest.mark.parametrize("column", ["avoid", "ignore"])
def test_areas_of_0_and_1_are_refused(folder, column):
    """They look black, and next to nothing of them would count."""
    save(folder / "ones.png", (spot(70, 30) > 128).astype(np.uint8))
    with pytest.raises(DataError, match="found grey levels of 0 and 1, which look black; write"):
        one(sample(folder, region=str(folder / "region.png"), **{column: str(folder / "ones.png")}))


def test_avoided_and_ignored_areas_come_beside_the_region(folder):
    stamp, region = str(folder / "stamp.png"), str(folder / "region.png")
    regions = one(sample(folder, region=region, avoid=stamp, ignore=stamp)).regions
    torch.testing.assert_close(regions.avoid, regions.ignore)
    assert (centre(regions.avoid[0]) - torch.tensor([35.0, 15.0])).norm() < 0.2
    assert (centre(regions.attend[0]) - torch.tensor([15.0, 45.0])).norm() < 0.2


@pytest.mark.parametrize("what", ["region", "avoid"])
def test_the_control_moves_what_is_to_be_looked_at_and_what_is_not(folder, what):
    name = "attend" if what == "region" else "avoid"
    marked = sample(folder, index=3, **{what: str(folder / "region.png")}, region_threshold=60)
    own = getattr(one(marked).regions, name)[0] > 0.25
    moved = getattr(one(marked, annotation=Annotation("misplaced")).regions, name)[0] > 0.25
    assert moved.sum() == own.sum() > 0
    assert overlap(own.float(), moved.float()) < 0.05


def test_a_misplaced_region_stays_where_it_is_over_epochs_and_differs_by_seed(folder):
    samples = [sample(folder, i, region=str(folder / "region.png")) for i in range(2)]

    def moved(draw, seed=0):
        how = Annotation("misplaced", seed=seed)
        return Samples(samples, STRETCH, annotation=how)[draw][1]["attend"]

    first = moved(Draw(0, 0))
    assert torch.equal(moved(Draw(0, 5, 2)), first)
    assert not torch.equal(moved(Draw(1)), first)
    assert not torch.equal(moved(Draw(0), seed=1), first)


def test_augmentation_is_keyed_by_seed_epoch_row_and_occurrence_alone(folder):
    how = Augment(rotate=30, translate=0.1)
    region = str(folder / "region.png")

    def draw(draw, seed=0, rows=(4, 5)):
        data = Samples([sample(folder, i, region=region) for i in rows], STRETCH, seed=seed,
                       augmentation=how)  # fmt: skip
        images, masks, _ = data[draw]
        return torch.cat([images["image"].float(), masks["attend"][None]])

    first = draw(Draw(0, 1, 0))
    torch.manual_seed(123)
    assert torch.equal(draw(Draw(0, 1, 0)), first)
    assert torch.equal(draw(Draw(1, 1, 0), rows=(9, 4)), first)
    others = [draw(Draw(0, 1, 1)), draw(Draw(0, 2, 0)), draw(Draw(1, 1, 0)), draw(Draw(0, 1), 1)]
    assert not any(torch.equal(other, first) for other in others)


def test_the_cache_gives_the_same_samples_and_reads_each_file_once(folder, monkeypatch):
    how = Augment(rotate=30, brightness=0.2)
    samples = [sample(folder, i, region=str(folder / "region.png")) for i in range(2)]
    plain = Samples(samples, STRETCH, augmentation=how)
    cached = Samples(samples, STRETCH, augmentation=how, cache_mb=1)
    reads = []
    load = Transform.load
    monkeypatch.setattr(Transform, "load", lambda *a, **k: (reads.append(a), load(*a, **k))[1])
    for epoch in range(3):
        images, masks, _ = cached[Draw(1, epoch)]
        expected = plain[Draw(1, epoch)]
        assert torch.equal(images["image"], expected[0]["image"])
        assert torch.equal(masks["attend"], expected[1]["attend"])
    assert len(reads) == 1 + 3


def test_held_samples_stop_at_their_bound_and_begin_empty_in_another_process():
    image, mask = torch.full((3, 4, 5), 7, dtype=torch.uint8), torch.rand(4, 5)
    bytes_each = 4 * 5 * (3 + 4 + 4)
    held = Held(9, ["image"], ["attend", "avoid"], (4, 5), limit=3 * bytes_each - 1)
    assert held.get(2) is None
    assert held.batch([2]) is None
    for row in (2, 2, 7, 0):
        held.put(row, {"image": image + row}, {"attend": mask} if row == 7 else {})
    assert (held.capacity, len(held)) == (2, 2)
    assert held.get(0) is None
    assert held.batch([2, 0]) is None
    views, masks = held.get(7)
    assert torch.equal(views["image"], image + 7)
    assert torch.equal(masks["attend"], mask)
    assert "avoid" not in masks
    assert held.get(2)[1] == {}
    views, masks, there = held.batch([7, 2, 7])
    assert views["image"][:, 0, 0, 0].tolist() == [14, 9, 14]
    assert there["attend"].tolist() == [True, False, True]
    assert not there["avoid"].any()
    assert torch.equal(masks["attend"], torch.stack([mask, 0 * mask, mask]))
    assert not masks["avoid"].any()
    other = pickle.loads(pickle.dumps(held))
    assert (len(other), other.capacity, other.get(7)) == (0, 2, None)


@pytest.mark.parametrize("how", [None, Augment(), Augment(rotate=30)])
def test_a_batch_from_the_cache_is_the_batch_without_it(folder, how):
    views = (("image", str(folder / "photo.png")), ("segmented", str(folder / "cut.png")))
    rest = [
        {"region": str(folder / "region.png"), "ignore": str(folder / "stamp.png")},
        {"boxes": ((20.0, 20.0, 40.0, 40.0),)},
        {"avoid": str(folder / "stamp.png")},
        {},
    ]
    samples = [Sample(10 + i, views, label=i, **own) for i, own in enumerate(rest)]
    plain = Samples(samples, STRETCH, augmentation=how)
    cached = Samples(samples, STRETCH, augmentation=how, cache_mb=1)
    for epoch in range(3):
        draws = [Draw(row, epoch) for row in (2, 0, 3, 1, 0)]
        ours, theirs = cached.batch(draws), plain.batch(draws)
        assert ours.labels.tolist() == theirs.labels.tolist() == [2, 0, 3, 1, 0]
        assert ours.index.tolist() == theirs.index.tolist() == [12, 10, 13, 11, 10]
        for name in ("image", "segmented"):
            assert torch.equal(ours.images[name], theirs.images[name])
        for name in ("attend", "avoid", "ignore", "present"):
            assert torch.equal(getattr(ours.regions, name), getattr(theirs.regions, name)), name
    assert len(cached.held) == 4


def test_a_file_that_cannot_be_read_is_named(folder):
    (folder / "photo.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"photo\.png: expected a readable image"):
        one(sample(folder))
    save(folder / "photo.png", spot(1, 1))
    with pytest.raises(DataError, match=r"gone\.png: .*no such file"):
        one(sample(folder, region=str(folder / "gone.png")))


def test_the_mean_region_stands_in_for_each(folder):
    boxes = [((0.0, 0.0, 30.0, 30.0),), ((0.0, 0.0, 30.0, 60.0),), None]
    samples = [sample(folder, i, boxes=own) for i, own in enumerate(boxes)]
    own = Samples(samples, STRETCH)
    means = own.where.means(samples)
    expected = (own.where.region(samples[0]) + own.where.region(samples[1])) / 2
    torch.testing.assert_close(means["attend"], expected)
    data = Samples(samples, STRETCH, annotation=Annotation("mean", means=means))
    batch = data.batch([Draw(row) for row in range(3)])
    assert batch.regions.present.tolist() == [True, True, False]
    torch.testing.assert_close(batch.regions.attend[:2], expected.expand(2, -1, -1))


def test_a_dilated_box_is_a_larger_box(folder):
    boxed = sample(folder, boxes=((20.0, 20.0, 40.0, 40.0),))
    own = one(boxed).regions.attend[0]
    wide = one(boxed, annotation=Annotation(dilate=0.125)).regions.attend[0]
    rows, columns = (own > 0.5).nonzero().unbind(1)
    expected = torch.zeros_like(own)
    reach = 6  # an eighth of 48
    expected[
        max(0, rows.min() - reach) : rows.max() + reach + 1,
        max(0, columns.min() - reach) : columns.max() + reach + 1,
    ] = 1
    torch.testing.assert_close((wide > 0.5).float(), expected)
    assert torch.equal(dilated(own, 0.0), own)


def test_a_share_of_the_regions_is_left_by_class(folder):
    boxes = ((0.0, 0.0, 9.0, 9.0),)
    samples = [
        Sample(i, (("image", "a.png"),), label=i % 2, boxes=boxes if i % 5 else None)
        for i in range(100)
    ]
    few = annotated(samples, 0.1)
    left = [s for s in few if says_where(s)]
    assert [s.label for s in left].count(0) == [s.label for s in left].count(1) == 4
    assert [s.index for s in few] == list(range(100))
    assert few == annotated(samples, 0.1)
    assert annotated(samples, 1) == samples
    assert sum(map(says_where, annotated(samples, 0.001))) == 2


def test_of_sets_of_labels_a_rare_class_keeps_its_share_too():
    def tagged(index):
        labels = (0, 1) if index % 20 == 0 else (1,)
        boxes = ((0.0, 0.0, 9.0, 9.0),) * len(labels)
        views = (("image", "a.png"),)
        return Sample(index, views, -1, boxes=boxes, box_labels=labels, labels=labels)

    few = annotated([tagged(index) for index in range(120)], 0.3)
    told = [sample.labels for sample in few if says_where(sample)]
    assert sum(0 in labels for labels in told) == 2  # of 6
    assert sum(1 in labels for labels in told) == 36
    barely = annotated([tagged(index) for index in range(120)], 0.001)
    assert sum(0 in s.labels for s in barely if says_where(s)) == 1


def test_a_region_that_is_not_told_is_still_a_view(folder):
    seen = sample(folder, boxes=((20.0, 20.0, 40.0, 40.0),), draws_region=True)
    batch = one(seen, annotation=Annotation())
    hidden = Samples([replace(seen, told=False), seen], STRETCH, annotation=Annotation())
    found = hidden.batch([Draw(0), Draw(1)])
    assert found.regions.present.tolist() == [False, True]
    assert torch.equal(found.images["region"][0], batch.images["region"][0])


@pytest.mark.parametrize("seed", range(5))
def test_a_padded_image_has_its_controls_within_the_picture(folder, seed):
    """The photo is 96 x 128: in 64 x 64 its picture lies in the rows 8 to 56."""
    padded = Transform((64, 64), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), fit="pad")
    assert padded.frame((96, 128)) == (8, 0, 56, 64)
    boxed = sample(folder, boxes=((40.0, 10.0, 80.0, 60.0),))
    moved = one(boxed, transform=padded, annotation=Annotation("misplaced", seed=seed))
    own = one(boxed, transform=padded).regions.attend[0]
    attend = moved.regions.attend[0]
    assert attend.sum() == pytest.approx(float(own.sum()), rel=1e-4)
    assert attend[:8].sum() == attend[56:].sum() == 0
    wide = one(boxed, transform=padded, annotation=Annotation(dilate=0.25)).regions.attend[0]
    rows = (wide > 0.5).any(1).nonzero().flatten()
    before = (own > 0.5).any(1).nonzero().flatten()
    # A quarter of the picture's shorter side of 48, cut at its edges.
    assert int(rows[-1]) == min(55, int(before[-1]) + 12)
    assert int(rows[0]) == max(8, int(before[0]) - 12)


def test_what_guidance_would_use_comes_beside_the_samples_own_region(folder):
    boxed = sample(folder, boxes=((20.0, 20.0, 40.0, 40.0),))
    bare = sample(folder)
    control = Annotation("misplaced", seed=3)
    data = Samples([boxed, bare], STRETCH, used=control, cache_mb=10)
    for _ in range(2):  # then what is held
        batch = data.batch([Draw(0), Draw(1)])
        assert torch.equal(batch.regions.attend[0], one(boxed).regions.attend[0])
        expected = one(boxed, annotation=control).regions.attend[0]
        assert torch.equal(batch.used.attend[0], expected)
        assert not torch.equal(batch.used.attend[0], batch.regions.attend[0])
        assert batch.used.present.tolist() == batch.regions.present.tolist() == [True, False]
        assert torch.equal(batch[0:1].used.attend[0], expected)
    assert one(boxed).used is None
