import pytest
import torch

from tinyset import write_set


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A folder with a small set of pictures, not to be changed."""
    folder = tmp_path_factory.mktemp("tiny set")
    write_set(folder)
    return folder


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)
