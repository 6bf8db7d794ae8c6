import sys
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image

from regard.data.loader import Loader, Order, Share, in_order, oversampled, shuffled
from regard.data.sample import Draw, Sample
from regard.data.samples import Samples
from regard.data.settings import Augment
from regard.data.transforms import Transform
from regard.errors import DataError

ROWS = 7
HOW = Augment(rotate=20, flip=0.5, zoom=0.1, contrast=0.3)


class Witness(Samples):
    """Takes down, in place of the labels, whether the process holds what it need not."""

    def batch(self, draws):
        batch = super().batch(draws)
        batch.labels[:] = "polars" in sys.modules or "torchvision" in sys.modules
        return batch


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    rows = []
    for row in range(ROWS):
        pixels = np.random.default_rng(row).integers(0, 255, (9, 12, 3), dtype=np.uint8)
        image = Image.fromarray(pixels).resize((260, 190), Image.Resampling.BICUBIC)
        image.save(folder / f"{row}.jpg")
        view = (("image", str(folder / f"{row}.jpg")),)
        rows.append(Sample(row, view, row % 2, boxes=((20.0, 30.0, 150.0, 140.0 + row),)))
    return rows


def dataset(samples, kind=Samples):
    return kind(samples, Transform((96, 128), (0.5,) * 3, (0.5,) * 3), augmentation=HOW, seed=3)


@pytest.fixture(scope="module")
def spawned(samples):
    """A loader of two processes, and one sample that cannot be read."""
    broken = Sample(ROWS, (("image", "/nowhere/lost.jpg"),), 0)
    loader = Loader(dataset([*samples, broken], Witness), 2, workers=2)
    yield loader
    loader.close()


def same(one, other):
    assert one.index.tolist() == other.index.tolist()
    assert torch.equal(one.images["image"], other.images["image"])
    assert torch.equal(one.regions.attend, other.regions.attend)
    assert torch.equal(one.regions.present, other.regions.present)


def test_batches_are_the_same_to_the_bit_whoever_loads_them(samples, spawned):
    here = Loader(dataset(samples), 2)
    for epoch in range(2):
        draws = shuffled(ROWS, seed=1, epoch=epoch)
        alone, together = list(here.batches(draws)), list(spawned.batches(draws))
        assert len(alone) == len(together) == 4
        for one, other in zip(alone, together, strict=True):
            same(one, other)


def test_loading_processes_hold_no_table_library_and_nothing_slow_to_import(spawned):
    flags = [batch.labels.tolist() for batch in spawned.batches(in_order(4))]
    assert flags == [[0, 0], [0, 0]]


def test_a_fault_in_a_loading_process_keeps_its_kind_and_its_words(spawned):
    batches = spawned.batches([Draw(0), Draw(ROWS), Draw(1), Draw(2)])
    with pytest.raises(DataError, match=r"lost\.jpg: expected a readable image") as caught:
        next(batches)
    assert caught.value.found == "no such file"
    assert next(batches).index.tolist() == [1, 2]


def test_an_epoch_left_early_does_not_leak_into_the_next(samples, spawned):
    next(spawned.batches(in_order(ROWS)))
    rows = [batch.index.tolist() for batch in spawned.batches([Draw(5), Draw(4), Draw(3)])]
    assert rows == [[5, 4], [3]]


@pytest.mark.parametrize("start", range(6))
def test_a_start_batch_gives_exactly_the_tail(samples, start):
    loader = Loader(dataset(samples), 2)
    draws = oversampled([0, 0, 0, 0, 1, 1, 1], seed=0, epoch=2)
    whole, tail = list(loader.batches(draws)), list(loader.batches(draws, start))
    assert len(loader.order) == len(tail) == max(0, 4 - start)
    for one, other in zip(whole[start:], tail, strict=True):
        same(one, other)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_callers_randomness_is_left_alone(samples, spawned, workers):
    loader = spawned if workers else Loader(dataset(samples), 3)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    assert sum(len(batch) for batch in loader.batches(in_order(ROWS))) == ROWS
    assert torch.equal(torch.get_rng_state(), state)


def test_iterators_of_one_loader_do_not_disturb_each_other(samples):
    loader = Loader(dataset(samples), 4)
    first = loader.batches([Draw(1), Draw(0)])
    second = loader.batches([Draw(3)])
    assert next(first).index.tolist() == [1, 0]
    assert next(second).index.tolist() == [3]


def test_without_draws_every_sample_comes_once_in_order(samples):
    loader = Loader(dataset(samples), 3)
    assert [batch.index.tolist() for batch in loader.batches()] == [[0, 1, 2], [3, 4, 5], [6]]
    assert in_order(2) == [Draw(0, 0, 0), Draw(1, 0, 0)]


@pytest.mark.parametrize(("rows", "size"), [(0, 3), (1, 3), (3, 3), (4, 3), (9, 2)])
def test_an_order_is_as_long_as_it_says(rows, size):
    order = Order(size)
    for start in range(6):
        order.set(in_order(rows), start)
        assert len(order) == len(list(order))


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize(("rows", "batch"), [(10, 4), (1, 4), (12, 3)])
def test_shares_are_of_like_size_and_make_up_the_whole(size, rows, batch):
    whole = Order(batch)
    whole.set(in_order(rows), 0)
    cut, dealt = (
        [Order(batch, Share(number, size, cuts=cuts)) for number in range(size)]
        for cuts in (True, False)
    )
    for order in (*cut, *dealt):
        order.set(in_order(rows), 0)
        assert len(order) == len(list(order))
    for parts, together in zip(zip(*cut, strict=True), whole, strict=True):
        assert [draw for part in parts for draw in part] == together
        sizes = [len(part) for part in parts]
        assert sizes[0] == max(sizes) > 0
        assert max(sizes) - min(sizes) <= 1
    for number, order in enumerate(dealt):
        assert list(order) == list(whole)[number::size]


def test_shuffling_is_keyed_by_seed_and_epoch():
    draws = shuffled(50, seed=1, epoch=2)
    assert sorted(draw.row for draw in draws) == list(range(50))
    assert {(draw.epoch, draw.occurrence) for draw in draws} == {(2, 0)}
    torch.manual_seed(77)
    assert shuffled(50, seed=1, epoch=2) == draws
    rows = {tuple(d.row for d in shuffled(50, seed=s, epoch=e)) for s in (1, 2) for e in (2, 3)}
    assert len(rows) == 4


def test_oversampling_draws_every_class_and_every_sample_of_it_equally_often():
    labels = [0] * 10 + [1] * 4 + [2]
    draws = oversampled(labels, seed=0, epoch=3)
    assert Counter(labels[draw.row] for draw in draws) == {0: 10, 1: 10, 2: 10}
    times = Counter(draw.row for draw in draws)
    assert {times[row] for row in range(10)} == {1}
    assert sorted(times[row] for row in range(10, 14)) == [2, 2, 3, 3]
    assert times[14] == 10
    assert len(set(draws)) == 30
    assert sorted(d.occurrence for d in draws if d.row == 14) == list(range(10))
    assert {draw.epoch for draw in draws} == {3}


def test_oversampling_is_keyed_by_seed_and_epoch():
    labels = [0] * 10 + [1] * 4
    assert oversampled(labels, seed=0, epoch=3) == oversampled(labels, seed=0, epoch=3)
    drawn = {tuple(oversampled(labels, seed=s, epoch=e)) for s in (0, 1) for e in (0, 1)}
    assert len(drawn) == 4
    extra = [
        frozenset(
            row
            for row, n in Counter(d.row for d in oversampled(labels, seed=0, epoch=e)).items()
            if n == 3
        )
        for e in range(12)
    ]
    assert len(set(extra)) > 2
