"""Groups that are one group written in two ways."""

import pytest

from regard.checks.table_checks import table_problems
from regard.data.manifest import manifest_from_rows


def alike(groups, splits=None, root="."):
    rows = [{"image": f"{i}.png", "label": "ab"[i % 2], "group": group}
            for i, group in enumerate(groups)]  # fmt: skip
    for row, split in zip(rows, splits or (), strict=False):
        row["split"] = split
    problems = table_problems(manifest_from_rows(rows, root))
    return [p for p in problems if p.kind == "groups alike"]


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ("Müller", "müller", "'Müller' (1), 'müller' (1)"),
        ("Müller", "Müller ", "'Müller' (1), 'Müller ' (1)"),
        ("p  7", "p 7", "'p  7' (1), 'p 7' (1)"),
        ("p\u00a07", "p 7", r"'p\xa07' (1), 'p 7' (1)"),
        ("M\u00fcller", "Mu\u0308ller", r"'M\xfcller' (1), 'Mu\u0308ller' (1)"),
        ("STRAẞE", "straße", "'STRAẞE' (1), 'straße' (1)"),
    ],
)
def test_groups_that_are_one_written_in_two_ways_are_told(first, second, told, tmp_path):
    (problem,) = alike([first, second, "Meier"], root=tmp_path)
    assert (problem.row, problem.column, problem.severity) == (2, "group", "warning")
    assert problem.detail.startswith(f"groups by themselves: {told};")


def test_splits_in_which_they_lie_are_told(tmp_path):
    splits = ["train", "test", "train", "val", None]
    (problem,) = alike(["a", "A", "a", "b", "b"], splits, tmp_path)
    assert "'a' (2), 'A' (1), in train and test; write them alike" in problem.detail


@pytest.mark.parametrize("groups", [["001", "01", "1"], ["a1", "a2"], [None, "a", None, "a"]])
def test_groups_that_are_others_are_left_alone(groups, tmp_path):
    assert alike(groups, root=tmp_path) == []
