"""Pillow's globals and warnings while it reads a file: what a file is worth depends on none."""

import ctypes
import logging
import re
import warnings
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, cast

import PIL
from PIL import Image, ImageFile

# What it warns of (odd tags, most of all) is said neither on the terminal nor, where warnings are
# made errors, by calling a sound image broken.
_HUSHED = ("ignore", None, Warning, re.compile(r"PIL\."), 0)
# It logs what it raises as well; without a handler Python would print it.
logging.getLogger("PIL").addHandler(logging.NullHandler())


class _Guard:
    """Within, Pillow reads in one way, whatever the process has told it; then all is as before.

    Its own bound on pixels is off: ours takes its place, set by the caller and checked before
    anything is decoded. A file that is cut short is never made up to a whole picture.
    """

    def __init__(self) -> None:
        self._lock, self._readers = Lock(), 0
        self._most: int | None = None
        self._lenient = False

    def __enter__(self) -> None:
        with self._lock:
            if self._readers == 0:
                self._most, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
                self._lenient = ImageFile.LOAD_TRUNCATED_IMAGES
                ImageFile.LOAD_TRUNCATED_IMAGES = False
            self._readers += 1
            if _HUSHED not in warnings.filters:
                warnings.filterwarnings("ignore", module=r"PIL\.")

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._readers -= 1
            if self._readers == 0:
                Image.MAX_IMAGE_PIXELS = self._most
                ImageFile.LOAD_TRUNCATED_IMAGES = self._lenient
                filters = cast("list[Any]", warnings.filters)
                if _HUSHED in filters:
                    filters.remove(_HUSHED)


guarded = _Guard()


@cache
def hush_libtiff() -> None:
    """Let the libtiff of Pillow's wheels keep to itself what Pillow tells by an exception."""
    package = Path(PIL.__file__).parent
    for folder in (package.parent / "pillow.libs", package / ".dylibs"):
        for file in folder.glob("libtiff*"):
            try:
                handler = ctypes.CDLL(str(file)).TIFFSetErrorHandler
            except (OSError, AttributeError):
                continue
            handler.argtypes, handler.restype = [ctypes.c_void_p], ctypes.c_void_p
            handler(None)
