"""The IDX files of MNIST and its relatives."""

import gzip
from pathlib import Path

import numpy as np

from regard.errors import DataError

FILES = {"train": "train", "test": "t10k"}
# Third byte of an IDX file: its values are bytes.
BYTES = 8


def read_idx(path: Path) -> np.ndarray:
    """An array of bytes from an IDX file, gzipped or not.

    Raises:
        DataError: it is none, or cut short.
    """
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if path.suffix == ".gz" else data
        axes = data[3]
        start = 4 + 4 * axes
        shape = np.frombuffer(data[4:start], ">u4").astype(int)
        values = np.frombuffer(data[start:], np.uint8)
        if data[:2] != b"\0\0" or data[2] != BYTES or len(values) != shape.prod():
            raise ValueError("another format, or cut short")
        return values.reshape(shape)
    except (OSError, EOFError, ValueError, IndexError) as error:
        raise DataError(
            str(path),
            expected="an IDX file of bytes",
            found=str(error) or type(error).__name__,
            remedy="fetch it again",
        ) from error


def read_split(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, H, W) and labels (N,) of `train` or `test`.

    Raises:
        DataError: a file is missing or is none, or there are more images than labels.
    """
    images, labels = (
        read_idx(_found(folder, f"{FILES[split]}-{what}"))
        for what in ("images-idx3-ubyte", "labels-idx1-ubyte")
    )
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise DataError(
            str(folder),
            expected="images (N, H, W) and N labels",
            found=f"{images.shape} and {labels.shape}",
            remedy="fetch the files again",
        )
    return images, labels


def _found(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise DataError(
        str(folder),
        expected=f"{name}, gzipped or not",
        found="no such file" if folder.is_dir() else "no such folder",
        remedy="name the folder with the four IDX files of MNIST or Fashion-MNIST",
    )
