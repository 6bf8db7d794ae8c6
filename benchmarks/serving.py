"""What `regard serve` answers, how fast, with how much memory: through HTTP, as its own process.

    python benchmarks/serving.py [--seconds 60] [--clients 20] [--rows 20000]

Three figures: a filter over 20,000 images; an image that is dropped on the page; and so many
clients for so long, with a mix of what the page asks for. It trains a net for one epoch first.
"""

import argparse
import io
import json
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

LABELS = [f"class {number:02d}" for number in range(20)]
IMAGES, SIDE = 120, 320
METHODS = ("gradcam", "layercam", "eigencam")


def main() -> None:
    asked = arguments()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        net(folder, asked.spec)
        large(folder, asked.rows)
        with Server(folder) as server:
            filters(server, asked.rows)
            drops(server)
            crowd(server, asked.clients, asked.seconds)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--spec", default="timm:tf_efficientnet_lite0")
    return parser.parse_args()


class Server:
    """`regard serve` at a free port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> "Server":
        words = [sys.executable, "-m", "regard", "serve", str(self._folder), "--port", "0"]
        environment = os.environ | {"XDG_CACHE_HOME": str(self._folder / "cache")}
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment)
        assert self._process.stdout is not None
        found = re.search(r"http://\S+/", self._process.stdout.readline())
        assert found is not None
        self.address = found[0]
        return self

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        self._process.wait(30)

    def ask(self, path: str, body: bytes | None = None, **asked: object) -> tuple[int, bytes]:
        """Status and content."""
        address = f"{self.address}api/{path}?{urllib.parse.urlencode(asked)}"
        headers = {} if body is None else {"Content-Type": "image/jpeg"}
        request = urllib.request.Request(address, body, headers)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def timed(self, path: str, body: bytes | None = None, **asked: object) -> float:
        """Seconds until it has answered; anything but 200 ends the benchmark."""
        began = time.perf_counter()
        status, content = self.ask(path, body, **asked)
        assert status == 200, content[:300]
        return time.perf_counter() - began

    def megabytes(self) -> float:
        """Memory that the process holds now."""
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 2**20


def photo(generator: np.random.Generator, side: int = SIDE) -> bytes:
    coarse = generator.integers(0, 255, (side // 16, side // 16, 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=88)
    return file.getvalue()


def net(folder: Path, spec: str) -> None:
    """A run that was trained for one epoch and evaluated."""
    from regard.evaluation.settings import Gaze
    from regard.runs.evaluate import evaluate_run
    from regard.runs.run import load_run
    from regard.training.config import parse_config
    from regard.training.train import train

    generator, rows = np.random.default_rng(0), []
    (folder / "photos").mkdir()
    for number in range(IMAGES):
        name = f"photos/{number:03d}.jpg"
        (folder / name).write_bytes(photo(generator))
        split = ("train", "val", "test", "test")[number % 4]
        rows.append({"image": name, "label": LABELS[number // 4 % 2], "split": split,
                     "boxes": [[40.0, 40.0, 200.0, 200.0]]})  # fmt: skip
    pl.DataFrame(rows).write_parquet(folder / "photos.parquet")
    config = {
        "data": {"manifest": "photos.parquet", "size": 224},
        "model": {"spec": spec},
        "training": {"epochs": 1, "batch_size": 16},
    }
    train(parse_config(config, "benchmark"), folder / "run", folder=folder)
    run = load_run(folder / "run")
    evaluate_run(run, "test", gaze=[Gaze.model_validate(run.config["gaze"])])


def large(folder: Path, rows: int) -> None:
    """The same run with tables of so many images, whose files are not there; twice, to compare."""
    import shutil

    generator = np.random.default_rng(1)
    labels = generator.integers(0, len(LABELS), rows)
    images = [f"photos/of a large set/{number:06d}.jpg" for number in range(rows)]
    names = [LABELS[k] for k in labels]
    pl.DataFrame({
        "image": images, "label": names, "split": ["test"] * rows,
        "boxes": [[[1.0, 2.0, 30.0, 40.0]]] * rows,
    }).write_parquet(folder / "large.parquet")  # fmt: skip
    for run in ("large", "large-other"):
        (folder / run).mkdir()
        for name in ("config.yaml", "log.jsonl", "environment.json"):
            shutil.copy(folder / "run" / name, folder / run / name)
        text = (folder / run / "config.yaml").read_text()
        (folder / run / "config.yaml").write_text(text.replace("photos.parquet", "large.parquet"))
        shares = generator.dirichlet(np.full(len(LABELS), 0.3), rows)
        predicted = [LABELS[k] for k in shares.argmax(1)]
        own = pl.DataFrame({
            "index": np.arange(rows), "image": images, "label": names, "predicted": predicted,
            "correct": [a == b for a, b in zip(names, predicted, strict=True)],
            **{f"probability:{name}": shares[:, k] for k, name in enumerate(LABELS)},
        })  # fmt: skip
        scores = own.select("index", "image", "label", "predicted", "correct").with_columns(
            method=pl.lit("gradcam"), area=pl.lit(0.1), dead=pl.lit(False),
            **{s: pl.Series(generator.random(rows)) for s in ("energy", "iou", "pointing")},
        )  # fmt: skip
        for kind, table in (("predictions", own), ("scores", scores)):
            (folder / run / kind).mkdir()
            table.write_parquet(folder / run / kind / "test.parquet")


def filters(server: Server, rows: int) -> None:
    asked = {"run": "large", "split": "test", "limit": 60}
    questions: list[dict[str, object]] = [
        {},
        {"label": LABELS[3]},
        {"right": "wrong", "sort": "probability", "order": "desc"},
        {"score": "energy", "low": 0.2, "high": 0.4, "sort": "iou"},
        {"offset": rows - 60},
        {"other": "large-other", "outcome": "gained", "sort": "energy_change"},
    ]
    first, other = (server.timed("gallery", **asked | q) for q in (questions[0], questions[-1]))
    again = [server.timed("gallery", **asked | q) for q in questions for _ in range(10)]
    print(
        f"a filter over {rows:,} images: median {ms(np.median(again))}, slowest {ms(max(again))}; "
        f"the first {ms(first)}, the first with another run {ms(other)}"
    )


def ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms"


def drops(server: Server) -> None:
    generator = np.random.default_rng(2)
    took = [server.timed("upload", photo(generator, 1600), run="run") for _ in range(6)]
    told = server.ask("upload", photo(generator, 1600), run="run")[1]
    print(
        f"an image of 1600 x 1600 dropped: {ms(np.median(took[1:]))}, in the server "
        f"{ms(json.loads(told)['seconds'])}; the first, which loads the net, {ms(took[0])}"
    )


def crowd(server: Server, clients: int, seconds: float) -> None:
    """Each client asks as a page does: a gallery, its pictures, an image and its map."""
    took: dict[str, list[float]] = {}
    statuses: Counter[int] = Counter()
    lock, end = threading.Lock(), time.monotonic() + seconds
    table = json.loads(server.ask("gallery", run="run", split="test", limit=200)[1])
    indices = [item["index"] for item in table["items"]]
    before = server.megabytes()
    most = [before]

    def one(number: int) -> None:
        drawn = random.Random(number)
        while time.monotonic() < end:
            image = {"run": "run", "split": "test", "index": drawn.choice(indices)}
            steps: list[tuple[str, dict[str, object]]] = [
                ("overview", {}),
                ("gallery", {"run": "large", "split": "test", "label": drawn.choice(LABELS)}),
                *(
                    ("picture", image | {"index": k, "width": 256})
                    for k in drawn.sample(indices, 6)
                ),
                ("image", image),
                ("map", image | {"method": drawn.choice(METHODS)}),
                ("region", image),
                ("curves", {"run": "run"}),
            ]
            for path, asked in steps:
                began = time.perf_counter()
                status, _ = server.ask(path, **asked)
                with lock:
                    statuses[status] += 1
                    took.setdefault(path, []).append(time.perf_counter() - began)
            with lock:
                most.append(server.megabytes())

    threads = [threading.Thread(target=one, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    every = np.concatenate([*map(np.array, took.values())])
    print(
        f"{clients} clients for {seconds:g} s: {len(every):,} answers, "
        f"{len(every) / seconds:.0f} a second, statuses {dict(statuses)}"
    )
    tails = ", ".join(f"{name} {ms(np.quantile(own, 0.95))}" for name, own in took.items())
    print(f"  median {ms(np.median(every))}, p95 {ms(np.quantile(every, 0.95))}: {tails}")
    after = server.megabytes()
    print(f"  memory {before:.0f} MB before, {max(most):.0f} at the most, {after:.0f} after")


if __name__ == "__main__":
    main()
