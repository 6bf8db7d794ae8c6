"""YAML of people and of strangers: a key stands once, and a text is no larger than it looks."""

from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

_MERGE = "tag:yaml.org,2002:merge"
# Bytes of a file, values that a text stands for once its aliases are written out, and how deep they
# lie in each other: a config with the names of all classes of ImageNet-21k has 22,000 values.
MOST_BYTES, MOST_VALUES, DEEPEST, LARGEST = 16 << 20, 1_000_000, 60, 2**256
_UNREAD = (ValueError, KeyError, AttributeError, TypeError, OverflowError, RecursionError)


class RepeatedKeyError(yaml.YAMLError):
    """A key that a mapping has twice: of two of the same name the first would be lost unsaid.

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

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._deep, self._values = 0, dict[int, int]()

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        self._deep += 1
        if self._deep > DEEPEST:
            raise yaml.YAMLError(f"values within values, more than {DEEPEST} deep")
        node = super().compose_node(parent, index)
        self._deep -= 1
        if node is not None and id(node) not in self._values:
            self._values[id(node)] = self._size(node)
        return node

    def _size(self, node: Node) -> int:
        """The values that a node stands for, those behind aliases each time that they come up."""
        own: list[Node] = []
        if isinstance(node, SequenceNode):
            own = node.value
        elif isinstance(node, MappingNode):
            own = [part for pair in node.value for part in pair]
        # What is not known yet holds this one itself.
        count = 1 + sum(self._values.get(id(part), MOST_VALUES) for part in own)
        if count > MOST_VALUES:
            raise yaml.YAMLError(f"aliases that stand for more than {MOST_VALUES:,} values")
        return count

    def construct_yaml_int(self, node: ScalarNode) -> int:
        value = super().construct_yaml_int(node)
        if abs(value) > LARGEST:
            raise yaml.YAMLError("a number of more than 256 bits")
        return value

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


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def read_yaml(text: str) -> Any:
    """What a YAML text holds.

    Raises:
        RepeatedKeyError: a mapping has a key twice; what `<<` merges may be overridden.
        yaml.YAMLError: it is not YAML, or stands for more than anyone writes.
    """
    try:
        return yaml.load(text, _Loader)
    except _UNREAD as error:  # of the 31st of February, say
        raise yaml.YAMLError(f"a value that is none: {str(error)[:80]}") from error


def read_yaml_file(path: Path) -> Any:
    """What a YAML file holds.

    Raises:
        OSError: there is no such file.
        yaml.YAMLError: as of `read_yaml`, or it is too large, or no text.
    """
    if not path.is_file() and path.exists():
        raise yaml.YAMLError("no file")  # a pipe would be waited for, without end
    with path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise yaml.YAMLError(f"more than {MOST_BYTES >> 20} MB")
    try:
        return read_yaml(data.decode())
    except UnicodeDecodeError as error:
        raise yaml.YAMLError("no text in UTF-8") from error
