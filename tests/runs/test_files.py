"""Files are written whole or not at all; JSON knows numbers that are not finite."""

import errno
import json
import math
import os
import signal
import subprocess
import sys

import polars as pl
import pytest
import yaml

from regard.errors import RunError
from regard.runs.files import dump_json, number, write_csv, write_json, write_yaml
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
