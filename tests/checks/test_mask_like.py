"""Masks that were taken for photos."""

import numpy as np
import pytest
import torch
from PIL import Image

from regard.checks.check import check
from regard.checks.mask_like import is_two_toned
from regard.data.manifest import manifest_from_rows


@pytest.fixture
def photos(tmp_path):
    generator = np.random.default_rng(0)
    for name in ("a.jpg", "b.jpg"):
        Image.fromarray(generator.integers(0, 256, (40, 50, 3), np.uint8)).save(tmp_path / name)
    for name in ("a_mask.png", "c.png", "d.png"):
        values = np.zeros((40, 50), np.uint8)
        values[10:20] = 255
        Image.fromarray(values).save(tmp_path / name)
    return tmp_path


def told(names, root):
    rows = [{"image": name, "label": "xy"[k % 2]} for k, name in enumerate(names)]
    problems = check(manifest_from_rows(rows, root))
    return [(p.row, p.file, p.detail) for p in problems if p.kind == "mask as image"]


def test_masks_among_images_are_told(photos):
    (named, plain) = told(["a.jpg", "a_mask.png", "b.jpg", "c.png"], photos)
    assert named[:2] == (2, "a_mask.png")
    assert named[2].startswith("called as the mask of a.jpg; ")
    assert named[2].endswith("--region '{stem}_mask.png'")
    assert plain[:2] == (4, "c.png")
    assert plain[2].startswith("black and white alone, as masks are; ")


def test_a_set_of_black_and_white_images_is_one_of_photos(photos):
    assert told(["c.png", "d.png"], photos) == []


@pytest.mark.parametrize(
    ("values", "answer"),
    [
        ([0, 255], True),
        ([0, 0], False),
        ([255, 255], False),
        ([0, 254], False),
        ([0, 255, 128], False),
    ],
)
def test_black_and_white_are_both_there_and_nothing_else(values, answer):
    image = torch.tensor(values, dtype=torch.uint8).repeat(3, 20, 20)
    assert is_two_toned(image) is answer


def test_colours_are_no_black_and_white():
    image = torch.zeros(3, 20, 20, dtype=torch.uint8)
    image[0, 5:] = 255
    assert not is_two_toned(image)
