"""`regard serve` under ten minutes of mixed load, with rude clients and a run that goes."""

import io
import os
import random
import re
import resource
import shutil
import signal
import socket
import threading
import time
from collections import Counter
from pathlib import Path
from subprocess import PIPE

import httpx2
import numpy as np
import pytest
from PIL import Image

from forked import Forked
from regard.evaluation.settings import Gaze
from regard.runs.evaluate import evaluate_run
from regard.runs.run import load_run
from regard.training.train import train
from tinyset import REGARD, config_of, environment, write_set

RUNS = ("runs/stays", "runs/goes")
QUICK, SLOW, RUDE = 12, 4, 3
HOST = b"HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /api/upload?run=runs/stays " + HOST + b"Content-Type: image/jpeg\r\nContent-Length: "


@pytest.fixture
def folder(tmp_path):
    write_set(tmp_path / "tiny", counts={"train": 24, "val": 12, "test": 60})
    for number, name in enumerate(RUNS):
        out = tmp_path / name
        train(config_of("training.epochs=1", f"training.seed={number}"), out,
              folder=tmp_path / "tiny")  # fmt: skip
        run = load_run(out)
        evaluate_run(run, "test", gaze=[Gaze.model_validate(run.config["gaze"])])
    return tmp_path


class Served:
    """The command, and what its process holds."""

    def __init__(self, folder):
        self.told = folder / "errors"  # a pipe that nobody reads would be full one day
        with self.told.open("wb") as errors:
            self.process = Forked(
                [*REGARD, "serve", str(folder), "--port", "0"],
                env=environment() | {"XDG_CACHE_HOME": str(folder / "cache")},
                stdout=PIPE, stderr=errors, text=True,
            )  # fmt: skip
        found = re.search(r"http://\S+:(\d+)/", self.process.stdout.readline())
        self.address, self.port = found[0], int(found[1])

    def held(self):
        """Megabytes, open files and threads."""
        own = Path(f"/proc/{self.process.pid}")
        pages = int((own / "statm").read_text().split()[1])
        threads = int(re.search(r"Threads:\s+(\d+)", (own / "status").read_text())[1])
        return pages * resource.getpagesize() / 2**20, len(os.listdir(own / "fd")), threads


def photo(draw):
    pixels = np.random.default_rng(draw.randrange(99)).integers(0, 255, (90, 120, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def questions(draw):
    """A request as the page makes them, of either run."""
    run, at = draw.choice(RUNS), draw.randrange(96)
    test = {"run": run, "split": "test"}
    return draw.choice([
        ("overview", {}),
        ("run", {"run": run}),
        ("gallery", {**test, "sort": draw.choice(["energy", "iou", "probability"]), "limit": 30}),
        ("gallery", {**test, "score": "energy", "low": draw.random() / 2, "offset": 10}),
        ("picture", {**test, "index": at, "size": draw.choice([160, 320])}),
        ("map", {**test, "index": at, "method": draw.choice(["gradcam", "layercam"])}),
        ("region", {**test, "index": at}),
        ("image", {**test, "index": at}),
        ("report", {"run": run}),
        ("map", {**test, "index": 10**9}),
        ("gallery", {"run": "../../etc", "split": "test"}),
    ])  # fmt: skip


@pytest.mark.torture
def test_ten_minutes_of_mixed_load(folder, tally, request):
    lasts, done = float(os.environ.get("REGARD_LOAD_SECONDS", "600")), threading.Event()
    served, told, faults = Served(folder), Counter(), []
    request.addfinalizer(served.process.kill)

    def quick(number):
        draw = random.Random(number)
        with httpx2.Client(base_url=f"{served.address}api/", timeout=120) as http:
            while not done.is_set():
                if draw.random() < 0.05:
                    run = draw.choice(RUNS)
                    answer = http.post("upload", params={"run": run}, content=photo(draw),
                                       headers={"Content-Type": "image/jpeg"})  # fmt: skip
                    name, asked = "upload", {"run": run}
                else:
                    name, asked = questions(draw)
                    answer = http.get(name, params=asked)
                told[answer.status_code] += 1
                if answer.status_code >= 500 and answer.status_code != 503:
                    faults.append((name, asked, answer.text[:300]))

    def slow(number):
        """A byte a second, of a request that never ends."""
        while not done.is_set():
            with socket.create_connection(("127.0.0.1", served.port)) as line:
                try:
                    line.sendall(POST + b"9999\r\n\r\n")
                    while not done.wait(1):
                        line.sendall(b"x")
                except OSError:
                    told["slow client put out"] += 1

    def rude(number):
        """Uploads broken off, requests hung up on before they are answered, nonsense."""
        draw = random.Random(f"rude {number}")
        body = photo(draw)
        while not done.wait(0.05):
            said = draw.choice([
                POST + b"%d\r\n\r\n" % len(body) + body[:700],
                b"GET /api/map?run=runs/stays&split=test&index=40 " + HOST + b"\r\n",
                bytes(draw.randrange(256) for _ in range(200)),
                b"GET /" + b"a" * 90_000 + b" HTTP/1.1\r\n\r\n",
            ])  # fmt: skip
            with socket.create_connection(("127.0.0.1", served.port)) as line:
                try:
                    line.sendall(said)
                except OSError:
                    pass
                told["hung up"] += 1

    clients = [
        threading.Thread(target=client, args=[number], daemon=True)
        for client, many in ((quick, QUICK), (slow, SLOW), (rude, RUDE))
        for number in range(many)
    ]
    begun = time.monotonic()
    for client in clients:
        client.start()
    done.wait(lasts / 4)
    early = served.held()
    done.wait(lasts / 4)
    shutil.rmtree(folder / RUNS[1])
    done.wait(max(0.0, begun + lasts - time.monotonic()))
    late = served.held()
    done.set()
    for client in clients:
        client.join(150)
    assert not any(client.is_alive() for client in clients)
    assert served.process.poll() is None
    with httpx2.Client(base_url=f"{served.address}api/", timeout=60) as http:
        assert [run["id"] for run in http.get("overview").json()["runs"]] == [RUNS[0]]
        gone = http.get("gallery", params={"run": RUNS[1], "split": "test"})
        assert gone.status_code == 404
        asked = {"run": RUNS[0], "split": "test", "index": 40}
        assert http.get("map", params=asked).status_code == 200
    served.process.send_signal(signal.SIGINT)
    served.process.communicate(timeout=60)
    err = served.told.read_text()
    assert served.process.returncode == 0, err[-3000:]
    assert "Traceback" not in err
    assert len(err) < 10_000, err[-3000:]
    print(dict(told), early, late)
    assert faults == []
    assert told[200] > 0
    assert late[0] < 1.1 * early[0] + 20
    assert late[1] < early[1] + 40
    assert late[2] <= early[2] + 4
    count = sum(told.values())
    tally("server: requests of mixed load", count, count - len(faults))
