"""Sets of labels: how a manifest has them, how they are split, and what a draw asks about."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regard.checks.describe import describe
from regard.checks.table_checks import table_problems
from regard.data.columns import checked
from regard.data.dealing import Unit, deal
from regard.data.loader import Loader
from regard.data.manifest import Manifest, read_manifest
from regard.data.sample import Draw, Sample, each_label, of_label
from regard.data.samples import Samples, padded, truth_of
from regard.data.settings import Augment, Data
from regard.data.source import class_names, open_manifest, samples_of, task_of
from regard.data.splits import carve_val, folds, split
from regard.data.transforms import Transform
from regard.data.where import Where
from regard.errors import DataError
from tinyset import COLOURS, write_sets


def manifest(labels, **columns):
    table = {"image": [f"{i}.jpg" for i in range(len(labels))], "labels": labels, **columns}
    schema = {"labels": pl.List(pl.String)}
    return Manifest(checked(pl.DataFrame(table, schema_overrides=schema), "m"), Path())


def data(**how):
    return Data(manifest="manifest.parquet", **how)


def test_lists_in_label_are_sets_of_labels():
    table = pl.DataFrame({"image": ["a", "b"], "label": [["x", "y"], []]})
    found = Manifest(checked(table, "m"), Path())
    assert found.table.columns == ["image", "labels"]
    assert found.set_classes == ("x", "y")
    assert task_of(found, data()) == "multilabel"


def test_a_csv_tells_no_label_from_a_missing_one(tmp_path):
    text = 'image,labels\na.jpg,"[""x"", ""y""]"\nb.jpg,[]\nc.jpg,\n'
    (tmp_path / "m.csv").write_text(text)
    found = read_manifest(tmp_path / "m.csv").table["labels"]
    assert found.to_list() == [["x", "y"], [], None]


@pytest.mark.parametrize(
    ("columns", "task"),
    [
        ({"labels": [["x"], []]}, "multilabel"),
        ({"labels": [["x", "y"], ["y"]], "label": [None, "y"]}, "multilabel"),
        ({"labels": [["x", "y"], ["y"]], "label": ["x", "y"]}, "classification"),
        ({"label": ["x", "y"]}, "classification"),
        ({"labels": [None, None], "label": ["x", "y"]}, "classification"),
        ({"labels": [["x"], []], "mask": ["a", "b"]}, "multilabel"),
        ({"mask": ["a", "b"]}, "segmentation"),
    ],
)
def test_what_is_learned_is_read_off_the_columns(columns, task):
    table = pl.DataFrame({"image": ["a", "b"], **columns})
    assert task_of(Manifest(checked(table, "m"), Path()), data()) == task


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([["x", "x"], []], "row 1, column 'labels': expected each class once"),
        ([["x"], ["y", " "]], "row 2, column 'labels': expected names of classes"),
    ],
)
def test_sets_that_are_none_are_refused(labels, said):
    with pytest.raises(DataError, match=said) as caught:
        manifest(labels)
    assert "\n" not in str(caught.value)


def test_checks_take_an_empty_set_for_an_answer_and_a_missing_one_for_none():
    found = manifest([["x"], [], None, ["y"]], split=["train", "train", "train", "test"])
    bare = [problem for problem in table_problems(found) if problem.kind == "no label"]
    assert [problem.row for problem in bare] == [3]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([["x", "y"], None], r"row 2, column 'labels'.*write its labels, \[\] for none"),
        ([["x", "y"], ["z"]], r"row 2, column 'labels'.*found 'z'"),
    ],
)
def test_samples_need_known_labels(labels, said):
    found = manifest(labels, split=["train", "train"])
    with pytest.raises(DataError, match=said):
        samples_of(found, "train", ("x", "y"), data())


def test_two_classes_are_needed():
    with pytest.raises(DataError, match="'labels' with two classes or more in train, found x"):
        class_names(manifest([["x"], []], split=["train", "train"]), data())


# Dealing.


def slow_deal(sets, shares):
    """Sechidis et al. 2011, algorithm 1, as it is written, ties by the lowest part."""
    left = dict(enumerate(sets))
    wanted = [share * len(sets) for share in shares]
    names = sorted({label for own in sets for label in own})
    wanted_of = {n: [share * sum(n in own for own in sets) for share in shares] for n in names}
    parts = {}
    while left:
        counts = Counter(label for own in left.values() for label in own)
        if not counts:
            break
        label = min(counts, key=lambda name: (counts[name], name))
        for index in [i for i, own in left.items() if label in own]:
            best = max(wanted_of[label])
            ties = [p for p, w in enumerate(wanted_of[label]) if abs(w - best) < 1e-9]
            most = max(wanted[p] for p in ties)
            part = next(p for p in ties if abs(wanted[p] - most) < 1e-9)
            parts[index] = part
            for own in left.pop(index):
                wanted_of[own][part] -= 1
            wanted[part] -= 1
    for index in left:
        part = parts[index] = max(range(len(shares)), key=lambda p: wanted[p])
        wanted[part] -= 1
    return parts


def spread_of(sets, parts, shares):
    """The mean over labels and parts of how far a label's share is from that wanted."""
    names = sorted({label for own in sets for label in own})
    off = []
    for name in names:
        rows = [i for i, own in enumerate(sets) if name in own]
        got = [sum(parts[i] == p for i in rows) / len(rows) for p in range(len(shares))]
        off += [abs(a - b) for a, b in zip(got, shares, strict=True)]
    return float(np.mean(off))


@pytest.mark.parametrize("seed", range(3))
def test_labels_are_spread_as_by_the_published_procedure(seed):
    draw = np.random.default_rng(seed)
    rates = draw.uniform(0.02, 0.5, 8)
    sets = [[f"c{k}" for k in np.flatnonzero(draw.random(8) < rates)] for _ in range(240)]
    shares = (0.7, 0.15, 0.15)
    units = {f"row {i}": Unit(1, Counter(own)) for i, own in enumerate(sets)}
    dealt = deal(units, shares, seed)
    found = {i: dealt[f"row {i}"] for i in range(len(sets))}
    ours, theirs = (spread_of(sets, own, shares) for own in (found, slow_deal(sets, shares)))
    dull = {i: int(draw.choice(3, p=shares)) for i in range(len(sets))}
    assert ours <= theirs + 0.01
    assert ours < spread_of(sets, dull, shares) / 2
    sizes = Counter(found.values())
    assert [sizes[p] for p in range(3)] == pytest.approx([168, 36, 36], abs=6)


@settings(max_examples=40, deadline=None)
@given(
    sets=st.lists(st.sets(st.sampled_from("abcde")), min_size=24, max_size=60),
    groups=st.integers(6, 20),
    seed=st.integers(0, 99),
)
def test_groups_stay_whole_and_every_sample_is_dealt(sets, groups, seed):
    labels = [sorted(own) for own in sets]
    names = [f"g{i % groups}" for i in range(len(labels))]
    table = manifest(labels, group=names)
    found = split(table, "60/20/20", seed, sets=True).table
    assert found["split"].null_count() == 0
    assert found.group_by("group").agg(pl.col("split").n_unique())["split"].max() == 1
    assert (
        found["split"].to_list()
        == split(table, "60/20/20", seed, sets=True).table["split"].to_list()
    )


def test_a_label_of_two_samples_reaches_train_and_folds_are_alike():
    labels = [["common"]] * 40 + [["common", "rare"]] * 2 + [[]] * 10
    parts = split(manifest(labels), "70/15/15").table
    rare = parts.filter(pl.col("labels").list.contains("rare"))["split"].to_list()
    assert "train" in rare
    assert parts.filter(pl.col("labels").list.len() == 0)["split"].n_unique() == 3
    sizes = [
        Counter(folds(manifest(labels), 4, fold).table["split"].to_list())["test"]
        for fold in range(4)
    ]
    assert max(sizes) - min(sizes) <= 1
    whole = manifest(labels, split=["train"] * 42 + ["test"] * 10)
    assert carve_val(whole, 0.25).table["split"].to_list().count("val") in (10, 11)


def test_a_config_s_task_decides_by_what_is_stratified(tmp_path):
    labels = [["a", "b"], ["a"], ["b"], []] * 12
    table = manifest(labels, label=["a", "a", "b", "b"] * 12).table
    table.write_parquet(tmp_path / "manifest.parquet")
    by_label = open_manifest(data(), tmp_path).table["split"].to_list()
    by_set = open_manifest(data(task="multilabel"), tmp_path).table["split"].to_list()
    assert (
        by_label
        == split(read_manifest(tmp_path / "manifest.parquet"), sets=False).table["split"].to_list()
    )
    assert (
        by_set
        == split(read_manifest(tmp_path / "manifest.parquet"), sets=True).table["split"].to_list()
    )
    with pytest.raises(DataError, match="a column 'labels' with two classes"):
        class_names(
            Manifest(checked(pl.DataFrame({"image": ["a"], "label": ["x"], "split": ["train"]}),
                             "m"), Path()), data(task="multilabel"),
        )  # fmt: skip


# Samples.

TRANSFORM = Transform((32, 32), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    write_sets(folder)
    return folder


def train_samples(home):
    return samples_of(read_manifest(home / "manifest.parquet"), "train", COLOURS, data())


def test_sets_become_tensors():
    samples = [Sample(i, (), -1, labels=own) for i, own in enumerate([(0, 2), (), (1,)])]
    sets = padded(samples)
    assert sets.tolist() == [[0, 2], [-1, -1], [1, -1]]
    expected = [[True, False, True], [False] * 3, [False, True, False]]
    assert truth_of(sets, 3).tolist() == expected
    assert padded([Sample(0, (), 1)]) is None


def test_a_label_has_its_own_boxes_and_none_of_the_others(home):
    sample = next(s for s in train_samples(home) if s.labels == (0, 1, 2))
    alone = [of_label(sample, k) for k in range(3)]
    assert [own.boxes for own in alone] == [(box,) for box in sample.boxes]
    assert [own.labels for own in alone] == [(0,), (1,), (2,)]
    assert each_label([sample]) == alone
    nothing = of_label(sample, -1)
    assert (nothing.boxes, nothing.labels) == (None, ())
    assert each_label([s for s in train_samples(home) if not s.labels]) == []
    bare = Sample(0, (), -1, boxes=((0, 0, 1, 1),), labels=(0, 1), box_labels=(1,))
    assert of_label(bare, 0).boxes is None  # it has no box of that class


def test_each_draw_asks_about_one_label_with_that_label_s_region(home):
    samples = train_samples(home)
    found = Samples(samples, TRANSFORM, seed=3, cache_mb=64)
    draws = [Draw(row, epoch) for epoch in range(6) for row in range(len(samples))]
    for _ in range(2):  # the second time from memory
        batch = found.batch(draws)
        where = Where(TRANSFORM, None, samples)
        for at, draw in enumerate(draws):
            sample, label = samples[draw.row], int(batch.labels[at])
            assert label == found.asked(draw)
            assert label == -1 if not sample.labels else label in sample.labels
            own = where.region(of_label(sample, label))
            assert bool(batch.regions.present[at]) == (own is not None)
            if own is not None:
                assert torch.equal(batch.regions.attend[at], own)
    drawn = Counter(found.asked(Draw(7, epoch)) for epoch in range(600))
    assert samples[7].labels == (0, 1, 2)
    assert all(160 < drawn[k] < 240 for k in range(3))


def test_what_is_asked_hangs_on_seed_epoch_and_sample_alone(home):
    samples = train_samples(home)
    draws = [Draw(row, 4) for row in range(len(samples))]
    augment = Augment(flip=0.5, rotate=20)
    loads = [
        Loader(Samples(samples, TRANSFORM, seed=1, augmentation=augment), size) for size in (5, 24)
    ]
    orders = [draws, draws[::-1]]
    found = []
    for loader, order in zip(loads, orders, strict=True):
        batches = list(loader.batches(order))
        index = torch.cat([b.index for b in batches]).tolist()
        labels = torch.cat([b.labels for b in batches]).tolist()
        regions = torch.cat([b.regions.attend for b in batches])
        found.append({i: (k, r) for i, k, r in zip(index, labels, regions, strict=True)})
    for index, (label, region) in found[0].items():
        assert found[1][index][0] == label
        assert torch.equal(found[1][index][1], region)
    other = Samples(samples, TRANSFORM, seed=2)
    assert [other.asked(draw) for draw in draws] != [found[0][samples[d.row].index][0]
                                                     for d in draws]  # fmt: skip


def test_an_image_s_region_is_that_of_all_its_labels_where_none_has_its_own(tmp_path):
    write_sets(tmp_path, boxes=False)
    table = pl.read_parquet(tmp_path / "manifest.parquet")
    boxes = pl.Series([[[0.0, 0, 16, 32]]] * len(table), dtype=pl.List(pl.List(pl.Float64)))
    table.with_columns(boxes=boxes).write_parquet(tmp_path / "manifest.parquet")
    samples = train_samples(tmp_path)
    batch = Samples(samples, TRANSFORM, cache_mb=64).batch([Draw(0), Draw(3)])
    # The first is of no class: its box says nothing of any.
    assert batch.regions.present.tolist() == [False, True]
    assert float(batch.regions.attend[1].mean()) == pytest.approx(0.5)
    part = batch[1:]
    assert part.sets.tolist() == [[0, 1, -1]]


def test_a_description_counts_labels_and_images_without_any(home):
    found = describe(read_manifest(home / "manifest.parquet"))
    assert found.labels == {"0": 7, "1": 19, "2": 17, "3": 5}
    assert found.classes["sky"] == {"train": 12, "val": 4, "test": 4}
    assert json.dumps(found.as_dict())
