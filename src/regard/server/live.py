"""Learning curves of a run that may still be trained, from its log."""

from pathlib import Path
from typing import Any

from regard.reports.contents import attempt
from regard.runs.files import load_json
from regard.runs.folder import RunFolder
from regard.server.answers import Curves, Epoch, Numbers
from regard.server.finding import Folder
from regard.server.states import number, state_of

# Bytes of a log that are read at once.
MOST = 1 << 23


def curves_of(folder: Folder, run: Path, offset: int) -> Curves:
    """The epochs in a log from a byte on; a line that is being written is left for the next time.

    A log that is shorter than the offset was cut back by a training that went on, and is told from
    its start.
    """
    state = state_of(run)
    try:
        with folder.inside(RunFolder(run).log).open("rb") as file:
            size = file.seek(0, 2)
            restarted = offset > size
            start = 0 if restarted else offset
            file.seek(start)
            data = file.read(MOST)
    except OSError:
        return Curves(epochs=[], offset=0, state=state, restarted=offset > 0)
    whole = data.rfind(b"\n") + 1
    # A line longer than that is no line of a log.
    whole = whole or (len(data) if len(data) == MOST else 0)
    found = (_epoch(line) for line in data[:whole].split(b"\n") if b'"kind": "epoch"' in line)
    epochs = [epoch for epoch in found if epoch is not None]
    return Curves(epochs=epochs, offset=start + whole, state=state, restarted=restarted)


def _epoch(line: bytes) -> Epoch | None:
    """The epoch of a line; None for one that is damaged."""

    def read() -> Epoch:
        record: dict[str, Any] = load_json(line.decode())
        parts = {name: _numbers(record.get(name, {})) for name in ("train", "val")}
        return Epoch(epoch=int(record["epoch"]), step=int(record["step"]), **parts)

    return attempt(read, None)


def _numbers(values: Any) -> Numbers:
    return {str(name): number(v) for name, v in values.items()} if isinstance(values, dict) else {}
