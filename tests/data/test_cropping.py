"""Crops of training images: where they are, what they hold, and that all is cut alike."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from regard.data.augmenting import augment
from regard.data.cropping import crop_of, pixel_of_a_class
from regard.data.keys import keyed_generator
from regard.data.mask_classes import VOID, MaskClasses
from regard.data.sample import Draw, Sample
from regard.data.samples import Samples
from regard.data.settings import Augment
from regard.data.transforms import Transform

SIZE = (40, 56)
MOVES = {"rotate": 20, "flip": 0.5, "flip_vertical": 0.5, "zoom": 0.3, "translate": 0.2}
CLASSES = MaskClasses.of(["ground", "box", "dot"])


def blocks():
    """A target of three classes, two of them small, and an image whose grey tells the class."""
    target = torch.zeros(SIZE, dtype=torch.uint8)
    target[6:16, 8:30] = 1
    target[33, 50:53] = 2
    return (100 * target).expand(3, -1, -1).contiguous(), target


def cropped(how, draw, *, target=None, **masks):
    image, own = blocks()
    target = own if target is None else target
    given = {"target": target, **masks}
    return augment({"image": image}, given, how, keyed_generator(4, draw))


@pytest.mark.parametrize("rare", [0.0, 0.5, 1.0])
def test_image_target_and_region_are_cut_alike(rare):
    how = Augment(crop=(18, 24), rare=rare)
    region = blocks()[1].float() / 2
    seen = set()
    for draw in range(30):
        images, masks = cropped(how, draw, attend=region)
        assert images["image"].shape == (3, 18, 24)
        assert torch.equal(images["image"][0], 100 * masks["target"])
        assert torch.equal(masks["attend"], masks["target"].float() / 2)
        seen.add(tuple(masks["target"].sum(1).tolist()))
    assert len(seen) > 5


@pytest.mark.parametrize("rare", [0.0, 1.0])
def test_a_crop_is_cut_out_of_what_has_moved_and_the_moves_stay_what_they_were(rare):
    for draw in range(20):
        whole, masks = cropped(Augment(**MOVES), draw)
        part, cut = cropped(Augment(**MOVES, crop=20, rare=rare), draw)
        both = torch.cat([whole["image"], masks["target"][None]])
        windows = both.unfold(1, 20, 1).unfold(2, 20, 1)
        wanted = torch.cat([part["image"], cut["target"][None]])[:, None, None]
        assert bool((windows == wanted).flatten(3).all(3).all(0).any())


@pytest.mark.parametrize("moves", [{}, {"flip": 0.5, "flip_vertical": 0.5}])
def test_a_class_of_three_pixels_is_in_every_crop_that_looks_for_it(moves):
    target = torch.full(SIZE, VOID, dtype=torch.uint8)
    target[33, 50:53] = 2
    for draw in range(200):
        _, masks = cropped(Augment(crop=9, rare=1, **moves), draw, target=target)
        assert bool((masks["target"] == 2).any())


def test_classes_are_looked_for_evenly_and_anywhere_without_the_luck():
    def share(rare):
        how = Augment(crop=10, rare=rare)
        found = [bool((cropped(how, draw)[1]["target"] == 2).any()) for draw in range(600)]
        return sum(found) / len(found)

    often, seldom, never = share(1.0), share(0.5), share(0.0)
    # A third of the draws are for the dot; few others meet it by chance.
    assert 1 / 3 - 0.06 < often < 1 / 3 + 0.12
    assert never < 0.12
    assert abs(seldom - (often + never) / 2) < 0.08


def test_the_pixel_lies_anywhere_in_its_crop():
    target = torch.full((64, 64), VOID, dtype=torch.uint8)
    target[32, 32] = 1
    places = Counter()
    for draw in range(800):
        _, masks = augment({"image": torch.zeros(3, 64, 64)}, {"target": target},
                           Augment(crop=4, rare=1), keyed_generator(draw))  # fmt: skip
        places[tuple((masks["target"] == 1).nonzero()[0].tolist())] += 1
    assert len(places) == 16
    assert min(places.values()) > 25


def test_a_crop_that_looks_for_nothing_is_put_everywhere_alike():
    image = torch.arange(30).view(1, 5, 6).expand(3, -1, -1).to(torch.uint8)
    corners = Counter()
    for draw in range(900):
        images, _ = augment({"image": image}, {}, Augment(crop=(3, 4)), keyed_generator(draw))
        corners[int(images["image"][0, 0, 0])] += 1
    assert set(corners) == {6 * row + column for row in range(3) for column in range(3)}
    assert min(corners.values()) > 60


@given(st.data())
def test_a_crop_holds_the_pixel_and_stays_inside(data):
    whole = [data.draw(st.integers(1, 30)) for _ in range(2)]
    size = [data.draw(st.integers(1, side)) for side in whole]
    pixel = tuple(data.draw(st.integers(0, side - 1)) for side in whole)
    unit = [data.draw(st.floats(0, 1, exclude_max=True)) for _ in range(2)]
    for wanted in (pixel, None):
        for cut, side, part, at in zip(
            crop_of(tuple(whole), tuple(size), unit, wanted), whole, size, pixel, strict=True
        ):
            assert cut.stop - cut.start == part
            assert 0 <= cut.start <= cut.stop <= side
            assert wanted is None or cut.start <= at < cut.stop


def test_void_is_never_looked_for():
    target = torch.full((4, 4), VOID)
    assert pixel_of_a_class(target, [0.5, 0.5]) is None
    target[1, 2] = 7
    assert pixel_of_a_class(target, [0.999, 0.999]) == (1, 2)
    nothing = torch.full(SIZE, VOID, dtype=torch.uint8)
    images, _ = cropped(Augment(crop=8, rare=1), 0, target=nothing)
    assert images["image"].shape == (3, 8, 8)


@pytest.fixture
def samples(tmp_path):
    image, target = blocks()
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(tmp_path / "photo.png")
    Image.fromarray(target.numpy()).save(tmp_path / "mask.png")
    Image.fromarray(np.where(target == 1, 255, 0).astype(np.uint8)).save(tmp_path / "region.png")
    view = (("image", str(tmp_path / "photo.png")),)
    region, mask = str(tmp_path / "region.png"), str(tmp_path / "mask.png")
    return [Sample(i, view, -1, region=region if i else None, mask=mask) for i in range(3)]


@pytest.mark.parametrize("cache", [0, 4])
def test_samples_yield_crops_where_they_change_and_whole_images_else(samples, cache):
    transform = Transform(SIZE, (0.0,) * 3, (1.0,) * 3)
    how = Augment(crop=(16, 20), rare=0.5)
    train = Samples(samples, transform, augmentation=how, classes=CLASSES, cache_mb=cache)
    whole = Samples(samples, transform, classes=CLASSES, cache_mb=cache)
    assert (train.size, whole.size) == ((16, 20), SIZE)
    for epoch in range(3):
        batch = train.batch([Draw(row, epoch) for row in (2, 0, 1)])
        assert batch.images["image"].shape == (3, 3, 16, 20)
        assert torch.equal(batch.images["image"][:, 0], 100 * batch.target)
        assert batch.regions.present.tolist() == [True, False, True]
        assert torch.equal(batch.regions.attend[2], (batch.target[2] == 1).float())
    assert whole.batch([Draw(0)]).target.shape == (1, *SIZE)
