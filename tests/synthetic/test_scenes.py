"""Drawn street scenes: photo and mask belong together, and are decided by their place."""

import numpy as np
import polars as pl
import pytest
from PIL import Image

from regard.data.manifest import read_manifest
from regard.data.source import mask_classes
from regard.errors import ConfigError
from regard.synthetic.scenes import CLASSES, draw_scene, write_scenes

COUNTS = {"train": 3, "test": 2}


def read(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*.*g") if p.is_file()}


def test_a_set_is_read_as_masks_of_the_groups(tmp_path):
    done = []
    path = write_scenes(
        tmp_path / "a", counts=COUNTS, size=(64, 96), progress=lambda n, of: done.append((n, of))
    )
    assert done[-1] == (5, 5)
    manifest = read_manifest(path)
    assert manifest.select("train").height == 3
    classes = mask_classes(manifest)
    assert classes.names == CLASSES[1:]
    table = pl.read_parquet(path)
    for row in table.iter_rows(named=True):
        ids = classes.read(str(tmp_path / "a" / row["mask"]), (64, 96))
        assert ids.shape == (64, 96)


def test_the_same_arguments_give_the_same_files_and_more_scenes_keep_the_first(tmp_path):
    for name, counts in (("a", COUNTS), ("b", COUNTS), ("c", {"train": 5, "test": 2})):
        write_scenes(tmp_path / name, counts=counts, size=(64, 96), seed=3)
    first, again, larger = (read(tmp_path / name) for name in "abc")
    assert first == again
    assert {k: larger[k] for k in first} == first
    write_scenes(tmp_path / "d", counts=COUNTS, size=(64, 96), seed=4)
    assert read(tmp_path / "d") != first


def test_over_many_scenes_every_group_is_there_and_some_are_rare():
    counts = np.zeros(8)
    for seed in range(12):
        photo, ids = draw_scene(np.random.default_rng(seed), (96, 128))
        assert photo.size == ids.size == (128, 96)
        counts += np.bincount(np.array(ids).ravel(), minlength=8)
    shares = dict(zip(CLASSES, counts / counts.sum(), strict=True))
    assert min(shares.values()) > 0
    assert shares["object"] < 0.03
    assert shares["flat"] > 0.25


def test_the_sky_is_where_the_mask_says_and_the_photo_is_brightest():
    photo, ids = draw_scene(np.random.default_rng(1), (96, 128))
    grey, ids = np.array(photo.convert("L")), np.array(ids)
    assert grey[ids == CLASSES.index("sky")].mean() > grey[ids == CLASSES.index("void")].mean() + 60
    assert (ids[-4:] == CLASSES.index("void")).all()
    assert (ids[0] != CLASSES.index("flat")).all()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"counts": {"train": 0}}, "scenes, counts"),
        ({"size": (40, 96)}, "sides of 48 pixels"),
        ({"seed": -1}, "scenes, seed"),
    ],
)
def test_what_cannot_be_drawn_is_refused(tmp_path, how, said):
    with pytest.raises(ConfigError, match=said):
        write_scenes(tmp_path / "a", **how)


def test_a_folder_with_files_is_refused(tmp_path):
    Image.new("L", (2, 2)).save(tmp_path / "x.png")
    with pytest.raises(ConfigError, match="files in it"):
        write_scenes(tmp_path)


def test_scenes_of_a_split_are_its_own_whatever_other_splits_there_are(tmp_path):
    sets = {"both": {"train": 2, "test": 2}, "train": {"train": 2}, "test": {"test": 2}}
    for name, counts in sets.items():
        write_scenes(tmp_path / name, counts=counts, size=(64, 96), seed=3)
    both, train, test = (read(tmp_path / name) for name in sets)
    assert both == train | test
    assert not set(train.values()) & set(test.values())
