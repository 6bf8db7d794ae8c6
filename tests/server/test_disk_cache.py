"""The cache on disk: bounded, also after a restart; what was used last stays."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

from regard.server.cache import DiskCache


def size_of(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def used(cache, key, when):
    """Mark a key as used at a time."""
    path = cache._path(key)
    os.utime(path, (when, when))


def test_what_was_put_is_found_again_also_by_another(tmp_path):
    DiskCache(tmp_path, 1000).put("a|..|/", b"1")
    other = DiskCache(tmp_path, 1000)
    assert other.get("a|..|/") == b"1"
    assert other.get("b") is None
    assert oct(tmp_path.stat().st_mode)[-3:] in ("700", "755")


def test_the_least_recently_used_leave_beyond_the_bound(tmp_path):
    cache = DiskCache(tmp_path, 1000)
    for number in range(10):
        cache.put(str(number), bytes(100))
        used(cache, str(number), 1000 + number)
    assert cache.get("0") == bytes(100)  # used now
    cache.put("10", bytes(100))
    assert size_of(tmp_path) <= 1000
    assert cache.get("1") is None
    assert cache.get("0") == cache.get("10") == bytes(100)


def test_the_bound_holds_after_a_restart_and_for_two_at_once(tmp_path):
    caches = [DiskCache(tmp_path, 1000), DiskCache(tmp_path, 1000)]
    for number in range(20):
        caches[number % 2].put(str(number), bytes(90))
    # Each counts its own, and what the other wrote when it makes room.
    assert size_of(tmp_path) <= 2000
    DiskCache(tmp_path, 500)
    assert size_of(tmp_path) <= 500


def test_what_is_larger_than_the_bound_is_not_kept(tmp_path):
    cache = DiskCache(tmp_path, 100)
    assert cache.made("a", lambda: bytes(200)) == bytes(200)
    assert size_of(tmp_path) == 0


def test_of_many_who_want_one_thing_at_once_one_makes_it(tmp_path):
    cache, made, hold = DiskCache(tmp_path, 1000), [], threading.Event()

    def make():
        made.append(1)
        hold.wait(10)
        return b"x"

    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(cache.made, "a", make) for _ in range(6)]
        threading.Timer(0.05, hold.set).start()
        assert [future.result() for future in asked] == [b"x"] * 6
    assert len(made) == 1


def test_a_failure_to_make_is_told_and_the_next_one_tries_again(tmp_path):
    cache = DiskCache(tmp_path, 1000)

    def fail():
        raise ValueError("no")

    for make, expected in ((fail, None), (lambda: b"x", b"x")):
        try:
            found = cache.made("a", make)
        except ValueError:
            found = None
        assert found == expected


def test_leftovers_of_a_killed_server_are_removed(tmp_path):
    (tmp_path / "ab").mkdir()
    old, new = tmp_path / "ab/.x.1.partial", tmp_path / "ab/.y.1.partial"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    DiskCache(tmp_path, 1000)
    assert (old.exists(), new.exists()) == (False, True)


def test_a_disk_that_cannot_be_written_is_no_reason_to_stop(tmp_path):
    cache = DiskCache(tmp_path / "cache", 1000)
    (tmp_path / "cache").rmdir()
    (tmp_path / "cache").write_text("a file in its place")
    assert cache.made("a", lambda: b"x") == b"x"
    assert cache.made("a", lambda: b"y") == b"y"
