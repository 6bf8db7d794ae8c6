"""What the attacks on files share: commands with limits, what is whole, what is the same."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import yaml
from PIL import Image
from safetensors.numpy import load_file

from forked import Forked
from tinyset import REGARD

ENVIRONMENT = os.environ | {
    "OMP_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "1",
    "PYTHONWARNINGS": "ignore",
}


@dataclass(frozen=True)
class Outcome:
    """What came of one try."""

    code: int
    out: str
    err: str
    megabytes: int
    writes: int

    @property
    def lines(self) -> list[str]:
        """What was said on standard error by regard itself."""
        return [line for line in self.err.splitlines() if line.startswith("regard: ")]


class Commands:
    """Runs commands of regard one after the other, each with what it is refused."""

    def __init__(self, notes: Path) -> None:
        self.notes = notes

    def __call__(
        self,
        *words: object,
        cwd: Path | None = None,
        stdout: str | None = None,
        failing: dict | None = None,
        **refused: object,
    ) -> Outcome:
        """`regard WORDS`, see `forked.Forked` and `limits`."""
        counted = os.memfd_create("writes")
        with (
            open(stdout or self.notes / "out", "wb") as out,
            open(self.notes / "err", "wb") as err,
            Forked(
                [*REGARD, *words], cwd=cwd or self.notes, env=ENVIRONMENT, start_new_session=True,
                stdout=out, stderr=err, refused=refused, failing=failing, count=counted,
            ) as process,
        ):  # fmt: skip
            process.wait()
        with open(counted, "rb") as file:
            file.seek(0)
            writes = int(file.read() or 0)
        said = "" if stdout else (self.notes / "out").read_text(errors="replace")
        told = (self.notes / "err").read_text(errors="replace")
        return Outcome(process.returncode, said, told, process.used, writes)


# Keys and columns that differ from one run to the next.
TIMES = {"seconds", "log_bytes", "time", "latency_ms", "started", "throughput", "images_per_second"}


def whole(folder: Path) -> list[str]:
    """What below a folder is half written: a file that its own format does not know, a leftover."""
    return [f"{path.relative_to(folder)}: {why}" for path in sorted(folder.rglob("*"))
            if (why := _fault(path)) is not None]  # fmt: skip


def _fault(path: Path) -> str | None:
    if re.search(r"\.(partial|replaced)$|^\.export-", path.name):
        return "left over"
    try:
        if path.is_file() and path.suffix in _READERS:
            _READERS[path.suffix](path)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def _page(path: Path) -> None:
    assert path.read_text().rstrip().endswith("</html>")


def _picture(path: Path) -> None:
    with Image.open(path) as image:
        image.load()


def _lines(path: Path) -> list:
    return [json.loads(line) for line in path.read_text().splitlines()]


_READERS = {
    ".json": lambda path: json.loads(path.read_text()),
    ".jsonl": _lines,
    ".yaml": lambda path: yaml.safe_load(path.read_text()),
    ".parquet": pl.read_parquet,
    ".csv": pl.read_csv,
    ".safetensors": load_file,
    ".html": _page,
    ".png": _picture,
    ".jpg": _picture,
}


def content(folder: Path) -> dict[str, object]:
    """What is below a folder, by file, but for times."""
    return {
        str(path.relative_to(folder)): _content(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def _content(path: Path) -> object:
    if path.suffix == ".html":
        return "a page"
    if path.suffix == ".json":
        return _timeless(json.loads(path.read_text()))
    if path.suffix == ".jsonl":
        return [_timeless(line) for line in _lines(path)]
    if path.suffix == ".parquet":
        table = pl.read_parquet(path)
        return table.drop(set(table.columns) & TIMES).to_dicts().__repr__()
    if path.name == "results.csv":
        return "as the parquet beside it"
    return path.read_bytes()


def _timeless(value: object) -> object:
    if isinstance(value, dict):
        # The sums of a state that tells of seconds differ, too.
        own = {k: v for k, v in value.items() if k not in TIMES | {"state.json", "checksums.json"}}
        return {k: _timeless(v) for k, v in own.items()}
    return [_timeless(v) for v in value] if isinstance(value, list) else value
