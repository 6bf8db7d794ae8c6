"""A training that is asked to stop does so between two steps."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Interrupted(Exception):
    """The run was asked to stop; a checkpoint of the last step is written."""


class Stopping:
    """Takes SIGINT and SIGTERM down; a second one ends at once, as ever.

    Of several processes it does not: what started them hands on what reaches them already, and ends
    those at last that do not stop.

    Args:
        many: whether this is one of several processes.

    Attributes:
        asked: whether one has come.
    """

    def __init__(self, many: bool = False) -> None:
        self.asked, self._many = False, many

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Do so within the block; outside the main thread do nothing."""
        before = {}
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                before[number] = signal.signal(number, self._ask)
        except ValueError:
            pass
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _ask(self, *_: Any) -> None:
        if self.asked and not self._many:
            raise KeyboardInterrupt
        self.asked = True
