from collections import Counter, defaultdict
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from regard.data.columns import checked
from regard.data.manifest import Manifest
from regard.data.splits import carve_val, folds, parse_scheme, split
from regard.errors import ConfigError, DataError


def manifest(labels, groups=None, **columns):
    table = {"image": [f"{i}.jpg" for i in range(len(labels))], "label": labels, **columns}
    if groups is not None:
        table["group"] = groups
    return Manifest(checked(pl.DataFrame(table), "m"), Path())


def counts(parts, label):
    table = parts.table.filter(pl.col("label") == label)
    return Counter(table["split"].to_list())


@pytest.mark.parametrize(
    ("scheme", "shares"),
    [
        ("70/15/15", {"train": 0.7, "val": 0.15, "test": 0.15}),
        ("80/20", {"train": 0.8, "test": 0.2}),
        ("33.3/33.3/33.4", {"train": 0.333, "val": 0.333, "test": 0.334}),
    ],
)
def test_a_scheme_is_percentages(scheme, shares):
    assert parse_scheme(scheme) == pytest.approx(shares)


@pytest.mark.parametrize(
    "scheme",
    [
        "",
        "100",
        "70/20",
        "0/50/50",
        "-10/60/50",
        "70/15/10/5",
        "a/b",
        "nan/50/50",
        "50/nan",
        "inf/50",
    ],
)
def test_other_schemes_are_refused(scheme):
    with pytest.raises(ConfigError, match=r"sum to 100, found .*70/15/15"):
        parse_scheme(scheme)


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(20, 90), min_size=1, max_size=5),
    scheme=st.sampled_from(["70/15/15", "80/20", "60/20/20", "34/33/33", "90/5/5"]),
    seed=st.integers(0, 1000),
)
def test_each_class_gets_its_share_to_within_one_sample(sizes, scheme, seed):
    labels = [f"c{k}" for k, size in enumerate(sizes) for _ in range(size)]
    parts = split(manifest(labels), scheme, seed)
    for k, size in enumerate(sizes):
        got = counts(parts, f"c{k}")
        for name, share in parse_scheme(scheme).items():
            assert abs(got[name] - share * size) <= 1


def test_36_small_classes_are_dealt_so_that_the_whole_keeps_its_shares():
    labels = [f"species {k}" for k in range(36) for _ in range(6 + k % 8)]
    parts = split(manifest(labels))
    total = Counter(parts.table["split"].to_list())
    assert total["train"] == pytest.approx(0.7 * len(labels), abs=4)
    assert total["val"] == pytest.approx(0.15 * len(labels), abs=4)
    for label in set(labels):
        assert counts(parts, label)["train"] >= 0.7 * labels.count(label) - 1


def test_a_split_is_the_same_every_time_and_another_for_another_seed():
    labels = [f"c{i % 3}" for i in range(90)]
    first, again, other = (split(manifest(labels), seed=s).table["split"] for s in (1, 1, 2))
    assert first.equals(again)
    assert not first.equals(other)


def test_a_split_does_not_change_between_versions():
    parts = split(manifest(list("aabbaabbaabb")), "50/50", seed=42).table["split"].to_list()
    assert "".join(part[1] for part in parts) == "reeereererrr"


def test_more_columns_and_the_old_split_do_not_change_a_split():
    labels = [f"c{i % 3}" for i in range(60)]
    plain = split(manifest(labels)).table["split"]
    dressed = split(manifest(labels, split=["test"] * 60, camera=["x"] * 60)).table["split"]
    assert plain.equals(dressed)


def test_grouped_samples_are_split_alike_in_any_order_of_rows():
    labels, groups = zip(
        *[(f"c{g % 3}", f"g{g}") for g in range(40) for _ in range(2)], strict=True
    )
    rows = list(range(80))[::-1]
    forward = split(manifest(list(labels), list(groups)))
    backward = split(manifest([labels[i] for i in rows], [groups[i] for i in rows]))
    assert backward.table["split"].to_list() == [forward.table["split"][i] for i in rows]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 12)), min_size=40, max_size=80))
def test_groups_stay_whole(samples):
    labels, groups = zip(*[(f"c{c}", f"g{g}") for c, g in samples], strict=True)
    try:
        parts = split(manifest(list(labels), list(groups)))
    except DataError:  # groups too few for three parts
        reject()
    where = defaultdict(set)
    for group, part in zip(groups, parts.table["split"], strict=True):
        where[group].add(part)
    assert all(len(found) == 1 for found in where.values())
    assert set(parts.table["split"]) == {"train", "val", "test"}


def test_samples_without_a_group_are_dealt_singly():
    parts = split(manifest(["c"] * 100, [None] * 100), "80/20")
    assert Counter(parts.table["split"].to_list()) == {"train": 80, "test": 20}


def test_samples_of_several_labels_are_stratified_by_their_set():
    several = [["a"], ["a", "b"]] * 50
    table = pl.DataFrame({"image": [str(i) for i in range(100)], "labels": several})
    parts = split(Manifest(checked(table, "m"), Path()), "80/20").table
    test = parts.filter(pl.col("split") == "test")["labels"].to_list()
    assert (len(test), test.count(["a"])) == (20, 10)


def test_an_empty_part_is_refused():
    with pytest.raises(DataError, match="2 samples and an empty split 'val'"):
        split(manifest(["a", "b"]))


def test_folds_partition_the_samples():
    data = manifest([f"c{i % 4}" for i in range(103)])
    tests, vals = [], []
    for fold in range(5):
        parts = folds(data, 5, fold).table["split"].to_list()
        assert set(parts) == {"train", "val", "test"}
        tests.append({i for i, part in enumerate(parts) if part == "test"})
        vals.append({i for i, part in enumerate(parts) if part == "val"})
    assert sorted(i for found in tests for i in found) == list(range(103))
    assert vals == [*tests[1:], tests[0]]
    assert {len(found) for found in tests} <= {20, 21, 22}


@pytest.mark.parametrize(("k", "fold"), [(2, 0), (5, 5), (5, -1)])
def test_folds_out_of_range_are_refused(k, fold):
    with pytest.raises(ConfigError, match=f"folds={k}, fold={fold}"):
        folds(manifest(["a", "b"] * 10), k, fold)


def test_val_is_carved_from_train_by_class_and_test_stays():
    data = manifest(
        ["a"] * 50 + ["b"] * 50, split=(["train"] * 40 + ["test"] * 10) * 2, index=range(100)
    )
    carved = carve_val(data, 0.2)
    assert counts(carved, "a") == {"train": 32, "val": 8, "test": 10}
    assert counts(carved, "b") == {"train": 32, "val": 8, "test": 10}
    was_test = data.table["split"] == "test"
    assert carved.table["split"].filter(was_test).to_list() == ["test"] * 20
    assert carved.table["index"].to_list() == list(range(100))


def test_carving_keeps_groups_whole_and_rows_without_a_split():
    data = manifest(
        ["a"] * 42,
        [f"g{i // 2}" for i in range(40)] + [None, None],
        split=["train"] * 40 + [None, "test"],
    )
    parts = carve_val(data, 0.25).table["split"].to_list()
    assert parts[:40:2] == parts[1:40:2]
    assert parts[40:] == [None, "test"]
    assert parts.count("val") == 10


def test_val_is_not_carved_twice_or_from_nothing():
    with pytest.raises(ConfigError, match="without a val split, found samples in val"):
        carve_val(manifest(["a", "a"], split=["train", "val"]), 0.5)
    with pytest.raises(DataError, match="a column 'split'"):
        carve_val(manifest(["a", "a"]), 0.5)
    with pytest.raises(DataError, match="samples in split 'train'"):
        carve_val(manifest(["a", "a"], split=["test", "test"]), 0.5)
    with pytest.raises(DataError, match="an empty split 'val'"):
        carve_val(manifest(["a"] * 4, split=["train"] * 4), 0.01)


def made(real, synthetic):
    flags = [False] * real + [True] * synthetic
    return manifest(["c"] * len(flags), synthetic=flags)


def test_synthetic_samples_are_used_in_training_alone():
    alone, mixed = split(made(100, 0)).table["split"], split(made(100, 30)).table["split"]
    assert mixed[100:].to_list() == ["train"] * 30
    assert mixed[:100].equals(alone)
    for fold in range(4):
        assert folds(made(100, 30), 4, fold).table["split"][100:].to_list() == ["train"] * 30
    carved = carve_val(split(made(100, 30), "80/20"), 0.25).table["split"]
    assert carved[100:].to_list() == ["train"] * 30


def test_a_synthetic_sample_whose_group_is_elsewhere_is_left_out():
    groups = [f"g{i}" for i in range(100)] * 2
    data = manifest(["c"] * 200, groups, synthetic=[False] * 100 + [True] * 100)
    for parts in (split(data), folds(data, 5, 1), carve_val(split(data, "80/20"), 0.25)):
        real, copies = parts.table["split"][:100].to_list(), parts.table["split"][100:].to_list()
        assert copies == ["train" if part == "train" else None for part in real]
        assert 0 < copies.count(None) < 100


def test_a_set_that_is_synthetic_throughout_is_dealt_like_any_other():
    assert split(made(0, 90)).table["split"].equals(split(made(90, 0)).table["split"])


@pytest.mark.parametrize(
    ("each", "scheme", "least"),
    [
        (1, "70/15/15", 15),
        (2, "70/15/15", 25),
        (2, "90/10", 18),
        (3, "90/10", 25),
        (4, "80/20", 60),
    ],
)
def test_small_classes_leave_no_part_empty_or_far_from_its_share(each, scheme, least):
    """Dealt class by class, all of a class of two would go to train."""
    parts = split(manifest([f"c{n:03}" for n in range(100) for _ in range(each)]), scheme)
    sizes = Counter(parts.table["split"])
    assert set(sizes) == {"train", "val", "test"} if scheme.count("/") == 2 else {"train", "test"}
    assert all(size >= least for name, size in sizes.items() if name != "train")
    assert sizes["train"] >= 0.65 * 100 * each
    if each > 1:
        shown = parts.table.filter(split="train")["label"].n_unique()
        assert shown == 100


@pytest.mark.parametrize("labels", [["a"] * 100, ["a", "b"] * 50])
def test_few_groups_are_spread_over_all_parts(labels):
    for sizes in ([20] * 5, [34, 33, 33], [90, 5, 5]):
        groups = [f"g{n}" for n, size in enumerate(sizes) for _ in range(size)]
        parts = split(manifest(labels, groups)).table
        assert set(parts["split"]) == {"train", "val", "test"}
        assert parts.group_by("group").agg(pl.col("split").n_unique())["split"].max() == 1


def test_val_of_small_classes_is_carved():
    names = [f"c{n:03}" for n in range(100) for _ in range(3)]
    carved = carve_val(manifest(names, split=["train"] * 299 + ["test"]), 0.1).table
    assert 25 <= carved.filter(split="val").height <= 35
