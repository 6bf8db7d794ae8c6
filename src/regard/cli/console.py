"""Progress bars and tables in the terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from regard.errors import printable
from regard.language import form_of
from regard.runs.files import dump_json

# A file or a pipe has no width of its own, and nothing should be folded there.
UNFOLDED = 100_000
NONE = "–"
console = Console(width=None if sys.stdout.isatty() else UNFOLDED)
errors = Console(stderr=True, width=None if sys.stderr.isatty() else UNFOLDED)


@contextmanager
def bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar; yields what is to be called with (done, total)."""
    with progress() as shown:
        task = shown.add_task(title, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


@contextmanager
def counter(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar; yields what is to be called with the number of things just done."""
    with progress() as shown:
        task = shown.add_task(title, total=total)
        yield lambda more: shown.update(task, advance=more)


@contextmanager
def working(title: str) -> Iterator[Callable[[str], None]]:
    """Says what is being done where steps cannot be counted; yields what is told of the next."""
    with errors.status(title) as shown:
        yield lambda text: shown.update(text)


@contextmanager
def stages() -> Iterator[Callable[[str, int, int], None]]:
    """A bar a stage; yields what is to be called with (stage, done, total)."""
    tasks: dict[str, Any] = {}
    with progress() as shown:

        def told(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = shown.add_task(stage, total=total)
            shown.update(tasks[stage], completed=done, total=total)

        yield told


class _Bars(Progress):
    """Without the empty line that is left behind where there is no terminal."""

    def stop(self) -> None:
        self.live.stop()


def progress() -> Progress:
    """Bars with counts, rates and the time that is left, on standard error."""
    return _Bars(
        TextColumn("{task.description}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TaskProgressColumn(show_speed=True),
        TimeRemainingColumn(),
        console=errors,
        transient=True,
    )


class BarView:
    """One progress bar, shown inside a `with`; views of long jobs move it and print above it."""

    def __init__(self, title: str) -> None:
        self._bars = progress()
        self._task = self._bars.add_task(title, total=None)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()


def table(title: str, columns: list[str], rows: list[list[Any]], *, left: int = 1) -> None:
    """Print a table; the first `left` columns are text, the rest numbers."""
    # The table's own title would be folded to the table's width.
    console.print(Text(printable(title), style="bold"), soft_wrap=True)
    shown = Table(box=box.SIMPLE_HEAD)
    for number, name in enumerate(columns):
        shown.add_column(Text(printable(name)), justify="left" if number < left else "right")
    for row in rows:
        shown.add_row(*(Text(printable(str(cell))) for cell in row))
    console.print(shown)


def say(text: str) -> None:
    """Print a line as it stands."""
    console.print(Text(printable(text)), soft_wrap=True)


def plural(count: int, word: str) -> str:
    """`1 class`, `2 classes`."""
    ending = "es" if word.endswith("s") else "s"
    return f"{count} {word}{'' if count == 1 else ending}"


def print_json(value: Any) -> None:
    """Print JSON, for a machine to read."""
    print(dump_json(value, indent=1))


def with_interval(value: dict[str, Any] | None) -> str:
    """A number with its interval: `0.812 [0.790, 0.834]`, `0.812 [–]` where several give none."""
    if value is None or value.get("value") is None:
        return NONE
    text = decimal(value["value"])
    if value.get("low") is None or value.get("high") is None:
        return f"{text} [{NONE}]" if value.get("n", 0) > 1 else text
    return f"{text} [{decimal(value['low'])}, {decimal(value['high'])}]"


def decimal(value: float | None) -> str:
    """Three decimals, and more of what would be told as zero and is none; a dash for no number."""
    return NONE if value is None else format(value, form_of(value))
