"""Damage to a file: bits that flipped, a block that was lost, an end that is missing."""

import random
from pathlib import Path

KINDS = ("bit", "byte", "zeros", "cut", "longer", "block", "swapped")


def damage(path: Path, seed: int) -> str:
    """Change a file at a random place; how."""
    dice, data = random.Random(seed), bytearray(path.read_bytes())
    kind, at = dice.choice(KINDS), dice.randrange(max(1, len(data)))
    if not data or kind == "longer":
        data += dice.randbytes(dice.randrange(1, 64))
    elif kind == "bit":
        data[at] ^= 1 << dice.randrange(8)
    elif kind == "byte":
        data[at] = (data[at] + dice.randrange(1, 256)) % 256
    elif kind == "zeros":
        data[at : at + 512] = bytes(len(data[at : at + 512]))
    elif kind == "cut":
        del data[at:]
    elif kind == "block":
        del data[at : at + dice.randrange(1, 512)]
    else:
        other = dice.randrange(len(data))
        data[at], data[other] = data[other], data[at]
    path.unlink()  # files of kept epochs share their bytes with those of steps
    path.write_bytes(data)
    return f"{path.name}, {kind} at {at}"
