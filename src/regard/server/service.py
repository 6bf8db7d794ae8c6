"""What a server holds: the folder, the tables, the nets, the queue and the cache."""

import os
from dataclasses import dataclass
from pathlib import Path

from regard.models.device import device_of
from regard.server.cache import DiskCache
from regard.server.corrections import Corrections
from regard.server.finding import Folder
from regard.server.limits import Limits
from regard.server.line import Line
from regard.server.nets import Nets
from regard.server.overview import Lines
from regard.server.shelves import Shelves


@dataclass(frozen=True)
class Service:
    """All that handlers share.

    Attributes:
        limits: of all of them.
        folder: that is served.
        lines: of the list of runs.
        shelves: configs, manifests and tables.
        nets: in memory; used by the queue's worker alone.
        line: the queue.
        cache: of maps and pictures, on disk.
        corrections: manifests of regions that were drawn anew.
    """

    limits: Limits
    folder: Folder
    lines: Lines
    shelves: Shelves
    nets: Nets
    line: Line
    cache: DiskCache
    corrections: Corrections

    @classmethod
    def of(
        cls,
        root: Path,
        limits: Limits | None = None,
        cache: Path | None = None,
        *,
        device: str = "cpu",
    ) -> "Service":
        """A service for a folder.

        Args:
            root: the folder.
            limits: of all of it.
            cache: the folder of the cache; None: the user's own.
            device: where nets answer, `auto`, `cpu`, `cuda` ...

        Raises:
            ConfigError: no such folder, or no such device.
        """
        device_of(device, "--device")
        limits = limits or Limits()
        folder = Folder(root, limits)
        return cls(
            limits,
            folder,
            Lines(folder, limits),
            Shelves(folder, limits),
            Nets(folder, limits.nets, device),
            Line(limits.queue),
            DiskCache(cache or own_folder(), limits.cache_bytes),
            Corrections(folder),
        )


def own_folder() -> Path:
    """The user's own folder of caches, and ours in it."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "regard" / "serve"
