"""What is asked of which images: so much that a process needs besides the net."""

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass

import polars as pl

from regard.screening.cutting import Cutting
from regard.screening.operator import Operator
from regard.screening.parts import answered, rows_of, table_of
from regard.screening.pieces import Piece, pieces
from regard.screening.sources import Source

# Parts with their rows.
Tables = Generator[tuple[int, pl.DataFrame], None, None]


@dataclass(frozen=True)
class Job:
    """A source, cut, in parts.

    Attributes:
        source: of the images.
        cutting: of the images.
        size: images of a part.
        batch: pieces in one pass of the net.
    """

    source: Source
    cutting: Cutting
    size: int
    batch: int

    @property
    def images(self) -> int:
        """How many there are."""
        return len(self.source.names)

    @property
    def parts(self) -> range:
        """Their numbers."""
        return range(-(-self.images // self.size))

    def images_of(self, part: int) -> range:
        """The images of a part."""
        return rows_of(part, self.size, self.images)

    def tables(
        self,
        operator: Operator,
        parts: Iterable[int],
        threads: int,
        seen: Callable[[], object] = lambda: None,
    ) -> Tables:
        """Ask; a part's rows are the same whoever asks, and whatever was asked before.

        Args:
            operator: is asked.
            parts: in ascending order.
            threads: that decode.
            seen: called after each image.
        """

        def images() -> Iterator[tuple[int, list[Piece]]]:
            rows = (row for part in parts for row in self.images_of(part))
            for found in pieces(self.source, rows, self.cutting, operator.run.transform, threads):
                yield found
                seen()

        for part, own, shares in answered(images(), operator, self.batch, self.size):
            yield part, table_of(self.source, own, shares, operator)
