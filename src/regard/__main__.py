"""The program: `regard`, and `python -m regard`."""

import atexit
import os
import sys
import threading
from typing import NoReturn

from regard.cli.main import main
from regard.errors import of_system


def program() -> NoReturn:
    """A command, and the end of its process."""
    try:
        main()
    except SystemExit as end:
        if not isinstance(end.code, int | None):
            raise  # a text, which Python prints
        leave(end.code or 0)
    leave(0)


def leave(code: int) -> NoReturn:
    """End the process with this code, at once.

    An interpreter takes itself apart before it ends: 1.5 s after a training, for all that torch
    imports. The system takes back the memory anyway. As processes of `multiprocessing` do, this
    one ends once its threads and exit handlers have, and all that it said is written.
    """
    threading._shutdown()  # pyright: ignore[reportAttributeAccessIssue]
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = code or 1  # whoever read it has read enough
    except OSError as error:
        print(f"regard: {of_system(error)}", file=sys.stderr)
        code = code or 2
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    program()
