"""How work tells of its progress: called by what works, given by what shows it."""

from collections.abc import Callable

# With the number of images that were done since the last call.
Step = Callable[[int], None]
# With the number of items that are done, and of all.
Progress = Callable[[int, int], None]
