"""What a screening is of, written before it begins, so that it can be gone on with."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from regard import __version__
from regard.errors import RunError
from regard.runs.files import read_json, write_json
from regard.runs.run import Run
from regard.screening.job import Job
from regard.screening.sources import printable

PLAN = "screening.json"


def settle(out: Path, run: Run, job: Job, *, bf16: bool, compile: bool) -> dict[str, Any]:
    """Write the plan, or see that the folder's own is the same.

    Args:
        out: the screening's folder.
        run: that is asked.
        job: what it is asked.
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
            raise RunError(
                str(out),
                expected="a screening of this run and source, to be gone on with",
                found=f"one with another {other[0]}: {before.get(other[0])!r}",
                remedy="choose another --out",
            )
    elif out.is_dir() and any(not path.name.startswith(".") for path in out.iterdir()):
        raise RunError(
            str(out),
            expected="a new folder, or one of a screening",
            found="other files",
            remedy="choose another --out",
        )
    else:
        write_json(path, plan)
    return plan
