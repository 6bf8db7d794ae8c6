"""YAML in which a key stands once: of two of the same name the first would be lost unsaid.

What it holds is bounded: aliases of aliases would unfold without end, and so would numbers.
"""

from typing import Any

import yaml
from yaml.constructor import ConstructorError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

_MERGE = "tag:yaml.org,2002:merge"
# Of values once aliases are unfolded, of sections in sections, and of a whole number.
MOST_VALUES, DEEPEST, LARGEST = 100_000, 50, 2**63


class RepeatedKeyError(yaml.YAMLError):
    """A key that a mapping has twice.

    Attributes:
        key: its name.
        line: of the second, from 1.
        first: line of the first.
    """

    def __init__(self, key: str, line: int, first: int) -> None:
        self.key, self.line, self.first = key, line, first
        super().__init__(f"{key!r} in line {line} stands in line {first} already")


class _Loader(yaml.SafeLoader):
    """Looks at mappings as they are written, before `<<` brings in the keys of others."""

    def compose_mapping_node(self, anchor: Any) -> MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if not isinstance(key, ScalarNode) or key.tag == _MERGE:
                continue
            name, line = (key.tag, key.value), key.start_mark.line + 1
            if name in lines:
                raise RepeatedKeyError(key.value, line, lines[name])
            lines[name] = line
        return node

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
        except (ValueError, KeyError, AttributeError, TypeError, OverflowError) as error:
            raise _no_such(node) from error
        if isinstance(value, int) and abs(value) > LARGEST:
            raise _no_such(node)
        return value


def _no_such(node: Node) -> ConstructorError:
    kind = str(node.tag).rpartition(":")[2]
    return ConstructorError(
        None, None, f"no {kind} of use: {str(node.value)[:40]!r}", node.start_mark
    )


def read_yaml(text: str) -> Any:
    """What a YAML text holds.

    Raises:
        RepeatedKeyError: a mapping has a key twice; what `<<` merges may be overridden.
        yaml.YAMLError: it is not YAML, is nested too deeply or holds too much.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _unfolded(node, {}, 0)
        return loader.construct_document(node)
    except RecursionError as error:
        raise yaml.YAMLError(f"sections nested more than {DEEPEST} deep") from error


def _unfolded(node: Node, sizes: dict[Node, int | None], depth: int) -> int:
    """The number of values in a node; an alias counts as what it stands for.

    Raises:
        yaml.YAMLError: too many, too deep, or one that is inside of itself.
    """
    known = sizes.get(node, -1)
    if known is None:
        raise ConstructorError(None, None, "an alias inside of itself", node.start_mark)
    if known >= 0:
        return known
    if depth > DEEPEST:
        raise ConstructorError(
            None, None, f"sections nested more than {DEEPEST} deep", node.start_mark
        )
    sizes[node] = None
    inner: list[Node] = []
    if isinstance(node, MappingNode):
        inner = [own for pair in node.value for own in pair]
    elif isinstance(node, SequenceNode):
        inner = node.value
    size = 1 + sum(_unfolded(own, sizes, depth + 1) for own in inner)
    if size > MOST_VALUES:
        raise ConstructorError(None, None, f"more than {MOST_VALUES} values", node.start_mark)
    sizes[node] = size
    return size
