"""What is dear to make and only read: made once for all processes of pytest."""

import fcntl
import os


def made_once(tmp_path_factory, name, make):
    """A folder that `make(folder)` fills in the first process to ask; the others wait for it."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    folder = root / f"shared-{name}"
    folder.mkdir(exist_ok=True)
    with (root / f"shared-{name}.made").open("a+") as told:
        fcntl.flock(told, fcntl.LOCK_EX)
        told.seek(0)
        if not told.read():
            make(folder)
            told.write("made")
    return folder
