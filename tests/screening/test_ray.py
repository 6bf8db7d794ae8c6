"""A screening on Ray has the rows of one without, also when processes are killed in its middle."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import deque
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from processes import alive, until
from regard.data.manifest import manifest_from_rows
from regard.errors import ConfigError, MissingExtraError, RunError
from regard.runs.run import load_run
from regard.screening.cutting import Cutting
from regard.screening.fleet import DEATHS, Fleet
from regard.screening.job import Job
from regard.screening.on_ray import Asker, Order, device_for, share_of_gpu
from regard.screening.screen import screen
from regard.screening.sources import open_source
from tinyset import REGARD, environment, run_regard

PART, COPIES = 64, 120
# 127.0.0.1 as the kernel writes it.
LOOPBACK = "0100007F"


class Machines:
    """As much of Ray as a fleet needs; a call answers with what `act(actor, part)` gives."""

    def __init__(self, act):
        class Lost(Exception):
            pass

        self.exceptions = SimpleNamespace(
            RayActorError=Lost, ObjectLostError=Lost, OutOfMemoryError=Lost, NodeDiedError=Lost
        )
        self.act, self.started, self.killed = act, 0, []
        self.calls, self.got = [], []

    def start(self):
        number, self.started = self.started, self.started + 1

        def begin():
            return self._called(number, None)

        def table(part):
            return self._called(number, part)

        return SimpleNamespace(
            number=number,
            begin=SimpleNamespace(remote=begin),
            table=SimpleNamespace(remote=table),
        )

    def _called(self, *call):
        self.calls.append(call)
        return len(self.calls) - 1

    def wait(self, told, num_returns, timeout):
        # Whoever may never begin is last; a real cluster has no room for such.
        ready = [own for own in told if not _is(self.act(*self.calls[own]), "never")]
        assert ready or timeout, "waits for ever"
        return ready[:num_returns], []

    def get(self, told):
        found = self.act(*self.calls[told])
        self.got.append(self.calls[told])
        if _is(found, "dies"):
            raise self.exceptions.RayActorError("killed\n  by the kernel")
        return found

    def kill(self, actor):
        self.killed.append(actor.number)


def _is(found, word):
    return isinstance(found, str) and found == word


def asked_by(machines, parts=6, processes=2):
    found = list(Fleet(machines, machines.start, deque(range(parts))).tables(processes))
    assert sorted(part for part, _ in found) == list(range(parts))
    assert all(table["part"].to_list() == [part] for part, table in found)


def answer(part):
    return None if part is None else pl.DataFrame({"part": [part]})


def test_a_part_whose_process_died_is_asked_of_another_one():
    def act(actor, part):
        return "dies" if (actor, part) == (0, 0) else answer(part)

    machines = Machines(act)
    asked_by(machines)
    assert machines.killed == [0]
    assert machines.got.count((0, 0)) == 1
    assert machines.started == 3


def test_a_cluster_without_room_for_anyone_is_one_line():
    machines = Machines(lambda actor, part: "never")
    with pytest.raises(RunError, match=r"room in the cluster .* found none within 15 min"):
        asked_by(machines)


def test_without_room_for_a_new_process_the_ones_that_wait_take_the_part():
    """Of two machines one goes, with the last part, when the other one has nothing to do."""

    def act(actor, part):
        if actor >= 2:
            return "never"
        if actor == 0 and part is not None:
            return "dies" if (1, 2) in machines.got else "never"
        return answer(part)

    machines = Machines(act)
    asked_by(machines, parts=3)
    assert machines.killed == [0]


def test_a_part_that_kills_and_processes_that_do_not_begin_end_in_one_line():
    machines = Machines(lambda actor, part: "dies" if part == 1 else answer(part))
    with pytest.raises(RunError, match=f"lives through part 1, found {DEATHS} that were killed"):
        asked_by(machines)
    machines = Machines(lambda actor, part: "dies" if part is None else answer(part))
    with pytest.raises(RunError, match=f"found {DEATHS} that ended: by the kernel; see that every"):
        asked_by(machines)
    full = OSError(28, "No space left on device", "x")
    with pytest.raises(OSError, match="No space"):
        asked_by(Machines(lambda actor, part: full if part == 2 else answer(part)))


def test_a_process_has_the_rows_of_the_local_engine_and_says_what_it_lacks(home, tmp_path):
    run, source = load_run(home / "run"), open_source(home / "manifest.parquet")
    screen(run, source, tmp_path / "out", part=20, batch=8)
    job = Job(source.absolute(), Cutting(), 20, 8)
    order = Order(job, home / "run", run.checkpoint, "cpu", False, False, 1, 1)
    asker = Asker(order)
    assert asker.begin() is None
    for part in job.parts:
        path = tmp_path / "out" / "rows" / f"part-{part:06d}.parquet"
        assert asker.table(part).equals(pl.read_parquet(path))
    lacking = Order(job, tmp_path / "gone", "best", "cpu", False, False, 1, 1)
    assert "on " in str(Asker(lacking).begin())
    assert "expected a run's folder, found no such folder" in str(Asker(lacking).begin())
    older = Order(job, home / "run", "best", "cpu", False, False, 1, 1, version="0.0.1")
    assert "regard: expected version 0.0.1, as where the command runs" in str(Asker(older).begin())


def test_each_process_has_a_gpu_where_there_is_one():
    assert [device_for("auto", 4), device_for("cuda:1", 4)] == ["cuda", "cuda"]
    assert [device_for("auto", 0), device_for("cpu", 4)] == ["cpu", "cpu"]
    with pytest.raises(ConfigError, match="--device: expected a cluster with a GPU"):
        device_for("cuda", 0)


def test_processes_share_gpus_so_that_all_of_them_run():
    for processes, gpus in ((1, 1), (4, 1), (4, 2), (4, 3), (2, 4)):
        share = share_of_gpu(processes, gpus)
        assert processes <= gpus * int(1 / share)
    assert share_of_gpu(2, 4) == 1


def test_what_does_not_go_with_the_engine_is_one_line(home, tmp_path, monkeypatch):
    run, source = load_run(home / "run"), open_source(home / "images")
    with pytest.raises(ConfigError, match="--address: expected --engine ray beside it"):
        screen(run, source, tmp_path / "out", address="auto")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"--engine ray: .* pip install 'regard\[ray\]'"):
        screen(run, source, tmp_path / "out", engine="ray")
    assert not (tmp_path / "out").exists()


def below(pid):
    """Processes that a process started, and theirs, with their command lines."""
    parents, lines = {}, {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                stat = (folder / "stat").read_text()
                lines[int(folder.name)] = (folder / "cmdline").read_bytes().decode()
            except OSError:
                continue
            parents[int(folder.name)] = int(stat.rpartition(")")[2].split()[1])
    found = {pid}
    while True:
        more = {own for own, parent in parents.items() if parent in found} - found
        if not more:
            return {own: lines[own] for own in found - {pid}}
        found |= more


def listening(pids):
    """Addresses, in the kernel's hexadecimal, at which processes listen on TCP."""
    inodes = set()
    for pid in pids:
        try:
            links = [os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()]
        except OSError:
            continue
        inodes |= {link[8:-1] for link in links if link.startswith("socket:[")}
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:] if Path(table).exists() else ():
            words = line.split()
            if words[3] == "0A" and words[9] in inodes:
                found.add(words[1].partition(":")[0])
    return found


@pytest.fixture
def short():
    """A folder with a short name for Ray's sockets."""
    folder = Path(tempfile.mkdtemp(prefix="r-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.mark.torture
def test_killed_workers_and_commands_lose_and_double_no_row(home, tmp_path, short, tally):
    pytest.importorskip("ray", reason="needs the extra ray")
    names = pl.read_parquet(home / "manifest.parquet")["image"].to_list() * COPIES
    manifest_from_rows([{"image": str(home / name)} for name in names], tmp_path).write(
        tmp_path / "many.parquet"
    )
    out, count = tmp_path / "out", len(names) // PART
    words = ["screen", home / "run", "many.parquet", "--out", "out", "--part", PART, "--batch", 16,
             "--positive", "moss", "--most-maps", 20, "--json"]  # fmt: skip
    on_ray = [*words, "--engine", "ray", "--workers", "2"]
    around = environment() | {"TMPDIR": str(short), "PYTHONWARNINGS": "ignore"}
    first = subprocess.Popen(
        [*REGARD, *map(str, on_ray)], cwd=tmp_path, env=around,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    done = lambda: len(list(out.glob("rows/part-*.parquet")))  # noqa: E731
    with first:
        until(lambda: done() >= 3, first)
        family = below(first.pid)
        askers = [pid for pid, line in family.items() if line.startswith("ray::Asker")]
        assert askers
        assert listening(family) == {LOOPBACK, "0000000000000000FFFF0000" + LOOPBACK}
        raylet = next(
            pid for pid, line in family.items() if line.split("\0")[0].endswith("/raylet")
        )
        told = Path(f"/proc/{raylet}/environ").read_bytes().split(b"\0")
        assert b"RAY_USAGE_STATS_ENABLED=0" in told
        for pid in askers:
            os.kill(pid, signal.SIGKILL)
        reached = done()
        until(lambda: done() >= reached + count // 4, first)
        more = below(first.pid)
        family |= more
        assert {pid for pid in more if more[pid].startswith("ray::Asker")} - {*askers}
        first.kill()
        errors = first.stderr.read()
    assert done() < count
    assert not re.search(r"\bray\b|INFO|WARN", errors), errors
    # The cluster goes with the command; agents that look after it find out in their own time.
    cluster = [pid for pid, line in family.items()
               if re.match(r"ray::Asker|[^\0]*/(raylet|gcs_server)\0", line)]  # fmt: skip
    assert len(cluster) >= 3
    until(lambda: not any(alive(pid) for pid in cluster), seconds=60)  # else Ray outlives it
    shutil.rmtree(short)
    short.mkdir()

    kept = {path.name: path.stat().st_mtime_ns for path in out.glob("rows/part-*.parquet")}
    again = subprocess.run(
        [*REGARD, *map(str, on_ray)], cwd=tmp_path, env=around,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert not list(short.iterdir())
    assert all((out / "rows" / name).stat().st_mtime_ns == at for name, at in kept.items())
    words[words.index("out")] = "local"
    local = run_regard(*words, cwd=tmp_path)
    assert again.stdout == local.stdout
    assert json.loads(local.stdout)["pieces"] == len(names)
    wanted = sorted(path.relative_to(tmp_path / "local") for path in
                    (tmp_path / "local").rglob("*.parquet"))  # fmt: skip
    assert wanted == sorted(path.relative_to(out) for path in out.rglob("*.parquet"))
    for path in wanted:
        assert pl.read_parquet(out / path).equals(pl.read_parquet(tmp_path / "local" / path)), path
    tally("kill -9: screening on Ray, two workers and the command", 3, 3)
