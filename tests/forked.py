"""Commands in processes of their own, without the seconds that Python takes to import torch.

They are forked off a process that has imported it and done nothing else; from there on they are
processes like any other, with pipes, groups and ends of their own.
"""

import atexit
import gc
import inspect
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from functools import cache
from tempfile import TemporaryFile

LOADED = """
regard.__main__ regard.cli.main regard.cli.show_run regard.cli.show_study regard.checks.describe
regard.deployment.export regard.deployment.prune regard.importers.coco regard.importers.folder
regard.reports regard.reports.compare_report regard.reports.report regard.runs.averages
regard.runs.bench regard.runs.compare regard.runs.evaluate regard.runs.explain regard.runs.scored
regard.screening.screen regard.server.serving regard.studies.runner regard.training.train
""".split()
PIPES = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")


class Forked(subprocess.Popen):
    """As `subprocess.Popen`, of `python -m regard WORDS` and `python FILE WORDS` alone.

    Attributes:
        used: when it has ended, the most memory that it held, megabytes.
    """

    def __init__(self, args, *, refused=None, failing=None, count=None, **given):
        """Args:
        args, given: as of `Popen`.
        refused: what it is refused, see `limits.refuse`.
        failing: the writing calls that fail, see `limits.Writes`.
        count: a file's descriptor; it is written there how many of these calls there were.
        """
        self.special = {"refused": refused, "failing": failing}
        self.count, self.used = count, 0
        super().__init__(args, **given)

    def _execute_child(self, *given):
        # The names and the order of these arguments are CPython's own affair.
        told = inspect.signature(subprocess.Popen._execute_child).bind(self, *given).arguments
        program, file, *words = map(str, told["args"])
        assert program == sys.executable, told["args"]
        if file == "-m":
            file, module, *words = None, *words
            assert module == "regard", told["args"]
        ends = [told["p2cread"], told["c2pwrite"], told["errwrite"]]
        order = {
            "file": file,
            "words": words,
            "cwd": os.path.abspath(told["cwd"] or "."),
            "env": dict(os.environ if told["env"] is None else told["env"]),
            "session": bool(told["start_new_session"]),
            "ends": [at for at, end in enumerate(ends) if end != -1],
            **self.special,
        }
        given = [end for end in ends if end != -1]
        if self.count is not None:
            given.append(self.count)
        self.pid = _nursery().fork(order, given)
        self._child_created = True
        self._close_pipe_fds(*(told[name] for name in PIPES))

    def _try_wait(self, wait_flags):
        status = _nursery().ended(self.pid, wait=not wait_flags & os.WNOHANG)
        if status is None:
            return 0, 0
        self.used = status["megabytes"]
        return self.pid, status["status"]

    def _internal_poll(self, **_):
        if self.returncode is None and self._waitpid_lock.acquire(blocking=False):
            try:
                pid, status = self._try_wait(os.WNOHANG)
                if pid:
                    self._handle_exitstatus(status)
            finally:
                self._waitpid_lock.release()
        return self.returncode


class Nursery:
    """The process that commands are forked off."""

    def __init__(self):
        self.line, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(other.fileno())],
            pass_fds=[other.fileno()],
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "default"},
        )
        other.close()
        self.statuses, self.lock = {}, threading.Lock()

    def fork(self, order, ends):
        # By way of a file: an environment may be larger than a packet.
        with self.lock, TemporaryFile() as file:
            file.write(json.dumps(order).encode())
            file.flush()
            socket.send_fds(self.line, [b"fork"], [file.fileno(), *ends])
            while True:
                told = self._heard()
                if "born" in told:
                    return told["born"]

    def ended(self, pid, *, wait):
        """How a process ended; None while it has not."""
        with self.lock:
            self.line.setblocking(wait)
            try:
                while pid not in self.statuses:
                    self._heard()
            except BlockingIOError:
                return None
            finally:
                self.line.setblocking(True)
            return self.statuses[pid]

    def _heard(self):
        told = json.loads(self.line.recv(4096) or '{"gone": 1}')
        assert "gone" not in told, "the process that commands are forked off is gone"
        if "ended" in told:
            self.statuses[told["ended"]] = told
        return told


@cache
def _nursery():
    return Nursery()


def _serve(line):
    """Fork whenever told to, and tell how each ended; in a child: its words."""
    awake, told = socket.socketpair()
    told.setblocking(False)
    signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        ready, _, _ = select.select([line, awake], [], [])
        if awake in ready:
            awake.recv(4096)
            _tell_the_ended(line)
        if line in ready:
            said, ends, _, _ = socket.recv_fds(line, 16, 8)
            if not said:
                sys.exit()
            pid = os.fork()
            if not pid:
                signal.set_wakeup_fd(-1)
                for each in (awake, told):
                    each.close()
                try:
                    return _become(ends)
                finally:  # from here on it has a group of its own, which may be killed
                    line.send(json.dumps({"born": os.getpid()}).encode())
                    line.close()
            for end in ends:
                os.close(end)


def _tell_the_ended(line):
    while True:
        try:
            pid, status, used = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        told = {"ended": pid, "status": status, "megabytes": used.ru_maxrss // 1024}
        line.send(json.dumps(told).encode())


def _become(ends):
    """A process of the order's own folder, environment, group and pipes; what it is to do."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with os.fdopen(ends[0], "rb") as file:
        file.seek(0)
        order = json.load(file)
    if order["session"]:
        os.setsid()
    streams = len(order["ends"]) + 1
    for at, end in zip(order["ends"], ends[1:streams], strict=True):
        os.dup2(end, at)
        os.close(end)
    order["count"] = next(iter(ends[streams:]), None)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    return order


def _run(order):
    """The command, with what it is refused."""
    sys.argv = [order["file"] or "regard", *order["words"]]
    if "coverage" in sys.modules and (order["refused"] or order["failing"]):
        # What a process may not do, its measuring may not do either: it would tell of that.
        atexit.unregister(sys.modules["coverage"].Coverage.current()._atexit)
    if order["refused"] is not None:
        limits.refuse(**order["refused"])
    writes = None if order["failing"] is None else limits.Writes(**order["failing"])
    if order["count"] is not None and writes is not None:
        atexit.register(lambda: os.write(order["count"], str(writes.count).encode()))
    if order["file"] is None:
        own.program()
    sys.path[:0] = os.environ["PYTHONPATH"].split(os.pathsep)
    runpy.run_path(order["file"], run_name="__main__")
    own.leave(0)


if __name__ == "__main__":
    import importlib

    import limits

    sys.path.pop(0)
    for name in LOADED:
        importlib.import_module(name)
    own = sys.modules["regard.__main__"]
    # What is loaded is nobody's garbage, and is not copied because a collector counts it.
    gc.collect()
    gc.freeze()
    _run(_serve(socket.socket(fileno=int(sys.argv[1]))))
