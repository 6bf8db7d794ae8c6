"""Passes take turns, batch sizes are searched and chosen: on times that are made up."""

import pytest
import torch

from regard.evaluation import throughput as module
from regard.evaluation.throughput import Contest, best_batch, throughput
from regard.evaluation.timing import take_turns, timing

CPU = torch.device("cpu")
# Seconds of a pass: up to 8 a batch takes as long as one image, from there on it is no quicker.
FLAT = {size: 0.01 * max(1, size / 8) for size in (1, 2, 4, 8, 16, 32, 64)}


def test_calls_take_turns_in_which_each_sees_as_many_images():
    seen, shares = [], []
    calls = {size: lambda size=size: seen.append(size) for size in (1, 4, 64)}
    times = take_turns(calls, CPU, seconds=0, rounds=3, progress=lambda *s: shares.append(s))
    one = [1] * 32 + [4] * 16 + [64]
    assert seen == one * 3
    assert {size: len(own) for size, own in times.items()} == {1: 96, 4: 48, 64: 3}
    assert shares == [(33, 100), (66, 100), (100, 100)]


def test_rounds_go_on_for_the_seconds_that_were_asked_for(monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr("regard.evaluation.timing.time.perf_counter", lambda: next(clock))
    times = take_turns({1: lambda: None}, CPU, seconds=30, rounds=2)
    # By this clock a round takes three seconds, of which the pass takes one.
    assert times == {1: [1] * 10}


def test_median_quartiles_and_images_a_second():
    found = timing(4, [0.5, 0.1, 0.2, 0.3, 0.4])
    expected = {"batch": 4, "repetitions": 5, "median_ms": 300, "low_ms": 200, "high_ms": 400,
                "least_ms": 100, "images_per_second": 4 / 0.3}  # fmt: skip
    assert found == pytest.approx(expected)


def test_the_best_batch_is_the_smallest_that_is_as_good_as_any():
    speeds = {1: 50, 2: 80, 4: 98, 8: 100, 16: 99}
    rows = [{"batch": size, "images_per_second": speed} for size, speed in speeds.items()]
    assert best_batch(rows) == 4
    assert best_batch(rows[:2]) == 2


@pytest.fixture
def contest(monkeypatch):
    """Whose passes take the times above, and a megabyte an image."""

    def turns(calls, _device, **_):
        return {size: [FLAT[size]] * 3 for size in calls}

    monkeypatch.setattr(module, "take_turns", turns)
    monkeypatch.setattr(module, "peak_bytes", lambda call, _device: call() * 10**6)
    monkeypatch.setattr(module, "free_mb", lambda: None)
    return Contest(lambda size: lambda: size, CPU)


def sizes(found):
    return [row["batch"] for row in found["batches"]]


def test_the_search_ends_after_two_doublings_that_do_not_pay(contest):
    found = throughput(contest, None, 100)
    assert sizes(found) == [1, 2, 4, 8, 16, 32]
    assert found["best"] == 8
    assert [row["peak_bytes"] for row in found["batches"]] == [s * 10**6 for s in sizes(found)]


def test_the_search_ends_at_passes_that_take_too_long(contest, monkeypatch):
    monkeypatch.setitem(FLAT, 4, 0.011)
    assert sizes(throughput(contest, None, 0.17)) == [1, 2, 4]


def test_the_search_ends_where_memory_does(contest, monkeypatch):
    monkeypatch.setattr(module, "free_mb", lambda: 8)
    found = throughput(contest, None, 100)
    assert (sizes(found), contest.refused) == ([1, 2, 4], [8])


@pytest.mark.parametrize(
    "error",
    [MemoryError(), torch.OutOfMemoryError("CUDA"), RuntimeError("can't allocate memory: 9 GB")],
)
def test_a_batch_that_does_not_fit_is_left_out_and_others_are_not(contest, error):
    def make(size):
        if size > 4:
            raise error
        return lambda: size

    contest.make = make
    found = throughput(contest, [8, 2, 4, 2], 100)
    assert (sizes(found), contest.refused) == ([1, 2, 4], [8])


def test_another_error_is_no_lack_of_memory_and_neither_fits_an_image(contest):
    def broken(_):
        raise RuntimeError("shapes")

    contest.make = broken
    with pytest.raises(RuntimeError, match="shapes"):
        throughput(contest, [2], 100)

    def full(_):
        raise MemoryError

    contest.make = full
    with pytest.raises(MemoryError):
        throughput(contest, None, 100)
