"""Handlers of one image: the photo, its region, what is known of it."""

from typing import Any

import polars as pl
from torch import Tensor

from regard.data.sample import Sample, of_label
from regard.data.transforms import resized
from regard.data.where import Where
from regard.errors import DataError, RegardError
from regard.reports.contents import attempt
from regard.runs.overlay import whole
from regard.server import pictures
from regard.server.answers import ImageAnswer, Named, Probability, RegionAnswer
from regard.server.client import Client
from regard.server.drawn import box_labels, classes_of
from regard.server.looking import LABEL, PREDICTED, Asked, Look, class_of, looked, named_target
from regard.server.media import Media
from regard.server.nets import weights_of
from regard.server.photos import Photo, photo_of, refuse_labels
from regard.server.questions import OfImage, OfPicture, OfRegion
from regard.server.refusals import BusyError, UnavailableError
from regard.server.rows import answers_of, class_scores_at, scores_at
from regard.server.service import Service


async def picture(service: Service, client: Client, asked: OfPicture) -> Media:
    """The photo, upright and in its own proportions, at most so wide."""
    return await client.thread(_picture, service, asked)


def _picture(service: Service, asked: OfPicture) -> Media:
    photo = photo_of(service.shelves, asked)
    size = pictures.shown_at(photo.size, asked.width)
    key = f"photo|{photo.stamp}|{size}|{photo.transform.max_pixels}"
    data = service.cache.made(key, lambda: pictures.photo(str(photo.path), photo.transform, size))
    return Media(data, pictures.JPEG)


async def region(service: Service, client: Client, asked: OfRegion) -> Media:
    """The outline of the image's region on nothing, or the region itself, white on black.

    Of a segmenter the region is where a class is; of sets of labels that of one of them, if one is
    named.
    """
    return await client.thread(_region, service, asked)


def _region(service: Service, asked: OfRegion) -> Media:
    photo = photo_of(service.shelves, asked)
    size = pictures.shown_at(photo.size, asked.width, enlarged=not asked.filled)
    if photo_has_mask(photo):
        shown = resized(_of_class(service, photo, asked.target)[None], size)[0]
    else:
        shown = Where(whole(photo.transform, size)).region(_sample(service, photo, asked))
    drawn = pictures.filled if asked.filled else pictures.outline
    return Media(drawn(shown, size), pictures.PNG)


def _sample(service: Service, photo: Photo, asked: OfRegion) -> Sample:
    """The sample, of sets of labels with the region of the label that is asked for alone."""
    facts, target = photo.facts, asked.target
    if facts.task != "multilabel" or target is None:
        return photo.sample
    if target == PREDICTED:
        known = _predicted(service, photo, asked)
        if not known:
            return photo.sample
        target = known[0][0]
    if target == LABEL and not photo.sample.labels:
        return photo.sample
    name = class_of(photo, target)
    return photo.sample if name is None else of_label(photo.sample, facts.classes.index(name))


async def mask(service: Service, client: Client, asked: OfImage) -> Media:
    """The mask of a segmenter's image, grey, as large as the photo.

    A pixel's value is its class's place in what /api/run lists, 255 where nothing is said.
    """
    return await client.thread(_mask, service, asked)


def _mask(service: Service, asked: OfImage) -> Media:
    photo = photo_of(service.shelves, asked)
    refuse_labels(photo)
    return Media(pictures.numbers(_numbers(service, photo)), pictures.PNG)


def _numbers(service: Service, photo: Photo) -> Tensor:
    """The classes of a mask's pixels, uint8 (H, W)."""
    known = classes_of(photo.facts, service.shelves.manifest(photo.facts))
    most = photo.transform.max_pixels
    return known.read(str(photo.sample.mask), photo.size, max_pixels=most)


def _of_class(service: Service, photo: Photo, target: str | None) -> Tensor:
    """Where a class is, 0 or 1 (H, W)."""
    classes = photo.facts.classes
    name = named_target(classes, target or classes[0]) or classes[0]
    return (_numbers(service, photo) == classes.index(name)).float()


async def image(service: Service, client: Client, asked: OfImage) -> ImageAnswer:
    """All that is known of an image; what it is taken for comes from the net, if need be."""
    photo = await client.thread(photo_of, service.shelves, asked)
    known = await client.thread(_predicted, service, photo, asked)
    live = None if known is not None else await _live(service, client, photo)
    return await client.thread(_told, service, photo, asked, known, live)


def _predicted(service: Service, photo: Photo, asked: OfImage) -> list[tuple[str, float]] | None:
    """What the predictions say, if the split was evaluated."""
    path = service.folder.inside(photo.facts.files.predictions(asked.split))
    if not path.is_file():
        return None
    rows = pl.scan_parquet(path, glob=False)
    return attempt(
        lambda: answers_of(rows.filter(pl.col("index") == asked.index).collect(), asked.index), None
    )


async def _live(service: Service, client: Client, photo: Photo) -> Look | None:
    """What the net says now; None where it cannot be used."""
    try:
        weights = await client.thread(weights_of, photo.facts)
        return await looked(service, client, Asked(photo, weights))
    except (BusyError, UnavailableError, DataError):
        raise
    except RegardError:
        return None


def _told(
    service: Service,
    photo: Photo,
    asked: OfImage,
    known: list[tuple[str, float]] | None,
    live: Look | None,
) -> ImageAnswer:
    facts, sample = photo.facts, photo.sample
    pairs = known or ([] if live is None else shares_of(facts.classes, live))
    height, width = photo.size
    return ImageAnswer(
        index=asked.index,
        name=photo.path.name,
        width=width,
        height=height,
        label=_label(photo),
        probabilities=[Probability(name=name, value=value) for name, value in pairs],
        live=live is not None,
        region=RegionAnswer(
            present=sample.region is not None or sample.boxes is not None or photo_has_mask(photo),
            boxes=[] if sample.region is not None else [list(box) for box in sample.boxes or ()],
            box_labels=None
            if sample.region is not None
            else box_labels(facts, service.shelves.manifest(facts), asked.index),
            mask=sample.region is not None,
            ignore=sample.ignore is not None,
            avoid=sample.avoid is not None,
        ),
        **_scores(service, photo, asked),
    )


def _label(photo: Photo) -> Named | None:
    """The class of an image, or the set of its classes; None for one without, or of a segmenter."""
    sample, classes = photo.sample, photo.facts.classes
    if photo.facts.task == "multilabel":
        return [classes[k] for k in sample.labels or ()]
    labelled = photo.facts.task == "classification" and sample.label >= 0
    return classes[sample.label] if labelled else None


def photo_has_mask(photo: Photo) -> bool:
    """Whether the image has a mask of classes, which says where each of them is."""
    return photo.sample.mask is not None


def shares_of(classes: tuple[str, ...], look: Look) -> list[tuple[str, float]]:
    """The classes and what the net gives them, the surest first."""
    pairs = zip(classes, look.shares.tolist(), strict=True)
    return sorted(pairs, key=lambda pair: -pair[1])


def _scores(service: Service, photo: Photo, asked: OfImage) -> dict[str, Any]:
    """`scores` and `class_scores` of an answer."""
    none: dict[str, Any] = {"scores": {}, "class_scores": {}}
    path = service.folder.inside(photo.facts.files.scores(asked.split))
    if not path.is_file():
        return none
    rows = pl.scan_parquet(path, glob=False).filter(pl.col("index") == asked.index)

    def read() -> dict[str, Any]:
        own, index = rows.collect(), asked.index
        return {"scores": scores_at(own, index), "class_scores": class_scores_at(own, index)}

    return attempt(read, none)
