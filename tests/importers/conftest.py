import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

DATA = Path(
    os.environ.get("REGARD_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data")
)


@pytest.fixture
def picture() -> Callable[..., Path]:
    """Writes a small image, making its folders."""

    def write(path: Path, size: tuple[int, int] = (8, 6), colour: str = "red") -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, colour).save(path)
        return path

    return write


@pytest.fixture
def shared() -> Callable[[str], Path]:
    """The folder of a real data set, or a skip."""

    def find(name: str) -> Path:
        if not (DATA / name).is_dir():
            pytest.skip(f"data set {name!r} is absent")
        return DATA / name

    return find
