"""How a command ends early: one line and an exit code."""

import sys
from typing import NoReturn


def stop(text: str, code: int) -> NoReturn:
    """Print the line on standard error and leave with the code."""
    print(f"regard: {text}", file=sys.stderr)
    sys.exit(code)
