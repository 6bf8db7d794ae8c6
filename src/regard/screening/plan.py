"""What a screening is of, written before it begins, so that it can be gone on with."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from regard import __version__
from regard.errors import RunError
from regard.runs.files import read_json, write_json
from regard.runs.run import Run
from regard.screening.cutting import Cutting
from regard.screening.job import Job
from regard.screening.sources import printable
from regard.screening.wanted import Wanted

PLAN = "screening.json"


def settle(
    out: Path, run: Run, job: Job, positive: Wanted | None, *, bf16: bool, compile: bool
) -> dict[str, Any]:
    """Write the plan, or see that the folder's own is the same.

    What is looked for is written beside it, of the last call: the rows do not hang on it.

    Args:
        out: the screening's folder.
        run: that is asked.
        job: what it is asked.
        positive: the class that is looked for; None: none is.
        bf16: how it computes.
        compile: as well.

    Raises:
        RunError: the folder is of another screening, or of something else.
    """
    plan = {
        "kind": "screening",
        "run": printable(str(run.folder.resolve())),
        "checkpoint": run.checkpoint,
        "weights": run.weights,
        "classes": [*run.classes],
        "source": printable(str(job.source.path.resolve())),
        "images": job.images,
        "groups": {"of": job.source.grouped, "digest": job.source.digest_of_groups},
        "digest": job.source.digest,
        "cutting": asdict(job.cutting),
        "part": job.size,
        "batch": job.batch,
        "bf16": bf16,
        "compile": compile,
        "regard": __version__,
    }
    path = out / PLAN
    if path.is_file():
        before = read_json(path)
        other = [name for name, value in plan.items() if before.get(name) != value]
        if other:
            raise _another(out, other[0], before.get(other[0]))
    elif out.is_dir() and any(not path.name.startswith(".") for path in out.iterdir()):
        raise RunError(
            str(out),
            expected="a new folder, or one of a screening",
            found="other files",
            remedy="choose another --out",
        )
    write_json(path, plan | {"positive": positive and positive.as_dict()})
    return plan


def _another(out: Path, name: str, value: Any) -> RunError:
    """The folder's screening has something else under this name; digests are told in words."""
    remedy = "choose another --out"
    if name == "groups":
        of = value.get("of") if isinstance(value, dict) else value
        found = f"one with other groups (of: {of})"
        remedy = f"give --group and the manifest's column group as they were, or {remedy}"
    elif name == "cutting" and isinstance(value, dict):
        found = f"one of {_cut(value)}"
    elif name in _DIGESTS:
        found = f"one {_DIGESTS[name]}"
    else:
        found = f"one with another {name}: {value!r}"
    expected = "a screening of this run and source, to be gone on with"
    return RunError(str(out), expected=expected, found=found, remedy=remedy)


def _cut(value: dict[str, Any]) -> str:
    try:
        return Cutting(**value).words
    except TypeError:  # of another version
        return "another cutting"


_DIGESTS = {
    "weights": "of a net with other weights",
    "digest": "of other images, boxes or places in the tar",
}
