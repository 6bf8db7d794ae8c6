"""Which samples of a run are shown: the worst mistakes, and the worst and best gaze."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import polars as pl

from regard.errors import DataError
from regard.evaluation.table import PREFIX
from regard.language import phrase, plural
from regard.progress import Step
from regard.reports.album import Album, MissingPicturesError, photo_limit
from regard.reports.blocks import Block, Card, Gallery, Note
from regard.reports.contents import RunContents, SplitContents
from regard.reports.words import decimal, percent, said, whole, without_folders
from regard.saliency.base import METHODS

T = TypeVar("T")


def run_galleries(
    run: RunContents, split: SplitContents, pictures: int, splits: int, progress: Step | None
) -> list[Block]:
    """The galleries of a split, or why there are none.

    Args:
        run: whose net makes the maps.
        split: whose images are shown.
        pictures: samples a gallery.
        splits: how many splits share the page.
        progress: called with the number of samples done.
    """
    if split.predictions is None or not pictures:
        return []
    chosen = _chosen(split, pictures)
    each = 2 + len(run.config["data"]["views"])
    limit = photo_limit(sum(each * len(g[2]) for g in chosen) * splits)
    try:
        album = Album(run.folder, split.predictions, split.name, limit)
    except MissingPicturesError as error:
        return [left_out(split.name, error)]
    rows = _rows(split)
    blocks: list[Block] = []
    for title, about, indices, both in chosen:
        about = f"{about} {scaled(run.maps)}"
        blocks += made_gallery(
            title, about, indices, lambda i, both=both: _card(album, rows[i], both=both), progress
        )
    return blocks


def left_out(split: str, error: Exception) -> Note:
    """Why there are no pictures of a split."""
    reason = without_folders(error)
    return Note(phrase("Pictures of {split} are left out: {reason}", split=split, reason=reason))


def scaled(maps: str) -> str:
    """How maps are to be read."""
    return phrase("Maps by {method}, each over its own maximum.", method=maps)


def made_gallery(
    title: str,
    about: str,
    chosen: Iterable[T],
    make: Callable[[T], Card],
    progress: Step | None,
    **look: Any,
) -> list[Block]:
    """A gallery of the cards that can be made, and why others cannot; without any the latter alone.

    Args:
        title: of the gallery.
        about: how its samples were chosen.
        chosen: what a card is made of.
        make: makes one.
        progress: called with 1 after each.
        look: further fields of `Gallery`.
    """
    cards, wrong = [], []
    for one in chosen:
        try:
            cards.append(make(one))
        except (DataError, OSError) as error:
            wrong.append(without_folders(error))
        if progress is not None:
            progress(1)
    blocks: list[Block] = [Gallery(title, about, cards, **look)] if cards else []
    return [*blocks, *unreadable(wrong, title)]


def most_changed(change: Mapping[int, float], pictures: int) -> tuple[list[int], list[int]]:
    """The images that changed most: upward, the most first, and downward.

    Args:
        change: by image; what is not finite counts for nothing.
        pictures: the most of each.
    """
    order = sorted((i for i, by in change.items() if math.isfinite(by)), key=lambda i: change[i])
    risen = [i for i in order[::-1] if change[i] > 0][:pictures]
    return risen, [i for i in order if change[i] < 0][:pictures]


def unreadable(wrong: Sequence[str], title: str) -> list[Block]:
    """What is said of pictures that could not be made."""
    if not wrong:
        return []
    return [
        Note(
            plural(
                len(wrong),
                "{gallery}: {n} picture left out, the first because {reason}",
                "{gallery}: {n} pictures left out, the first because {reason}",
                gallery=title,
                reason=wrong[0],
            )
        )
    ]


def _rows(split: SplitContents) -> dict[int, dict]:
    """By index: the prediction, with the scores where there are some."""
    assert split.predictions is not None
    table = split.predictions
    if split.scores is not None and "energy" in split.scores.columns:
        table = table.join(split.scores.select("index", "energy"), on="index", how="left")
    return {row["index"]: row for row in table.iter_rows(named=True)}


def _chosen(split: SplitContents, pictures: int) -> list[tuple[str, str, list[int], bool]]:
    """Title, how chosen, the rows of the manifest, and whether both classes' maps are shown."""
    assert split.predictions is not None
    found = [(*_mistakes(split.predictions, pictures), True)]
    if "tree_distance" in split.predictions.columns:
        found.append((*_furthest(split.predictions, pictures), True))
    if split.scores is not None and "energy" in split.scores.columns:
        scores = split.scores.filter(pl.col("energy").is_finite()).sort("energy")
        low, high = ends(scores["index"].to_list(), pictures)
        about = phrase("Energy in the region of the label's map, lowest first.")
        found.append((phrase("Looks elsewhere"), about, low, False))
        about = phrase("Energy in the region of the label's map, highest first.")
        found.append((phrase("Looks at the region"), about, high, False))
    return [entry for entry in found if entry[2]]


def ends(rising: list[T], most: int) -> tuple[list[T], list[T]]:
    """The first and the last of a list, at the most half of it each, the outermost first."""
    middle = (len(rising) + 1) // 2
    return rising[:middle][:most], rising[middle:][::-1][:most]


def _mistakes(table: pl.DataFrame, pictures: int) -> tuple[str, str, list[int]]:
    wrong = table.filter(~pl.col("correct"))
    sure = pl.max_horizontal(pl.col(f"^{PREFIX}.*$"))
    chosen = wrong.sort(sure, descending=True)["index"].head(pictures).to_list()
    about = plural(
        len(wrong),
        "{n} image of {total} misclassified, the most confident first.",
        "{n} images of {total} misclassified, the most confident first.",
        total=whole(len(table)),
    )
    return phrase("Mistakes"), about, chosen


def _furthest(table: pl.DataFrame, pictures: int) -> tuple[str, str, list[int]]:
    wrong = table.filter(~pl.col("correct"))
    sure = pl.max_horizontal(pl.col(f"^{PREFIX}.*$"))
    chosen = wrong.sort("tree_distance", sure, descending=True)["index"].head(pictures).to_list()
    about = phrase(
        "Mistakes whose predicted label is furthest from the true one in the tree of labels, then "
        "the most confident."
    )
    return phrase("Furthest mistakes"), about, chosen


def _card(album: Album, row: dict, *, both: bool) -> Card:
    label, predicted, index = row["label"], row["predicted"], row["index"]
    # A map that is the same whatever the class is shown once, beside the image.
    targeted = METHODS[album.gaze.method].targeted
    both = both and targeted
    file, pictures = album.named(row["image"]), []
    for name in [label, predicted] if both else [label]:
        what = phrase("map of {label}", label=name) if targeted else phrase("map")
        pictures.append(album.picture(index, name, f"{file}, {what}", what))
    if not both:
        plain = album.picture(index, None, without_map(file), phrase("image"))
        pictures.insert(0, plain)
    for view in album.views[1:]:
        alt = without_map(f"{file}, {view}")
        pictures.append(album.picture(index, None, alt, view, view=view))
    return Card(pictures, label, facts_of(row), file)


def without_map(what: str) -> str:
    """The text alternative of a bare photo."""
    return phrase("{what}, without a map", what=what)


def facts_of(row: dict) -> list[tuple[str, str]]:
    """What is known of a sample: prediction, probability, energy."""
    facts = [
        (phrase("predicted"), answer_of(row["predicted"], right=row["correct"])),
        (phrase("probability"), percent(row[PREFIX + row["predicted"]])),
    ]
    if row.get("tree_distance"):
        facts.append((phrase("edges between"), f"{row['tree_distance']:.0f}"))
    if row.get("energy") is not None:
        facts.append((said("energy"), decimal(row["energy"])))
    return facts


def answer_of(label: str, *, right: bool) -> str:
    """What was predicted, and whether that is wrong."""
    return label if right else phrase("{label} (wrong)", label=label)
