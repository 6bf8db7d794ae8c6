"""Regard's loader beside torchvision's ImageFolder and torch's DataLoader.

    python benchmarks/loading.py PHOTOS [--sheets 32] [--crops 4096] [--workers 0 2] [--rounds 5]

PHOTOS is a folder of images. Of them sheets of 12 megapixels are made (enlarged, with grain, lest
they be easy to decode) and crops of 64 px, all JPEG, in folders by class. Contestants take turns:
an epoch from the files to normalised batches in float32, at 224 px from sheets and at 64 px from
crops. torchvision: Resize with antialiasing, ToTensor, Normalize, on PIL images. Nothing is held in
memory by either but what the system caches of the files. Processes are started before the first
round, which is not timed.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from regard.data.loader import Loader
from regard.data.samples import Samples
from regard.data.settings import Data
from regard.data.source import samples_of
from regard.data.transforms import Transform
from regard.importers.folder import import_folder

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SHEET = (3000, 4000)
Epoch = Callable[[], int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--sheets", type=int, default=32)
    parser.add_argument("--crops", type=int, default=4096)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2])
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        photos = sorted(p for p in args.photos.rglob("*") if p.suffix.lower() in (".jpg", ".png"))
        rng = np.random.default_rng(0)
        for number in range(args.sheets):
            _write(_sheet(photos[number % len(photos)], rng), folder / "sheets", number)
        for number in range(args.crops):
            _write(_crop(photos[number % len(photos)], rng), folder / "crops", number)
        for kind, side, batch in (("sheets", 224, 8), ("crops", 64, 64)):
            for workers in args.workers:
                title = f"{kind}, {workers} processes" if workers else f"{kind}, in this process"
                _race(title, folder / kind, side, batch, workers, args.rounds)


def _race(title: str, root: Path, side: int, batch: int, workers: int, rounds: int) -> None:
    ours, close = regards(root, side, batch, workers)
    runs = {"torchvision": torchvisions(root, side, batch, workers), "regard": ours}
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 1):
        for name, run in runs.items():
            begun = time.perf_counter()
            count = run()
            if turn:
                rates[name].append(count / (time.perf_counter() - begun))
    close()
    ratios = [a / b for a, b in zip(rates["regard"], rates["torchvision"], strict=True)]
    shown = ", ".join(f"{name} {statistics.median(own):.1f}/s" for name, own in rates.items())
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    print(f"{title}: {shown}, {statistics.median(ratios):.2f} times ({spread})", flush=True)


def regards(root: Path, side: int, batch: int, workers: int) -> tuple[Epoch, Callable[[], None]]:
    """An epoch of ours, and what ends its processes."""
    manifest = import_folder(root, root=root.parent)
    transform = Transform((side, side), MEAN, STD)
    data = Data.model_validate({"manifest": "sheets.parquet", "size": side})
    manifest = manifest.with_table(manifest.table.with_columns(split=pl.lit("train")))
    samples = samples_of(manifest, "train", ["a", "b"], data)
    loader = Loader(Samples(samples, transform), batch, workers=workers)

    def epoch() -> int:
        return _count(transform.normalise(b.images["image"]) for b in loader.batches())

    return epoch, loader.close


def torchvisions(root: Path, side: int, batch: int, workers: int) -> Epoch:
    """An epoch of torchvision's."""
    steps = [
        transforms.Resize((side, side)),
        transforms.ToTensor(),
        transforms.Normalize(MEAN, STD),
    ]
    data = ImageFolder(root, transforms.Compose(steps))
    loader = DataLoader(
        data,
        batch,
        num_workers=workers,
        persistent_workers=workers > 0,
        multiprocessing_context="spawn" if workers else None,
    )
    return lambda: _count(images for images, _ in loader)


def _count(batches: Iterator[torch.Tensor]) -> int:
    return sum(len(batch) for batch in batches)


def _sheet(photo: Path, rng: np.random.Generator) -> Image.Image:
    large = np.asarray(Image.open(photo).convert("RGB").resize(SHEET), dtype=np.float32)
    grain = rng.normal(0, 6, (*large.shape[:2], 1)).astype(np.float32)
    return Image.fromarray((large + grain).clip(0, 255).astype(np.uint8))


def _crop(photo: Path, rng: np.random.Generator) -> Image.Image:
    image = Image.open(photo).convert("RGB")
    left, top = (int(rng.integers(0, max(1, length - 64))) for length in image.size)
    return image.crop((left, top, left + 64, top + 64))


def _write(image: Image.Image, root: Path, number: int) -> None:
    path = root / "ab"[number % 2] / f"{number:06d}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, quality=90)


if __name__ == "__main__":
    main()
