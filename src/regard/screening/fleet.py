"""Processes of a cluster that are given parts, one at a time, and may die."""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from regard.errors import RunError

# How often a part may take its process with it, and processes may end before they have begun.
DEATHS = 3
# Seconds for which a cluster may have no room for a single process.
PATIENCE = 900


@dataclass
class Fleet:
    """Asks a process for one part after the other; what a dead one had is asked of another one.

    Only who asks writes rows down, so nothing is lost or there twice, whatever a process that was
    taken for dead still does.

    Args:
        ray: the module.
        start: an actor with `begin()` and `table(part)`; it answers with an error that it met.
        parts: that are wanted.
    """

    ray: Any
    start: Callable[[], Any]
    parts: deque[int]
    _busy: dict[Any, tuple[Any, int | None]] = field(default_factory=dict)
    _idle: list[Any] = field(default_factory=list)
    _deaths: Counter[int | None] = field(default_factory=Counter)
    _begun: bool = False

    def tables(self, processes: int) -> Iterator[tuple[int, pl.DataFrame]]:
        """The parts' tables, in whatever order they come.

        Raises:
            RegardError: what a process met, or too many have died.
        """
        left = len(self.parts)
        for _ in range(min(processes, left)):
            self._begin()
        while left:
            done, _ = self.ray.wait(
                [*self._busy], num_returns=1, timeout=None if self._begun else PATIENCE
            )
            if not done:
                raise _no_room()
            for told in done:
                actor, part = self._busy.pop(told)
                answer = self._answer(told, actor, part)
                if part is not None and answer is not None:
                    left -= 1
                    yield part, answer

    def _answer(self, told: Any, actor: Any, part: int | None) -> pl.DataFrame | None:
        errors = self.ray.exceptions
        try:
            answer = self.ray.get(told)
        except (
            errors.RayActorError,
            errors.ObjectLostError,
            errors.OutOfMemoryError,
            errors.NodeDiedError,
        ) as error:
            self._died(actor, part, error)
            return None
        if isinstance(answer, Exception):
            raise answer
        if part is None:
            self._begun = True
            del self._deaths[None]
        self._give(actor)
        return answer

    def _begin(self) -> None:
        """Start a process, which gets a part when it is ready: a cluster may have no room yet."""
        actor = self.start()
        self._busy[actor.begin.remote()] = actor, None

    def _give(self, actor: Any) -> None:
        if self.parts:
            part = self.parts.popleft()
            self._busy[actor.table.remote(part)] = actor, part
        else:
            self._idle.append(actor)

    def _died(self, actor: Any, part: int | None, error: Exception) -> None:
        """Have its part asked again, by one that waits or by a new one."""
        self.ray.kill(actor)
        self._deaths[part] += 1
        if self._deaths[part] >= DEATHS:
            raise _given_up(part, error)
        if part is not None:
            self.parts.appendleft(part)
        if self._idle:
            self._give(self._idle.pop())
        self._begin()


def _no_room() -> RunError:
    return RunError(
        "--engine ray",
        expected="room in the cluster for a process, a core and where there are any a GPU",
        found=f"none within {PATIENCE // 60} minutes",
        remedy="see what holds it: ray status",
    )


def _given_up(part: int | None, error: Exception) -> RunError:
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    if part is None:
        return RunError(
            "--engine ray",
            expected="processes that start",
            found=f"{DEATHS} that ended: {lines[-1].strip()[:160]}",
            remedy="see that every machine of the cluster has this version of regard",
        )
    return RunError(
        "--engine ray",
        expected=f"a process that lives through part {part}",
        found=f"{DEATHS} that were killed, perhaps for want of memory",
        remedy="take a smaller --part or --batch; the same command goes on from here",
    )
