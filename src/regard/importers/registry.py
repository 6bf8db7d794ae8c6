"""The table of importers."""

from collections.abc import Callable

from regard.data.manifest import Manifest
from regard.registry import Registry

# Called as importer(src, root=folder, **options): `src` is what to import, `root` the folder in
# which the manifest will be written. Paths below it are relative to it, others absolute. One that
# takes `files`, `progress` or `say` is also handed the folder for files that it makes, what to call
# with (done, all) of them, and what to call with a line about what it left out.
Importer = Callable[..., Manifest]

IMPORTERS: Registry[Importer] = Registry("import format")

# What the files are that a format makes, where they are not masks: the end of their folder's name.
MADE: dict[str, str] = {}
