"""The same images as every segmenter of a study predicts them."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from regard.errors import RegardError
from regard.images.mask_colours import class_colours
from regard.language import phrase
from regard.progress import Step
from regard.reports import layers
from regard.reports.album import Album, MissingPicturesError
from regard.reports.blocks import Block, Card, Note, Picture
from regard.reports.contents import SplitContents
from regard.reports.galleries import left_out, most_changed
from regard.reports.mask_galleries import image_iou, shown_masks
from regard.reports.study_albums import arm_albums, better_galleries
from regard.reports.study_contents import Done
from regard.reports.words import decimal
from regard.runs.inference import as_told
from regard.runs.run import Run


def study_mask_galleries(
    runs: Mapping[str, Done],
    parts: Mapping[str, SplitContents],
    pair: tuple[str, str],
    split: str,
    pictures: int,
    progress: Step | None,
) -> list[Block]:
    """Photo, truth and each arm's prediction, where the first comparison's arms differ most.

    Args:
        runs: a run of each arm, of one seed where that is possible.
        parts: what was written of each about the split.
        pair: the arm, and the one that it is held against.
        split: whose images are shown.
        pictures: images a gallery.
        progress: called with the number of images after each.
    """
    ious = {arm: _ious(parts[arm].predictions) for arm in parts}
    arm, against = pair
    change = {i: ious[arm][i] - ious[against].get(i, np.nan) for i in ious[arm]}
    changed = most_changed(change, pictures)
    if not any(changed):
        text = "No image of {split} has another mean IoU under {arm} than {against}."
        return [Note(phrase(text, split=split, arm=arm, against=against))]
    try:
        albums = arm_albums(runs, parts, split, (2 + len(parts)) * sum(map(len, changed)))
        asked = {
            name: as_told(albums[name].run, (part.metrics or {}).get("inference"))
            for name, part in parts.items()
        }
    except (RegardError, MissingPicturesError) as error:
        return [left_out(split, error)]
    classes = runs[arm].contents.classes
    legend = [*zip(classes, class_colours(classes), strict=True)]
    about = phrase(
        "The largest difference of an image's own mean IoU first. Runs of seed {seed}.",
        seed=runs[arm].seed,
    )
    return better_galleries(
        pair, changed, about, lambda index: _card(albums, asked, index, ious), progress, legend
    )


def _ious(table: pl.DataFrame | None) -> dict[int, float]:
    rows: Sequence[dict] = [] if table is None else table.to_dicts()
    return {row["index"]: image_iou(row) for row in rows}


def _card(
    albums: Mapping[str, Album],
    asked: Mapping[str, Run],
    index: int,
    ious: Mapping[str, Mapping[int, float]],
) -> Card:
    first = next(iter(albums.values()))
    image = first.samples[first.rows[index]].views[0][1]
    file, colours = first.named(image), class_colours(first.run.classes)

    def picture(album: Album, layer: str, what: str) -> Picture:
        shown = album.shown(index)
        height, width = shown.size
        return Picture(shown.photo, f"{file}, {what}", width, height, layer, "", what)

    guesses = {arm: shown_masks(albums[arm], index, asked[arm]) for arm in albums}
    truth = layers.classes(next(iter(guesses.values()))[1], colours)
    pictures = [picture(first, "", phrase("photo")), picture(first, truth, phrase("truth"))]
    for arm, (guess, _) in guesses.items():
        iou = decimal(ious[arm].get(index), 2)
        what = phrase("{arm}, mean IoU {iou}", arm=arm, iou=iou)
        pictures.append(picture(albums[arm], layers.classes(guess, colours), what))
    return Card(pictures, "", [], file)
