"""What the decoder says of each file of the corpus: `image_verdicts.py FOLDER SEED START COUNT`.

It runs in a process of its own, so that a crash or memory without end is seen, and prints a line
of JSON for each file before it goes on. Each file is read again under settings of Pillow and of
warnings that some other library may have made.
"""

import hashlib
import itertools
import json
import re
import sys
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

import torch
from hostile_images import Hostile, corpus
from PIL import Image, ImageFile
from torch.nn.functional import avg_pool2d, pad

from regard.data.transforms import Transform
from regard.errors import DataError
from regard.images.decoding import decode, decode_grey, decode_ids
from regard.images.opening import image_size

# What a file may claim to be, and what its decoding may take of the processor.
MOST, SECONDS = 2_000_000, 5.0
FITS = [Transform((32, 24), (0.5,) * 3, (0.5,) * 3, fit, max_pixels=MOST)
        for fit in ("stretch", "pad", "crop")]  # fmt: skip


def answer(ask, name=None):
    """A tensor or a size, or the words of the refusal; anything else ends the process."""
    try:
        return ask()
    except DataError as refusal:
        error = refusal
    assert "\n" not in str(error), error
    assert len(str(error)) < 1000, error
    assert name is None or error.where == str(name), error
    return error.found


def good(found):
    return not isinstance(found, str)


def digest(found):
    return None if not good(found) else hashlib.sha256(found.numpy().tobytes()).hexdigest()[:16]


def faults_of(path: Path, file: Hostile):
    """The verdict on a file, and in what the ways to read it differ."""
    whole = answer(lambda: decode(path, max_pixels=MOST), path)
    faults = []

    def expect(what, holds):
        if not holds:
            faults.append(what)

    again = answer(lambda: decode(file.data, max_pixels=MOST))
    expect("bytes", good(again) == good(whole) and digest(again) == digest(whole))
    size = answer(lambda: image_size(path), path)
    if good(whole):
        expect("size", good(size) and tuple(size) == tuple(whole.shape[1:]))
        expect("pixels", whole.dtype == torch.uint8 and whole.shape[0] == 3 and whole.numel())
    small = answer(lambda: decode(path, need=(12, 12), max_pixels=MOST), path)
    expect("scaled", good(small) == good(whole))
    if good(small) and good(whole):
        expect("scaled pixels", alike(small, whole, file))
    for transform in FITS:
        fitted = answer(lambda transform=transform: transform.load(path), path)
        expect(transform.fit, good(fitted) == good(whole))
        sent = answer(lambda transform=transform: transform.load(file.data))
        expect(f"{transform.fit} of bytes", digest(fitted) == digest(sent))
    grey = answer(lambda: decode_grey(path, max_pixels=MOST), path)
    expect("grey", good(grey) == good(whole))
    if good(grey) and good(whole):
        expect("grey size", grey.shape == whole.shape[1:])
        expect("grey range", bool(((grey >= 0) & (grey <= 255)).all()))
    ids = answer(lambda: decode_ids(path, max_pixels=MOST), path)
    if good(ids):
        expect("ids", good(whole) and ids.shape == whole.shape[1:])
    return whole, faults


def alike(small, whole, file):
    """A smaller one shows the same, and is the same where its kind has no scales."""
    if small.shape == whole.shape:
        return torch.equal(small, whole)
    if file.how != "sound":  # of noise the scales of a JPEG are no means
        return True
    height, width = small.shape[1:]
    times = next(n for n in (2, 4, 8) if -(-whole.shape[1] // n) == height)
    rows, columns = height * times - whole.shape[1], width * times - whole.shape[2]
    # The last blocks are filled up with what is at the edge; the last of a turned one may be first.
    for left, top in itertools.product((0, columns), (0, rows)):
        edges = (left, columns - left, top, rows - top)
        mean = avg_pool2d(pad(whole[None].float(), edges, mode="replicate"), times)[0]
        if float((small - mean).abs().mean()) < 5:
            return True
    return False


@contextmanager
def foreign():
    before = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = 1, True
        yield
        assert (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES) == (1, True)
    Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = before, False


def main(folder, seed, start, count):
    for file in corpus(int(count), int(seed), int(start)):
        path = Path(folder, file.name)
        path.write_bytes(file.data)
        print(json.dumps({"begun": file.name}), flush=True)
        began = time.process_time()
        whole, faults = faults_of(path, file)
        if time.process_time() - began > SECONDS:
            faults.append("seconds")
        with foreign():
            again, more = faults_of(path, file)
        if more != faults or good(again) != good(whole) or digest(again) != digest(whole):
            faults.append("settings of others")
        if file.how == "sound" and not good(whole):
            faults.append("refused")
        path.unlink()
        found = {"name": file.name, "kind": file.kind, "how": file.how, "digest": digest(whole)}
        said = None if good(whole) else whole
        print(json.dumps(found | {"said": said, "faults": faults}), flush=True)
    # Not ru_maxrss, which a process has from the one that started it.
    status = Path("/proc/self/status").read_text()
    peak = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024
    print(json.dumps({"peak": round(peak)}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
