"""Checkpoints: whole or not there, checked on reading, without pickle."""

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor

from regard.errors import RunError
from regard.files.atomic import digest, whole_folder
from regard.models.tensors import read_safetensors, write_safetensors
from regard.runs.files import read_json, write_json

FILES = ("model.safetensors", "optimiser.safetensors", "state.json")
SUMS = "checksums.json"
# So many of the newest stay, and the best.
NEWEST = 2
_NAME = re.compile(r"(step|epoch)-[0-9]{1,18}")


@dataclass(frozen=True)
class Checkpoint:
    """What was saved at a step.

    Attributes:
        path: its folder.
        model: the net's tensors.
        optimiser: the optimiser's tensors.
        state: everything else, as JSON.
        damaged: newer checkpoints that had to be passed over, and why.
    """

    path: Path
    model: dict[str, Tensor]
    optimiser: dict[str, Tensor]
    state: dict[str, Any]
    damaged: tuple[str, ...] = ()


def save(
    folder: Path,
    step: int,
    model: Mapping[str, Tensor],
    optimiser: Mapping[str, Tensor],
    state: Mapping[str, Any],
) -> Path:
    """Write `step-N` under a temporary name, flush, rename, and point `last.json` at it."""
    final, partial = folder / f"step-{step}", folder / f".step-{step}.{os.getpid()}.partial"
    own, aliases = _once(model)
    with whole_folder(final, partial):
        write_safetensors(partial / FILES[0], own)
        tensors = {name: tensor.contiguous() for name, tensor in optimiser.items()}
        write_safetensors(partial / FILES[1], tensors)
        write_json(partial / FILES[2], {**state, "step": step, "aliases": aliases})
        write_json(partial / SUMS, {name: digest(partial / name) for name in FILES})
    point(folder, "last", final.name)
    return final


def point(folder: Path, which: str, name: str) -> None:
    """Let `last.json` or `best.json` name a checkpoint, and tell by its sums which one it is."""
    write_json(folder / f"{which}.json", {"checkpoint": name, SUMS: digest(folder / name / SUMS)})


def point_again(folder: Path, last: str, best: int | None) -> None:
    """Set right what a kill left behind that came between a checkpoint and its pointers.

    Where the newest was damaged, the best one that an older one knows of may have been pruned: the
    training that goes on comes to the next best one again, and until then there is none.

    Args:
        folder: of the checkpoints.
        last: name of the newest whole one.
        best: the step of the best one that it knows of.
    """
    for which, name in (("last", last), ("best", f"step-{best}")):
        if pointed(folder, which) == name or (which == "best" and best is None):
            continue
        if (folder / name).is_dir():
            point(folder, which, name)
        else:
            (folder / f"{which}.json").unlink(missing_ok=True)


def drop_newer(folder: Path, name: str) -> None:
    """Remove the checkpoints after this one, which were passed over as damaged.

    Else those that the training comes to again would count as older than they are, and be pruned.
    """
    for path in checkpoints(folder):
        if int(path.name[5:]) > int(name[5:]):
            shutil.rmtree(path, ignore_errors=True)


def pointed(folder: Path, which: str) -> str | None:
    """The name that `last.json` or `best.json` has of a checkpoint; None where it is damaged."""
    try:
        told = read_json(folder / f"{which}.json")
        name = told["checkpoint"]
        # Any other name could lie outside, and one of other sums is not the one that was meant.
        if not _NAME.fullmatch(name) or told.get(SUMS) not in (None, digest(folder / name / SUMS)):
            return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return name


def keep(folder: Path, name: str, epoch: int) -> Path:
    """Keep a checkpoint under the name `epoch-N`, whatever becomes of it; takes no room of its own.

    Links are made under a temporary name and renamed; a file system without links gets copies.
    """
    final, partial = folder / f"epoch-{epoch}", folder / f".step-epoch-{epoch}.partial"
    with whole_folder(final, partial):
        for path in sorted((folder / name).iterdir()):
            try:
                os.link(path, partial / path.name)
            except OSError:
                shutil.copy2(path, partial / path.name)
    return final


def prune(folder: Path) -> None:
    """Remove all but the two newest, the best, and leftovers of killed runs."""
    steps = checkpoints(folder)
    kept = {path.name for path in steps[:NEWEST]} | {pointed(folder, "best")}
    stale = [path for path in steps if path.name not in kept]
    for path in [*stale, *folder.glob(".step-*.partial"), *folder.glob(".step-*.replaced")]:
        shutil.rmtree(path, ignore_errors=True)


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in the folder, newest first."""
    found = [p for p in folder.glob("step-*") if p.is_dir() and _NAME.fullmatch(p.name)]
    return sorted(found, key=lambda p: -int(p.name[5:]))


def named_checkpoints(folder: Path) -> list[str]:
    """Names of the checkpoints of epochs and of steps in the folder, each kind oldest first."""
    found = [p.name for p in folder.glob("*-*") if p.is_dir() and _NAME.fullmatch(p.name)]
    return sorted(found, key=lambda name: (name[:4], int(name.partition("-")[2])))


def load(folder: Path, which: str = "last") -> Checkpoint:
    """Read a checkpoint, `last`, `best`, `step-N` or `epoch-N`, and check its sums.

    A damaged last one falls back to the newest whole one before it, named in `damaged`; any
    other one is wanted for itself and has no substitute.

    Raises:
        RunError: no such checkpoint, or none that is whole.
    """
    if which == "last":
        return _newest(folder)
    name = pointed(folder, which) if which == "best" else which
    path = folder / (name or "none")
    try:
        if name is None:
            raise _DamageError("no such checkpoint, or a best.json that is damaged")
        if not _NAME.fullmatch(name):
            raise _DamageError("no such checkpoint")
        return _read(path)
    except _DamageError as error:
        raise RunError(
            str(path if name else folder / which),
            expected="a whole checkpoint",
            found=str(error),
            remedy="train again with --resume, or choose another checkpoint",
        ) from error


def _newest(folder: Path) -> Checkpoint:
    damaged: list[str] = []
    for path in checkpoints(folder):
        try:
            found = _read(path)
        except _DamageError as error:
            damaged.append(f"{path.name}: {error}")
            continue
        return Checkpoint(path, found.model, found.optimiser, found.state, tuple(damaged))
    raise RunError(
        str(folder),
        expected="a whole checkpoint",
        found="; ".join(damaged) or "none",
        remedy="train without --resume into a new folder",
    )


class _DamageError(Exception):
    """Why a checkpoint cannot be read."""


def _read(path: Path) -> Checkpoint:
    try:
        sums = read_json(path / SUMS)
        for name in FILES:
            if digest(path / name) != sums[name]:
                raise _DamageError(f"{name} is not what was written")
        state = read_json(path / FILES[2])
        model = read_safetensors(path / FILES[0])
        for name, source in state["aliases"].items():
            model[name] = model[source]
        return Checkpoint(path, model, read_safetensors(path / FILES[1]), state)
    except PermissionError:  # it may well be whole
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        reason = "no such checkpoint" if not path.is_dir() else str(error) or type(error).__name__
        raise _DamageError(reason) from error


def _once(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Each tensor once, contiguous; names that share memory point at the first of them."""
    own: dict[str, Tensor] = {}
    aliases: dict[str, str] = {}
    seen: dict[tuple, str] = {}
    stored: set[int] = set()
    for name, tensor in tensors.items():
        place = (tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype)
        if tensor.numel() and place in seen:
            aliases[name] = seen[place]
            continue
        seen[place] = name
        whole = tensor.detach().cpu().contiguous()
        storage = whole.untyped_storage()
        if storage.nbytes() != whole.nbytes or (whole.numel() and storage.data_ptr() in stored):
            whole = whole.clone()  # a part of a larger storage, or another view of one
        stored.add(whole.untyped_storage().data_ptr())
        own[name] = whole
    return own, aliases


def flatten_optimiser(state: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An optimiser's state as tensors by `parameter.name` and the rest as JSON."""
    tensors: dict[str, Tensor] = {}
    rest: dict[str, Any] = {}
    for number, values in state["state"].items():
        for name, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"{number}.{name}"] = value
            else:
                rest[f"{number}.{name}"] = value
    return tensors, {"values": rest, "groups": state["param_groups"]}


def unflatten_optimiser(tensors: Mapping[str, Tensor], rest: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `flatten_optimiser`."""
    state: dict[int, dict[str, Any]] = {}
    for key, value in {**rest["values"], **tensors}.items():
        number, name = key.split(".", 1)
        state.setdefault(int(number), {})[name] = value
    groups = [
        {k: tuple(v) if k == "betas" else v for k, v in group.items()} for group in rest["groups"]
    ]
    return {"state": state, "param_groups": groups}
