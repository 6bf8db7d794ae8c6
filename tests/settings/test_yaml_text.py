"""A key that stands twice in a YAML file is refused with its line; `<<` may be overridden."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from regard.errors import ConfigError
from regard.settings.yaml_text import RepeatedKeyError, read_yaml
from regard.studies.read import read_study, recipes
from regard.training.config import changed, read_mapping

MERGED = """
plain: &plain {a: 1, b: 2}
more: &more {<<: *plain, b: 3}
again:
  <<: [*more, *plain]
  a: 4
  c: *plain
"""


def test_merge_keys_and_anchors_read_as_yaml_reads_them():
    found = read_yaml(MERGED)
    assert found == yaml.safe_load(MERGED)
    assert found["again"] == {"a": 4, "b": 3, "c": {"a": 1, "b": 2}}
    for path in recipes().values():
        assert read_yaml(path.read_text()) == yaml.safe_load(path.read_text())


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(plain)
def test_what_has_no_key_twice_is_read_as_it_was_written(value):
    assert read_yaml(yaml.safe_dump(value)) == value


@pytest.mark.parametrize(
    ("text", "key", "line", "first"),
    [
        ("a: 1\nb: 2\na: 3\n", "a", 3, 1),
        ("arms:\n  x: {}\n  y: {}\n\n  x: {}\n", "x", 5, 2),
        ("a: {b: 1, b: 2}\n", "b", 1, 1),
        ("x: &x {a: 1}\ny: {<<: *x, b: 1, b: 2}\n", "b", 2, 2),
        ("- {a: 1}\n- c: 1\n  'c': 2\n", "c", 3, 2),
    ],
)
def test_a_key_that_stands_twice_is_told_with_its_lines(text, key, line, first):
    with pytest.raises(RepeatedKeyError) as caught:
        read_yaml(text)
    assert (caught.value.key, caught.value.line, caught.value.first) == (key, line, first)


def test_two_arms_of_one_name_are_one_line(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(
        "name: s\nbase: {}\narms:\n  plain: {}\n  other: {}\n  plain: {}\nbaseline: plain\n"
    )
    with pytest.raises(ConfigError) as caught:
        read_study(path)
    assert str(caught.value) == (
        f"{path}, line 6: expected each key once, found 'plain' again, first in line 4; "
        "rename or delete one of them"
    )
    with pytest.raises(ConfigError, match="line 6"):
        read_mapping(path)


def test_so_is_a_value_that_is_set():
    with pytest.raises(ConfigError, match=r"--set a=\{b: 1, b: 2\}: .*found 'b' again"):
        changed({}, ["a={b: 1, b: 2}"])
