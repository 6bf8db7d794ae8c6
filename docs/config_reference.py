"""Write `docs/config.md` from the models that check configs: python docs/config_reference.py."""

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from regard.docstrings import about, entries
from regard.guidance.base import TERMS, Term
from regard.guidance.settings import TermSettings, options_of
from regard.settings.expected import Wanted
from regard.settings.mistakes import written
from regard.studies.settings import Study
from regard.studies.tuning_settings import Tuning
from regard.training.config import Config

PATH = Path(__file__).with_name("config.md")
START = """# Config and study files

Every key, with what it may hold and its default. A key that has no default is required. This page
is written by `docs/config_reference.py` from the models that check the files.

A config is for `regard train`; `--set a.b=c` changes a value (`--set guidance.terms.0.weight=5`
inside a list). A study is for `regard study`; its `base`, and what its `arms` change of it, have
the keys of a config. A tuning is for `regard tune`; its `base` has the keys of a config.
"""
HEAD = "| key | what | default | meaning |\n|---|---|---|---|"


def reference() -> str:
    """The whole page."""
    parts = [START, "## A config", *_sections(Config, ""), "## A study", *_sections(Study, "")]
    parts += ["## A tuning", *_sections(Tuning, "")]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _sections(kind: type[BaseModel], path: str) -> Iterator[str]:
    """A model's table, then those of the models in it."""
    if path:
        yield f"### `{path}`"
        yield about(kind).splitlines()[0]
    yield _table(kind, entries(kind, "Attributes"))
    if kind is TermSettings:
        yield from _terms()
    for name, field in kind.model_fields.items():
        for inner in [field.annotation, *get_args(field.annotation)]:
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from _sections(inner, f"{path}.{name}".lstrip("."))


def _terms() -> Iterator[str]:
    """The options of the guidance terms, by kind."""
    for name, kind in TERMS.items():
        told: dict[str, str] = {}
        for base in reversed([base for base in kind.__mro__ if issubclass(base, Term)]):
            told |= entries(base, "Attributes")
        yield f"#### With `term: {name}`"
        yield about(kind).splitlines()[0]
        yield _table(options_of(kind), told)


def _table(kind: type[BaseModel], told: dict[str, str]) -> str:
    rows = [HEAD]
    for name, field in kind.model_fields.items():
        cells = f"`{name}`", Wanted.of_field(field).words, _default(field), _meaning(told[name])
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _meaning(text: str) -> str:
    plain = text.replace("None:", "null:").replace("None ", "null ").replace("|", "\\|")
    return plain[:1].upper() + plain[1:]


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "none"
    if field.default is PydanticUndefined:
        return ""
    several = field.default if isinstance(field.default, tuple) else (field.default,)
    if any(isinstance(default, BaseModel) for default in several):
        return "its own defaults"
    if isinstance(field.default, tuple):
        return "`[" + ", ".join(map(str, field.default)) + "]`"
    if isinstance(field.default, str):
        return f"`{field.default}`" if field.default else "empty"
    return f"`{written(field.default)}`"


if __name__ == "__main__":
    PATH.write_text(reference(), encoding="utf-8")
