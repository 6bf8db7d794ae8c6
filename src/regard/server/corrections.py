"""Regions that were drawn anew: manifests of their own, for the next training."""

from regard.server.finding import Folder


class Corrections:
    """Reads and writes manifests of corrections under FOLDER/corrections.

    Args:
        folder: that is served.
    """

    def __init__(self, folder: Folder) -> None:
        self.root = folder.root / "corrections"
