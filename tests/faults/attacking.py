"""What the attacks on files share: a zygote that runs commands, what is whole, what is the same."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ZYGOTE = Path(__file__).with_name("zygote.py")


@dataclass(frozen=True)
class Outcome:
    """What came of one try."""

    code: int
    out: str
    err: str
    megabytes: int
    seconds: float
    writes: int

    @property
    def lines(self) -> list[str]:
        """What was said on standard error by regard itself."""
        return [line for line in self.err.splitlines() if line.startswith("regard: ")]


class Zygote:
    """Runs commands of regard in forks of one process that has all imported."""

    def __init__(self, notes: Path) -> None:
        self.notes = notes
        environment = os.environ | {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, str(ZYGOTE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def __call__(self, *words: object, cwd: Path | None = None, **told: object) -> Outcome:
        """`regard WORDS`, with what else a try says, see `zygote.py`."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        given = {"words": [str(word) for word in words], "cwd": str(cwd or self.notes)}
        stdin.write(json.dumps({**given, "notes": str(self.notes), **told}) + "\n")
        stdin.flush()
        found = json.loads(stdout.readline())
        texts = [(self.notes / name) for name in ("stdout", "stderr")]
        out, err = (path.read_text(errors="replace") if path.exists() else "" for path in texts)
        return Outcome(out=out, err=err, **found)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)
        assert self._process.stdout is not None
        self._process.stdout.close()
