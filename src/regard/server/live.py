"""Learning curves of a run that may still be trained, from its log."""

import zlib
from pathlib import Path
from typing import Any, BinaryIO

from regard.reports.contents import attempt
from regard.runs.files import load_json
from regard.runs.folder import RunFolder
from regard.server.answers import Curves, Epoch, Numbers
from regard.server.finding import Folder
from regard.server.questions import OfCurves
from regard.server.states import number, state_of

# Bytes of a log that are read at once.
MOST = 1 << 23
# Bytes before an offset that say whether a log is the one that was read until there.
_MARKED = 1 << 10


def curves_of(folder: Folder, run: Path, asked: OfCurves) -> Curves:
    """The epochs in a log from a byte on; a line that is being written is left for the next time.

    A log that was cut back or written anew is told from its start, also if it has grown past the
    byte since.
    """
    state, offset = state_of(run), asked.offset
    try:
        with folder.inside(RunFolder(run).log).open("rb") as file:
            same = asked.mark is None or asked.mark == _mark(file, offset)
            restarted = offset > file.seek(0, 2) or not same
            start = 0 if restarted else offset
            file.seek(start)
            data = file.read(MOST)
            whole = _whole(data)
            mark = _mark(file, start + whole)
    except OSError:
        return Curves(epochs=[], offset=0, mark="", state=state, restarted=offset > 0)
    found = (_epoch(line) for line in data[:whole].split(b"\n") if b'"kind": "epoch"' in line)
    epochs = [epoch for epoch in found if epoch is not None]
    return Curves(epochs=epochs, offset=start + whole, mark=mark, state=state, restarted=restarted)


def _whole(data: bytes) -> int:
    """How many bytes are whole lines."""
    whole = data.rfind(b"\n") + 1
    # A line longer than that is no line of a log.
    return whole or (len(data) if len(data) == MOST else 0)


def _mark(file: BinaryIO, offset: int) -> str:
    file.seek(max(0, offset - _MARKED))
    return f"{zlib.crc32(file.read(min(offset, _MARKED))):08x}"


def _epoch(line: bytes) -> Epoch | None:
    """The epoch of a line; None for one that is damaged."""

    def read() -> Epoch:
        record: dict[str, Any] = load_json(line.decode())
        parts = {name: _numbers(record.get(name, {})) for name in ("train", "val")}
        return Epoch(epoch=int(record["epoch"]), step=int(record["step"]), **parts)

    return attempt(read, None)


def _numbers(values: Any) -> Numbers:
    return {str(name): number(v) for name, v in values.items()} if isinstance(values, dict) else {}
