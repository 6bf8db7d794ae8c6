"""Files are there whole or not at all, whoever writes and whatever ends it."""

import errno
import resource
import signal
import subprocess
import sys
import threading

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import save_file

from regard.files.atomic import write_atomically
from regard.runs.files import read_json, write_json


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
