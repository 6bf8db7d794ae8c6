"""A disk that is full, a folder that may not be written: one line, nothing half, and on it goes."""

import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from attacking import Outcome, content, whole

PAGE = 4096
ROOT = os.geteuid() == 0
NOBODY = 65534


@dataclass(frozen=True)
class Command:
    """A command that writes.

    Attributes:
        words: by the folder that it writes into and what is trained.
        again: how it is gone on with.
        on_run: whether it writes into a run, a copy of which has to be there.
    """

    words: Callable
    again: Callable | None = None
    on_run: bool = True

    def going_on(self, place: Path, trained) -> list:
        shutil.rmtree(place / "h", ignore_errors=True)  # a folder of sheets has to be emptied
        if self.again is not None and (place / "new/config.yaml").is_file():
            return self.again(place, trained)
        return self.words(place, trained)


COMMANDS = {
    "train": Command(
        lambda place, t: ["train", t.config, "--out", place / "new"],
        lambda place, t: ["train", place / "new", "--resume"],
        on_run=False,
    ),
    "evaluate": Command(lambda place, t: ["evaluate", place / "run"]),
    "score": Command(lambda place, t: ["score", place / "run"]),
    "explain": Command(lambda place, t: ["explain", place / "run", "--limit", 3]),
    "explain --global": Command(
        lambda place, t: ["explain", place / "run", "--global", "--method", "gradcam"]
    ),
    "report": Command(lambda place, t: ["report", place / "run", "--pictures", 1]),
    "bench": Command(lambda place, t: ["bench", place / "run", "--seconds", 0.1, "--batch", 2]),
    "compare": Command(
        lambda place, t: ["compare", place / "run", place / "run@0"[:-2], "--out", place / "c"]
    ),
    "screen": Command(
        lambda place, t: ["screen", t.run, t.folder / "images", "--out", place / "s", "--part", 20],
        on_run=False,
    ),
    "import": Command(
        lambda place, t: ["data", "import", "folder", by_class(t), "--out", place / "m.parquet"],
        on_run=False,
    ),
    "describe": Command(
        lambda place, t: ["data", "describe", t.folder / "manifest.parquet", "--out", place / "d"],
        on_run=False,
    ),
    "sheets": Command(
        lambda place, t: ["data", "sheets", place / "h", "--train", 2, "--val", 2, "--test", 2],
        on_run=False,
    ),
    "export": Command(lambda place, t: ["export", place / "run", "--format", "torch"]),
    "study": Command(lambda place, t: ["study", study(t), "--out", place / "st"], on_run=False),
}
# Of the full length: every place of a training and a screening, so many of what takes longer.
LENGTHS = {"train": 1000, "screen": 1000, "study": 6}
QUICK = {"train": 2, "evaluate": 1, "screen": 1}


def by_class(trained) -> Path:
    folder = trained.folder / "by class"
    for number, path in enumerate(sorted(trained.folder.glob("images/test-0?.png"))):
        target = folder / ("fern", "moss")[number % 2] / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    return folder


def study(trained) -> Path:
    path = trained.folder / "study.yaml"
    base = trained.config.read_text().replace("epochs: 2", "epochs: 1").replace("\n", "\n  ")
    path.write_text(
        f"name: s\nbase:\n  {base}\n"
        "arms: {plain: {}, slow: {training: {label_smoothing: 0.1}}}\n"
        "baseline: plain\ncomparisons: [[slow, plain]]\nseeds: [0]\nsplits: [test]\n"
        "metrics: [accuracy]\n"
    )
    return path


def commands(quick: dict[str, int], full: int) -> list:
    """A quick share of some commands, and the full length of all."""
    own = [pytest.param(name, count, id=f"{name}-{count}") for name, count in quick.items()]
    torture = pytest.mark.torture
    return own + [
        pytest.param(name, LENGTHS.get(name, full), marks=torture, id=f"{name}-full")
        for name in COMMANDS
    ]


class Disk:
    """A file system of its own, in memory, whose room can be taken and given."""

    def __init__(self, place: Path) -> None:
        self.place = place

    @property
    def used(self) -> int:
        told = os.statvfs(self.place)
        return (told.f_blocks - told.f_bfree) * told.f_frsize // PAGE

    def room(self, pages: int | None) -> None:
        size = "64m" if pages is None else str(max(1, self.used + pages) * PAGE)
        _mount("-o", f"remount,size={size}", str(self.place))

    def clear(self) -> None:
        subprocess.run(["umount", str(self.place)], check=False, stderr=subprocess.DEVNULL)
        _mount("-t", "tmpfs", "-o", "size=64m", "tmpfs", str(self.place))


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, stderr=subprocess.DEVNULL)


@pytest.fixture
def disk(tmp_path) -> Iterator[Disk]:
    place = tmp_path / "disk"
    place.mkdir()
    made = Disk(place)
    try:
        made.clear()
    except (subprocess.CalledProcessError, OSError):
        pytest.skip("no file system may be mounted here, which takes root")
    yield made
    subprocess.run(["umount", "--lazy", str(place)], check=False)


def one_line(done: Outcome, *words: str) -> None:
    """A refusal: no traceback, one line that says what was expected, found, and to be done."""
    assert done.code == 2, (done.code, done.err[-2000:])
    assert "Traceback" not in done.err, done.err[-3000:]
    assert len(done.lines) == 1, done.err[-2000:]
    for word in ("expected", "found", *words):
        assert word in done.lines[0]


def spread(last: int, count: int) -> list[int]:
    """So many of 0 to last - 1, evenly."""
    return list(range(last)) if count >= last else [last * k // count for k in range(count)]


@pytest.mark.parametrize(("name", "count"), commands(QUICK, 16))
def test_a_full_disk(name, count, regard, trained, disk, tally):
    """For every page of room that is missing: told, nothing half written, and then gone on with."""
    command = COMMANDS[name]

    def begin() -> None:
        disk.clear()
        if command.on_run:
            trained.copy(disk.place / "run")

    begin()
    before = disk.used
    done = regard(*command.words(disk.place, trained))
    assert done.code == 0, done.err[-3000:]
    wanted, pages = content(disk.place), disk.used - before + 4
    survived = 0
    rooms = spread(pages, count)
    for room in rooms:
        begin()
        disk.room(room)
        done = regard(*command.words(disk.place, trained))
        if done.code != 0:
            one_line(done, "No space left on device", "make room")
            assert whole(disk.place) == []
        disk.room(None)
        again = done if done.code == 0 else regard(*command.going_on(disk.place, trained))
        assert again.code == 0, (room, again.err[-3000:])
        assert whole(disk.place) == []
        assert same(content(disk.place), wanted) == [], room
        survived += 1
    tally(f"full disk, {name}", len(rooms), survived)


LOOSE = ("readings.jsonl", "bench.json", "arms.csv")


def same(found: dict, wanted: dict) -> list[str]:
    """The files that differ."""
    # A reading is noted each time that there was one, and no two timings are the same.
    loose = {name for name in wanted if name.endswith(LOOSE)}
    names = found.keys() | wanted.keys()
    return sorted(n for n in names - loose if found.get(n) != wanted.get(n))


@pytest.mark.parametrize(("name", "count"), commands({"train": 1, "screen": 1}, 16))
def test_a_write_that_fails(name, count, regard, trained, tmp_path, tally):
    """The N-th file, folder or rename is refused, and all after it, for every N."""
    command, place = COMMANDS[name], tmp_path / "place"

    def begin() -> None:
        subprocess.run(["rm", "-rf", str(place)], check=True)
        place.mkdir()
        if command.on_run:
            trained.copy(place / "run")

    begin()
    words = command.words(place, trained)
    done = regard(*words, failing={"root": str(place), "first": 10**9})
    assert done.code == 0, done.err[-3000:]
    wanted, survived = content(place), 0
    numbers = spread(done.writes, count)
    for number in numbers:
        begin()
        code = (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS)[number % 4]
        done = regard(*words, failing={"root": str(place), "first": number + 1, "code": code})
        one_line(done, os.strerror(code))
        assert whole(place) == []
        again = regard(*command.going_on(place, trained))
        assert again.code == 0, (number, again.err[-3000:])
        assert same(content(place), wanted) == [], number
        survived += 1
    tally(f"a write that fails, {name}", len(numbers), survived)


@pytest.mark.parametrize(
    "sizes", [(600,), pytest.param(tuple(range(500, 12_500, 100)), marks=pytest.mark.torture)]
)
def test_files_of_a_bounded_size(sizes, regard, trained, tmp_path, tally):
    """No file may be larger than that (ulimit -f), which needs no root to be tried."""
    command, place, survived = COMMANDS["train"], tmp_path / "place", 0
    for size in sizes:
        subprocess.run(["rm", "-rf", str(place)], check=True)
        place.mkdir()
        done = regard(*command.words(place, trained), file_size=size)
        if done.code:
            one_line(done, "File too large")
        assert whole(place) == []
        again = regard(*command.going_on(place, trained))
        assert (again.code == 0) == (done.code != 0), again.err
        assert log_of(place / "new") == log_of(trained.run)
        survived += 1
    tally("files of a bounded size", len(sizes), survived)


def log_of(run: Path) -> object:
    return content(run)["log.jsonl"]


# These import more while they run, perhaps from where nobody may read.
LATE = ("report", "study")


@pytest.mark.skipif(not ROOT, reason="takes root, to become nobody")
@pytest.mark.parametrize("name", ["evaluate", *(pytest.param(name, marks=pytest.mark.torture)
                                                for name in COMMANDS)])  # fmt: skip
def test_a_folder_that_may_not_be_written(name, regard, trained, disk, tally):
    """Without the right to write, and on a file system that is mounted for reading alone."""
    command = COMMANDS[name]
    for path in (*trained.folder.parents, trained.folder):
        path.chmod(path.stat().st_mode | 0o055)
    if command.on_run:
        trained.copy(disk.place / "run")
    before = content(disk.place)
    disk.place.chmod(0o555)
    _open(disk.place.parents)
    words = command.words(disk.place, trained)
    if name not in LATE:
        one_line(regard(*words, user=NOBODY), "Permission denied", "rights")
    _mount("-o", "remount,ro", str(disk.place))
    one_line(regard(*words), "Read-only file system")
    _mount("-o", "remount,rw", str(disk.place))
    assert content(disk.place) == before
    tries = 2 - (name in LATE)
    tally(f"folders that may not be written, {name}", tries, tries)


def _open(parents) -> None:
    for path in parents:
        if path.is_relative_to("/tmp") and path != Path("/tmp"):
            path.chmod(path.stat().st_mode | 0o055)


@pytest.mark.parametrize(
    "words",
    [
        ("list", "methods"),
        pytest.param(("evaluate",), marks=pytest.mark.torture),
        pytest.param(("score", "--json"), marks=pytest.mark.torture),
        pytest.param(("data", "describe"), marks=pytest.mark.torture),
    ],
    ids=" ".join,
)
def test_a_terminal_that_takes_nothing(words, regard, trained, tmp_path, tally):
    given = list(words)
    if words[0] in ("evaluate", "score"):
        given.insert(1, trained.copy(tmp_path / "run"))
    elif words[0] == "data":
        given += [trained.folder / "manifest.parquet", "--out", tmp_path / "d"]
    done = regard(*given, stdout="/dev/full")
    one_line(done, "standard output", "No space left on device")
    tally("standard output that is full", 1, 1)


@pytest.mark.parametrize("rooms", [2, pytest.param(12, marks=pytest.mark.torture)])
def test_a_server_on_a_full_disk(rooms, trained, disk, tally):
    """Maps are shown, though none can be kept; a correction is saved whole or refused in a line."""
    from starlette.testclient import TestClient

    from regard.data.manifest import read_manifest
    from regard.server.app import make_app
    from regard.server.limits import Limits
    from regard.server.service import Service

    trained.copy(disk.place / "one")
    asked = {"run": "one", "split": "test", "index": 36}
    service, refused = Service.of(disk.place, Limits(), disk.place / "cache"), 0
    app = make_app(service, None)
    with TestClient(app, "http://127.0.0.1", raise_server_exceptions=False) as client:

        def correct(name: str):
            told = {**asked, "manifest": name, "boxes": [[4, 6, 20, 30]]}
            return client.post("/api/correction", json=told)

        for room in range(rooms):
            disk.room(room)
            for index in (36, 37 + room % 4):
                answer = client.get("/api/map", params={**asked, "index": index})
                assert answer.status_code == 200, answer.text
            answer = correct(f"fixed-{room}")
            if answer.status_code != 200:
                assert answer.status_code in (400, 503), answer.text
                assert "No space left" in answer.text
                refused += 1
            assert whole(disk.place) == []
            disk.room(None)
            answer = correct(f"fixed-{room}")
            assert answer.status_code == 200, answer.text
            path = disk.place / f"corrections/fixed-{room}/fixed-{room}.parquet"
            assert read_manifest(path).table["corrected"].sum() == 1
    assert refused
    tally("a server on a full disk", rooms, rooms)
