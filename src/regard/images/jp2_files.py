"""Whether a JPEG 2000 is all there: its decoder makes something of any beginning."""

import struct

_START, _END = b"\xff\x4f", b"\xff\xd9"


def refuse_cut(data: bytes) -> None:
    """Refuse a JPEG 2000 whose pixels' data does not come to its end.

    Raises:
        ValueError: it is cut off.
    """
    start, end = _codestream(data)
    if end > len(data) or data[max(start, end - 2) : end] != _END:
        raise ValueError("a truncated JPEG 2000, without its end")


def _codestream(data: bytes) -> tuple[int, int]:
    """Where the pixels' data begins and ends: all of the file, or its box `jp2c`."""
    if data.startswith(_START):
        return 0, len(data)
    place = 0
    while place + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        head = 8
        if length == 1 and place + 16 <= len(data):
            (length,), head = struct.unpack_from(">Q", data, place + 8), 16
        end = len(data) if length == 0 else place + length
        if kind == b"jp2c":
            return place + head, end
        place = max(end, place + 8)
    return len(data), len(data)
