"""Pictures of a segmenter: truth, prediction and difference, and where it looks for each class."""

from collections.abc import Sequence

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from regard.data.mask_classes import VOID
from regard.errors import RegardError
from regard.evaluation.segmentation import pooled_metrics
from regard.images.heat import smooth
from regard.images.mask_colours import WRONG, class_colours
from regard.language import phrase
from regard.progress import Step
from regard.reports import layers
from regard.reports.album import MAP, Album, MissingPicturesError, photo_limit
from regard.reports.blocks import Block, Card, Picture
from regard.reports.contents import RunContents, SplitContents
from regard.reports.galleries import left_out, made_gallery, scaled, without_map
from regard.reports.words import clauses, decimal, percent
from regard.runs.evaluate_masks import masks_of
from regard.runs.inference import as_told
from regard.runs.run import Run
from regard.saliency.capture import evaluating
from regard.saliency.explain import explain
from regard.saliency.targets import PixelTarget
from regard.scores.base import one_sign

Ids = NDArray[np.uint8]
# Classes of one image whose maps a card has room for.
_MOST = 10


def mask_galleries(
    run: RunContents, split: SplitContents, pictures: int, splits: int, progress: Step | None
) -> list[Block]:
    """The galleries of a split, or why there are none; arguments as of `run_galleries`."""
    if split.predictions is None or not pictures:
        return []
    worst, best, spread = chosen_images(split.predictions, pictures)
    each = 4 * (len(worst) + len(best)) + min(_MOST, len(run.classes)) * len(spread)
    try:
        album = Album(run.folder, split.predictions, split.name, photo_limit(each * splits))
        asked = as_told(album.run, (split.metrics or {}).get("inference"))
    except (RegardError, MissingPicturesError) as error:
        return [left_out(split.name, error)]
    rows = {row["index"]: row for row in split.predictions.iter_rows(named=True)}
    spread_words = phrase(
        "Images spread evenly over the split: of each class that the image holds the map of where "
        "it is predicted; outlined is where it truly is."
    )
    how = phrase("Colours are classes, over the photo; the difference shows what is wrong.")
    told = [
        (
            phrase("Hardest images"),
            f"{phrase('Lowest mean IoU of an image first.')} {how}",
            worst,
            compared_card,
        ),
        (
            phrase("Easiest images"),
            f"{phrase('Highest mean IoU of an image first.')} {how}",
            best,
            compared_card,
        ),
        (
            phrase("Where it looks, class by class"),
            f"{spread_words} {scaled(run.maps)}",
            spread,
            looks_card,
        ),
    ]
    colours = class_colours(run.classes)
    legend = [*zip(run.classes, colours, strict=True), (phrase("wrong"), WRONG)]
    blocks: list[Block] = []
    for title, about, indices, make in told:
        blocks += made_gallery(
            title,
            about,
            indices,
            lambda index, make=make: make(album, rows[index], asked),
            progress,
            wide=True,
            legend=legend if make is compared_card else (),
        )
    return blocks


def chosen_images(table: pl.DataFrame, pictures: int) -> tuple[list[int], list[int], list[int]]:
    """The worst and the best images by their own mean IoU, and some spread evenly."""
    order = sorted((image_iou(row), row["index"]) for row in table.iter_rows(named=True))
    known = [index for value, index in order if not np.isnan(value)]
    half = max(1, pictures // 2)
    rows = table.sort("index")["index"].to_list()
    places = np.unique(np.linspace(0, len(rows) - 1, min(half, len(rows))).astype(int))
    worst = known[:pictures]
    best = [index for index in known[::-1] if index not in worst][:half]
    return worst, best, [rows[place] for place in places]


def image_iou(row: dict) -> float:
    """The mean IoU of one image; NaN where nothing is said of it."""
    return pooled_metrics(np.array(row["confusion"], dtype=np.int64))["mean_iou"]


def compared_card(album: Album, row: dict, asked: Run) -> Card:
    """Photo, truth, prediction and difference, predicted as the split was evaluated."""
    guess, true = shown_masks(album, row["index"], asked)
    file, colours = album.named(row["image"]), class_colours(album.run.classes)
    wrong = np.where((guess != true) & (true != VOID), 0, VOID).astype(np.uint8)
    told = [
        (phrase("photo"), "", []),
        (phrase("truth"), true, colours),
        (phrase("prediction"), guess, colours),
        (phrase("difference"), wrong, [WRONG]),
    ]
    pictures = [_painted(album, row["index"], file, what, ids, own) for what, ids, own in told]
    counts = np.array(row["confusion"], dtype=np.int64)
    right = counts.trace() / max(1, counts.sum())
    facts = [
        (phrase("mean IoU"), decimal(image_iou(row))),
        (phrase("right pixels"), percent(right)),
    ]
    return Card(pictures, "", facts, file)


def _painted(
    album: Album, index: int, file: str, what: str, ids: Ids | str, colours: Sequence[str]
) -> Picture:
    shown = album.shown(index)
    height, width = shown.size
    layer = "" if isinstance(ids, str) else layers.classes(ids, colours)
    return Picture(shown.photo, f"{file}, {what}", width, height, layer, "", what)


def looks_card(album: Album, row: dict, asked: Run) -> Card:
    """Of each class of an image where the net itself looks, however it was evaluated."""
    run, index, file = album.run, row["index"], album.named(row["image"])
    truth = np.array(row["confusion"], dtype=np.int64).sum(1)
    _, true = shown_masks(album, index, asked)
    pictures = []
    for k in np.flatnonzero(truth)[:_MOST].tolist():
        found, share = _class_map(album, index, k)
        shown = album.shown(index)
        height, width = shown.size
        scale = min(1.0, MAP / max(shown.size))
        size = max(1, round(height * scale)), max(1, round(width * scale))
        note = phrase("{label}, predicted on {share}", label=run.classes[k], share=percent(share))
        if share and float(found.max()) <= 0:
            note = clauses(note, phrase("the map is zero everywhere"))
        outline = layers.outline(torch.from_numpy((true == k).astype(np.float32)))
        alt = f"{file}, {phrase('map of {label}', label=run.classes[k])}"
        heat = layers.heat(smooth(found, size))
        pictures.append(Picture(shown.photo, alt, width, height, heat, outline, note))
    if not pictures:
        shown, note = album.shown(index), phrase("every pixel is void")
        height, width = shown.size
        pictures = [Picture(shown.photo, without_map(file), width, height, caption=note)]
    return Card(pictures, "", [], file)


def shown_masks(album: Album, index: int, asked: Run | None = None) -> tuple[Ids, Ids]:
    """Predicted and true classes of a manifest's row, at the size that its photo is shown at.

    Args:
        album: of the run.
        index: the row.
        asked: the run as it answers, of `as_told`; None: the album's own.
    """
    guess, true = masks_of(asked or album.run, album.samples[album.rows[index]])
    size = album.shown(index).size
    return _nearest(guess, size), _nearest(true, size)


def _nearest(ids: NDArray[np.integer], size: tuple[int, int]) -> Ids:
    found = torch.from_numpy(ids.astype(np.uint8))[None, None]
    return torch.nn.functional.interpolate(found, size, mode="nearest-exact")[0, 0].numpy()


def _class_map(album: Album, index: int, k: int) -> tuple[Tensor, float]:
    """The map (h, w) of a class over the pixels where it is predicted, and their share."""
    net, gaze, images = album.run.net, album.gaze, album.given(index)
    with evaluating(net):
        with torch.no_grad():
            share = float((net(images).argmax(1) == k).float().mean())
        how = {"layer": gaze.layer, "contrast": gaze.contrast, **album.options}
        found = explain(net, images, PixelTarget(k), gaze.method, **how)
    return one_sign(found.float().cpu(), "positive")[0], share
