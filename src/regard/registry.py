"""A table of named things of one kind, filled by a decorator where each is defined."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from regard.errors import ConfigError, near

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """Names to things of one kind; a duplicate raises, an unknown name lists the near ones."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorate a class or function to enter it under `name`."""

        def enter(entry: T) -> T:
            if name in self._entries:
                raise KeyError(f"{self.kind} {name!r} is registered twice")
            self._entries[name] = entry
            return entry

        return enter

    def __getitem__(self, name: str) -> T:
        if name not in self._entries:
            raise ConfigError(
                self.kind, expected="a known name", found=repr(name), remedy=near(name, self)
            )
        return self._entries[name]

    def get(self, name: str, default: Any = None) -> Any:
        """The thing of that name, or the default."""
        return self._entries.get(name, default)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries))

    def __len__(self) -> int:
        return len(self._entries)
