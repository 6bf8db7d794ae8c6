"""Files are written whole or not at all; JSON knows numbers that are not finite."""

import errno
import json
import math
import os
import resource
import signal
import subprocess
import sys
import threading

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from safetensors.torch import save_file

from regard.errors import RunError
from regard.files.atomic import write_atomically
from regard.runs.files import dump_json, number, read_json, write_csv, write_json, write_yaml
from regard.runs.folder import RunFolder, locked
from regard.runs.log import Log, read_log


def test_no_cell_of_a_csv_is_a_formula(tmp_path):
    hostile = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "fern", "a=b", "", None]
    table = pl.DataFrame({"name": hostile, "value": [-1.5] * len(hostile)})
    write_csv(tmp_path / "a.csv", table)
    read = pl.read_csv(tmp_path / "a.csv")
    wanted = [f"'{text}" for text in hostile[:6]] + ["fern", "a=b"]
    assert read["name"].to_list()[:8] == wanted
    assert read["value"].to_list() == [-1.5] * len(hostile)
    assert table["name"].to_list() == hostile


def test_a_failed_write_leaves_what_was_there_and_nothing_else(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})

    def fail(partial):
        partial.write_text('{"a"')
        raise RuntimeError("disk")

    with pytest.raises(RuntimeError, match="disk"):
        write_atomically(path, fail)
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert read_json(path) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("kind", ["python", "polars", "safetensors"])
def test_a_full_disk_names_the_file_whatever_library_writes(tmp_path, kind):
    path, values = tmp_path / "a", np.random.default_rng(0).random(4096)
    writers = {
        "python": lambda partial: partial.write_bytes(bytes(10_000)),
        "polars": pl.DataFrame({"a": values}).write_parquet,
        "safetensors": lambda partial: save_file({"a": torch.from_numpy(values)}, partial),
    }
    own = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, own[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            write_atomically(path, writers[kind])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, own)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(path))
    assert not list(tmp_path.iterdir())


def test_a_file_is_swapped_in_once_it_is_whole(tmp_path):
    path = tmp_path / "new" / "b.txt"

    def write(partial):
        assert not path.exists()
        assert partial.parent == path.parent
        partial.write_text("whole")

    assert write_atomically(path, write) == path
    assert [p.name for p in path.parent.iterdir()] == ["b.txt"]
    assert path.read_text() == "whole"


def test_what_a_killed_process_had_half_written_is_written_anew(tmp_path):
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from regard.files.atomic import write_atomically\n"
        "def half(partial):\n"
        "    partial.write_text('{' + 1000 * 'x')\n"
        "    os.kill(os.getpid(), 9)\n"
        "write_atomically(Path(sys.argv[1]), half)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.json")], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [p.name for p in tmp_path.iterdir()] == [".a.json.partial"]
    write_json(tmp_path / "a.json", 1)
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    assert read_json(tmp_path / "a.json") == 1


def test_two_that_write_one_file_at_once_leave_one_whole(tmp_path):
    path, meeting, names = tmp_path / "a.txt", threading.Barrier(8), []

    def write(number):
        def fill(partial):
            names.append(partial.name)
            partial.write_text(str(number) * 1000)
            meeting.wait(60)

        write_atomically(path, fill)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in {str(number) * 1000 for number in range(8)}
    assert len(set(names)) == 8
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_what_stands_in_the_place_of_the_half_is_left_alone(tmp_path, kind):
    """Through a stranger's link nothing is written."""
    place, other = tmp_path / ".a.json.partial", tmp_path / "other"
    other.write_text("mine")
    if kind == "link":
        place.symlink_to(other)
    else:
        place.mkdir()
    write_json(tmp_path / "a.json", 1)
    assert read_json(tmp_path / "a.json") == 1
    assert other.read_text() == "mine"
    assert place.is_symlink() or place.is_dir()


def test_numbers_that_are_not_finite_are_words():
    text = dump_json({"a": [math.nan, math.inf, (-math.inf, 1.5)], 3: "ü"})
    assert json.loads(text) == {"a": ["NaN", "Infinity", ["-Infinity", 1.5]], "3": "ü"}
    assert math.isnan(number("NaN"))
    assert [number("Infinity"), number("-Infinity"), number(0.1)] == [math.inf, -math.inf, 0.1]


def test_yaml_keeps_order_and_letters(tmp_path):
    path = write_yaml(tmp_path / "c.yaml", {"z": (1, 2), "a": {"ü": None}})
    assert path.read_text().splitlines()[0] == "z:"
    assert "ü" in path.read_text()
    assert yaml.safe_load(path.read_text()) == {"z": [1, 2], "a": {"ü": None}}


def test_a_log_is_appended_cut_back_and_read_without_its_torn_end(tmp_path):
    path = tmp_path / "log.jsonl"
    log = Log(path)
    log.write("step", step=1, loss=math.nan)
    offset = log.sync()
    log.write("step", step=2)
    log.write("epoch", epoch=1)
    log.close()
    assert offset == len(path.read_text().splitlines()[0]) + 1
    with path.open("a") as file:
        file.write('{"kind": "step", "st')
    assert [line["kind"] for line in read_log(path)] == ["step", "step", "epoch"]
    assert [line["step"] for line in read_log(path, "step")] == [1, 2]
    again = Log(path, offset)
    again.write("step", step=2)
    again.close()
    assert [line["step"] for line in read_log(path)] == [1, 2]
    with pytest.raises(RunError, match="expected at least the 9999 bytes"):
        Log(path, 9999)
    assert list(read_log(tmp_path / "none.jsonl")) == []


def test_a_file_system_without_locks_is_not_told_as_locked(tmp_path, monkeypatch):
    def lacking(*_):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr("fcntl.flock", lacking)
    with pytest.raises(RunError, match=r"file system with locks \(flock\), found Function not im"):
        locked(tmp_path / "run").__enter__()


def test_a_locked_folder_is_free_again_afterwards(tmp_path):
    folder = tmp_path / "run"
    with locked(folder):
        with pytest.raises(RunError, match="found one that is locked"), locked(folder):
            pass
    with locked(folder):
        assert (folder / ".lock").is_file()


def test_a_killed_process_may_take_a_moment_to_let_go(tmp_path):
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from regard.runs.folder import locked\n"
        "if os.fork() == 0:\n"  # as in a study, the one who is waited for holds no lock
        "    much = bytearray(1_000_000_000)\n"
        "    with locked(Path(sys.argv[1])):\n"
        "        print('held', flush=True)\n"
        "        signal.pause()\n"
        "else:\n"
        "    os.wait()\n"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "run")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout.readline() == b"held\n"
        os.killpg(process.pid, signal.SIGKILL)
    with locked(tmp_path / "run"):
        pass


@pytest.mark.parametrize("content", [None, "a: [", "- 1", "data: {}"])
def test_a_folder_without_a_config_is_no_run(tmp_path, content):
    if content is not None:
        (tmp_path / "config.yaml").write_text(content)
    with pytest.raises(RunError, match="expected a run's folder"):
        RunFolder(tmp_path).read_config()


def test_a_run_that_was_killed_before_it_had_a_config_is_begun_again(tmp_path):
    write_json(RunFolder(tmp_path).environment, {})
    with pytest.raises(RunError, match=f"begin again.*: regard train CONFIG --out {tmp_path}"):
        RunFolder(tmp_path).read_config()
