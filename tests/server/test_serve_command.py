"""`regard serve` as a command: its address, its refusals, its end."""

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import zipfile

import httpx2
import pytest
import uvicorn

from forked import Forked
from regard.errors import ConfigError
from regard.server.app import make_app
from regard.server.page import STATIC
from regard.server.patience import Patient
from regard.server.service import Service
from regard.server.serving import _how, _listening, serve
from tinyset import REGARD, environment, run_regard


@pytest.fixture
def started(whole_folder, tmp_path):
    """Start a server at a free port; its process and address."""
    processes = []

    def start(*words):
        process = Forked(
            [*REGARD, "serve", str(whole_folder), "--port", "0", *words],
            env=environment() | {"XDG_CACHE_HOME": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://\S+/", line)
        assert found, line + process.communicate(timeout=20)[1]
        return process, found[0]

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=20)


def test_it_prints_its_address_answers_and_ends_at_ctrl_c(started):
    process, address = started()
    assert "127.0.0.1" in address
    assert httpx2.get(address).status_code == 200
    assert len(httpx2.get(f"{address}api/overview").json()["runs"]) == 4
    image = {"run": "runs/one", "split": "test", "index": 37}
    assert httpx2.get(f"{address}api/map", params=image, timeout=60).status_code == 200
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "Stopped" in out
    assert "Traceback" not in err


def test_ctrl_c_ends_it_while_a_client_holds_on(started):
    process, address = started()
    port = int(address.rpartition(":")[2].strip("/"))
    with socket.create_connection(("127.0.0.1", port)) as held:
        held.sendall(b"POST /api/upload?run=runs/one HTTP/1.1\r\nHost: localhost\r\n"
                     b"Content-Type: image/png\r\nContent-Length: 99\r\n\r\n")  # fmt: skip
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err


EARLY = """
import signal, sys
from pathlib import Path
from regard.server.serving import serve

def say(text):
    print(text)
    if text.startswith("Serving"):
        signal.raise_signal(signal.SIGINT)  # raises nothing, wherever it comes

before = signal.getsignal(signal.SIGINT)
serve(Path(sys.argv[1]), port=0, say=say)
assert signal.getsignal(signal.SIGINT) is before
"""


def test_a_signal_that_comes_before_it_runs_is_not_lost(whole_folder, tmp_path):
    script = tmp_path / "early.py"
    script.write_text(EARLY)
    with Forked(
        [sys.executable, script, whole_folder], env=environment() | {"PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out.splitlines()[-1] == "Stopped."


def test_a_token_opens_it(started):
    _, address = started("--token", "a long enough one")
    assert httpx2.get(address).status_code == 401
    with httpx2.Client(base_url=address) as client:
        client.get("/", params={"token": "a long enough one"})
        assert client.get("/api/overview").status_code == 200


def test_a_port_that_is_taken_is_refused(whole_folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match="a port that is taken; choose another --port"):
            serve(whole_folder, port=port)


@pytest.mark.parametrize(
    ("host", "token", "part"),
    [
        ("0.0.0.0", None, "add --token"),
        ("0.0.0.0", "short", "8 characters or more"),
        ("192.0.2.1", "a long enough one", "--host 192.0.2.1"),
    ],
)
def test_what_cannot_be_served_is_refused(whole_folder, host, token, part):
    with pytest.raises(ConfigError, match=part):
        serve(whole_folder, host, 0, token)


def test_a_folder_that_is_not_there_is_one_line(tmp_path):
    done = run_regard("serve", tmp_path / "none")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "no such folder" in done.stderr


def test_without_the_extra_it_says_what_to_install(whole_folder, tmp_path):
    """As where uvicorn is not installed."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['uvicorn'] = None\n")
    done = subprocess.run(
        [*REGARD, "serve", str(whole_folder)],
        env=environment() | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "pip install 'regard[web]'" in done.stderr


def test_the_help_loads_nothing_of_it():
    code = (
        "import sys\nsys.argv = ['regard', '--help']\nfrom regard.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "assert not {'torch', 'starlette', 'uvicorn', 'polars'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "serve" in done.stdout


def test_a_wheel_carries_the_page(tmp_path):
    root = STATIC.parents[3]
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=root, check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in STATIC.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            assert f"regard/server/static/{path.relative_to(STATIC).as_posix()}" in names


def test_connections_on_which_nothing_is_asked_are_closed(whole_folder, monkeypatch):
    """A thousand of them would shut everybody out."""
    monkeypatch.setattr(Patient, "patience", 0.3)
    listener = _listening("127.0.0.1", 0)
    server = uvicorn.Server(_how(make_app(Service.of(whole_folder, None), None)))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        where = listener.getsockname()[:2]
        whole = b"GET /api/overview HTTP/1.1\r\nHost: localhost\r\n\r\n"
        with contextlib.ExitStack() as stack:
            open_ = [stack.enter_context(socket.create_connection(where, 30)) for _ in range(3)]
            _, half, asked = open_
            half.sendall(whole[:20])
            asked.sendall(whole)
            answer = http.client.HTTPResponse(asked)
            answer.begin()
            assert answer.status == 200
            assert answer.read().startswith(b"{")
            asked.sendall(whole[:20])
            for connection in open_:
                while connection.recv(1 << 20):
                    pass  # to its end, which the server makes
    finally:
        server.should_exit = True
        thread.join(60)
