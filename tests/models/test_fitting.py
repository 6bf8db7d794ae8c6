"""Batches that do not fit are cut, and nothing of them is lost or doubled."""

import pytest
import torch

from regard.errors import RunError
from regard.models.fitting import fitted

CPU = torch.device("cpu")


class Memory:
    """Room for so many rows."""

    def __init__(self, room, error):
        self.room, self.error, self.asked = room, error, []

    def __call__(self, part):
        self.asked.append(len(part))
        if len(part) > self.room:
            raise self.error
        return list(part)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_what_does_not_fit_is_halved_and_no_more_is_asked_from_there_on(error):
    memory = Memory(5, error)
    found = list(fitted([range(12), range(12, 24), range(24, 26)], memory, CPU))
    assert [row for _, rows in found for row in rows] == list(range(26))
    assert [list(part) for part, _ in found] == [rows for _, rows in found]
    assert memory.asked == [12, 6, 3, 3, 3, 3, 3, 3, 3, 3, 2]


def test_what_fits_is_left_whole():
    batch = range(7)
    (part, _), = fitted([batch], Memory(7, MemoryError()), CPU)  # fmt: skip
    assert part is batch


def test_a_row_that_does_not_fit_is_one_line():
    with pytest.raises(RunError, match="cpu: expected memory for one image, found none; free it"):
        list(fitted([range(4)], Memory(0, MemoryError()), CPU))


def test_other_errors_are_not_taken_for_want_of_memory():
    with pytest.raises(RuntimeError, match="shapes"):
        list(fitted([range(4)], Memory(0, RuntimeError("shapes do not match")), CPU))
