"""A tree of classes: what is read, what follows from it, what is refused."""

import itertools
import os
from pathlib import Path

import numpy as np
import pytest

from regard.data.hierarchy import read_hierarchy
from regard.errors import DataError

ANIMALS = {
    "cat": "mammal",
    "dog": "mammal",
    "hen": "bird",
    "mammal": "animal",
    "bird": "animal",
    "lorry": "vehicle",
    "animal": "thing",
    "vehicle": "thing",
}
CLASSES = ("lorry", "hen", "dog", "cat")


def written(folder, parents, head="child,parent"):
    rows = parents.items() if isinstance(parents, dict) else parents
    lines = [head, *(f"{child},{parent}" for child, parent in rows)]
    (folder / "tree.csv").write_text("\n".join(lines) + "\n")
    return folder / "tree.csv"


def up(name, parents):
    """The label and all above it, lowest first."""
    return [name, *(up(parents[name], parents) if name in parents else [])]


def slow_distance(a, b, parents):
    one, other = up(a, parents), up(b, parents)
    steps = [i + j for i, j in itertools.product(range(len(one)), range(len(other)))
             if one[i] == other[j]]  # fmt: skip
    return min(steps)


def test_lines_levels_order_and_distances(tmp_path):
    found = read_hierarchy(written(tmp_path, ANIMALS), CLASSES)
    assert found.lines == (
        ("vehicle", "lorry"),
        ("animal", "bird", "hen"),
        ("animal", "mammal", "dog"),
        ("animal", "mammal", "cat"),
    )
    assert found.levels == 2
    assert found.at(1) == ("vehicle", "animal", "animal", "animal")
    assert found.at(2) == ("lorry", "bird", "mammal", "mammal")
    assert found.order == ("hen", "cat", "dog", "lorry")
    expected = [[slow_distance(a, b, ANIMALS) for b in CLASSES] for a in CLASSES]
    assert found.distances.tolist() == expected


@pytest.mark.parametrize("seed", range(5))
def test_distances_of_random_forests(tmp_path, seed):
    draw = np.random.default_rng(seed)
    inner = [f"n{i}" for i in range(12)]
    parents = {f"n{i}": f"n{draw.integers(i)}" for i in range(1, 12) if draw.random() < 0.85}
    classes = [f"c{i}" for i in range(9)]
    parents |= {name: str(draw.choice(inner)) for name in classes}
    found = read_hierarchy(written(tmp_path, parents), classes)
    # Several trees hang on one root.
    rooted = parents | {name: "root" for name in inner if name not in parents}
    expected = [[slow_distance(a, b, rooted) for b in classes] for a in classes]
    assert found.distances.tolist() == expected
    assert (found.ancestors.sum(1) == [len(line) for line in found.lines]).all()


def test_what_stands_above_all_classes_tells_nothing(tmp_path):
    parents = ANIMALS | {"thing": "all", "all": "everything"}
    assert read_hierarchy(written(tmp_path, parents), CLASSES).levels == 2
    alone = read_hierarchy(written(tmp_path, parents), ("cat", "dog", "hen"))
    assert alone.lines == (("mammal", "cat"), ("mammal", "dog"), ("bird", "hen"))


def test_a_forest_a_class_above_others_and_labels_of_no_class(tmp_path):
    rows = [("cat", "animal"), ("dog", "animal"), ("lorry", ""), ("fish", "animal"), ("x", "y")]
    found = read_hierarchy(written(tmp_path, rows), ("cat", "dog", "animal", "lorry"))
    assert found.lines == (("animal", "cat"), ("animal", "dog"), ("animal",), ("lorry",))
    assert found.at(1) == ("animal", "animal", "animal", "lorry")
    assert set(found.parents) == {"cat", "dog", "animal", "lorry"}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("cat", "a"), ("a", "b"), ("b", "a"), ("dog", "b")], "no label above itself.*a > b > a"),
        ([("cat", "a"), ("dog", "a"), ("u", "v"), ("v", "u")], "no label above itself"),
        ([("cat", "a"), ("dog", "b"), ("cat", "b")], "row 4: expected one parent a child.*'a' and"),
        ([("cat", ""), ("dog", "b"), ("cat", "b")], "row 4: expected one parent a child"),
        ([("cat", "a"), ("dgo", "a")], "the class 'dog', found no such label; did you mean dgo"),
        ([("cat", "a"), ("", "a")], "row 3: expected a child, found an empty cell"),
        ([("cat", "a"), ("dog", "a")], "labels above the classes"),
    ],
)
def test_mistakes_are_told_in_one_line(tmp_path, rows, said):
    with pytest.raises(DataError, match=said) as caught:
        read_hierarchy(written(tmp_path, rows), ("cat", "dog"))
    assert "\n" not in str(caught.value)


def test_what_is_no_csv_of_parents(tmp_path):
    with pytest.raises(DataError, match="the columns child,parent, found name, above"):
        read_hierarchy(written(tmp_path, ANIMALS, "name,above"), CLASSES)
    with pytest.raises(DataError, match="found no such file"):
        read_hierarchy(tmp_path / "nowhere.csv", CLASSES)
    (tmp_path / "bytes.csv").write_bytes(b"child,parent\n\xff\xfe,a\n")
    with pytest.raises(DataError, match=r"a CSV of child,parent"):
        read_hierarchy(tmp_path / "bytes.csv", CLASSES)


def test_spaces_around_the_names_of_columns_are_none_of_them(tmp_path):
    names = written(tmp_path, ANIMALS, "child, parent")
    assert read_hierarchy(names, CLASSES) == read_hierarchy(written(tmp_path, ANIMALS), CLASSES)


def test_what_has_no_end_is_not_read(tmp_path):
    """A stranger's config may name any file."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(DataError, match="found a pipe or a device"):
            read_hierarchy(path, CLASSES)
    with (tmp_path / "long.csv").open("wb") as file:
        file.truncate(2**24 + 1)
    with pytest.raises(DataError, match="found more than 16,777,216 bytes"):
        read_hierarchy(tmp_path / "long.csv", CLASSES)


@pytest.mark.parametrize("between", [";", "\t"])
def test_a_spreadsheet_s_columns_are_read(tmp_path, between):
    path = written(tmp_path, ANIMALS)
    expected = read_hierarchy(path, CLASSES)
    path.write_text(path.read_text().replace(",", between), encoding="utf-8-sig")
    assert read_hierarchy(path, CLASSES) == expected
