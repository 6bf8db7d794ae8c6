"""Writing images whole or not at all."""

from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from regard.data.atomic import write_atomically


def own_name(path: str | Path) -> str:
    """The file's name without its suffix, of at most 100 bytes: a part of another file's name."""
    return Path(path).stem.encode()[:100].decode(errors="ignore")


def save_image(
    image: Image.Image, path: Path, kind: str, *, flush: bool = False, **how: Any
) -> Path:
    """Write an image of a kind, `PNG` or `JPEG`, in one atomic step.

    Args:
        image: to write.
        path: of the file.
        kind: `PNG` or `JPEG`.
        flush: as of `write_atomically`.
        how: options of the kind.
    """
    made = BytesIO()  # into a file, Pillow leaves the end off where the disk is full, unsaid
    image.save(made, kind, **how)
    return write_atomically(path, lambda p: p.write_bytes(made.getvalue()), flush=flush)
