"""What a container leaves of the machine: limits of control groups, of either version."""

from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


def memory_left() -> int | None:
    """Bytes that may still be taken; what caches files counts as free. None: no limit is known."""
    left = [
        limit - used + _cached(folder, name)
        for folder, limit_name, used_name, name in _memory()
        if (limit := _number(folder / limit_name)) is not None
        and (used := _number(folder / used_name)) is not None
    ]
    return max(0, min(left)) if left else None


def processors() -> float | None:
    """How many processors' time may be used; None: no limit is known."""
    shares = [
        quota / period
        for folder in _groups("cpu")
        for quota, period in (_quota(folder),)
        if quota is not None and period and quota > 0
    ]
    return min(shares, default=None)


def _memory() -> Iterator[tuple[Path, str, str, str]]:
    for folder in _groups("memory"):
        yield folder, "memory.max", "memory.current", "inactive_file"
        yield folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"


def _quota(folder: Path) -> tuple[int | None, int | None]:
    """Microseconds in each period, and the period."""
    words = _text(folder / "cpu.max").split()
    if len(words) == 2 and words[1].isdigit():
        return (int(words[0]) if words[0].isdigit() else None), int(words[1])
    return _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")


def _groups(controller: str) -> Iterator[Path]:
    """The folders of this process's group and of those above, where the controller is looked for.

    In a container the group's path is often that of the host, and the folders begin at its own.
    """
    for line in _text(_OWN).splitlines():
        _, _, named = line.partition(":")
        controllers, _, path = named.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        top = ROOT / controllers if controllers else ROOT
        top = ROOT / controller if controllers and not top.is_dir() else top
        own = top / path.lstrip("/")
        yield from (folder for folder in (own, *own.parents) if folder.is_relative_to(top))


def _cached(folder: Path, name: str) -> int:
    lines = (line.split() for line in _text(folder / "memory.stat").splitlines())
    found = (words[1] for words in lines if len(words) == 2 and words[0] == name)
    return next((int(text) for text in found if text.isdigit()), 0)


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.lstrip("-").isdigit() else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""
