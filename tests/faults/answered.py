"""What an attack may get for an answer: what it asked for, or one line."""

import contextlib
import io
import sys
from typing import NamedTuple

import torch
from hypothesis import HealthCheck, Phase, given, settings

from regard.cli.main import main
from regard.errors import RegardError

SLOW = (
    HealthCheck.too_slow,
    HealthCheck.filter_too_much,
    HealthCheck.data_too_large,
    HealthCheck.large_base_example,
)


class Answer(NamedTuple):
    """What a command answered."""

    code: int
    out: str
    err: str


def regard(*words):
    """Run a command in this process as the console script would; what it raises comes through."""
    out, err = io.StringIO(), io.StringIO()
    kept, code = sys.argv, 0
    sys.argv = ["regard", *map(str, words)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as stopped:
        code = stopped.code if isinstance(stopped.code, int) else 0
    finally:
        sys.argv = kept
        torch.set_num_threads(1)
    return Answer(code, out.getvalue(), err.getvalue())


def is_one_line(error):
    """Expected, found and remedy on one line that steers no terminal."""
    text = str(error)
    assert isinstance(error, RegardError), repr(error)
    assert all(part in text for part in ("expected ", ", found ", "; ")), text
    assert len(text.splitlines()) == 1, text
    assert not steers(text), ascii(text)
    return True


def steers(text):
    """Whether a text has what a terminal obeys; ends of lines and tabs are harmless."""
    return any(
        (ord(c) < 32 and c not in "\t\n") or 127 <= ord(c) < 160 or 0x202A <= ord(c) <= 0x202E
        for c in text
    )


def attack(strategy, times, attacked):
    """Call `attacked` with so many examples; returns how many, of which all held."""
    tried = 0

    @settings(
        max_examples=times,
        database=None,
        deadline=None,
        derandomize=times < 1000,
        suppress_health_check=SLOW,
        phases=[Phase.generate, Phase.shrink],
    )
    @given(strategy)
    def run(example):
        nonlocal tried
        tried += 1
        attacked(example)

    run()
    return tried
