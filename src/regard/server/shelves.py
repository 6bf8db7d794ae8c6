"""A run's config, manifest and tables, held in memory for as long as their files stay the same."""

import polars as pl

from regard.data.manifest import Manifest
from regard.data.sample import Sample
from regard.data.source import open_manifest, sample_at, splits_of
from regard.errors import DataError
from regard.files.table_files import POLARS_ERROR
from regard.runs.folder import RunFolder
from regard.server.facts import Facts, facts_of
from regard.server.finding import Folder
from regard.server.kept import Kept
from regard.server.limits import Limits
from regard.server.refusals import NotFoundError, unknown
from regard.server.rows import rows_of


class Shelves:
    """Reads what is asked for, and again only when it has changed.

    Args:
        folder: that is served.
        limits: how much is held.

    Attributes:
        rows_kept: the tables, for whoever wants to know how often they were made.
    """

    def __init__(self, folder: Folder, limits: Limits) -> None:
        self.folder = folder
        self._facts: Kept[Facts] = Kept(1000)
        self._manifests: Kept[Manifest] = Kept(limits.tables)
        self.rows_kept: Kept[pl.DataFrame] = Kept(limits.tables)

    def facts(self, run: str) -> Facts:
        """What the config of a run says.

        Raises:
            NotFoundError: no such run.
            RunError: its config cannot be used.
        """
        found = self.folder.run(run)
        config = self.folder.inside(RunFolder(found.path).config)
        return self._facts.get(found.path, [config], lambda: facts_of(found))

    def manifest(self, facts: Facts) -> Manifest:
        """The run's manifest, with the run's splits.

        Raises:
            DataError: it has gone, or cannot be read.
        """
        files = [facts.files.config, facts.manifest]
        key = facts.found.path
        return self._manifests.get(key, files, lambda: open_manifest(facts.data, facts.found.path))

    def manifest_or_none(self, facts: Facts) -> Manifest | None:
        """The run's manifest, None where it has gone or cannot be read."""
        try:
            return self.manifest(facts)
        except (DataError, OSError, POLARS_ERROR):
            return None

    def splits(self, facts: Facts) -> list[str]:
        """The splits of the manifest, or those that were evaluated where it has gone."""
        manifest = self.manifest_or_none(facts)
        if manifest is not None and "split" in manifest.table.columns:
            return splits_of(manifest.table)
        return sorted(path.stem for path in (facts.found.path / "predictions").glob("*.parquet"))

    def rows(self, facts: Facts, split: str) -> pl.DataFrame:
        """One row an image of a split, see `rows_of`.

        Raises:
            NotFoundError: no such split.
            RunError: a table is damaged.
        """
        if split not in self.splits(facts):
            raise unknown("split", split, "choose one that /api/run lists")
        files = facts.files
        told = [files.predictions(split), files.scores(split)]
        for path in told:
            self.folder.inside(path)
        key, watched = (facts.found.path, split), [files.config, facts.manifest, *told]
        return self.rows_kept.get(
            key, watched, lambda: rows_of(facts, self.manifest_or_none(facts), split)
        )

    def sample(self, facts: Facts, split: str, index: int) -> Sample:
        """A sample of a split, with the files that the manifest names for it.

        Raises:
            NotFoundError: no such image in the split.
            DataError: the manifest has gone, or says something that cannot be.
        """
        manifest = self.manifest(facts)
        table = manifest.table
        if index >= len(table) or table["split"][index] != split:
            raise no_image(split, index)
        return sample_at(manifest, index, facts.classes, facts.data)


def no_image(split: str, index: int) -> NotFoundError:
    """The split has no such image."""
    return unknown("image", f"{index} of {split}", "choose one that /api/gallery lists")
