"""What the server allows itself and others."""

from dataclasses import dataclass

MB = 2**20


@dataclass(frozen=True)
class Limits:
    """Bounds of a server.

    Attributes:
        upload_bytes: of an uploaded image.
        correction_bytes: of a correction, whose mask is text.
        pixels: of an uploaded image, told from its header before anything is decoded.
        body_seconds: until a body has arrived.
        answer_seconds: until a net has answered.
        queue: requests that may wait for a net.
        nets: held in memory.
        threads: that decode and draw.
        tables: of runs, held in memory.
        cache_bytes: of maps and pictures on disk.
        folders: that are looked through for runs.
        depth: of folders that are looked through.
    """

    upload_bytes: int = 32 * MB
    correction_bytes: int = 16 * MB
    pixels: int = 100_000_000
    body_seconds: float = 30.0
    answer_seconds: float = 120.0
    queue: int = 128
    nets: int = 3
    threads: int = 4
    tables: int = 24
    cache_bytes: int = 512 * MB
    folders: int = 20_000
    depth: int = 6
