"""Train a run into a folder, or go on with one that was stopped; in one process or in several."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch

from regard.checks.preflight import refuse_files
from regard.errors import ConfigError, RunError, command
from regard.files.relative import seen_from
from regard.machine import keep_memory
from regard.models.huggingface import architecture_of
from regard.models.pruned import read_kept, write_kept
from regard.models.settings import NAMED
from regard.models.specs import moved
from regard.runs.checkpoints import Checkpoint, checkpoints, load, pointed
from regard.runs.files import damaged, read_json, write_json, write_yaml
from regard.runs.folder import RunFolder, locked
from regard.runs.log import Log, Unwritten, read_log
from regard.runs.net import from_checkpoint
from regard.training.config import Config, parse_config
from regard.training.group import Group, taking_part
from regard.training.loop import Trainer
from regard.training.preflight_group import refuse_unlike
from regard.training.prepare import Prepared, environment, prepare
from regard.training.progress import Progress
from regard.training.remarks import remarks
from regard.training.watching import Silent, Watcher


def train(
    config: Config,
    out: Path | str,
    *,
    folder: Path = Path(),
    watcher: Watcher | None = None,
    group: Group | None = None,
    held: bool = False,
) -> Progress:
    """Train into a new folder.

    Where torch's default process group has several processes, all of them call this with the same
    arguments, and train one net together; the first one writes.

    Args:
        config: of the run.
        out: the run's folder; it must not hold a run already.
        folder: that paths in the config start from.
        watcher: told of steps and epochs.
        group: of the processes that train together; None: that of torch's default process group.
        held: the caller holds the folder, see `regard.runs.folder.locked`.

    Raises:
        RunError: the folder holds a run.
        RegardError: the config, the data or the model is wrong; nothing is written then.
        LostProcessError: of several processes another one has ended.
    """
    if not isinstance(config, Config):
        remedy = "read one with regard.training.config: read_config(path), parse_config(mapping)"
        raise ConfigError("train", expected="a Config", found=type(config).__name__, remedy=remedy)
    out = Path(out)
    files = RunFolder(out)
    with taking_part(group) as group:
        group.by_first(lambda: _refuse_existing(files))
        _set_up(config)
        prepared = prepare(config, folder, group)
        try:
            refuse_unlike(group, prepared.config, prepared.digest, teacher=_teacher(prepared))
            _refuse_files(prepared)
            with nullcontext() if held else _held(group, out):
                group.by_first(lambda: _begin(files, prepared, folder))
                with closing(_log(files, group, 0)) as log:
                    return _fit(files, prepared, log, watcher, None)
        finally:
            prepared.close()


def resume(out: Path, *, watcher: Watcher | None = None, group: Group | None = None) -> Progress:
    """Go on with a run from its last whole checkpoint; a finished one stays as it is.

    Args:
        out: the run's folder, which all processes have to see.
        watcher: told of steps and epochs.
        group: as of `train`; it may have another number of processes than before.

    Raises:
        RunError: no run, no whole checkpoint, or the manifest has changed since.
        LostProcessError: of several processes another one has ended.
    """
    files = RunFolder(out)
    with taking_part(group) as group:
        config = parse_config(files.read_config(), str(files.config))
        files.refuse_links()
        before = _environment(files)
        # Sums hang on the threads; of another number of processes they hang on that, too.
        same = before.get("processes", 1) == group.size
        _set_up(config, before["threads"] if same else None)
        with _held(group, out):
            saved = _saved(files)
            model = from_checkpoint(config.model, files) if saved else config.model
            prepared = prepare(config.model_copy(update={"model": model}), out, group)
            try:
                refuse_unlike(group, prepared.config, prepared.digest, saved, _teacher(prepared))
                _same_samples(files, prepared)
                _same_teacher(files, prepared)
                with closing(_log(files, group, _offset(saved))) as log:
                    return _fit(files, prepared, log, watcher, saved)
            finally:
                prepared.close()


@contextmanager
def _held(group: Group, out: Path) -> Iterator[None]:
    """Hold the run's folder for the whole group, by its first process."""
    with ExitStack() as stack:
        group.by_first(lambda: stack.enter_context(locked(out)))
        yield


def _refuse_files(prepared: Prepared) -> None:
    """Each process looks at its share of the files."""
    samples = [s for data in prepared.splits for s in data.samples]
    own = samples[prepared.group.number :: prepared.group.size]
    refuse_files(own, prepared.transform.max_pixels)
    prepared.group.gather(None)  # nothing is written before all have looked


def _begin(files: RunFolder, prepared: Prepared, folder: Path) -> None:
    _refuse_existing(files)  # another training may have come and gone meanwhile
    _write_config(files, prepared, folder)


def _log(files: RunFolder, group: Group, offset: int) -> Log | Unwritten:
    """The log, which the first process writes."""
    return Log(files.log, offset) if group.first else Unwritten()


def _offset(saved: Checkpoint | None) -> int:
    """Bytes of the log that a checkpoint knows of."""
    offset = saved.state.get("log_bytes") if saved else 0
    if not isinstance(offset, int) or offset < 0:
        assert saved is not None
        raise damaged(str(saved.path), "a state without the length of the log")
    return offset


def _fit(
    files: RunFolder,
    prepared: Prepared,
    log: Log | Unwritten,
    watcher: Watcher | None,
    saved: Checkpoint | None,
) -> Progress:
    trainer = Trainer(prepared, files, log, watcher or Silent())
    if saved is None:
        log.write("start", **environment())
        for text in remarks(prepared):
            trainer.note(text)
        trainer.begin()
        return trainer.fit()
    trainer.restore(saved)
    for text in saved.damaged:
        trainer.note(f"checkpoint {text}; going on from {saved.path.name}")
    if trainer.progress.step == 0:
        trainer.begin()
    return trainer.fit()


def _saved(files: RunFolder) -> Checkpoint | None:
    """The last whole checkpoint; None for a run that was killed before its first."""
    if checkpoints(files.checkpoints):
        return load(files.checkpoints)
    if next(read_log(files.log, "step"), None) is not None:
        raise RunError(
            str(files.checkpoints),
            expected="a checkpoint, as the log tells of steps",
            found="none",
            remedy="restore them, or train anew into another --out",
        )
    return None


def _refuse_existing(files: RunFolder) -> None:
    if files.config.exists() or files.log.exists():
        raise RunError(
            str(files.path),
            expected="a new folder",
            found="a run" if finished(files.path) is None else "a finished run",
            remedy=_going_on(files.path),
        )


def _going_on(out: Path) -> str:
    other, again = "choose another --out", command("train", out, "--resume")
    return other if finished(out) else f"{other}, or go on with it: {again}"


def finished(out: Path) -> int | None:
    """The epochs of a run that has reached its end; None for one that has not, or for no run."""
    files = RunFolder(out)
    try:
        how = files.read_config()["training"]
        last = files.checkpoints / str(pointed(files.checkpoints, "last"))
        progress = read_json(last / "state.json")["progress"]
    except (RunError, OSError, ValueError, KeyError, TypeError):
        return None
    stale = how["patience"] is not None and progress["stale"] >= how["patience"]
    return progress["epoch"] if progress["epoch"] >= how["epochs"] or stale else None


def _environment(files: RunFolder) -> dict[str, Any]:
    try:
        found = read_json(files.environment)
        if isinstance(found["threads"], int) and isinstance(found["samples"], str):
            return found
        reason = "no number of threads, or no digest"
    except (OSError, ValueError, LookupError, TypeError) as error:
        reason = str(error)
    raise RunError(
        str(files.path),
        expected="an environment.json that can be read",
        found=reason,
        remedy="restore it, or train anew into another --out",
    )


def _set_up(config: Config, threads: int | None = None) -> None:
    """Fix the number of threads, on which float sums depend; hold on to memory."""
    keep_memory()
    wanted = config.training.threads or threads
    if wanted is not None:
        torch.set_num_threads(wanted)


def _write_config(files: RunFolder, prepared: Prepared, folder: Path) -> None:
    """The resolved config, its paths now from the run's own folder."""
    values = prepared.config.model_dump(mode="json")
    for name in ("manifest", "hierarchy"):
        if values["data"][name] is not None:
            values["data"][name] = _moved(values["data"][name], folder, files.path)
    if values["model"]["weights"] not in (None, *NAMED):
        values["model"]["weights"] = _moved(values["model"]["weights"], folder, files.path)
    if values["distil"] is not None:
        values["distil"]["teacher"] = _moved(values["distil"]["teacher"], folder, files.path)
    values["model"]["spec"] = moved(
        values["model"]["spec"], lambda path: _moved(path, folder, files.path)
    )
    if values["model"]["pruned"] is not None:
        write_kept(read_kept(folder / values["model"]["pruned"]), files.kept)
        values["model"]["pruned"] = files.kept.name
    else:
        files.kept.unlink(missing_ok=True)  # of another training that ended before it had begun
    architecture = architecture_of(prepared.net)
    if architecture is not None:
        write_json(files.architecture, architecture)
    else:
        files.architecture.unlink(missing_ok=True)
    told: dict[str, Any] = {"samples": prepared.digest, "processes": prepared.group.size}
    if prepared.teacher is not None:
        told["teacher"] = prepared.teacher.weights
    write_json(files.environment, environment() | told)
    write_yaml(files.config, values)


def _moved(path: str, old: Path, new: Path) -> str:
    return path if os.path.isabs(path) else seen_from(new, path, old)


def _same_samples(files: RunFolder, prepared: Prepared) -> None:
    if _environment(files)["samples"] != prepared.digest:
        raise RunError(
            str(files.path),
            expected="the manifest that the run began with",
            found="other samples, labels, regions or splits",
            remedy="restore the manifest, or train anew into another --out",
        )


def _teacher(prepared: Prepared) -> str | None:
    return None if prepared.teacher is None else prepared.teacher.weights


def _same_teacher(files: RunFolder, prepared: Prepared) -> None:
    teacher = prepared.teacher
    if teacher is not None and _environment(files).get("teacher") != teacher.weights:
        raise RunError(
            str(files.path),
            expected="the teacher that the run began with",
            found=f"other weights in {teacher.run.checkpoint} of {teacher.run.folder}",
            remedy="restore the teacher's run, or train anew into another --out",
        )
