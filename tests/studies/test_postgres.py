"""A tuning on a real PostgreSQL: machines that join, die and are replaced; a server that fails."""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

import polars as pl
import pytest
import yaml
from polars.testing import assert_frame_equal

from forked import Forked
from processes import until
from regard.errors import ConfigError, MissingExtraError, RunError
from regard.runs.folder import RunFolder
from regard.runs.log import read_log
from regard.studies import tuning_place
from regard.studies.tuning import tune
from regard.studies.tuning_holds import FileHolds, holds_at
from regard.studies.tuning_place import STORAGE_ERRORS, place_of
from regard.studies.tuning_read import read_tuning
from regard.studies.tuning_work import Unseen
from regard.training.config import changed
from tinyset import BASE, REGARD, environment, write_set

psycopg = pytest.importorskip("psycopg", reason="needs the extra postgres")
SECRET, TRIALS = "pa ss/w:o@rd%{x}", 5
TUNING = {
    "name": "tiny",
    "base": changed(BASE, ["training.batch_size=4", "training.epochs=6", "gaze.train_sample=0"]),
    "search": {
        "training.optimiser.lr": {"low": 1e-3, "high": 0.3, "log": True},
        "model.freeze": ["none", 1],
    },
    "sampler": "random",
    "pruning": "none",
    "seed": 3,
}


class Server:
    """A PostgreSQL of this test alone, on 127.0.0.1."""

    def __init__(self, binaries):
        self._binaries = binaries
        self.folder = Path(tempfile.mkdtemp(prefix="regard-pg-", dir="/tmp"))
        (self.folder / "secret").write_text(SECRET + "\n")
        self._as = []
        if os.geteuid() == 0:  # PostgreSQL will not run as root
            self._as = ["runuser", "-u", "postgres", "--"]
            for path in (self.folder, self.folder / "secret"):
                shutil.chown(path, "postgres")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._run("initdb", "-U", "me", "-A", "scram-sha-256", "--no-sync", "-E", "UTF8",
                  "--pwfile", self.folder / "secret")  # fmt: skip
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._run("pg_ctl", "-w", "-t", "300", "-l", self.folder / "log",
                  "-o", f"{options} -c unix_socket_directories={self.folder}", "start")  # fmt: skip

    def _run(self, name, *words):
        words = [*self._as, self._binaries / name, "-D", self.folder / "data", *words]
        done = subprocess.run(
            list(map(str, words)), cwd=self.folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def stop(self):
        self._run("pg_ctl", "-m", "immediate", "stop")
        shutil.rmtree(self.folder)

    def asked(self, statement):
        values = {"host": "127.0.0.1", "port": self.port, "user": "me", "password": SECRET}
        with psycopg.connect(**values, dbname="postgres", autocommit=True) as connection:
            answer = connection.execute(statement)
            return answer.fetchall() if answer.description else None

    def url(self, database, *, secret=SECRET):
        name = "me" if secret is None else f"me:{quote(secret, safe='')}"
        return f"postgresql://{name}@127.0.0.1:{self.port}/{database}"


@pytest.fixture(scope="module")
def server():
    found = shutil.which("initdb") or max(
        map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")), default=None
    )
    if found is None:
        pytest.skip("needs PostgreSQL's server: apt-get install postgresql")
    running = Server(Path(found).parent)
    yield running
    running.stop()


@pytest.fixture
def database(server, request):
    name = re.sub(r"\W", "_", request.node.name)[:50].lower()
    server.asked(f"CREATE DATABASE {name}")
    yield name
    server.asked(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def machine_at(folder):
    """A folder as another machine has it: its own copy of the samples, and of the tuning."""
    write_set(folder, counts={"train": 12, "val": 6, "test": 6})
    (folder / "tuning.yaml").write_text(yaml.safe_dump(TUNING))
    return folder


@pytest.fixture(scope="module")
def serial(tmp_path_factory):
    """What one process with SQLite comes to."""
    home = machine_at(tmp_path_factory.mktemp("serial"))
    tune(read_tuning(home / "tuning.yaml"), home / "out", trials=TRIALS)
    return table_in(home / "out")


def table_in(out):
    return pl.read_parquet(out / "trials.parquet").drop("seconds", "run")


def started(home, url, *more):
    """`regard tune` in a process group of its own; the password is in the environment."""
    words = [*REGARD, "tune", "tuning.yaml", "--trials", str(TRIALS), "--out", "out",
             "--storage", url, *more]  # fmt: skip
    return Forked(
        words, cwd=home, env=environment() | {"PGPASSWORD": SECRET}, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def steps_of(home):
    logs = home.glob("out/trials/*/log.jsonl")
    return sum(log.read_text().count('"kind": "step"') for log in logs)


class Replacing(Unseen):
    """A watcher that kills a machine in the middle of its trial, and has another one join."""

    def __init__(self, old, start):
        self.old, self.start, self.new = old, start, None

    def finished(self, row):
        if self.new is None:
            os.killpg(self.old.pid, signal.SIGKILL)
            self.new = self.start()


def test_machines_with_folders_of_their_own_share_the_trials(server, database, serial, tmp_path):
    first, second, third = (machine_at(tmp_path / name) for name in ("a", "b", "c"))
    with started(first, server.url(database, secret=None)) as old:
        until(lambda: steps_of(first) >= 2, old)
        os.killpg(old.pid, signal.SIGSTOP)  # it has trial 0 until it is killed
        bare = server.url(database, secret=None)
        seen = Replacing(old, lambda: started(third, bare, "--workers", "2"))
        tuning = read_tuning(second / "tuning.yaml")
        told = tune(tuning, second / "out", seen, trials=TRIALS, storage=server.url(database))
        old.communicate()
    said, errors = seen.new.communicate(timeout=600)
    assert seen.new.returncode == 0, said + errors
    assert not list(first.glob("out/trials.parquet"))

    tables = [pl.read_parquet(home / "out/trials.parquet") for home in (second, third)]
    for home in (second, third):
        assert_frame_equal(table_in(home / "out"), serial, check_exact=True)
    assert told["states"] == {"complete": TRIALS, "pruned": 0, "failed": 0}
    assert told["best"][0]["number"] == serial.sort("val.loss")["number"][0]
    assert serial.n_unique("training.optimiser.lr") == TRIALS
    # Every run is where one of the tables says so, whole, and in the other table by its machine.
    for row, other in zip(*(table.iter_rows(named=True) for table in tables), strict=True):
        here = [home for home, own in ((second, row), (third, other))
                if own["run"] == f"trials/{own['number']}"]  # fmt: skip
        assert len(here) == 1
        run = here[0] / "out" / "trials" / str(row["number"])
        away = other if here[0] == second else row
        assert away["run"] == f"{os.uname().nodename}:{run}"
        epochs = [record["epoch"] for record in read_log(RunFolder(run).log, "epoch")]
        assert epochs == list(range(1, 7))
    assert tables[0]["seconds"].to_list() == tables[1]["seconds"].to_list()

    # The machine that was killed comes back: nothing is left to do, and it has the table, too.
    tuning = read_tuning(first / "tuning.yaml")
    tune(tuning, first / "out", trials=TRIALS, storage=server.url(database))
    assert_frame_equal(table_in(first / "out"), serial, check_exact=True)
    configs = [yaml.safe_load((home / "out/best.yaml").read_text()) for home in (first, second)]
    assert configs[0]["data"].pop("manifest") == str(first / "manifest.parquet")
    assert configs[1]["data"].pop("manifest") == str(second / "manifest.parquet")
    assert configs[0] == configs[1]
    left = server.asked(f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}'")
    assert left == [(0,)]
    for path in tmp_path.rglob("out/*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes()
        assert not path.is_file() or quote(SECRET, safe="").encode() not in path.read_bytes()

    # What is of another tuning, or of other samples, does not join.
    stranger = machine_at(tmp_path / "d")
    other = read_tuning(stranger / "tuning.yaml", ["seed=4"])
    with pytest.raises(RunError, match=r"study tiny: .*found a tuning that differs in seed"):
        tune(other, stranger / "seed", trials=9, storage=server.url(database))
    pl.read_parquet(stranger / "manifest.parquet").head(23).write_parquet(
        stranger / "manifest.parquet"
    )
    own = read_tuning(stranger / "tuning.yaml")
    with pytest.raises(RunError, match="found a tuning on other samples"):
        tune(own, stranger / "samples", trials=9, storage=server.url(database))


class Once(Unseen):
    """A watcher that does something after the first trial."""

    def __init__(self, act):
        self.act = act

    def finished(self, row):
        act, self.act = self.act, lambda: None
        act()


def test_a_server_that_goes_away_in_the_middle_is_one_line(server, database, serial, tmp_path):
    home = machine_at(tmp_path)
    tuning, out, url = read_tuning(home / "tuning.yaml"), home / "out", server.url(database)

    def away():
        server.asked(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false")
        server.asked(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"
        )

    with pytest.raises(RunError, match="expected a storage that answers, found ") as caught:
        tune(tuning, out, Once(away), trials=TRIALS, storage=url)
    assert "\n" not in str(caught.value)
    assert not list(out.rglob("*.partial"))
    assert not (out / "trials.parquet").exists()
    server.asked(f"ALTER DATABASE {database} ALLOW_CONNECTIONS true")
    tune(tuning, out, trials=TRIALS, storage=url)
    assert_frame_equal(table_in(out), serial, check_exact=True)

    drop = f"DROP DATABASE {database} WITH (FORCE)"
    with pytest.raises(RunError, match="expected a storage that answers"):
        tune(tuning, out, Once(lambda: server.asked(drop)), trials=TRIALS + 1, storage=url)
    with pytest.raises(RunError, match=r'database "\w+" does not exist; make it'):
        tune(tuning, out, trials=TRIALS + 1, storage=url)
    server.asked(f"CREATE DATABASE {database}")
    with pytest.raises(RunError, match="found none, though the folder has some"):
        tune(tuning, out, trials=TRIALS + 1, storage=url)


@pytest.mark.parametrize("kind", ["files", "database"])
def test_a_trial_is_held_by_one_and_free_when_that_one_ends(kind, request, tmp_path):
    place = place_of(None, tmp_path / "db")
    if kind == "database":
        server = request.getfixturevalue("server")
        place = place_of(server.url("postgres"), tmp_path / "db")
    with holds_at(place, "tiny", tmp_path / "holds") as other:
        with holds_at(place, "tiny", tmp_path / "holds") as holds:
            assert isinstance(holds, FileHolds) == (kind == "files")
            hold = holds.take(3)
            hold.sure()
            assert holds.take(3) is None
            assert other.take(3) is None
            other.take(4).close()
            with holds.take(4):
                assert other.take(4) is None
            with holds.deciding():
                pass
            if kind == "files":
                hold.close()
        # A server lets go when it has noticed that the session is over.
        ended = time.monotonic() + 30
        while (freed := other.take(3)) is None:
            assert time.monotonic() < ended
        with other.deciding(), freed:
            pass
    with holds_at(place, "another", tmp_path / "more holds") as another:
        another.take(3).close()


def test_a_lost_connection_is_never_made_anew(server, tmp_path):
    place = place_of(server.url("postgres"), tmp_path / "db")
    with holds_at(place, "tiny", tmp_path) as holds:
        hold = holds.take(3)
        server.asked(
            f"SELECT pg_terminate_backend({holds.asked('SELECT pg_backend_pid()')}, 10000)"
        )
        for act in (hold.sure, hold.sure, holds.deciding().__enter__):
            with pytest.raises(STORAGE_ERRORS):
                act()
        hold.close()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("database", "secret", "text"),
    [
        ("postgres", "wrong", 'failed for user "me"; set PGPASSWORD'),
        ("nowhere", SECRET, 'database "nowhere" does not exist; make it (createdb'),
    ],
)
def test_a_server_that_will_not_is_one_line(server, tmp_path, database, secret, text):
    home = machine_at(tmp_path)
    url = server.url(database, secret=secret)
    with pytest.raises(RunError, match=re.escape(text)) as caught:
        tune(read_tuning(home / "tuning.yaml"), home / "out", trials=1, storage=url)
    assert "\n" not in str(caught.value)
    assert not (home / "out").exists()


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("postgresql://me:secret@127.0.0.1:1/x", "me:***@127.0.0.1:1/x: expected a storage that"),
        ("postgresql://127.0.0.1:1/x?user=me&password=secret", "psycopg://127.0.0.1:1/x: expected"),
        ("postgres://me:secret@no.such.host.invalid/x", "correct the host in --storage"),
    ],
)
def test_a_server_out_of_reach_is_one_line_without_its_password(tmp_path, url, text):
    place = place_of(url, tmp_path / "db")
    with pytest.raises(STORAGE_ERRORS) as caught, holds_at(place, "tiny", tmp_path):
        pass
    line = str(place.in_a_line(caught.value))
    assert text in line
    assert "secret" not in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("postgresql//me:secret@host/db", "found 'postgresql//me:***@host/db'"),
        ("postgresql://me:secret@host:port/db", "found 'postgresql://me:***@host:port/db'"),
        ("postgresql://me:sec@ret@host/db", "write one of the password as %40"),
    ],
)
def test_what_is_no_url_is_told_without_its_password(tmp_path, url, text):
    with pytest.raises(ConfigError, match=re.escape(text)) as caught:
        place_of(url, tmp_path / "db")
    assert "sec" not in str(caught.value)


def test_a_driver_that_is_missing_is_one_line(monkeypatch, tmp_path):
    def missing(*_, **how):
        raise ModuleNotFoundError("No module named 'psycopg'")

    monkeypatch.setattr(tuning_place, "create_engine", missing)
    with pytest.raises(MissingExtraError, match=r"pip install 'regard\[postgres\]'"):
        place_of("postgresql://me@host/db", tmp_path).engine()
    with pytest.raises(ConfigError, match="psycopg2, whose driver is not installed"):
        place_of("postgresql+psycopg2://me@host/db", tmp_path).engine()
    assert place_of(None, tmp_path / "db").arguments == {"timeout": tuning_place.PATIENCE}
