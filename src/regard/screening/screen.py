"""Screen a source with a run's net: rows, maps of what is worth a look, a summary."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from regard.errors import ConfigError, near
from regard.machine import cores
from regard.models.device import device_of
from regard.runs.folder import locked
from regard.runs.run import Run
from regard.screening.cutting import Cutting
from regard.screening.maps import chosen, make_maps
from regard.screening.operator import Operator, operator_of
from regard.screening.parts import answered, part_path, rows_of, write_part
from regard.screening.pieces import pieces
from regard.screening.plan import settle
from regard.screening.sources import Source
from regard.screening.summary import summarise

PART, BATCH, UNCERTAIN, MOST_MAPS = 2048, 64, 0.01, 10_000
Progress = Callable[[str, int, int], None]


def screen(
    run: Run,
    source: Source,
    out: Path,
    *,
    cutting: Cutting | None = None,
    positive: str | None = None,
    threshold: float = 0.5,
    uncertain: float = UNCERTAIN,
    most_maps: int = MOST_MAPS,
    part: int = PART,
    batch: int = BATCH,
    workers: int | None = None,
    device: str = "auto",
    bf16: bool = False,
    compile: bool = False,
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
        threshold: probability from which on a piece counts as that.
        uncertain: share of all pieces whose maps are made, the most uncertain ones.
        most_maps: at the most, for either reason.
        part: images of a part.
        batch: pieces in one pass of the net.
        workers: threads that decode; None: as many as there are cores, 16 at the most.
        device: `auto`, `cpu`, `cuda` ...
        bf16: compute in bfloat16 where that is safe.
        compile: compile the net; pays off after some thousand images.
        progress: called with what is being done, how much is done, of how much.

    Returns:
        What was written to `summary.json`.

    Raises:
        ConfigError: an unknown class, or an option out of range.
        RunError: a net that is not for this, a folder of another screening, or one that another
            process is at.
    """
    _refuse_options(run, positive, threshold, uncertain, most_maps, part, batch, workers)
    wanted = None if positive is None else (positive, threshold)
    operator = operator_of(run, device_of(device, "--device"), bf16=bf16, compile=compile)
    cut, say = cutting or Cutting(), progress or (lambda *_: None)
    with locked(out):
        plan = settle(out, run, source, cut, part, bf16)
        _tidy(out)
        parts = -(-len(source.names) // part)
        _ask(operator, source, cut, out, part, batch, workers or min(16, cores()), say)
        picked = chosen(out, parts, wanted, uncertain, most_maps)
        count, done = sum(map(len, picked.values())), 0

        def made(more: int) -> None:
            nonlocal done
            done += more
            say("maps", done, count)

        make_maps(out, picked, source, cut, operator, made)
        return summarise(out, parts, plan, wanted)


def _ask(
    operator: Operator,
    source: Source,
    cutting: Cutting,
    out: Path,
    size: int,
    batch: int,
    workers: int,
    say: Progress,
) -> None:
    """Write the parts that are not there yet."""
    images = len(source.names)
    parts = [n for n in range(-(-images // size)) if not part_path(out, n).is_file()]
    missing = sum(len(rows_of(n, size, images)) for n in parts)
    done = images - missing
    say("images", done, images)

    def counted() -> Iterator[tuple[int, list]]:
        nonlocal done
        rows = (row for n in parts for row in rows_of(n, size, images))
        for row, own in pieces(source, rows, cutting, operator.run.transform, workers):
            yield row, own
            done += 1
            if done % batch == 0:
                say("images", done, images)

    for number, own, shares in answered(counted(), operator, batch, size):
        write_part(part_path(out, number), source, own, shares, operator)
    say("images", images, images)


def _tidy(out: Path) -> None:
    """Remove what a process that was killed had half written."""
    for old in [*out.glob("*/.*.partial"), *out.glob(".*.partial")]:
        shutil.rmtree(old) if old.is_dir() else old.unlink()


def _refuse_options(
    run: Run,
    positive: str | None,
    threshold: float,
    uncertain: float,
    most_maps: int,
    part: int,
    batch: int,
    workers: int | None,
) -> None:
    if positive is not None and positive not in run.classes:
        raise ConfigError(
            "--positive",
            expected="a class of the run",
            found=repr(positive),
            remedy=near(positive, run.classes),
        )
    for name, value in (("--threshold", threshold), ("--uncertain", uncertain)):
        if not 0 <= value <= 1:
            raise _range(name, "0 to 1", value)
    least = {"--part": part, "--batch": batch, "--workers": 1 if workers is None else workers}
    for name, value in least.items():
        if value < 1:
            raise _range(name, "1 or more", value)
    if most_maps < 0:
        raise _range("--most-maps", "0 or more", most_maps)


def _range(name: str, expected: str, value: float) -> ConfigError:
    return ConfigError(name, expected=expected, found=f"{value:g}", remedy="correct it")
