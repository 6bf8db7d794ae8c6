"""One importer a format: each turns what lies on the disk into a manifest.

>>> from pathlib import Path
>>> IMPORTERS["folder"](Path("photos"), root=Path("."))  # doctest: +SKIP
"""

from regard.importers import camvid as camvid
from regard.importers import cityscapes as cityscapes
from regard.importers import coco as coco
from regard.importers import crops as crops
from regard.importers import csv as csv
from regard.importers import folder as folder
from regard.importers import imagenet as imagenet
from regard.importers import pairs as pairs
from regard.importers import voc as voc
from regard.importers.registry import IMPORTERS, MADE, Importer

__all__ = ["IMPORTERS", "MADE", "Importer"]
