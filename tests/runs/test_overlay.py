"""The pictures of `regard explain`: proportions, places, colours, outline."""

import numpy as np
import pytest
import torch
from PIL import Image

from regard.data.transforms import Transform
from regard.images.heat import heat_colours, smooth, tinted
from regard.runs.overlay import laid, outlined, picture, shown_size

HALF = (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("original", "shown"),
    [((574, 765), (574, 765)), ((3000, 2000), (768, 512)), ((64, 32), (384, 192))],
)
def test_a_photo_keeps_its_proportions(original, shown):
    assert shown_size(original) == shown


def test_a_tinted_photo_is_the_photo_where_the_map_is_zero_and_the_palettes_end_at_its_peak():
    pixels, map_ = torch.full((3, 4, 4), 100, dtype=torch.uint8), torch.zeros(4, 4)
    map_[1, 2] = 5
    found = tinted(pixels, map_)
    assert found[0, 0].tolist() == [100, 100, 100]
    share = 0.75 * heat_colours()[-1, 3] / 255
    expected = 100 * (1 - share) + share * np.array([0xF0, 0x42, 0x1A])
    assert found[1, 2].tolist() == pytest.approx(expected.tolist(), abs=1)
    assert (tinted(pixels, torch.zeros(4, 4)) == 100).all()


@pytest.mark.parametrize("fit", ["stretch", "pad", "crop"])
@pytest.mark.parametrize("original", [(80, 160), (160, 80)])
def test_a_map_lies_where_the_net_saw_it(fit, original):
    """A bright square, fitted as the net has it and used as its own map, lands on itself."""
    transform = Transform((64, 64), HALF, HALF, fit)
    photo = torch.zeros(3, *original, dtype=torch.uint8)
    top, left = original[0] // 2 + 4, original[1] // 2 - 28
    photo[:, top : top + 16, left : left + 16] = 255
    map_ = transform.load(photo)[0].float()
    map_[map_ < 140] = 0  # the padding's grey
    found = laid(map_, transform, original, original)
    assert found.shape == original
    weights = found / found.sum()
    rows, columns = (torch.arange(side) + 0.5 for side in original)
    centre = float((weights.sum(1) * rows).sum()), float((weights.sum(0) * columns).sum())
    assert centre == pytest.approx((top + 8, left + 8), abs=1)


def test_what_was_cropped_away_has_no_map():
    transform = Transform((64, 64), HALF, HALF, "crop")
    found = laid(torch.ones(7, 7), transform, (80, 160), (80, 160))
    assert (found[:, 41:119] > 0.9).all()
    assert (found[:, :39] == 0).all()
    assert (found[:, 121:] == 0).all()


def test_a_map_of_few_cells_has_no_steps():
    """The largest step between neighbouring pixels is a small part of a cell's height."""
    map_ = torch.zeros(7, 7)
    map_[3, 3] = 1
    found = smooth(map_, (448, 448))
    assert found.max() == pytest.approx(1, abs=0.02)
    assert found.min() == 0
    steps = torch.cat([found.diff(dim=0).flatten(), found.diff(dim=1).flatten()]).abs()
    assert steps.max() < 0.03
    # Bilinear has a ridge along the cell's rows and columns: a cross.
    around = [float(found[224 + dy, 224 + dx]) for dy, dx in ((0, 32), (32, 0), (23, 23))]
    assert around[0] == pytest.approx(around[1], abs=1e-6)
    assert around[0] == pytest.approx(around[2], abs=0.05)


@pytest.mark.parametrize("ground", [(255, 79, 139), (20, 20, 20), (250, 250, 250), (240, 66, 26)])
def test_an_outline_stands_out_from_any_ground(ground):
    region = torch.zeros(60, 60)
    region[15:45, 15:45] = 1
    pixels = np.asarray(outlined(Image.new("RGB", (60, 60), ground), region)).astype(float)
    column = pixels[30, 8:22] @ [0.299, 0.587, 0.114]
    assert np.ptp(column) > 60
    assert pixels[30, 30].tolist() == list(ground)
    assert pixels[5, 5].tolist() == list(ground)


def test_photo_and_overlay_stand_side_by_side_above_the_caption():
    photo = torch.randint(0, 256, (3, 300, 400), generator=torch.manual_seed(0)).byte()
    map_ = torch.zeros(300, 400)
    map_[100:200, 100:200] = 1
    found = picture(photo, map_, None, ["predicted fern", "gradcam, target fern", "a.jpg"])
    pixels = np.asarray(found)
    assert found.size == (808, 390)
    assert (pixels[:300, :400] == photo.permute(1, 2, 0).numpy()).all()
    assert (pixels[:300, 408:] == tinted(photo, map_)).all()
    assert (pixels[300:, :400] < 120).any()


def test_a_long_caption_is_cut_and_not_spilled():
    photo, map_ = torch.zeros(3, 384, 128, dtype=torch.uint8), torch.zeros(384, 128)
    short = picture(photo, map_, None, ["a", "b", "c"])
    long = picture(photo, map_, None, ["predicted " + "w" * 300, "b", "c"])
    assert long.size == short.size == (560, 474)
