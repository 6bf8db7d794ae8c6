"""Write `docs/commands.md` from the commands themselves: python docs/commands_reference.py."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from regard.cli.main import app
from regard.cli.options import help_of
from regard.importers import IMPORTERS

IMPORT = "regard data import"
PATH = Path(__file__).with_name("commands.md")
START = """# Commands

Every command with its options, as `regard COMMAND --help` tells them. This page is written by
`docs/commands_reference.py` from the commands themselves.

Where results can be printed as JSON (`--json`), nothing else goes to the standard output; progress
and warnings go to the standard error. A mistake is one line there, and the exit code is 2; 130
after Ctrl-C; `regard data check` ends with 2 where it finds errors. `--device` is where a trained
net answers: a GPU, if there is any. A study's nets answer where they were trained
(`training.device`).
"""


def reference() -> str:
    """The page."""
    root: Any = typer.main.get_command(app)
    context = root.make_context("regard", ["--version"], resilient_parsing=True)
    return START + "".join(_commands(root, context))


def _commands(group: Any, context: Any) -> Iterator[str]:
    for name, command in group.commands.items():
        inner = type(context)(command, parent=context, info_name=name)
        if hasattr(command, "commands"):
            yield from _commands(command, inner)
        else:
            yield _section(command, inner)
        if inner.command_path == IMPORT:
            for name, importer in IMPORTERS.items():
                yield _format(name, *help_of(importer))


def _section(command: Any, context: Any) -> str:
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [f"\n## {context.command_path}\n", f"    {context.command_path} {usage}\n"]
    lines += [paragraph + "\n" for paragraph in _paragraphs(command.help)]
    records = (part.get_help_record(context) for part in command.params if part.name != "help")
    lines += _table([record for record in records if record is not None])
    return "\n".join(lines)


def _format(name: str, text: str, options: list[tuple[str, str]]) -> str:
    """What a format is, with the options that it adds to those of all formats."""
    lines = [f"\n### {IMPORT} {name}\n", *(part + "\n" for part in _paragraphs(text))]
    return "\n".join([*lines, *_table(options)])


def _table(records: list[tuple[str, str]]) -> list[str]:
    cells = [[" ".join(cell.split()).replace("|", "\\|") for cell in pair] for pair in records]
    rows = [f"| `{names}` | {told} |" for names, told in cells]
    return ["\n".join(["| | |", "|---|---|", *rows]) + "\n"] if rows else []


def _paragraphs(text: str | None) -> list[str]:
    parts = (text or "").split("\n\n")
    return [" ".join(part.split()) for part in parts]


if __name__ == "__main__":
    PATH.write_text(reference())
    print(PATH)
