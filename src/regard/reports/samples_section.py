"""What a run was trained and tested on, from its manifest."""

from collections.abc import Sequence

import polars as pl

from regard.data.manifest import Manifest, natural
from regard.data.settings import Data
from regard.data.source import open_manifest, splits_of
from regard.data.synthetic_samples import by_split, withheld, withheld_words
from regard.errors import RegardError
from regard.language import phrase
from regard.reports.blocks import Block, Cell, Note, Section, Table, Text
from regard.reports.contents import RunContents
from regard.reports.segmentation import pixel_shares
from regard.reports.words import columns, count, listed, percent, whole, without_folders


def samples_section(run: RunContents) -> Section:
    """Counts by class and split, and how many have a region; a lost manifest is said."""
    try:
        manifest = open_manifest(Data.model_validate(run.config["data"]), run.folder)
    except (RegardError, OSError, ValueError, KeyError) as error:
        text = phrase(
            "The counts of samples are left out, as the manifest cannot be read: {reason}",
            reason=without_folders(error),
        )
        return Section("data", phrase("Data"), [Note(text)])
    table = manifest.table
    if run.segments:
        return Section("data", phrase("Data"), _of_masks(run, table))
    if ("labels" if run.several else "label") not in table.columns:
        return Section(
            "data", phrase("Data"), [Note(phrase("The manifest has no labels any more."))]
        )
    splits = splits_of(table)
    labelled = table.with_columns(label="labels").explode("label") if run.several else table
    blocks: list[Block] = [Text(_words(manifest)), _counts(labelled, splits)]
    return Section("data", phrase("Data"), [*blocks, *_areas(run)])


def _of_masks(run: RunContents, table: pl.DataFrame) -> list[Block]:
    blocks: list[Block] = [Text([" ".join([_by_split(table), *_synthetic(table)])])]
    told = [(split.name, split.numbers) for split in run.splits if split.numbers]
    return [*blocks, pixel_shares(told)] if told else blocks


def _words(manifest: Manifest) -> list[str]:
    table = manifest.table
    kinds = [c for c in ("region", "boxes") if c in table.columns]
    says = pl.any_horizontal([pl.col(c).is_not_null() for c in kinds]) if kinds else pl.lit(False)
    having = table.filter(says).height
    told = [_by_split(table)]
    if having in (0, len(table)):
        told.append(
            phrase("All of them have a region." if having else "None of them has a region.")
        )
    else:
        told.append(phrase("{share} of them have a region.", share=percent(having / len(table))))
    if "avoid" in table.columns and table["avoid"].null_count() < len(table):
        told.append(phrase("Some also say where it is not."))
    if "labels" in table.columns:
        none = table.filter(pl.col("labels").list.len() == 0).height
        samples = count(none, "sample")
        told += [phrase("{samples} of none of the classes.", samples=samples)] if none else []
    return [" ".join([*told, *_synthetic(table)])]


def _by_split(table: pl.DataFrame) -> str:
    parts = [
        phrase("{n} in {split}", n=whole(int((table["split"] == name).sum())), split=name)
        for name in splits_of(table)
    ]
    samples = count(len(table), "sample")
    return phrase("{samples}: {splits}.", samples=samples, splits=listed(parts))


def _synthetic(table: pl.DataFrame) -> list[str]:
    """How many samples of train are synthetic, and how many were left out of it."""
    made, away = by_split(table).get("train", 0), withheld(table)
    if not made and not away:
        return []
    train = int((table["split"] == "train").sum())
    text = phrase(
        "Of the {samples} in train {made} are synthetic.",
        samples=count(train, "sample"),
        made=whole(made),
    )
    return [text, f"{withheld_words(away)}."] if away else [text]


def _counts(table: pl.DataFrame, splits: Sequence[str]) -> Table:
    counts = table.group_by("label", "split").len()
    found = {(row["label"], row["split"]): row["len"] for row in counts.iter_rows(named=True)}
    labels = sorted(table["label"].drop_nulls().unique().to_list(), key=natural)
    rows = [
        [Cell(label)]
        + [Cell(whole(found.get((label, split), 0))) for split in splits]
        + [Cell(whole(sum(found.get((label, split), 0) for split in splits)))]
        for label in labels
    ]
    head = (*columns("Class"), *(f"{split}#" for split in splits), *columns("all#"))
    return Table(head, rows, phrase("Samples by class and split"), folded=len(rows) > 20)


def _areas(run: RunContents) -> list[Block]:
    """How much of what counts of the image the region covers, as the scores tables hold it."""
    rows = []
    for split in run.splits:
        if split.scores is None:
            continue
        area = pl.col("area").cast(pl.Float64)
        told = split.scores.filter(area.is_not_nan())
        # A row is an image, a label of it, and a method.
        images, having = (table["index"].n_unique() for table in (split.scores, told))
        known = told["area"].cast(pl.Float64)
        if not known.is_empty():
            low, middle, high = (known.quantile(q, "linear") for q in (0.05, 0.5, 0.95))
            shares = [known.mean(), low, middle, high]
            text = phrase("{n} of {total}", n=whole(having), total=whole(images))
            cells = [Cell(text)]
            rows.append([Cell(split.name), *cells, *(Cell(percent(x)) for x in shares)])
    head = columns("Split", "Images with a region#", "Mean#", "5th percentile#", "Median#",
                   "95th percentile#")  # fmt: skip
    caption = phrase("Share of the pixels that count which the region covers")
    return [Table(head, rows, caption)] if rows else []
