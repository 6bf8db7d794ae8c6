"""Joining the processes that torchrun has started, and leaving them without a second word."""

import os
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import distributed

from regard.errors import LostProcessError
from regard.machine import rank_and_world
from regard.models.device import take_gpu
from regard.training.group import ALONE, PATIENCE, Group, Processes


@contextmanager
def joined() -> Iterator[Group]:
    """The processes that torchrun has started this one with; alone where it was not.

    However a training in several processes ends, one of them tells: what the others raise becomes
    a silent exit.

    Raises:
        LostProcessError: the others cannot be reached.
    """
    number, size = rank_and_world()
    if size < 2:
        yield ALONE
        return
    if number:
        warnings.simplefilter("ignore")  # the first one warns
        # Ctrl-C reaches all of them, and one is to say so.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    group = _join(number)
    before = signal.signal(signal.SIGTERM, lambda *_: _end_at_once(group))
    try:
        yield group
    except BaseException as error:
        if group.speaks():
            raise
        raise SystemExit(1) from error
    else:
        distributed.destroy_process_group()
    finally:
        signal.signal(signal.SIGTERM, before)


def _join(number: int) -> Group:
    gpu = torch.cuda.is_available()
    if gpu:
        take_gpu(int(os.environ.get("LOCAL_RANK", "0")))
    both = gpu and distributed.is_nccl_available()
    try:
        distributed.init_process_group("cpu:gloo,cuda:nccl" if both else "gloo", timeout=PATIENCE)
        return Processes()
    except (RuntimeError, ValueError) as error:
        if number:
            raise SystemExit(1) from error
        said = str(error).partition("\n")[0]
        raise LostProcessError(
            f"the processes that train together do not find each other ({said[:120]}); "
            "start them with torchrun, see docs/many-machines.md"
        ) from error


def _end_at_once(group: Group) -> Any:
    """What SIGTERM does as ever; but torchrun sends it too when another process has ended.

    Then this one is about to end by itself, and may be the one to say so.
    """
    if not group.lost:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)
