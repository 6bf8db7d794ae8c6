"""Which images of a split a filter lets through, in which order."""

from typing import Any

import polars as pl

from regard.data.manifest import natural
from regard.errors import DataError, near
from regard.reports.words import about, title
from regard.server.answers import Gallery, Item, LabelLine, Other, ScoreLine
from regard.server.questions import OfGallery
from regard.server.refusals import unknown
from regard.server.rows import SCORE, score_columns

OTHER = "_other"
CHANGE = "_change"
_OUTCOMES = {
    "both_right": (True, True),
    "gained": (False, True),
    "lost": (True, False),
    "both_wrong": (False, False),
}


def gallery(rows: pl.DataFrame, asked: OfGallery, method: str, *, several: bool) -> Gallery:
    """The images that are asked for.

    Args:
        rows: of the split, see `rows_of`; with another run's beside them, see `beside`.
        asked: the filter.
        method: the run's own.
        several: whether images have sets of labels.

    Raises:
        NotFoundError: an unknown score.
    """
    matched = rows.filter(*_conditions(rows, asked, several))
    ordered = matched.sort(
        _sorted_by(rows, asked.sort),
        "index",
        descending=[asked.order == "desc", False],
        nulls_last=True,
    )
    page = ordered.slice(asked.offset, asked.limit)
    names, compared = score_columns(rows), asked.other is not None
    return Gallery(
        images=len(rows),
        matched=len(matched),
        offset=asked.offset,
        items=[_item(row, names, compared) for row in page.iter_rows(named=True)],
        labels=_labels(rows, several),
        scores=[_score_line(rows, name, method) for name in names if not name.endswith(OTHER)],
    )


def beside(rows: pl.DataFrame, other: pl.DataFrame, where: str) -> pl.DataFrame:
    """The rows of two runs on the same images: columns of the second end in `_other`.

    Args:
        rows: of the first run.
        other: of the second.
        where: both, for an error.

    Raises:
        DataError: they are of other images, or other labels.
    """
    for name in ("index", "name", "label"):
        if not rows[name].equals(other[name], null_equal=True):
            raise DataError(
                where,
                expected="runs with the same images in this split",
                found=f"{len(rows)} and {len(other)} images that differ in {name}",
                remedy="compare runs that were trained on one manifest with the same splits",
            )
    told = ["predicted", "probability", "right", *(SCORE + n for n in score_columns(other))]
    return rows.hstack(other.select(pl.col(told).name.suffix(OTHER)))


def _conditions(rows: pl.DataFrame, asked: OfGallery, several: bool) -> list[pl.Expr]:
    found = []
    for name, wanted in (("label", asked.label), ("predicted", asked.predicted)):
        if wanted is not None:
            own = pl.col(name)
            found.append(own.list.contains(wanted) if several else own == wanted)
    if asked.right != "any":
        found.append(pl.col("right") == (asked.right == "right"))
    if asked.outcome != "any" and asked.other is not None:
        before, after = _OUTCOMES[asked.outcome]
        found += [pl.col("right") == before, pl.col("right" + OTHER) == after]
    if asked.region != "any":
        found.append(pl.col("region") == (asked.region == "present"))
    if asked.score is not None:
        value = _score(rows, asked.score)
        found += [value >= asked.low] if asked.low is not None else []
        found += [value <= asked.high] if asked.high is not None else []
    return found


def _sorted_by(rows: pl.DataFrame, name: str) -> pl.Expr:
    return pl.col(name) if name in ("index", "probability") else _score(rows, name)


def _score(rows: pl.DataFrame, name: str) -> pl.Expr:
    """A score, that of the other run (`_other`), or how much it differs there (`_change`)."""
    own = name.removesuffix(CHANGE)
    if name in ("probability", "probability" + OTHER) and name in rows.columns:
        return pl.col(name)
    if SCORE + name in rows.columns:
        return pl.col(SCORE + name)
    if name != own and {SCORE + own, SCORE + own + OTHER} <= set(rows.columns):
        return pl.col(SCORE + own + OTHER) - pl.col(SCORE + own)
    known = score_columns(rows)
    raise unknown("score", name, near(name, known) if known else "score the run: regard score RUN")


def _item(row: dict[str, Any], names: list[str], compared: bool) -> Item:
    own = [name for name in names if not name.endswith(OTHER)]
    there = None
    if compared:
        theirs = [name for name in names if name.endswith(OTHER)]
        there = Other(
            predicted=row["predicted" + OTHER],
            probability=row["probability" + OTHER],
            right=row["right" + OTHER],
            scores={name.removesuffix(OTHER): row[SCORE + name] for name in theirs},
        )
    told = {name: row[name] for name in Item.model_fields if name not in ("scores", "other")}
    return Item(**told, scores={name: row[SCORE + name] for name in own}, other=there)


def _labels(rows: pl.DataFrame, several: bool) -> list[LabelLine]:
    labels = rows["label"].explode() if several else rows["label"]
    labels = labels.drop_nulls()
    counts = dict(labels.value_counts().iter_rows())
    return [LabelLine(name=name, images=counts[name]) for name in sorted(counts, key=natural)]


def _score_line(rows: pl.DataFrame, name: str, method: str) -> ScoreLine:
    values, (score, _, other) = rows[SCORE + name], name.partition("@")
    words = title(score) + (f", {other}" if other else "")
    low, high = values.min(), values.max()
    told = {"name": name, "title": words, "about": about(score), "method": other or method}
    return ScoreLine(low=low, high=high, **told)  # type: ignore[arg-type]
