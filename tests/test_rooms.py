"""The house's rules, read from the source: who may import whom, and what stands where."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import regard

HOUSE = Path(regard.__file__).parent
ROOMS = (
    "settings files images data checks importers synthetic models saliency scores guidance "
    "evaluation runs training studies deployment screening reports server cli"
).split()
HEAPS = {"utils", "util", "helpers", "misc", "common"}
MODULES = sorted(path.relative_to(HOUSE) for path in HOUSE.rglob("*.py"))
LONGEST = 450


def _parse(module: Path) -> ast.Module:
    return ast.parse((HOUSE / module).read_text(encoding="utf-8"))


def _imports(tree: ast.Module, package: str) -> Iterator[str]:
    """Dotted names of all that is imported, wherever in the module that is."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: 1 - node.level or None] if node.level else []
            base = ".".join([*above, node.module] if node.module else above)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _rooms_used(tree: ast.Module, package: str) -> set[str]:
    names = (name.split(".") for name in _imports(tree, package))
    return {name[1] for name in names if name[0] == "regard" and name[1:] and name[1] in ROOMS}


def _attributes(tree: ast.Module) -> set[str]:
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def _allowed(room: str) -> set[str]:
    return set(ROOMS[: ROOMS.index(room) + 1])


@pytest.mark.parametrize("room", sorted({m.parts[0] for m in MODULES} & set(ROOMS)))
def test_a_room_imports_only_from_rooms_above_it(room):
    found = {
        str(module): _rooms_used(_parse(module), ".".join(["regard", *module.parent.parts]))
        for module in MODULES
        if module.parts[0] == room
    }
    below = {module: used - _allowed(room) for module, used in found.items()}
    assert {module: rooms for module, rooms in below.items() if rooms} == {}


def _told() -> str:
    return (HOUSE.parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_rooms_are_told_in_their_order():
    rows = [line for line in _told().splitlines() if line.startswith("| `")]
    assert [row.split("/`")[0].removeprefix("| `") for row in rows] == ROOMS


@pytest.mark.parametrize(
    "module", ["errors", "registry", "docstrings", "language", "containers", "machine", "progress"]
)
def test_what_stands_above_the_rooms_imports_none(module):
    assert _rooms_used(_parse(Path(f"{module}.py")), "regard") == set()
    assert f"`{module}`" in _told()


def test_every_folder_is_a_room_and_no_room_has_rooms():
    folders = {module.parent for module in MODULES} - {Path()}
    assert {str(folder) for folder in folders} <= set(ROOMS)


def test_no_module_is_a_heap():
    assert [m for m in MODULES if HEAPS & {m.stem, *m.parent.parts}] == []


def test_no_module_is_too_long():
    lines = {str(m): len((HOUSE / m).read_text(encoding="utf-8").splitlines()) for m in MODULES}
    assert {module: count for module, count in lines.items() if count > LONGEST} == {}


def _hooks(tree: ast.Module) -> set[str]:
    names = _attributes(tree) | {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    return {n for n in names if n.startswith("register_") and n.endswith("hook")}


def test_hooks_are_registered_in_capture_alone():
    found = {str(module): _hooks(_parse(module)) for module in MODULES}
    assert {m for m, hooks in found.items() if hooks} <= {str(Path("saliency", "capture.py"))}


def _breaks_the_graph(tree: ast.Module) -> set[str]:
    numpy = {name for name in _imports(tree, "regard") if name.split(".")[0] == "numpy"}
    return numpy | (_attributes(tree) & {"backward", "detach", "detach_"})


def test_maps_and_terms_stay_differentiable():
    # Capture hands activations on beside the graph where no graph was asked for.
    modules = [m for m in MODULES if m.parts[0] in ("saliency", "guidance")]
    modules.remove(Path("saliency", "capture.py"))
    broken = {str(m): _breaks_the_graph(_parse(m)) for m in modules}
    assert {module: what for module, what in broken.items() if what} == {}


@pytest.mark.parametrize(
    ("source", "used"),
    [
        ("import regard.cli.main", {"cli"}),
        ("from regard import data", {"data"}),
        ("def late():\n    from regard.training.loop import train", {"training"}),
        ("from . import capture", {"saliency"}),
        ("from .. import runs", {"runs"}),
        ("from ..scores.base import Score", {"scores"}),
        ("import torch, regardless.data\nfrom regard.errors import near", set()),
    ],
)
def test_the_reader_of_imports_sees_every_way_to_write_one(source, used):
    assert _rooms_used(ast.parse(source), "regard.saliency") == used


def test_the_reader_of_rules_sees_hooks_and_broken_graphs():
    assert _hooks(ast.parse("net.layer.register_forward_hook(f)")) == {"register_forward_hook"}
    assert _hooks(ast.parse("from torch import x\nregister_full_backward_hook(f)"))
    assert _breaks_the_graph(ast.parse("loss.backward()")) == {"backward"}
    assert _breaks_the_graph(ast.parse("y = map.detach()")) == {"detach"}
    assert _breaks_the_graph(ast.parse("def f():\n    import numpy as np")) == {"numpy"}
    assert _breaks_the_graph(ast.parse("import torch\ntorch.autograd.grad(y, x)")) == set()
