"""What an image looks like in few numbers, and which images look the same by them."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn
from scipy.ndimage import gaussian_filter
from torchvision.transforms.v2 import functional as F

from regard.errors import DataError
from regard.files.reading import read_file
from regard.images.decoding import decode
from regard.images.opening import MAX_PIXELS

SIDE = 32
# Chosen on photos of products, herbarium sheets, dermoscopy, blood smears and 64 px photos:
# copies that were halved and compressed to JPEG quality 30, brightened by a fifth or cut by 1%
# pass, other products in the same pose and other sheets with the same chart and stamps do not.
MOST_BITS = 10
LEAST_CORRELATION = 0.92
MOST_DIFFERENCE = 35.0
FLAT = 4.0
BLOCK = 1024
# A tile of hashes by hashes that stays in a processor's cache.
TILE = 1024


@dataclass(frozen=True)
class Fingerprint:
    """Of one image file.

    Attributes:
        content: a hash of the file's bytes.
        bits: 64 bits of the image's coarse structure, alike for images that look alike.
        thumbnail: uint8 (3, 32, 32).
        flat: too little contrast for its structure to mean anything.
    """

    content: bytes
    bits: int
    thumbnail: NDArray[np.uint8]
    flat: bool


def fingerprint(path: str | Path, max_pixels: int = MAX_PIXELS) -> Fingerprint | None:
    """The fingerprint of an image; None if it cannot be read."""
    try:
        data = read_file(path)
        image = decode(data, need=(2 * SIDE, 2 * SIDE), max_pixels=max_pixels)
    except (DataError, OSError):
        return None
    thumbnail = F.resize(image, [SIDE, SIDE], antialias=True).numpy()
    grey = thumbnail.mean(0, dtype=np.float32)
    content = blake2b(data, digest_size=16).digest()
    return Fingerprint(content, perceptual_hash(grey), thumbnail, bool(grey.std() < FLAT))


def perceptual_hash(grey: NDArray[np.float32]) -> int:
    """64 bits: which of the 8 x 8 lowest cosine frequencies of (32, 32) exceed their median."""
    low = np.asarray(dctn(grey, norm="ortho"))[:8, :8].ravel()
    # The first is the mean brightness, which tells nothing of the structure.
    bits = low > np.median(low[1:])
    return int(np.packbits(bits).view(np.uint64)[0])


def look_alikes(
    bits: NDArray[np.uint64], thumbnails: NDArray[np.uint8]
) -> Iterator[tuple[int, int]]:
    """Pairs (i, j), i < j, of images that show the same picture.

    All pairs of hashes are compared, in tiles: for 100,000 images that is five billion pairs and
    well under a minute. Those within `MOST_BITS` are confirmed on their thumbnails.
    """
    for i, j in _near_hashes(bits):
        for part in range(0, len(i), BLOCK):
            first, second = i[part : part + BLOCK], j[part : part + BLOCK]
            same = alike(thumbnails[first], thumbnails[second])
            yield from zip(first[same].tolist(), second[same].tolist(), strict=True)


def _near_hashes(bits: NDArray[np.uint64]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    for top in range(0, len(bits), TILE):
        rows = bits[top : top + TILE, None]
        for left in range(top, len(bits), TILE):
            near = np.bitwise_count(rows ^ bits[None, left : left + TILE]) <= MOST_BITS
            i, j = np.divmod(np.flatnonzero(near), near.shape[1])
            i, j = i + top, j + left
            yield i[i < j], j[i < j]


def alike(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether thumbnails (N, 3, 32, 32) show the same picture, pair by pair.

    Their details must correlate, and once brightness and contrast are evened out no part may
    differ much in colour: it is a part that tells two mugs, or two sheets, from each other.
    Brightness, contrast, size and compression may differ; crops, mirror images and turned
    images are not found.
    """
    return (_detail_correlation(first, second) >= LEAST_CORRELATION) & (
        _largest_difference(first, second) <= MOST_DIFFERENCE
    )


def _detail_correlation(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
    greys = [part.mean(1, dtype=np.float32) for part in (first, second)]
    details = [grey - gaussian_filter(grey, (0, 2, 2)) for grey in greys]
    a, b = (detail - detail.mean((1, 2), keepdims=True) for detail in details)
    norm = np.sqrt((a * a).sum((1, 2)) * (b * b).sum((1, 2)))
    return (a * b).sum((1, 2)) / np.maximum(norm, 1e-6)


def _largest_difference(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
    """In grey levels, over the means of 8 x 8 parts of each channel."""
    pixels = [part.astype(np.float32) for part in (first, second)]
    spread = [part.std((1, 2, 3), keepdims=True) + 1e-6 for part in pixels]
    scaled = [
        (part - part.mean((1, 2, 3), keepdims=True)) / own
        for part, own in zip(pixels, spread, strict=True)
    ]
    difference = (scaled[0] - scaled[1]) * np.sqrt(spread[0] * spread[1])
    parts = difference.reshape(len(first), 3, 8, SIDE // 8, 8, SIDE // 8).mean((3, 5))
    return np.abs(parts).max((1, 2, 3))
