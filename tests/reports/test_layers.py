import base64
import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

from regard.reports.layers import heat, outline, photo


def opened(address: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(address.split(",")[1])))


def test_a_photo_keeps_to_its_limit_even_when_it_is_noise():
    noise = torch.randint(0, 256, (3, 360, 270), generator=torch.manual_seed(0)).byte()
    address = photo(noise, 12_000)
    assert len(base64.b64decode(address.split(",")[1])) <= 12_000
    width, height = opened(address).size
    assert width / height == pytest.approx(270 / 360, abs=0.02)


def test_a_photo_shows_the_image():
    image = torch.zeros(3, 64, 48, dtype=torch.uint8)
    image[0, :, :24] = 250
    pixels = np.asarray(opened(photo(image, 40_000)))
    assert pixels.shape == (64, 48, 3)
    assert pixels[32, 8, 0] > 240
    assert pixels[32, 40].max() < 15


def test_a_map_is_clear_where_it_is_zero_and_strongest_at_its_peak():
    map_ = torch.zeros(8, 6)
    map_[2, 3], map_[5, 1] = 4.0, 2.0
    pixels = np.asarray(opened(heat(map_)).convert("RGBA"))
    assert pixels[0, 0, 3] == 0
    assert pixels[2, 3, 3] == pixels[..., 3].max() > 200
    assert 0 < pixels[5, 1, 3] < pixels[2, 3, 3]


def test_a_map_of_zeros_is_clear_everywhere():
    assert np.asarray(opened(heat(torch.zeros(4, 4))).convert("RGBA"))[..., 3].max() == 0


def test_the_outline_runs_around_the_region():
    region = torch.zeros(20, 30)
    region[5:15, 10:20] = 1
    numbers = np.array(re.findall(r"[\d.]+ [\d.]+", outline(region)), dtype=object)
    points = np.array([[float(n) for n in pair.split()] for pair in numbers])
    assert points.min(0) == pytest.approx([10, 5], abs=0.5)
    assert points.max(0) == pytest.approx([20, 15], abs=0.5)
    assert len(points) < 24


def test_an_outline_along_the_edge_stays_inside_and_is_closed():
    path = outline(torch.ones(10, 12))
    points = [tuple(map(float, pair.split())) for pair in re.findall(r"[\d.]+ [\d.]+", path)]
    assert points[0] == points[-1]
    assert np.max(points, axis=0) == pytest.approx([12, 10], abs=0.5)
    assert outline(torch.zeros(4, 4)) == ""


def test_the_outline_of_specks_is_kept_short():
    specks = (torch.rand(360, 360, generator=torch.manual_seed(0)) > 0.5).float()
    assert 0 < len(outline(specks)) < 6_000
