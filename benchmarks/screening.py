"""Screening from disk against the bare forward pass with its images in memory, and what it holds.

    python benchmarks/screening.py SMEARS.parquet [--crops 200000] [--side 64] [--input 128]

SMEARS.parquet is a manifest with boxes and box_labels (`regard data import voc`). Crops are cut
from its boxes into a tar, each flipped, turned and shifted anew, as many as are asked for. Two
races in this process, alternating: so many crops end to end, and as many forward passes over a
batch in memory. Then the whole tar, with the memory of the process by the way. `--engine ray`
screens the whole tar once more on Ray (`--workers` processes), and tells the share of the speeds.
"""

import argparse
import io
import tarfile
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from regard.data.manifest import read_manifest
from regard.images.decoding import decode
from regard.importers.crops import frame
from regard.runs.run import load_run
from regard.screening.operator import operator_of
from regard.screening.screen import BATCH, screen
from regard.screening.sources import Members, open_source
from regard.training.config import parse_config
from regard.training.train import train

NET = "timm:tf_efficientnet_lite0"


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--crops", type=int, default=200_000)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--input", type=int, default=128)
    parser.add_argument("--race", type=int, default=2048, help="Crops of one turn.")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--engine", choices=("local", "ray"), default="local")
    parser.add_argument("--workers", type=int, help="Processes of Ray.")
    parser.add_argument("--folder", type=Path, help="Keeps the tar; default: a temporary one.")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        tar = folder / f"crops-{args.crops}-{args.side}.tar"
        if not tar.is_file():
            _write_tar(args.manifest, tar, args.crops, args.side)
        run = load_run(_trained(args.manifest, folder / "run", args.input))
        source = open_source(tar)
        assert isinstance(source, Members)
        device = torch.device(args.device)
        few = Members(tar, source.names[: args.race], places=source.places[: args.race])
        operator = operator_of(run, device, bf16=args.bf16)
        rng = torch.Generator().manual_seed(0)
        size = (3, args.input, args.input)
        held = [torch.randint(0, 256, size, dtype=torch.uint8, generator=rng) for _ in range(BATCH)]
        bare, whole = [], []
        for turn in range(args.rounds + 1):
            begun = time.perf_counter()
            for _ in range(args.race // BATCH):
                operator(held)
            between = time.perf_counter()
            screen(run, few, folder / f"race-{time.time_ns()}", device=args.device, bf16=args.bf16)
            if turn:
                bare.append((args.race // BATCH * BATCH) / (between - begun))
                whole.append(args.race / (time.perf_counter() - between))
        shares = np.array(whole) / np.array(bare)
        print(f"bare forward {np.median(bare):.0f} images/s, screening {np.median(whole):.0f}/s")
        print(f"share {np.median(shares):.3f} ({min(shares):.3f} to {max(shares):.3f})")
        begun = time.perf_counter()
        seen: list[tuple[int, float]] = []

        def watch(stage: str, done: int, total: int) -> None:
            if stage == "images" and done % 20480 < BATCH:
                seen.append((done, _resident_mb()))

        screen(run, source, folder / f"whole-{time.time_ns()}", device=args.device, bf16=args.bf16,
               progress=watch)  # fmt: skip
        taken = time.perf_counter() - begun
        print(f"{len(source.names):,} crops in {taken:.0f} s, {len(source.names) / taken:.0f}/s")
        print("memory, MB: " + ", ".join(f"{done:,}: {mb:.0f}" for done, mb in seen))
        if args.engine == "ray":
            begun = time.perf_counter()
            screen(run, source, folder / f"ray-{time.time_ns()}", device=args.device,
                   bf16=args.bf16, engine="ray", workers=args.workers)  # fmt: skip
            on_ray = time.perf_counter() - begun
            print(f"on Ray {len(source.names) / on_ray:.0f}/s, share {taken / on_ray:.3f}")


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def _write_tar(manifest: Path, path: Path, count: int, side: int) -> None:
    opened = read_manifest(manifest)
    rows = opened.table.select("image", "boxes").iter_rows()
    cells = [(opened.resolve(image), box) for image, boxes in rows for box in boxes or ()
             if box[2] > box[0] and box[3] > box[1]]  # fmt: skip
    rng = np.random.default_rng(0)
    partial = path.with_suffix(".partial")
    films: dict[str, np.ndarray] = {}
    with tarfile.open(partial, "w") as tar:
        for number in range(count):
            image, box = cells[number % len(cells)]
            if image not in films:
                films[image] = decode(image).permute(1, 2, 0).numpy()
            film = films[image]
            shift = tuple(rng.uniform(-0.2, 0.2, 2))
            left, top, right, bottom = frame(tuple(box), 1.5, shift, film.shape[:2])
            cut = np.rot90(film[top:bottom, left:right], int(rng.integers(4)))
            cut = cut[:, ::-1] if rng.integers(2) else cut
            crop = Image.fromarray(np.ascontiguousarray(cut)).resize((side, side))
            buffer = io.BytesIO()
            crop.save(buffer, "JPEG", quality=92)
            info = tarfile.TarInfo(f"{number // 1000:04d}/{number:07d}.jpg")
            info.size = buffer.tell()
            buffer.seek(0)
            tar.addfile(info, buffer)
    partial.rename(path)


def _trained(manifest: Path, folder: Path, size: int) -> Path:
    """A run of the net; how well it learned does not matter here."""
    if not (folder / "config.yaml").is_file():
        from regard.importers.crops import import_crops

        cells = import_crops(manifest, root=folder.parent, size=size, most=40)
        cells.write(folder.parent / "cells.parquet")
        config = parse_config(
            {"data": {"manifest": "cells.parquet", "size": size, "split": "70/15/15"},
             "model": {"spec": NET, "weights": "bundled"},
             "training": {"epochs": 1}, "gaze": {"train_sample": 0}},
            "benchmark",
        )  # fmt: skip
        train(config, folder, folder=folder.parent)
    return folder


if __name__ == "__main__":
    main()
