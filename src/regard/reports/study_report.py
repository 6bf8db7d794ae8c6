"""The report of a study."""
from pathlib import Path
def study_report(study: Path, out: Path | None = None, *, pictures: int = 8, progress=None) -> Path:
    raise NotImplementedError
