"""The same images under every arm of a study: where the gaze changed, and what flipped."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from regard.errors import RegardError
from regard.evaluation.flips import same_images
from regard.evaluation.table import PREFIX
from regard.language import PhraseTuple, phrase
from regard.progress import Step
from regard.reports.album import Album, MissingPicturesError
from regard.reports.blocks import Block, Card, Heading, Picture, Text
from regard.reports.contents import SplitContents
from regard.reports.galleries import answer_of, left_out, made_gallery, scaled
from regard.reports.study_albums import arm_albums
from regard.reports.study_contents import Done, StudyContents
from regard.reports.study_masks import study_mask_galleries
from regard.reports.study_sets import study_set_galleries
from regard.reports.words import (
    count,
    decimal,
    general,
    listed,
    percent,
    signed,
    whole,
)

# A change of energy that can be seen in a picture.
WORTH = 0.05
# The least that three digits tell.
TINY = 0.001
# Images of which nothing is said in general.
FEW = 5


@dataclass(frozen=True)
class Column:
    """An arm in a gallery: its album and its rows by index."""

    arm: str
    album: Album
    rows: dict[int, dict]


def study_galleries(
    study: StudyContents, split: str, pictures: int, progress: Step | None
) -> list[Block]:
    """Galleries of one split, by the first seed that all arms of the first comparison finished."""
    runs = _first_runs(study)
    found = {arm: run.contents.split(split) for arm, run in runs.items()}
    parts = {arm: part for arm, part in found.items() if part and part.predictions is not None}
    if not pictures or not study.pairs or not set(study.pairs[0]) <= set(parts):
        return []
    arm, against = study.pairs[0]
    own = {"segmentation": study_mask_galleries, "multilabel": study_set_galleries}
    if (make := own.get(runs[arm].contents.task)) is not None:
        return make(runs, parts, study.pairs[0], split, pictures, progress)
    try:
        chosen = _chosen(parts[arm], parts[against], arm, against, pictures)
        columns = _columns(study, runs, parts, split, sum(len(rows) for _, _, rows in chosen))
    except (RegardError, MissingPicturesError) as error:
        return [left_out(split, error)]
    run = runs[arm]
    seed = phrase(
        "Runs of seed {seed}; maps of the label."
        if run.fold is None
        else "Runs of seed {seed}, fold {fold}; maps of the label.",
        seed=run.seed,
        fold=run.fold,
    )
    blocks: list[Block] = []
    for title, about, rows in chosen:
        if not rows:
            blocks += [Heading(title), Text([about])]
            continue
        about = f"{about} {seed} {scaled(runs[arm].contents.maps)}"
        blocks += made_gallery(
            title, about, rows, lambda index: _card(index, columns), progress, wide=True
        )
    return blocks


def _first_runs(study: StudyContents) -> dict[str, Done]:
    """A run an arm, all of the same seed and fold where that is possible."""
    keys = [{(run.seed, run.fold or 0) for run in study.of(arm)} for arm in study.arms]
    keys = [own for own in keys if own]
    common = sorted(set.intersection(*keys)) if keys else []
    runs = {}
    for arm in study.arms:
        own = [run for run in study.of(arm) if (run.seed, run.fold or 0) in common[:1]]
        own = own or study.of(arm)
        if own:
            runs[arm] = own[0]
    return runs


def _columns(
    study: StudyContents,
    runs: dict[str, Done],
    parts: dict[str, SplitContents],
    split: str,
    rows: int,
) -> list[Column]:
    albums = arm_albums(runs, parts, split, rows * len(parts) * len(study.splits))
    return [Column(arm, album, _by_index(parts[arm])) for arm, album in albums.items()]


def _by_index(part: SplitContents) -> dict[int, dict]:
    assert part.predictions is not None
    table = part.predictions
    if part.scores is not None and "energy" in part.scores.columns:
        table = table.join(part.scores.select("index", "energy"), on="index", how="left")
    return {row["index"]: row for row in table.iter_rows(named=True)}


def _chosen(
    own: SplitContents, other: SplitContents, arm: str, against: str, pictures: int
) -> list[tuple[str, str, list[int]]]:
    """Title, how chosen, and rows of the manifest."""
    assert own.predictions is not None
    assert other.predictions is not None
    found = [_changed(own, other, arm, against, pictures)]
    before, after = same_images(other.predictions, own.predictions)
    right_before, right_after = before["correct"], after["correct"]
    gain = _sureness(after) - _sureness(before)
    table = after.select("index").with_columns(gain=gain)
    flips: PhraseTuple = (
        ("Wrong under {against}, right under {arm}", ~right_before & right_after, True),
        ("Right under {against}, wrong under {arm}", right_before & ~right_after, False),
    )
    for template, which, up in flips:
        title = phrase(template, against=against, arm=arm)
        rows = table.filter(which).sort("gain", descending=up)
        about = phrase(
            "{images}, the largest change of the label's probability first.",
            images=count(len(rows), "image"),
        )
        if len(rows):
            found.append((title, about, rows["index"].head(pictures).to_list()))
    return [entry for entry in found if entry[1]]


def _sureness(table: pl.DataFrame) -> pl.Series:
    """The probability of the label."""
    rows = table.iter_rows(named=True)
    return pl.Series([row[PREFIX + row["label"]] for row in rows], dtype=pl.Float64)


def _changed(
    own: SplitContents, other: SplitContents, arm: str, against: str, pictures: int
) -> tuple[str, str, list[int]]:
    title = phrase("Where the gaze changed most")
    both = [part.scores for part in (other, own)]
    tables = [t for t in both if t is not None and "energy" in t.columns]
    if len(tables) < 2:
        return title, "", []
    table = _changes_of_energy(*tables)
    known = table.filter(pl.col("change").is_finite())
    if known.is_empty():
        return title, "", []
    told = [
        phrase(
            "From {against} to {arm}, energy rose in {risen} of {images}.",
            against=against,
            arm=arm,
            risen=whole(int((known["change"] > 0).sum())),
            images=count(len(known), "image"),
        ),
        *_left_out(table),
    ]
    seen = known.filter(pl.col("change").abs() >= WORTH)
    if seen.is_empty() and len(known) < FEW:
        return title, " ".join(told), []
    if seen.is_empty():
        most = float(known["change"].abs().max() or 0)  # type: ignore[arg-type]
        if most < TINY:
            text = "The gaze did not change: no image's energy by as much as {tiny}."
            return title, " ".join([*told, phrase(text, tiny=decimal(TINY))]), []
        text = "The gaze hardly changed anywhere: no image's energy by more than {most}."
        return title, " ".join([*told, phrase(text, most=decimal(most))]), []
    text = "It changed by {least} or more in {seen} of them; the largest change first."
    told.append(phrase(text, least=general(WORTH), seen=whole(len(seen))))
    rows = seen.sort(pl.col("change").abs(), descending=True)
    return title, " ".join(told), rows["index"].head(pictures).to_list()


def _changes_of_energy(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Index, `change` of energy, the region's `area` (null for none), and whether a map is dead."""
    columns = ["index", pl.col("energy").cast(pl.Float64), "area", "dead"]
    table = before.select(columns).join(after.select(columns), on="index", suffix="_after")
    return table.select(
        "index",
        change=pl.col("energy_after") - pl.col("energy"),
        area=pl.when(_known("area") & _known("area_after")).then(pl.col("area")),
        dead=pl.col("dead") | pl.col("dead_after"),
    )


def _known(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.Float64).is_finite().fill_null(value=False)


def _left_out(table: pl.DataFrame) -> list[str]:
    """How many images have no score, and why; nothing where all have one."""
    rest = table.filter(_known("change").not_())
    area, dead = pl.col("area"), pl.col("dead")
    reasons: PhraseTuple = (
        ("{n} without a region", area.is_null()),
        ("{n} whose region is empty", area <= 0),
        ("{n} whose region is the whole image", area >= 1 - 1e-6),
        ("{n} whose map is zero everywhere under one of them", dead),
        ("{n} without a score under one of them", pl.lit(value=True)),
    )
    said = []
    for why, which in reasons:
        own, rest = rest.filter(which), rest.filter(which.fill_null(value=False).not_())
        said += [phrase(why, n=whole(len(own)))] if len(own) else []
    if not said:
        return []
    text = "Left out of the {total} images: {reasons}."
    return [phrase(text, total=whole(len(table)), reasons=listed(said))]


def _card(index: int, columns: Sequence[Column]) -> Card:
    own = [column for column in columns if index in column.rows]
    row = own[0].rows[index]
    pictures = [_picture(index, row["label"], column) for column in own]
    return Card(pictures, row["label"], _changes(own, index), own[0].album.named(row["image"]))


def _picture(index: int, label: str, column: Column) -> Picture:
    row = column.rows[index]
    known = row.get("energy") is not None
    said = phrase(
        "{arm}: {answer}, {probability}, energy {energy}"
        if known
        else "{arm}: {answer}, {probability}",
        arm=column.arm,
        answer=answer_of(row["predicted"], right=row["correct"]),
        probability=percent(row[PREFIX + row["predicted"]], 0),
        energy=decimal(row["energy"], 2) if known else "",
    )
    file = column.album.named(row["image"])
    alt = f"{file}, {column.arm}, {phrase('map of {label}', label=label)}"
    return column.album.picture(index, label, alt, said)


def _changes(columns: Sequence[Column], index: int) -> list[tuple[str, str]]:
    """Energy of every arm less that of the first, which is the baseline."""
    first = columns[0].rows[index].get("energy")
    changes = []
    for column in columns[1:]:
        energy = column.rows[index].get("energy")
        if energy is not None and first is not None:
            changes.append((phrase("energy, {arm}", arm=column.arm), signed(energy - first, 2)))
    return changes
