"""Every template that reports say, collected from the source."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import regard
from regard.reports.words import _ABOUT, about, title
from regard.scores.base import SCORES

HOUSE = Path(regard.__file__).parent
# By the function that says it: which of its arguments are templates.
_SAYS = {"phrase": (0,), "plural": (1, 2), "count": (1, 2), "columns": None, "magnitude": (1,)}
_KEPT = {"Phrases", "PhraseTuple"}


def templates() -> set[str]:
    """Those of `phrase`, `plural` and their like, and of what is named `Phrases`."""
    named = {*SCORES, *_ABOUT}
    found = {title(name) for name in named} | {about(name) for name in named}
    for path in HOUSE.rglob("*.py"):
        text = path.read_text("utf-8")
        if path.parts[-2] != "cli":
            found |= set(_of_module(ast.parse(text), "regard.language" in text, path.parts[-2]))
    for path in (HOUSE / "reports/templates").glob("*.j2"):
        found |= set(re.findall(r"phrase\(\"([^\"]+)\"", path.read_text("utf-8")))
    return found - {""}


def _of_module(tree: ast.Module, speaks: bool, room: str) -> Iterator[str]:
    if not speaks and room != "reports":
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) in _KEPT and node.value:
            kept = node.value.values if isinstance(node.value, ast.Dict) else [node.value]
            yield from (text for value in kept for text in _constants(value))
        if isinstance(node, ast.FunctionDef):
            yield from _of_function(node)


def _of_function(function: ast.FunctionDef) -> Iterator[str]:
    named: dict[str, list[ast.expr]] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            named.setdefault(node.targets[0].id, []).append(node.value)
    for call in ast.walk(function):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            continue
        if call.func.id not in _SAYS:
            continue
        places = _SAYS[call.func.id]
        chosen = (
            call.args if places is None else [call.args[p] for p in places if p < len(call.args)]
        )
        for argument in chosen:
            known = named.get(argument.id, []) if isinstance(argument, ast.Name) else [argument]
            yield from (_of(call.func.id, text) for value in known for text in _said(value))
        if call.func.id == "count" and len(call.args) == 2 and chosen:
            yield from (f"{text}s" for text in _said(chosen[0]))


def _of(function: str, text: str) -> str:
    return text.removesuffix("#") if function == "columns" else text


def _said(node: ast.expr) -> Iterator[str]:
    """A constant, or both of `one if this else other`."""
    if isinstance(node, ast.IfExp):
        yield from _said(node.body)
        yield from _said(node.orelse)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


def _constants(node: ast.expr) -> Iterator[str]:
    for own in ast.walk(node):
        if isinstance(own, ast.Constant) and isinstance(own.value, str):
            yield own.value


def _at(arguments: list[ast.expr], places: tuple[int, ...]) -> list[ast.expr]:
    return [arguments[place] for place in places if place < len(arguments)]
