"""The queue of nets: bounded, shared by equals, and not for those who have gone."""

import io
import socket
import threading
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image
from server_tools import listening, refusal, serving

from regard.runs.explained import explain_image
from regard.server.line import Line
from regard.server.looking import Asked
from regard.server.refusals import BusyError

IMAGE = {"run": "runs/one", "split": "test", "index": 37}


class Gate:
    """Work that waits until it is let go, and counts."""

    def __init__(self):
        self.begun, self.open, self.ran = threading.Event(), threading.Event(), []

    def work(self, name):
        def run():
            self.ran.append(name)
            self.begun.set()
            assert self.open.wait(20)
            return name

        return run


@pytest.fixture
def line():
    line = Line(2)
    yield line
    line.stop()


def test_more_than_may_wait_are_refused_and_equals_join(line):
    gate = Gate()
    first = line.join("a", gate.work("a"))
    assert gate.begun.wait(20)
    others = [line.join(key, gate.work(key)) for key in ("b", "c")]
    with pytest.raises(BusyError, match="at most 2"):
        line.join("d", gate.work("d"))
    again = [line.join(key, gate.work("again")) for key in ("a", "b")]
    gate.open.set()
    assert [future.result(20) for future in (first, *others, *again)] == ["a", "b", "c", "a", "b"]
    assert gate.ran == ["a", "b", "c"]


def test_what_nobody_waits_for_is_not_worked_at(line):
    gate = Gate()
    line.join("a", gate.work("a"))
    assert gate.begun.wait(20)
    gone, stays = line.join("b", gate.work("b")), line.join("b", gate.work("b"))
    alone = line.join("c", gate.work("c"))
    line.leave("b", gone)
    line.leave("c", alone)
    last = line.join("d", gate.work("d"))
    gate.open.set()
    assert (stays.result(20), last.result(20)) == ("b", "d")
    assert gate.ran == ["a", "b", "d"]


def test_a_failure_reaches_all_who_wait_and_the_queue_goes_on(line):
    gate = Gate()

    def fail():
        gate.work("a")()
        raise ValueError("no")

    futures = [line.join("a", fail), line.join("a", fail)]
    gate.open.set()
    for future in futures:
        with pytest.raises(ValueError, match="no"):
            future.result(20)
    assert line.join("b", lambda: 3).result(20) == 3


def test_a_stop_drops_what_waits(line):
    gate = Gate()
    first = line.join("a", gate.work("a"))
    assert gate.begun.wait(20)
    waiting = line.join("b", gate.work("b"))
    threading.Timer(0.05, gate.open.set).start()
    line.stop()
    assert first.result(20) == "a"
    assert waiting.cancelled()
    with pytest.raises(BusyError):
        line.join("c", gate.work("c"))


def test_a_full_queue_answers_429_and_says_when_to_ask_again(own_folder, tmp_path, monkeypatch):
    gate = Gate()

    def waits(*args, **kwargs):
        gate.work("look")()
        return explain_image(*args, **kwargs)

    monkeypatch.setattr("regard.server.looking.explain_image", waits)
    with serving(own_folder, tmp_path / "cache", queue=1) as client, ThreadPoolExecutor(3) as pool:

        def ask(index):
            return client.get("/api/map", params=IMAGE | {"index": index})

        first = pool.submit(ask, 37)
        assert gate.begun.wait(20)
        second = pool.submit(ask, 38)
        while not client.service.line.waiting:
            threading.Event().wait(0.01)
        refused = ask(39)
        assert refusal(refused)[0] == 429
        assert int(refused.headers["Retry-After"]) > 0
        # What needs no net is answered all the while.
        assert client.get("/api/overview").status_code == 200
        gate.open.set()
        assert [first.result().status_code, second.result().status_code] == [200, 200]


def test_a_client_that_went_away_is_not_computed_for(own_folder, tmp_path, monkeypatch):
    gate, looked = Gate(), []

    def waits(run, image, *args, **kwargs):
        looked.append(str(image)[-6:-4])
        gate.work("look")()
        return explain_image(run, image, *args, **kwargs)

    monkeypatch.setattr("regard.server.looking.explain_image", waits)
    with listening(own_folder, tmp_path / "cache") as http, ThreadPoolExecutor(2) as pool:
        first = pool.submit(http.get, "/api/map", params=IMAGE)
        assert gate.begun.wait(20)
        line = http.service.line
        query = urllib.parse.urlencode(IMAGE | {"index": 38})
        with socket.create_connection(("127.0.0.1", http.port)) as other:
            other.sendall(f"GET /api/map?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            while not line.waiting:
                threading.Event().wait(0.01)
        while line.waiting:  # it has hung up
            threading.Event().wait(0.01)
        gate.open.set()
        assert first.result().status_code == 200
        assert http.get("/api/map", params=IMAGE | {"index": 39}).status_code == 200
    assert looked == ["01", "03"]


def test_a_hundred_requests_at_once_are_all_answered(own_folder, tmp_path, monkeypatch):
    """Galleries, photos, maps and answers, by eight clients, none of them twice computed."""
    asked, worked, work = [], [], Asked.work
    monkeypatch.setattr(Asked, "work", lambda own, run: worked.append(own.key) or work(own, run))
    for number in range(110):
        image = IMAGE | {"index": 36 + number % 12}
        path = ("picture", "map", "image", "region", "gallery", "overview")[number % 6]
        asked.append((f"/api/{path}", image | {"width": 64 + number % 3}))
    with listening(own_folder, tmp_path / "cache") as http:
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda a: http.get(a[0], params=a[1]), asked))
        assert {answer.status_code for answer in answers} == {200}
        images = {a["index"] for path, a in asked if path == "/api/map"}
        assert http.service.line.done <= len(images)
    for answer in answers:
        if answer.headers["content-type"].startswith("image/"):
            Image.open(io.BytesIO(answer.content)).verify()
