"""Shapes of public functions are checked while tests run; torch stays within its share of cores."""

import os
from pathlib import Path

import pytest
import torch
from jaxtyping import install_import_hook

ROOMS = ("data.regions", "models", "saliency", "scores", "guidance")
install_import_hook([f"regard.{room}" for room in ROOMS], "shapes.checked")

# Tests run in several processes; more threads than cores only get in each other's way.
THREADS = int(os.environ.get("REGARD_TEST_THREADS", "1"))
torch.set_num_threads(THREADS)


@pytest.fixture(autouse=True)
def _alike() -> None:
    """Nets draw the same first weights and sums the same threads in whatever order tests run."""
    torch.manual_seed(0)
    torch.set_num_threads(THREADS)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small set of pictures, not to be changed."""
    from tinyset import write_set  # after the import hook

    folder = tmp_path_factory.mktemp("tiny set")
    write_set(folder)
    return folder
