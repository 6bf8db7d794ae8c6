"""Shapes of public functions are checked while tests run; torch stays within its share of cores."""

import os

import pytest
import torch
from jaxtyping import install_import_hook

ROOMS = ("data.regions", "models", "saliency", "scores", "guidance")
install_import_hook([f"regard.{room}" for room in ROOMS], "shapes.checked")

# Tests run in several processes; more threads than cores only get in each other's way.
torch.set_num_threads(int(os.environ.get("REGARD_TEST_THREADS", "1")))


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Nets draw the same first weights in whatever order tests run."""
    torch.manual_seed(0)
