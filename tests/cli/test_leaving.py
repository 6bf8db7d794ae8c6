"""A command's process ends at once, and yet all that it has to do before is done."""

import os
import subprocess
import sys

import pytest

from regard.cli.stopping import going_on

SCRIPT = """
import atexit, sys, threading
from regard.__main__ import leave

ended = threading.Event()
threading.Thread(target=lambda: (ended.wait(), print("a thread"))).start()
atexit.register(print, "a handler")

class Kept:
    def __del__(self):
        print("taken apart")

kept = Kept()
print("said", file=sys.stdout)
ended.set()
leave(int(sys.argv[1]))
"""


# What is printed may be held back until the end.
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def left(*words, **given):
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, *words],
        env=BUFFERED, stderr=subprocess.PIPE, text=True, check=False, timeout=60, **given,
    )  # fmt: skip


@pytest.mark.parametrize("code", [0, 3])
def test_threads_and_handlers_are_waited_for_and_nothing_is_taken_apart(code):
    done = left(str(code), stdout=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (code, "")
    assert done.stdout.splitlines() == ["said", "a thread", "a handler"]


def test_what_cannot_be_written_any_more_is_one_line():
    with open("/dev/full", "w") as full:
        done = left("0", stdout=full)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("regard: a file, or standard output: ")
    assert "No space left on device" in line


def test_a_reader_that_has_read_enough_is_no_fault():
    reader, writer = os.pipe()
    os.close(reader)
    done = left("0", stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_what_is_stopped_says_so(capsys):
    with pytest.raises(SystemExit) as ended, going_on("stopped; the same command goes on"):
        raise KeyboardInterrupt
    assert ended.value.code == 130
    assert capsys.readouterr().err == "regard: stopped; the same command goes on\n"
