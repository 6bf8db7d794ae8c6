"""Specs that name a folder, `hf:./vit`, and where that folder's path starts from."""

from collections.abc import Callable
from pathlib import Path


def is_folder(name: str) -> bool:
    """Whether a name is written as a folder: `./vit`, `../vit`, `/models/vit`, `~/vit`."""
    return name.startswith((".", "/", "~"))


def moved(spec: str, move: Callable[[str], str]) -> str:
    """The spec with its folder's path as `move` gives it; another spec as it is.

    Example:
        >>> moved("hf:./vit", lambda path: "/models/" + path)
        'hf:/models/vit'
        >>> moved("hf:vit", lambda path: "/models/" + path)
        'hf:vit'
    """
    family, _, name = spec.partition(":")
    if family != "hf" or not is_folder(name):
        return spec
    path = move(str(Path(name).expanduser()))
    return f"hf:{path if is_folder(path) else './' + path}"
