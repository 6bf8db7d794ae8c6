"""Waiting for what another process does."""

import subprocess
import threading
import time
from pathlib import Path

MOMENT = 0.002


def until(condition, process=None, seconds=600):
    """Until something is so that a process brings about; an error where it ends before that."""
    last, moment = time.monotonic() + seconds, threading.Event()
    try:
        while not condition():
            assert time.monotonic() < last, f"not within {seconds} s"
            if process is None:
                moment.wait(MOMENT)
            elif _ended(process):
                assert condition(), f"ended with {process.returncode}: {_errors(process)}"
                return
    except BaseException:
        if process is not None:
            process.kill()
        raise


def _ended(process):
    try:
        process.wait(MOMENT)
    except subprocess.TimeoutExpired:
        return False
    return True


def _errors(process):
    return process.communicate()[1] if process.stderr else "its errors were not kept"


def alive(pid):
    """Whether a process runs; one that nobody has asked for its end does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children(pid):
    """The processes that a process has started, and their words."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {int(each): Path(f"/proc/{each}/cmdline").read_bytes() for each in found}


def workers(pid):
    """The processes that train, of a study's or a tuning's process."""
    servers = [each for each, words in children(pid).items() if b"forkserver" in words]
    return sorted(each for server in servers for each in children(server))
