"""YAML in which a key stands once: of two of the same name the first would be lost unsaid."""

from typing import Any

import yaml
from yaml.nodes import MappingNode, ScalarNode

_MERGE = "tag:yaml.org,2002:merge"


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


def read_yaml(text: str) -> Any:
    """What a YAML text holds.

    Raises:
        RepeatedKeyError: a mapping has a key twice; what `<<` merges may be overridden.
        yaml.YAMLError: it is not YAML.
    """
    return yaml.load(text, _Loader)
