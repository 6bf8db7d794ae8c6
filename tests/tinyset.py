"""A set of pictures that a small net can learn in seconds, and configs for it."""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import Future
from pathlib import Path
from unittest import mock

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from PIL import Image

from forked import Forked
from processes import until
from regard.data.manifest import manifest_from_rows
from regard.runs.run import load_run
from regard.studies import pool
from regard.training.config import changed, parse_config
from regard.training.loop import Trainer
from regard.training.train import resume, train

COUNTS = {"train": 24, "val": 12, "test": 12}
REGARD = [sys.executable, "-m", "regard"]


class SilentStudy:
    """A study's watcher that says nothing."""

    def made(self, done, total): ...
    def epochs(self, done, total): ...
    def finished(self, row): ...
    def averaged(self, done, total): ...
    def benched(self, done, total): ...


def in_this_process(monkeypatch):
    """Run the arms here, one after the other, so that no process has to start."""

    class Pool:
        def __init__(self, *_, **__):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def shutdown(self, **_):
            pass

        def submit(self, work, *args):
            future = Future()
            future.set_result(work(*args))
            return future

    monkeypatch.setattr(pool, "ProcessPoolExecutor", Pool)


def write_set(folder, *, counts=COUNTS, side=32, every=3, regions=True, classes=("fern", "moss")):
    """Noise with a spot of the class's colour; two thirds of class 0; some regions missing.

    Every `every`-th image has no region.
    """
    rows, generator = [], np.random.default_rng(7)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for split, count in counts.items():
        for number in range(count):
            label = number % 3 % len(classes)
            pixels, mask = _picture(generator, side, label)
            name = f"images/{split}-{number:02d}.png"
            Image.fromarray(pixels).save(folder / name)
            row = {"image": name, "label": classes[label], "split": split, "region": None}
            if regions and number % every:
                row["region"] = name.replace(".png", "-region.png")
                Image.fromarray(mask).save(folder / row["region"])
            rows.append(row)
    schema = dict.fromkeys(("image", "label", "split", "region"), pl.String)
    table = pl.DataFrame(rows, schema=schema)
    table.write_parquet(folder / "manifest.parquet")
    return folder / "manifest.parquet"


def _picture(generator, side, label):
    pixels = generator.integers(0, 90, (side, side, 3), dtype=np.uint8)
    mask = np.zeros((side, side), np.uint8)
    edge = side // 3
    row, column = generator.integers(0, side - edge, 2)
    place = np.s_[row : row + edge, column : column + edge]
    pixels[(*place, label)] = 230
    mask[place] = 255
    return pixels, mask


BASE = {
    "data": {"manifest": "manifest.parquet", "size": 32},
    "model": {
        "spec": "regard:cnn2",
        "options": {"pool": "avg", "width": 4, "size": 32, "dropout": 0.0},
    },
    "training": {"epochs": 2, "batch_size": 8, "threads": 1, "device": "cpu"},
}


TWIN = {
    **BASE,
    "data": {**BASE["data"], "views": ["image", "segmented"]},
    "model": {
        "spec": "regard:twin_crossvit",
        "options": {"size": 32, "patch": 8, "width": 16, "depth": 2, "heads": 2},
    },
    "gaze": {"method": "rollout", "train_sample": 4},
}


def write_pairs(folder):
    """The set, with the spot alone on black beside each picture."""
    write_set(folder, every=100)
    table = pl.read_parquet(folder / "manifest.parquet")
    for image in table["image"]:
        pixels = np.asarray(Image.open(folder / image))
        spot = pixels.max(2, keepdims=True) == 230
        Image.fromarray(pixels * spot).save(folder / image.replace(".png", "-cut.png"))
    cut = pl.col("image").str.replace(".png", "-cut.png", literal=True).alias("segmented")
    table.with_columns(cut).write_parquet(folder / "manifest.parquet")
    return folder / "manifest.parquet"


def config_of(*changes, base=BASE):
    """A config with changes such as `training.epochs=1`."""
    return parse_config(changed(base, changes), "test")


def write_config(folder, *changes, name="config.yaml", base=BASE):
    path = folder / name
    path.write_text(yaml.safe_dump(changed(base, changes)))
    return path


def run_regard(*words, cwd=None, timeout=300):
    """`regard WORDS` in a process of its own."""
    words = [*REGARD, *map(str, words)]
    told = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with Forked(words, cwd=cwd, env=environment(), **told) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def environment():
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "default"}


def start_until(words, log, step, number=signal.SIGKILL, *, timeout=300):
    """Start `regard WORDS` and signal its process group once the log shows a step."""
    with Forked(
        [*REGARD, *map(str, words)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        until(lambda: steps_in(log) >= step, process, timeout)
        os.killpg(process.pid, number)
        out, err = process.communicate(timeout=timeout)
    return process.returncode, out, err


def steps_in(log):
    """The last step in a log that is being written."""
    lines = log.read_text().splitlines() if log.is_file() else []
    steps = [json.loads(line)["step"] for line in lines[-4:-1] if '"kind": "step"' in line]
    return max(steps, default=0)


def log_lines(run, without=("seconds",)):
    """The lines of a run's log, without times and without notes of damage."""
    lines = [json.loads(line) for line in (Path(run) / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in without} for line in lines]


def same_tensors(a, b):
    """Whether two mappings hold the same tensors, bit for bit."""
    return a.keys() == b.keys() and all(
        a[k].dtype == b[k].dtype
        and torch.equal(a[k].reshape(-1).view(torch.uint8), b[k].reshape(-1).view(torch.uint8))
        if a[k].ndim
        else torch.equal(a[k], b[k])
        for k in a
    )


def killed_and_resumed(config, out, folder, *, step):
    """Train into `out`, broken off before that step right after a save, and go on; the run."""

    class KilledError(Exception):
        pass

    taken, own = 0, Trainer._step

    def stepped(trainer, batch):
        nonlocal taken
        taken += 1
        if taken == step:
            trainer.save()
            raise KilledError
        own(trainer, batch)

    with mock.patch.object(Trainer, "_step", stepped), pytest.raises(KilledError):
        train(config, out, folder=folder)
    resume(out)
    return load_run(out, "last")


BY_ID = ["void", "ground", "box", None, "box"]
SEGMENTER = {
    "data": {"manifest": "manifest.parquet", "size": [32, 48], "val_from_train": 0.25},
    "model": {
        "spec": "regard:fpn",
        "options": {"encoder": "test_efficientnet", "width": 16},
    },
    "training": {
        "epochs": 3, "batch_size": 4, "threads": 1, "device": "cpu", "best": "val.mean_iou",
        "optimiser": {"lr": 0.003},
    },
}  # fmt: skip


def write_masks(folder, *, count=12, size=(40, 60), ids=(2, 4)):
    """Bright boxes on noise; a strip of void along the left."""
    generator, rows = np.random.default_rng(5), []
    for number in range(count):
        height, width = size
        pixels = generator.integers(0, 90, (height, width, 3), dtype=np.uint8)
        mask = np.ones((height, width), np.uint8)
        top, left = generator.integers(0, height - 20), generator.integers(8, width - 20)
        pixels[top : top + 20, left : left + 20] = (220, 60, 60)
        mask[top : top + 20, left : left + 20] = ids[number % len(ids)]
        mask[:, :4] = 0
        Image.fromarray(pixels).save(folder / f"{number}.png")
        Image.fromarray(mask).save(folder / f"{number}-mask.png")
        split = "test" if number % 4 == 3 else "train"
        rows.append(
            {"image": f"{number}.png", "mask": f"{number}-mask.png", "split": split,
             "mask_classes": BY_ID}
        )  # fmt: skip
    pl.DataFrame(rows).write_parquet(folder / "manifest.parquet")
    return folder


COLOURS = ("berry", "fern", "sky")
SETS = {
    **BASE,
    "training": {**BASE["training"], "best": "val.map", "optimiser": {"lr": 0.01}},
}


def write_sets(folder, *, counts=COUNTS, side=32, boxes=True, classes=COLOURS):
    """Noise with a spot of each class's colour; every eighth image has none, and no label."""
    rows, generator = [], np.random.default_rng(11)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for split, count in counts.items():
        for number in range(count):
            own = [k for k in range(len(classes)) if (number % 8) >> k & 1]
            pixels = generator.integers(0, 90, (side, side, 3), dtype=np.uint8)
            places = []
            for k in own:
                row, column = generator.integers(0, side - 8, 2).tolist()
                pixels[row : row + 8, column : column + 8, k] = 230
                places.append([column, row, column + 8, row + 8])
            name = f"images/{split}-{number:02d}.png"
            Image.fromarray(pixels).save(folder / name)
            labels = [classes[k] for k in own]
            found = {"boxes": places, "box_labels": labels} if boxes and own else {}
            rows.append({"image": name, "labels": labels, "split": split, **found})
    manifest_from_rows(rows, folder).write(folder / "manifest.parquet")
    return folder / "manifest.parquet"
