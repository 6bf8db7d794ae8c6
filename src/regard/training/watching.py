"""Who watches a training."""

from typing import Any, Protocol

from regard.training.progress import Progress


class Watcher(Protocol):
    """Who wants to see how training goes."""

    def step(self, progress: Progress, steps: int, loss: float) -> None:
        """After each step; `steps` is the epoch's number of them."""
        ...

    def epoch(self, record: dict[str, Any]) -> None:
        """After each epoch, with what was logged."""
        ...

    def note(self, text: str) -> None:
        """Something happened that a reader of the log should know."""
        ...


class Silent:
    """A watcher that shows nothing."""

    def step(self, progress: Progress, steps: int, loss: float) -> None:
        """Show nothing."""

    def epoch(self, record: dict) -> None:
        """Show nothing."""

    def note(self, text: str) -> None:
        """Show nothing."""
