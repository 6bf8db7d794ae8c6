"""Images as bytes of a file, and written whole or not at all."""

from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from regard.files.atomic import write_atomically


def own_name(path: str | Path) -> str:
    """The file's name without its suffix, of at most 100 bytes: a part of another file's name."""
    return Path(path).stem.encode()[:100].decode(errors="ignore")


def encoded(image: Image.Image, kind: str, **how: Any) -> bytes:
    """An image's file, of a kind, `PNG` or `JPEG`, with its options."""
    made = BytesIO()
    image.save(made, kind, **how)
    return made.getvalue()


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
    # Straight into a file, Pillow leaves the end off where the disk is full, unsaid.
    made = encoded(image, kind, **how)
    return write_atomically(path, lambda p: p.write_bytes(made), flush=flush)
