"""How a command ends early: one line and an exit code."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from regard.errors import ConfigError, printable
from regard.machine import rank_and_world

# Seconds; torchrun ends the other processes when the first has told what is wrong.
PATIENCE = 10.0
# The exit code of what Ctrl-C has ended.
INTERRUPTED = 130


def stop(text: str, code: int) -> NoReturn:
    """Print the line on standard error and leave with the code."""
    print(printable(f"regard: {text}"), file=sys.stderr)
    sys.exit(code)


@contextmanager
def going_on(text: str) -> Iterator[None]:
    """End with this line where Ctrl-C ends what is inside."""
    try:
        yield
    except KeyboardInterrupt:
        stop(text, INTERRUPTED)


def refuse_many(command: str | None) -> None:
    """Only a training is shared by processes that torchrun starts; others would all do the same.

    Raises:
        ConfigError: in the first of several processes; the others end without a word.
    """
    number, size = rank_and_world()
    if size == 1 or command in (None, "train"):
        return
    if number:
        time.sleep(PATIENCE)
        sys.exit(2)
    raise ConfigError(
        f"regard {command}",
        expected="one process",
        found=f"{size} of them, as torchrun starts them",
        remedy="start it without torchrun; only regard train is shared by processes",
    )
