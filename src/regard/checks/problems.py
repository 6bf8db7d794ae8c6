"""What the checks find."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        row: of the manifest, counted from 1 as in error messages; None: the whole of it.
        column: of the manifest, None for the whole row.
        file: as the manifest has it, None if no file is to blame.
        kind: in few words, the same for all problems of the kind.
        detail: what was found, and what to do where that is not plain.
        severity: `error` or `warning`.
    """

    row: int | None
    column: str | None
    file: str | None
    kind: str
    detail: str
    severity: Severity = "error"
