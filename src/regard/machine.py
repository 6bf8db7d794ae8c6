"""What this machine has to give: its processor, cores and memory."""

import ctypes
import math
import os
import platform
from contextlib import suppress
from pathlib import Path

from regard.containers import memory_left, processors

# Numbers of options of glibc's mallopt, and the largest block that it keeps on its heap.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST = 32 * 2**20
# What glibc begins with, for both.
_USUAL = 128 * 2**10


def cores() -> int:
    """Cores that this process may use; of a container's share of them the next whole number."""
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = processors()
    return own if share is None else max(1, min(own, math.ceil(share)))


def threads_of(processes: int) -> int:
    """Threads of torch in each of so many processes at once: `OMP_NUM_THREADS`, or their share."""
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    return max(1, cores() // processes)


def rank_and_world() -> tuple[int, int]:
    """This process's number, and how many torchrun (or the like) started to work together.

    Returns:
        (0, 1) for a process that was started by itself.
    """
    if not {"RANK", "WORLD_SIZE"} <= os.environ.keys():
        return 0, 1
    return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])


def processor() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def free_mb() -> int | None:
    """Memory that is free or can be freed, MiB; what caches files counts as free. None: unknown.

    Of a container no more than its limit leaves.
    """
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) // 1024 for line in lines if "MemAvailable" in line)
    except (OSError, StopIteration):
        return None
    left = memory_left()
    return free if left is None else min(free, left // 2**20)


def keep_memory() -> bool:
    """Let this process keep the memory that it frees, up to a GiB, for its next allocations.

    glibc hands large blocks back to the system at once, and every step of a training then waits
    for fresh pages: a tenth to a half of a step on a CPU. The peak stays the same. Of other
    libraries of C, where the environment tunes malloc already, and under a limit of the address
    space (`ulimit -v`), of which kept blocks are a part, nothing is changed.

    Returns:
        Whether glibc agreed.
    """
    return not _bounded() and _tune(_LARGEST, 2**30)


def hand_back_memory() -> None:
    """Hand what is free back to the system, and from here on all that is freed: it has run out."""
    _tune(_USUAL, _USUAL)
    with suppress(OSError, AttributeError, TypeError):  # glibc's own
        ctypes.CDLL(None).malloc_trim(0)


def _tune(largest: int, kept: int) -> bool:
    """Let glibc keep blocks of so many bytes on its heap, and of that as much where it is free."""
    tuned = any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ)
    try:
        tune = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # no glibc here
        return False
    return not tuned and bool(tune(_MMAP_THRESHOLD, largest) and tune(_TRIM_THRESHOLD, kept))


def _bounded() -> bool:
    try:
        import resource
    except ImportError:  # Windows
        return False
    return resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY
