"""Screen a source with a run's net: rows, maps of what is worth a look, a summary."""

import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

from regard.errors import ConfigError
from regard.machine import cores
from regard.models.device import device_of
from regard.runs.files import write_table
from regard.runs.folder import locked
from regard.runs.run import Run
from regard.screening.cutting import Cutting
from regard.screening.job import Job, Tables
from regard.screening.learned import learned_from
from regard.screening.maps import chosen, make_maps
from regard.screening.on_ray import tables_on_ray
from regard.screening.operator import operator_of
from regard.screening.parts import is_whole, part_path
from regard.screening.plan import settle
from regard.screening.ray_extra import ray_module
from regard.screening.sources import Source
from regard.screening.summary import summarise
from regard.screening.wanted import wanted_of

PART, BATCH, UNCERTAIN, MOST_MAPS = 2048, 64, 0.01, 10_000
Progress = Callable[[str, int, int], None]
Engine = Literal["local", "ray"]


def screen(
    run: Run,
    source: Source,
    out: Path,
    *,
    cutting: Cutting | None = None,
    positive: str | None = None,
    threshold: float | None = None,
    uncertain: float = UNCERTAIN,
    most_maps: int = MOST_MAPS,
    part: int = PART,
    batch: int = BATCH,
    workers: int | None = None,
    device: str = "auto",
    bf16: bool = False,
    compile: bool = False,
    engine: Engine = "local",
    address: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Ask the net of every piece of every image; started again, go on where it was stopped.

    Answers lie in `rows/part-N.parquet`, so many images each, whole or not at all: what was killed
    and gone on with has the very rows of what was not, none twice. Then `maps/` of the most
    uncertain and of the positive pieces, `summary.json`, `bad_files.csv` and `groups.csv`. What
    cannot be read is a row with an `error`, and the rest goes on.

    Args:
        run: of a classifier of one view.
        source: of the images.
        out: the folder.
        cutting: of the images; None: each is one piece.
        positive: class that is looked for; None: none.
        threshold: probability from which on a piece counts as that; None: that of the run's
            `threshold.json` if it is of this class and checkpoint, else 0.5.
        uncertain: share of all pieces whose maps are made, the most uncertain ones.
        most_maps: at the most, for either reason.
        part: images of a part.
        batch: pieces in one pass of the net.
        workers: threads that decode; None: as many as there are cores, 16 at the most. Of `ray`
            processes with a net each; None: one for each GPU of the cluster, or each machine.
        device: `auto`, `cpu`, `cuda` ...
        bf16: compute in bfloat16 where that is safe.
        compile: compile the net; pays off after some thousand images.
        engine: `local`: this process; `ray`: processes of a cluster, with the same rows.
        address: of a cluster of Ray, `auto` or HOST:PORT; None: one of this machine alone.
        progress: called with what is being done, how much is done, of how much.

    Returns:
        What was written to `summary.json`.

    Raises:
        ConfigError: an unknown class, an option out of range, or no such cluster.
        MissingExtraError: Ray is not installed.
        RunError: a net that is not for this, a folder of another screening, or one that another
            process is at.
    """
    wanted = wanted_of(run, positive, threshold)
    _refuse_options(uncertain, most_maps, part, batch, workers)
    _refuse_engine(engine, address)
    operator = operator_of(run, device_of(device, "--device"), bf16=bf16, compile=compile)
    job, say = Job(source, cutting or Cutting(), part, batch), progress or (lambda *_: None)
    with locked(out):
        plan = settle(out, run, job, wanted, bf16=bf16, compile=compile)
        _tidy(out)
        if engine == "ray":
            _write(job, out, say, lambda parts, _: tables_on_ray(
                job, operator, parts, device=device, compile=compile, processes=workers,
                address=address,
            ))  # fmt: skip
        else:
            threads = workers or min(16, cores())
            _write(job, out, say, lambda parts, seen: job.tables(operator, parts, threads, seen))
        picked = chosen(out, len(job.parts), wanted, uncertain, most_maps)
        count, done = sum(map(len, picked.values())), 0

        def made(more: int) -> None:
            nonlocal done
            done += more
            say("maps", done, count)

        make_maps(out, picked, source, job.cutting, operator, made)
        learned = learned_from(run, source)
        return summarise(out, len(job.parts), plan, wanted, count, learned)


def _write(
    job: Job,
    out: Path,
    say: Progress,
    ask: Callable[[Sequence[int], Callable[[], None]], Tables],
) -> None:
    """Write the parts that are not there yet, as they are answered."""
    missing = [part for part in job.parts if not is_whole(part_path(out, part))]
    written = job.images - sum(len(job.images_of(part)) for part in missing)
    done = written
    say("images", done, job.images)

    def seen() -> None:
        nonlocal done
        done += 1
        if done % job.batch == 0:
            say("images", done, job.images)

    if missing:
        with closing(ask(missing, seen)) as tables:
            for part, table in tables:
                write_table(part_path(out, part), table)
                written += len(job.images_of(part))
                if written > done:  # nobody told of its images one by one
                    done = written
                    say("images", done, job.images)
    say("images", job.images, job.images)


def _tidy(out: Path) -> None:
    """Remove what a process that was killed had half written."""
    for old in [*out.glob("*/.*.partial"), *out.glob(".*.partial")]:
        shutil.rmtree(old) if old.is_dir() else old.unlink()


def _refuse_options(
    uncertain: float, most_maps: int, part: int, batch: int, workers: int | None
) -> None:
    if not 0 <= uncertain <= 1:
        raise _range("--uncertain", "0 to 1", uncertain)
    least = {"--part": part, "--batch": batch, "--workers": 1 if workers is None else workers}
    for name, value in least.items():
        if value < 1:
            raise _range(name, "1 or more", value)
    if most_maps < 0:
        raise _range("--most-maps", "0 or more", most_maps)


def _refuse_engine(engine: Engine, address: str | None) -> None:
    if engine == "ray":
        ray_module()
    elif address is not None:
        raise ConfigError(
            "--address",
            expected="--engine ray beside it",
            found=f"--engine {engine}",
            remedy="add --engine ray, or leave it out",
        )


def _range(name: str, expected: str, value: float) -> ConfigError:
    return ConfigError(name, expected=expected, found=f"{value:g}", remedy="correct it")
