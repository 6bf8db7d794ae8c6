"""What one sample lends to another: which pixels, whose, and that nothing else changes."""

from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image

from regard.data.augmenting import augment
from regard.data.keys import keyed_generator
from regard.data.mask_classes import VOID, MaskClasses
from regard.data.pasting import Lenders, Loan, rare_classes
from regard.data.pixel_counts import PixelCounts
from regard.data.sample import Draw, Sample
from regard.data.samples import Samples
from regard.data.settings import Augment
from regard.data.some import some_of
from regard.data.transforms import Transform

SIZE = (24, 32)
CLASSES = MaskClasses.of(["void", "ground", "sky", "pole", "sign"])
GROUND, SKY, POLE, SIGN = range(4)


@pytest.fixture
def samples(tmp_path):
    """Noise of two frequent classes; a pole on 1, a sign on 2 and 3, void on the left."""
    found = []
    for number in range(4):
        ids = np.full(SIZE, 1, np.uint8)
        ids[:12] = 2
        ids[:, :2] = 0
        if number == 1:
            ids[5:20, 9] = 3
        if number > 1:
            ids[3:6, 20 + number : 24 + number] = 4
        pixels = np.random.default_rng(number).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        Image.fromarray(ids).save(tmp_path / f"{number}-mask.png")
        view = (("image", str(tmp_path / f"{number}.png")),)
        found.append(Sample(number, view, -1, mask=str(tmp_path / f"{number}-mask.png")))
    return found


def dataset(samples, how, **options):
    lenders = Lenders.of(PixelCounts.of(samples, CLASSES))
    transform = Transform(SIZE, (0.0,) * 3, (1.0,) * 3)
    options |= {"classes": CLASSES, "lenders": lenders}
    return Samples(samples, transform, augmentation=how, **options)


def test_a_class_is_rare_below_a_quarter_of_an_even_share():
    assert rare_classes(torch.tensor([500, 438, 62, 0])) == [2]
    assert rare_classes(torch.tensor([500, 437, 63, 0])) == []
    assert rare_classes(torch.tensor([876, 124])) == [1]


@pytest.mark.parametrize("most", [1, 2, 3])
def test_a_class_that_few_masks_show_is_counted_however_few_are_read(samples, monkeypatch, most):
    monkeypatch.setattr("regard.data.some.MOST", most)
    counts = PixelCounts.of(samples, CLASSES)
    assert (counts.total > 0).all()
    assert len(set(counts.rows)) == len(counts.rows)
    for row, own in zip(counts.rows, counts.by_sample, strict=True):
        ids = np.array(Image.open(samples[row].mask))
        assert own.tolist() == [int((ids == k + 1).sum()) for k in range(4)]


def test_what_stands_for_many_is_drawn_and_does_not_recur():
    chosen = some_of(6000)
    assert chosen == some_of(6000) == sorted(set(chosen))
    assert len(chosen) == 1000
    # Every sixth of them has to be there in about its share, whatever the order of a manifest.
    assert all(120 < sum(row % 6 == part for row in chosen) < 215 for part in range(6))
    assert some_of(7) == [*range(7)]


def test_lenders_are_the_samples_that_show_the_class(samples):
    counts = PixelCounts.of(samples, CLASSES)
    assert counts.rows == (0, 1, 2, 3)
    assert counts.by_sample[:, POLE].tolist() == [0, 15, 0, 0]
    assert counts.total.sum() == 4 * 24 * 30
    lenders = Lenders.of(counts)
    assert lenders == Lenders((POLE, SIGN), ((1,), (2, 3)))
    assert lenders.drawn([0.2, 0.9], besides=0) == (POLE, 1)
    assert lenders.drawn([0.2, 0.9], besides=1) is None
    assert lenders.drawn([0.7, 0.9], besides=3) == (SIGN, 2)


@pytest.mark.parametrize("cache", [0, 4])
def test_the_pixels_of_one_class_come_over_and_nothing_else_changes(samples, cache):
    data = dataset(samples, Augment(paste=1), cache_mb=cache)
    plain = [data.fitted(row) for row in range(4)]
    lent = Counter()
    for epoch in range(40):
        for row in range(4):
            images, masks, _ = data[Draw(row, epoch)]
            before, own = plain[row]
            changed = masks["target"] != own["target"]
            if not changed.any():
                assert row == 1  # the only one with a pole does not borrow it from itself
                assert torch.equal(images["image"], before["image"])
                continue
            index = int(masks["target"][changed][0])
            lenders = [
                other
                for other in range(4)
                if other != row and bool((plain[other][1]["target"] == index).any())
                and torch.equal(images["image"], torch.where(
                    plain[other][1]["target"] == index, plain[other][0]["image"], before["image"]))
            ]  # fmt: skip
            (lender,) = lenders
            where = plain[lender][1]["target"] == index
            assert torch.equal(masks["target"], torch.where(where, index, own["target"]))
            lent[index] += 1
    assert lent[POLE] > 30
    assert lent[SIGN] > 50
    for row, (images, masks) in enumerate(plain):
        assert torch.equal(data.fitted(row)[0]["image"], images["image"])
        assert torch.equal(data.fitted(row)[1]["target"], masks["target"])


def test_it_happens_as_often_as_asked_and_half_the_time_mirrored():
    image, target = torch.zeros(3, 4, 6, dtype=torch.uint8), torch.full((4, 6), VOID)
    where = torch.zeros(4, 6, dtype=torch.bool)
    where[1, 1] = True
    loan = Loan(torch.full_like(image, 200), where, 3)

    def counts(how):
        places = Counter()
        for draw in range(400):
            images, masks = augment(
                {"image": image}, {"target": target}, how, keyed_generator(draw), lambda unit: loan
            )
            pixels = (masks["target"] == 3).nonzero().tolist()
            assert (images["image"][0] == 200).nonzero().tolist() == pixels
            places[tuple(map(tuple, pixels))] += 1
        return places

    found = counts(Augment(paste=0.4))
    assert set(found) == {(), ((1, 1),)}
    assert 130 < found[((1, 1),)] < 190
    # The image's own flip is so seldom that none is met here.
    found = counts(Augment(paste=1, flip=1e-6))
    assert set(found) == {((1, 1),), ((1, 4),)}
    assert 160 < found[((1, 4),)] < 240


def test_what_is_borrowed_moves_and_is_cut_with_the_image(samples):
    """Without their pasting the same draws give the same picture elsewhere."""
    how = Augment(flip=0.5, translate=0.1, crop=(16, 20))
    with_paste = dataset(samples, how.model_copy(update={"paste": 1.0}))
    without = dataset(samples, how)
    met = 0
    for epoch in range(20):
        images, masks, _ = with_paste[Draw(0, epoch)]
        others, plain, _ = without[Draw(0, epoch)]
        borrowed = torch.isin(masks["target"], torch.tensor([POLE, SIGN]))
        met += int(borrowed.any())
        # A pixel of the image is mixed of four, of which some may be borrowed.
        near = torch.nn.functional.max_pool2d(borrowed[None, None].float(), 5, 1, 2)[0, 0] > 0
        assert torch.equal(masks["target"][~borrowed], plain["target"][~borrowed])
        # What is uncovered takes the mean colour, which the borrowed pixels change a little, and
        # with it the rounding of all others.
        away = ~near & (masks["target"] != VOID)
        away[[0, -1]] = away[:, [0, -1]] = False  # what they are mixed of may be cut off
        off = (images["image"].int() - others["image"].int())[:, away].abs()
        assert off.max() <= 1
        assert (off > 0).float().mean() < 0.01
    assert met > 8


def test_the_loan_is_keyed_by_the_draw_alone(samples):
    how = Augment(paste=0.7, flip=0.5)
    one, other = dataset(samples, how, cache_mb=1), dataset(samples, how)
    draws = [Draw(row, epoch, copy) for row in range(4) for epoch in range(2) for copy in range(2)]
    expected = {draw: one[draw] for draw in draws}
    torch.manual_seed(9)
    for draw in reversed(draws):
        images, masks, _ = other[draw]
        assert torch.equal(images["image"], expected[draw][0]["image"])
        assert torch.equal(masks["target"], expected[draw][1]["target"])
