"""Decoding ahead of the net, in threads and in order, never more than so much at once."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.data.transforms import Transform
from regard.errors import DataError
from regard.images.decoding import decode
from regard.screening.cutting import Crop, Cutting
from regard.screening.sources import Source

# Images that wait for each thread, and bytes of all that wait beyond two images.
AHEAD, WAITING = 8, 2**30


@dataclass(frozen=True)
class Piece:
    """One crop of an image, or why the image gives none.

    Attributes:
        row: of the image in the source.
        crop: left, top, right, bottom in the upright image; None: all of it.
        pixels: uint8 (3, H, W) of the net's input size; None where the image is unreadable.
        error: why it is.
    """

    row: int
    crop: Crop | None
    pixels: Tensor | None
    error: str | None = None


def pieces(
    source: Source,
    rows: Iterable[int],
    cutting: Cutting,
    transform: Transform,
    workers: int,
) -> Iterator[tuple[int, list[Piece]]]:
    """The images in order, each with its pieces, of which one cut by boxes may have none.

    Args:
        source: of the images.
        rows: which of them; may be endless.
        cutting: how each is cut.
        transform: of the net's input.
        workers: threads that decode; each has 8 images waiting at the most, and fewer where images
            have so many pieces that these would not fit into a GiB.
    """
    waiting: deque[tuple[int, Future[list[Piece]]]] = deque()
    largest: int | None = None  # bytes of an image's pieces, as far as is known

    def first() -> tuple[int, list[Piece]]:
        nonlocal largest
        row, future = waiting.popleft()
        found = future.result()
        own = sum(piece.pixels.nbytes for piece in found if piece.pixels is not None)
        largest = max(1, largest or 0, own)
        return row, found

    def most() -> int:
        """Images that may wait; one is decoded while the net has another, whatever their size."""
        return 2 if largest is None else max(2, min(workers * AHEAD, WAITING // largest))

    # A thread decodes alone: each with a team of its own they would stand in the net's way.
    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            for row in rows:
                waiting.append((row, pool.submit(of_image, source, row, cutting, transform)))
                while len(waiting) >= most():
                    yield first()
            while waiting:
                yield first()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            torch.set_num_threads(torch.get_num_threads())  # of threads made from here on


def of_image(source: Source, row: int, cutting: Cutting, transform: Transform) -> list[Piece]:
    """The pieces of one image; one without pixels where it cannot be read."""
    try:
        data = source.read(row)
        if cutting.how == "whole":
            return [Piece(row, None, transform.load(data))]
        pixels = decode(data, max_pixels=transform.max_pixels)
    except (DataError, OSError) as error:
        return [Piece(row, None, None, _why(error))]
    height, width = pixels.shape[1:]
    crops = cutting.crops((height, width), source.boxes[row] if source.boxes else ())
    return [Piece(row, crop, transform.fit_image(_cut(pixels, crop))) for crop in crops]


def _cut(pixels: Tensor, crop: Crop | None) -> Tensor:
    if crop is None:
        return pixels
    left, top, right, bottom = crop
    return pixels[:, top:bottom, left:right]


def _why(error: DataError | OSError) -> str:
    if isinstance(error, DataError):
        return f"expected {error.expected}, found {error.found}"
    return error.strerror or type(error).__name__
