"""What this machine has to give: cores and memory."""

import os
from pathlib import Path


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_mb() -> int | None:
    """Memory that is free or can be freed, MiB; what caches files counts as free. None: unknown."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) // 1024 for line in lines if "MemAvailable" in line)
    except (OSError, StopIteration):
        return None
