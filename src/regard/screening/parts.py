"""Parts: so many images in a row, whose answers are one file that is there whole or not at all."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor

from regard.errors import RunError
from regard.evaluation.label_sets import THRESHOLD
from regard.evaluation.table import PREFIX
from regard.runs.files import read_table
from regard.screening.operator import Operator
from regard.screening.pieces import Piece
from regard.screening.sources import Source

ROWS = "rows"


def part_path(out: Path, part: int) -> Path:
    """The file of a part."""
    return out / ROWS / f"part-{part:06d}.parquet"


def is_whole(path: Path) -> bool:
    """Whether a part is there as it was written; a damaged one is asked again."""
    try:
        read_table(path, columns=["row"])
    except (OSError, RunError):
        return False
    return True


def rows_of(part: int, size: int, images: int) -> range:
    """The images of a part."""
    return range(part * size, min((part + 1) * size, images))


def answered(
    images: Iterator[tuple[int, list[Piece]]], operator: Operator, batch: int, size: int
) -> Iterator[tuple[int, list[Piece], Tensor]]:
    """Part by part its pieces and their probabilities (N, K), the unreadable ones left out of them.

    Batches end where parts do, so that a part does not hang on what came before it.

    Args:
        images: with their pieces in order, of whole parts.
        operator: is asked.
        batch: pieces in one pass of the net.
        size: images of a part.
    """
    own: list[Piece] = []
    found: list[Tensor] = []
    waiting: list[Tensor] = []
    part = None

    def ask() -> None:
        if waiting:
            found.append(operator(waiting))
            waiting.clear()

    def ended(number: int) -> tuple[int, list[Piece], Tensor]:
        ask()
        shares = torch.cat(found) if found else torch.zeros(0, len(operator.run.classes))
        told = number, list(own), shares
        own.clear()
        found.clear()
        return told

    for row, pieces in images:
        if part is not None and row // size != part:
            yield ended(part)
        part = row // size
        for piece in pieces:
            if piece.pixels is not None:
                waiting.append(piece.pixels)
                if len(waiting) == batch:
                    ask()
            own.append(replace(piece, pixels=None))
    if part is not None:
        yield ended(part)


def table_of(
    source: Source, own: Sequence[Piece], probabilities: Tensor, operator: Operator
) -> pl.DataFrame:
    """A part's rows.

    Args:
        source: that the pieces are of.
        own: the part's pieces.
        probabilities: (N, K) of those that could be read, in order.
        operator: whose answers they are.
    """
    shares = probabilities.numpy().astype(np.float32)
    run = operator.run
    readable = np.array([piece.error is None for piece in own], bool)
    full = np.full((len(own), len(run.classes)), np.nan, np.float32)
    full[readable] = shares
    names = np.array(run.classes, dtype=object)
    answers = pl.DataFrame(
        {PREFIX + name: pl.Series(full[:, k]).fill_nan(None) for k, name in enumerate(run.classes)}
    )
    if run.several:
        predicted = pl.Series(
            [names[row >= THRESHOLD].tolist() if known else None
             for row, known in zip(full, readable, strict=True)],
            dtype=pl.List(pl.String),
        )  # fmt: skip
        best = np.maximum(full, 1 - full).min(1)
    else:
        # All of an unreadable image is NaN, of which the first is taken and then thrown away.
        guess = np.where(readable, np.nan_to_num(full).argmax(1), 0)
        predicted = pl.Series(
            [names[k] if known else None for k, known in zip(guess, readable, strict=True)],
            dtype=pl.String,
        )
        best = full[np.arange(len(own)), guess]
    groups = source.groups
    return pl.DataFrame(
        {
            "row": pl.Series([piece.row for piece in own], dtype=pl.Int64),
            "image": pl.Series([source.shown(piece.row) for piece in own], dtype=pl.String),
            "group": pl.Series(
                [None if groups is None else groups[piece.row] for piece in own], dtype=pl.String
            ),
            "crop": pl.Series(
                [None if piece.crop is None else [*piece.crop] for piece in own],
                dtype=pl.List(pl.Int32),
            ),
            "predicted": predicted,
            "probability": pl.Series(best, dtype=pl.Float32).fill_nan(None),
            "uncertainty": pl.Series(uncertainty(full, several=run.several)).fill_nan(None),
            "error": pl.Series([piece.error for piece in own], dtype=pl.String),
        }
    ).hstack(answers)


def uncertainty(shares: np.ndarray, *, several: bool) -> np.ndarray:
    """Entropy of probabilities (N, K) over its greatest value, in [0, 1]; NaN of NaN.

    H(p) / ln K; where each class stands by itself the mean of the classes' binary entropies over
    ln 2.
    """

    def terms(p: np.ndarray) -> np.ndarray:
        return -p * np.log(np.clip(p, np.finfo(np.float32).tiny, None))

    if several:
        found = (terms(shares) + terms(1 - shares)).mean(1) / np.log(2)
    else:
        found = terms(shares).sum(1) / np.log(shares.shape[1])
    return np.clip(found, 0, 1).astype(np.float32)
