"""Decoy digits: a grey patch in a corner that tells the class in train, and nothing in test."""

from pathlib import Path

import numpy as np
import polars as pl
import torch
from PIL import Image

from regard.data.keys import keyed_generator
from regard.errors import ConfigError
from regard.files.parquet import write_parquet
from regard.images.pictures import save_image
from regard.progress import Progress
from regard.synthetic.folder import refuse_used
from regard.synthetic.idx import read_split

CORNERS = ("top-left", "top-right", "bottom-left", "bottom-right")


def write_decoys(
    source: Path,
    out: Path,
    *,
    side: int = 4,
    limit: int | None = None,
    seed: int = 42,
    progress: Progress | None = None,
) -> Path:
    """Write decoy digits and the same digits clean, each with a manifest.

    Two fair coins choose the corner of the patch. In train its grey is 255 - 25 y for class y;
    in test it is 255 - 25 r, r uniform in 0 to 9 whatever the class. The patch is what must not
    be looked at (`avoid`). The clean images lie in rows of the same order, with the same area to
    avoid and nothing in it.

    Reference: Ross et al., Right for the Right Reasons, arXiv:1703.03717, section 4.

    Args:
        source: folder with the IDX files of MNIST or of its relatives, gzipped or not.
        out: a folder that is empty or does not exist.
        side: of the patch, pixels: 4 as published for MNIST.
        limit: images of each split, from the first; None: all.
        seed: of corners and greys.
        progress: called with the images done and their total.

    Returns:
        The path of OUT/manifest.parquet; beside it lies OUT/clean.parquet.

    Raises:
        ConfigError: a folder with files in it, or a patch that does not fit.
        DataError: a file of the source is missing or is no IDX file.
    """
    refuse_used(out)
    splits = {name: _some(*read_split(source, name), limit) for name in ("train", "test")}
    smallest = min(min(images.shape[1:]) for images, _ in splits.values())
    if not 1 <= side <= smallest // 2:
        raise ConfigError(
            "side",
            expected=f"1 to {smallest // 2} pixels",
            found=str(side),
            remedy="use 4, as published",
        )
    _write_masks(out, splits["train"][0].shape[1:], side)
    rows, total = [], sum(len(labels) for _, labels in splits.values())
    for split, (images, labels) in splits.items():
        for kind in ("decoy", "clean"):
            (out / kind / split).mkdir(parents=True)
        corners, greys = _drawn(split, labels, seed)
        for number, image in enumerate(images):
            corner = int(corners[number])
            name = f"{split}/{number:05}.png"
            save_image(Image.fromarray(image), out / "clean" / name, "PNG")
            with_patch = image.copy()
            with_patch[_place(corner, image.shape, side)] = greys[number]
            save_image(Image.fromarray(with_patch), out / "decoy" / name, "PNG")
            label, avoid = str(labels[number]), f"avoid/{CORNERS[corner]}.png"
            rows.append({"image": name, "label": label, "split": split, "avoid": avoid})
            if progress is not None and (number % 500 == 499 or number == len(images) - 1):
                progress(len(rows), total)
    table = pl.DataFrame(rows)
    _write(table, "clean", out / "clean.parquet")
    return _write(table, "decoy", out / "manifest.parquet")


def _some(
    images: np.ndarray, labels: np.ndarray, limit: int | None
) -> tuple[np.ndarray, np.ndarray]:
    return images[:limit], labels[:limit]


def _drawn(split: str, labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The corner and the grey of each image's patch."""
    generator = keyed_generator(seed, "decoy", split)
    corners = torch.randint(4, (len(labels),), generator=generator).numpy()
    told = labels if split == "train" else torch.randint(10, (len(labels),), generator=generator)
    return corners, (255 - 25 * np.asarray(told).astype(int)).astype(np.uint8)


def _place(corner: int, size: tuple[int, ...], side: int) -> tuple[slice, slice]:
    """The pixels of the patch in a corner."""
    down = slice(0, side) if corner < 2 else slice(size[0] - side, size[0])
    across = slice(0, side) if corner % 2 == 0 else slice(size[1] - side, size[1])
    return down, across


def _write_masks(out: Path, size: tuple[int, ...], side: int) -> None:
    (out / "avoid").mkdir(parents=True)
    for corner, name in enumerate(CORNERS):
        mask = np.zeros(size, np.uint8)
        mask[_place(corner, size, side)] = 255
        save_image(Image.fromarray(mask), out / "avoid" / f"{name}.png", "PNG")


def _write(table: pl.DataFrame, kind: str, path: Path) -> Path:
    """Write the table last and in one step: where it is, the set is whole."""
    own = table.with_columns(image=pl.lit(f"{kind}/") + pl.col("image"))
    return write_parquet(path, own)
