"""`regard data import FORMAT --help`: the format's own options beside those of all formats."""

from collections.abc import Sequence
from typing import Any

from typer.core import TyperCommand

WORDS = "words of the command line"


class ImportCommand(TyperCommand):
    """A command whose help goes on with the options of the format that was named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse, and remember the words: help is asked for before the format is known."""
        ctx.meta[WORDS] = tuple(args)
        return super().parse_args(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The options of every format, then those of this one."""
        super().format_options(ctx, formatter)
        name = _named(ctx.meta.get(WORDS, ()))
        if name is None:
            formatter.write_paragraph()
            formatter.write_text("Options of a format: regard data import csv --help, and so on.")
        else:
            _write(name, formatter)


def _named(words: Sequence[str]) -> str | None:
    """The first of the words that is a format."""
    plain = [word for word in words if not word.startswith("-")]
    if not plain:
        return None
    from regard.importers import IMPORTERS

    return next((word for word in plain if word in IMPORTERS), None)


def _write(name: str, formatter: Any) -> None:
    from regard.cli.options import help_of
    from regard.importers import IMPORTERS

    text, options = help_of(IMPORTERS[name])
    with formatter.section(f"Options of {name}"):
        formatter.write_dl(options or [("none", "This format has no options of its own.")])
    with formatter.section(f"About {name}"):
        for number, paragraph in enumerate(text.split("\n\n")):
            if number:
                formatter.write_paragraph()
            formatter.write_text(" ".join(paragraph.split()))
