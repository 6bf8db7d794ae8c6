"""Decoy digits: what the patch tells in train, and that it tells nothing in test."""

import gzip

import numpy as np
import polars as pl
import pytest
from PIL import Image

from regard.data.manifest import read_manifest
from regard.errors import ConfigError, DataError
from regard.synthetic.decoys import CORNERS, write_decoys
from regard.synthetic.idx import read_idx, read_split


def idx(values):
    shape = b"".join(side.to_bytes(4, "big") for side in values.shape)
    return bytes([0, 0, 8, values.ndim]) + shape + values.tobytes()


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Digits of noise: 400 to train, plain files, and 300 to test, gzipped."""
    folder, draw = tmp_path_factory.mktemp("idx"), np.random.default_rng(0)
    for split, count, pack in (("train", 400, bytes), ("t10k", 300, gzip.compress)):
        end = ".gz" if pack is gzip.compress else ""
        images = draw.integers(0, 200, (count, 28, 28), dtype=np.uint8)
        labels = draw.integers(0, 10, count, dtype=np.uint8)
        (folder / f"{split}-images-idx3-ubyte{end}").write_bytes(pack(idx(images)))
        (folder / f"{split}-labels-idx1-ubyte{end}").write_bytes(pack(idx(labels)))
    return folder


@pytest.fixture(scope="module")
def made(source, tmp_path_factory):
    out = tmp_path_factory.mktemp("decoys") / "out"
    seen = []
    path = write_decoys(source, out, progress=lambda *done: seen.append(done))
    assert seen[-1] == (700, 700)
    return out, read_manifest(path)


def pixels(out, path):
    return np.asarray(Image.open(out / path))


def patch(out, row):
    """The greys under the row's area to avoid."""
    inside = pixels(out, row["avoid"]) == 255
    assert inside.sum() == 16
    return pixels(out, row["image"])[inside]


def test_the_patch_tells_the_class_in_train_alone(made):
    out, manifest = made
    told = {"train": [], "test": []}
    for row in manifest.table.iter_rows(named=True):
        (grey,) = set(patch(out, row).tolist())
        told[row["split"]].append(grey == 255 - 25 * int(row["label"]))
    assert all(told["train"])
    assert 0.03 < np.mean(told["test"]) < 0.2
    corners = manifest.table["avoid"].value_counts()["count"]
    assert corners.min() > 120
    assert len(corners) == len(CORNERS)


def test_the_rest_of_the_digit_is_as_it_was(made, source):
    out, manifest = made
    clean = pl.read_parquet(out / "clean.parquet")
    columns = ["label", "split", "avoid"]
    assert clean.select(columns).equals(manifest.table.select(columns))
    for split in ("train", "test"):
        images, labels = read_split(source, split)
        rows = zip(
            manifest.table.filter(split=split).iter_rows(named=True),
            clean.filter(split=split).iter_rows(named=True),
            images,
            labels,
            strict=True,
        )
        for decoy, own, image, label in list(rows)[::20]:
            assert decoy["label"] == str(label)
            assert np.array_equal(pixels(out, own["image"]), image)
            outside = pixels(out, decoy["avoid"]) == 0
            assert np.array_equal(pixels(out, decoy["image"])[outside], image[outside])


def test_the_same_seed_gives_the_same_files(made, source, tmp_path):
    out, _ = made
    again = write_decoys(source, tmp_path / "again").parent
    other = write_decoys(source, tmp_path / "other", seed=1, side=5, limit=20).parent
    assert (again / "decoy/train/00007.png").read_bytes() == (
        out / "decoy/train/00007.png"
    ).read_bytes()
    assert len(list((other / "decoy/train").iterdir())) == 20
    assert (pixels(other, "avoid/top-left.png") == 255).sum() == 25
    names = pl.read_parquet(other / "manifest.parquet")["avoid"]
    assert not names.equals(pl.read_parquet(out / "manifest.parquet")["avoid"][:40])


def test_mistakes_are_refused(source, tmp_path):
    with pytest.raises(DataError, match="expected train-images-idx3-ubyte, gzipped or not"):
        write_decoys(tmp_path, tmp_path / "out")
    with pytest.raises(ConfigError, match="side: expected 1 to 14 pixels, found 15"):
        write_decoys(source, tmp_path / "out", side=15)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(ConfigError, match="expected a folder that is empty"):
        write_decoys(source, tmp_path / "full")
    for number, data in enumerate([b"", b"no digits", idx(np.zeros((2, 3), np.uint8))[:-1]]):
        path = tmp_path / f"broken{number}"
        path.write_bytes(data)
        with pytest.raises(DataError, match="expected an IDX file of bytes"):
            read_idx(path)
    assert not (tmp_path / "out").exists()
