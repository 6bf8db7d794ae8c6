"""What a process may be refused before it runs a command: time, memory, room on a disk, rights."""

import errno
import os
import resource
import signal
import sys

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def refuse(seconds=120, file_size=None, megabytes=None, user=None):
    """Set limits of this process.

    Args:
        seconds: after which it is put out.
        file_size: bytes that a file may have.
        megabytes: more than it has now.
        user: whose rights it has from here on.
    """
    signal.alarm(seconds)
    if file_size is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, resource.RLIM_INFINITY))
    if megabytes is not None:
        pages = int(open("/proc/self/statm").read().split()[0])
        most = pages * resource.getpagesize() + (megabytes << 20)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    if user is not None:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)


class Writes:
    """The writing calls below a folder; from the `first` on they fail, as on a full disk."""

    def __init__(self, root, first, code=errno.ENOSPC):
        self.root, self.first, self.code, self.count = root, first, code, 0
        sys.addaudithook(self._heard)

    def _heard(self, event, args):
        if event == "open" and isinstance(args[2], int) and args[2] & WRITING:
            self._one(args[0])
        elif event in ("os.mkdir", "os.truncate"):
            self._one(args[0])
        elif event in ("os.rename", "os.link", "os.symlink"):
            self._one(args[1])

    def _one(self, path):
        if isinstance(path, (str, bytes, os.PathLike)) and os.fsdecode(path).startswith(self.root):
            self.count += 1
            if self.count >= self.first:
                raise OSError(self.code, os.strerror(self.code), os.fsdecode(path))
