"""The table of importers."""

from collections.abc import Callable

from regard.data.manifest import Manifest
from regard.registry import Registry

# Called as importer(src, root=folder, **options): `src` is what to import, `root` the folder in
# which the manifest will be written. Paths below it are relative to it, others absolute.
Importer = Callable[..., Manifest]

IMPORTERS: Registry[Importer] = Registry("import format")
