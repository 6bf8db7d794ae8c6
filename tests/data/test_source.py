from collections import Counter
from pathlib import Path

import pytest

from regard.data.manifest import manifest_from_rows, read_manifest
from regard.data.settings import Data
from regard.data.source import class_names, open_manifest, samples_of, splits_of
from regard.errors import ConfigError, DataError


def rows(**columns):
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


@pytest.fixture
def manifest(tmp_path):
    return manifest_from_rows(
        rows(
            image=["a.jpg", "b.jpg", "c.jpg", "d.jpg"],
            segmented=["a.png", None, "c.png", "d.png"],
            label=["10", "9", "9", "10"],
            split=["train", "val", "train", "test"],
            boxes=[[[0, 0, 5, 5], [1, 1, 2, 2]], None, [], [[3, 3, 4, 4]]],
            box_labels=[["9", "10"], None, [], ["11"]],
            region=["r.png", None, "/abs/r.png", None],
            region_threshold=[9, None, None, None],
            avoid=["s.png", None, None, None],
            ignore=[None, None, "i.png", None],
        ),
        tmp_path,
    )


def views(names):
    return Data(manifest="m.parquet", views=names)


def test_samples_carry_absolute_paths_and_class_numbers(manifest, tmp_path):
    first, second = samples_of(manifest, "train", ["9", "10"], views(["segmented", "image"]))
    assert first.views == (
        ("segmented", str(tmp_path / "a.png")),
        ("image", str(tmp_path / "a.jpg")),
    )
    assert (first.index, first.label, second.index, second.label) == (0, 1, 2, 0)
    assert (first.region, first.region_threshold) == (str(tmp_path / "r.png"), 9)
    assert (second.region, second.region_threshold) == ("/abs/r.png", None)
    assert (first.avoid, first.ignore) == (str(tmp_path / "s.png"), None)
    assert (second.avoid, second.ignore) == (None, str(tmp_path / "i.png"))


def test_boxes_are_those_of_the_samples_own_class_where_it_has_some(manifest):
    classes, image = ["9", "10"], views(["image"])
    first, second = samples_of(manifest, "train", classes, image)
    assert first.boxes == ((1, 1, 2, 2),)
    assert second.boxes == ()
    assert samples_of(manifest, "val", classes, image)[0].boxes is None
    assert samples_of(manifest, "test", classes, image)[0].boxes == ((3, 3, 4, 4),)


def test_boxes_without_classes_are_all_taken():
    data = manifest_from_rows(
        [{"image": "a", "label": "x", "split": "train", "boxes": [[0, 0, 1, 1], [2, 2, 3, 3]]}],
        Path(),
    )
    assert len(samples_of(data, "train", ["x"], views(["image"]))[0].boxes) == 2


def test_a_view_must_be_there_for_every_sample_of_the_split(manifest):
    with pytest.raises(
        DataError, match=r"column 'segmented' for every sample of 'val'.*empty cells"
    ):
        samples_of(manifest, "val", ["9", "10"], views(["image", "segmented"]))
    assert len(samples_of(manifest, "test", ["9", "10"], views(["image", "segmented"]))) == 1
    with pytest.raises(DataError, match=r"column 'depth' .* found no such column"):
        samples_of(manifest, "test", ["9", "10"], views(["depth"]))


def test_a_label_that_train_never_shows_is_named_with_its_row(manifest):
    with pytest.raises(DataError, match=r"row 4, column 'label': .*train split, found '10'"):
        samples_of(manifest, "test", ["9", "1O"], views(["image"]))


def test_a_sample_without_a_label_is_named_with_its_row():
    data = manifest_from_rows(rows(image="ab", label=["x", None], split=["train"] * 2), Path())
    with pytest.raises(DataError, match=r"row 2, column 'label': .* found None; label it"):
        samples_of(data, "train", ["x"], views(["image"]))


def test_an_empty_split_is_refused(manifest):
    with pytest.raises(DataError, match="samples in split 'holdout', found none"):
        samples_of(manifest, "holdout", ["9", "10"], views(["image"]))


def test_classes_are_those_of_train_in_natural_order(manifest):
    assert class_names(manifest) == ("9", "10")


@pytest.mark.parametrize(
    ("labels", "found"), [([None, None, "y"], "no labels"), (["x", "x", "y"], "found x;")]
)
def test_one_class_in_train_is_too_few(labels, found):
    split = ["train", "train", "test"]
    data = manifest_from_rows(rows(image="abc", label=labels, split=split), Path())
    with pytest.raises(DataError, match=f"two classes or more in train, .*{found}"):
        class_names(data)


def test_splits_come_in_the_order_of_use(manifest):
    assert splits_of(manifest.table) == ["train", "val", "test"]
    data = manifest_from_rows(rows(image="abcd", split=["x", "test", None, "extra"]), Path())
    assert splits_of(data.table) == ["test", "extra", "x"]


@pytest.fixture
def folder(tmp_path):
    images = [f"{i}.jpg" for i in range(100)]
    labels = [str(i % 2) for i in range(100)]
    manifest_from_rows(rows(image=images, label=labels), tmp_path).write(tmp_path / "plain.csv")
    two = ["train"] * 80 + ["test"] * 20
    table = rows(image=images, label=labels, split=two)
    manifest_from_rows(table, tmp_path).write(tmp_path / "two.csv")
    return tmp_path


@pytest.mark.parametrize(
    ("config", "sizes"),
    [
        ({"manifest": "plain.csv"}, {"train": 70, "val": 15, "test": 15}),
        ({"manifest": "plain.csv", "split": "80/20"}, {"train": 80, "test": 20}),
        ({"manifest": "plain.csv", "folds": 5}, {"train": 60, "val": 20, "test": 20}),
        (
            {"manifest": "plain.csv", "folds": 5, "val_from_train": 0.125},
            {"train": 70, "val": 10, "test": 20},
        ),
        ({"manifest": "two.csv"}, {"train": 80, "test": 20}),
        ({"manifest": "two.csv", "split": "50/25/25"}, {"train": 50, "val": 25, "test": 25}),
        ({"manifest": "two.csv", "val_from_train": 0.25}, {"train": 60, "val": 20, "test": 20}),
        (
            {"manifest": "plain.csv", "split": "80/20", "val_from_train": 0.25},
            {"train": 60, "val": 20, "test": 20},
        ),
    ],
)
def test_a_config_says_how_the_manifest_is_split(folder, config, sizes):
    opened = open_manifest(Data(**config), folder)
    got = Counter(opened.table["split"].to_list())
    assert {name: abs(got[name] - size) <= 2 for name, size in sizes.items()} == dict.fromkeys(
        sizes, True
    )
    assert got.total() == sum(sizes.values())
    assert opened.table["split"].equals(open_manifest(Data(**config), folder).table["split"])


def test_the_split_has_its_own_seed(folder):
    config = Data(manifest="plain.csv")
    other = config.model_copy(update={"split_seed": 1})
    splits = [open_manifest(c, folder).table["split"] for c in (config, other)]
    assert not splits[0].equals(splits[1])


def test_a_split_of_the_manifest_is_kept(folder):
    opened = open_manifest(Data(manifest=str(folder / "two.csv")))
    assert opened.table.equals(read_manifest(folder / "two.csv").table)


def test_val_that_is_there_is_not_carved_again(folder):
    with pytest.raises(ConfigError, match="remove val_from_train"):
        open_manifest(Data(manifest="plain.csv", val_from_train=0.2), folder)


def test_boxes_of_other_classes_alone_say_nothing_of_the_own_one():
    data = manifest_from_rows(
        [{"image": "a", "label": "cat", "split": "train", "boxes": [[0, 0, 1, 1]],
          "box_labels": ["dog"]}],
        Path(),
    )  # fmt: skip
    assert samples_of(data, "train", ["cat", "dog"], views(["image"]))[0].boxes is None
    # A part of the subject is its own.
    assert samples_of(data, "train", ["cat"], views(["image"]))[0].boxes == ((0, 0, 1, 1),)
