"""Who is taken for whom."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from regard.language import phrase
from regard.reports.blocks import (
    Block,
    Cell,
    Drawing,
    Drawings,
    Matrix,
    Table,
)
from regard.reports.drawing import canvas, inline, plot
from regard.reports.words import (
    columns,
    count,
    percent,
    whole,
)

# Beyond this many classes the matrix no longer fits on paper, and is drawn as an image.
_LARGEST_MATRIX = 16
_MOST_PAIRS = 20


def confusion(numbers: Mapping[str, Any]) -> Sequence[Block]:
    """Who is taken for whom: a matrix, or an image of it and the most frequent confusions."""
    names, counts = list(numbers["classes"]), np.array(numbers["confusion"], dtype=np.int64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    if len(names) > _LARGEST_MATRIX:
        return [Drawings([_heat(shares)]), _frequent(names, counts, shares)]
    cells = [
        [(int(c), float(s)) for c, s in zip(row, share, strict=True)]
        for row, share in zip(counts, shares, strict=True)
    ]
    caption = phrase(
        "Confusion matrix: a row is a label, a column a prediction; shares are of the row"
    )
    return [Matrix(names, cells, caption)]


def _heat(shares: np.ndarray) -> Drawing:
    with canvas(520, 480) as drawn:
        axes = plot(drawn, phrase("predicted, by number of the class"), phrase("label"))
        axes.grid(visible=False)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
        mean = float(shares.diagonal().mean())
        what = phrase(
            "Confusion of {classes} classes; on average {share} on the diagonal",
            classes=len(shares),
            share=percent(mean),
        )
        return Drawing(
            inline(drawn, what), phrase("Confusion matrix, shares of each label's images")
        )


def _frequent(names: Sequence[str], counts: np.ndarray, shares: np.ndarray) -> Table:
    head = columns("Label", "Predicted", "Images#", "Of the label's images#")
    rows = frequent_pairs(names, counts, shares)
    return Table(head, rows, phrase("The most frequent confusions"))


def frequent_pairs(
    names: Sequence[str], counts: np.ndarray, shares: np.ndarray
) -> list[list[Cell]]:
    """Rows of the most frequent pairs of two classes: both, how often, and which share that is."""
    others = counts * (1 - np.eye(len(names), dtype=np.int64))
    order = np.argsort(-others, axis=None, kind="stable")[:_MOST_PAIRS]
    pairs = [divmod(int(place), len(names)) for place in order]
    return [
        [
            Cell(names[a]),
            Cell(names[b]),
            Cell(whole(int(counts[a, b]))),
            Cell(percent(shares[a, b])),
        ]
        for a, b in pairs
        if others[a, b]
    ]


def first_mistakes(numbers: Mapping[str, Any]) -> str:
    """The most frequent confusion, in words."""
    names, counts = numbers["classes"], np.array(numbers["confusion"], dtype=np.int64)
    wrong = counts * (1 - np.eye(len(names), dtype=np.int64))
    if not wrong.any():
        return phrase("No image is misclassified.")
    a, b = divmod(int(wrong.argmax()), len(names))
    share = counts[a, b] / max(counts[a].sum(), 1)
    return phrase(
        "The most frequent mistake is to take {label} for {predicted}: {wrong} of {images} "
        "({share}).",
        label=names[a],
        predicted=names[b],
        wrong=whole(int(counts[a, b])),
        images=count(int(counts[a].sum()), "image"),
        share=percent(share),
    )
