"""The list of all runs."""

from dataclasses import dataclass, field
from pathlib import Path

from regard import __version__
from regard.server.answers import Bounds, Overview, RunLine
from regard.server.finding import Folder, Found
from regard.server.kept import Kept
from regard.server.limits import Limits
from regard.server.states import is_locked, line_of


@dataclass
class Lines:
    """The lines of the list, each made anew when one of its run's files has changed."""

    folder: Folder
    limits: Limits
    kept: Kept[RunLine] = field(default_factory=lambda: Kept(10_000))

    def overview(self) -> Overview:
        """The folder that is served."""
        found = self.folder.found()
        return Overview(
            name=self.folder.root.name,
            version=__version__,
            runs=[self.line(one, found.get(one.parent or "")) for one in found.values()],
            limits=Bounds(upload_bytes=self.limits.upload_bytes, pixels=self.limits.pixels),
        )

    def line(self, found: Found, parent: Found | None = None) -> RunLine:
        """The line of a run, a study or a tuning."""
        # A lock is no change of a file, so it is part of what is asked for.
        key = (found.id, is_locked(found.path))
        return self.kept.get(key, _telling(found.path, parent), lambda: line_of(found, parent))


def _telling(folder: Path, parent: Found | None) -> list[Path]:
    names = ("config.yaml", "log.jsonl", "checkpoints/last.json", "metrics", "report.html",
             "summary.json", "tuning.json", "study.yaml", "results.parquet", ".lock")  # fmt: skip
    own = [folder, *(folder / name for name in names)]
    own += sorted((folder / "metrics").glob("*.json"))
    return own if parent is None else [*own, parent.path / "results.parquet"]
