"""Handlers of where a net looks: maps, pixels, masks, exchanged backgrounds."""

from urllib.parse import quote

from regard.errors import ConfigError
from regard.images.mask_colours import class_colours
from regard.runs.overlay import ids_laid, laid, window_of
from regard.runs.swapping import swapped
from regard.server import pictures
from regard.server.answers import Background, Swapped
from regard.server.client import Client
from regard.server.looking import Asked, Look, asked_of, looked
from regard.server.media import Media
from regard.server.nets import breaking, weights_of
from regard.server.photos import Photo, photo_of, refuse_labels
from regard.server.questions import OfImage, OfMap, OfPicture, OfPixel
from regard.server.service import Service


async def map_(service: Service, client: Client, asked: OfMap) -> Media:
    """Where the net looks: colours with their own alpha on the photo's frame, clear at 0.

    X-Regard-Peak is the map's highest value, X-Regard-Class the class it is of, percent-encoded.
    """
    photo = await client.thread(photo_of, service.shelves, asked)
    wanted = await client.thread(asked_of, photo, asked.method, asked.layer, asked.target)
    found = await looked(service, client, wanted)
    return await client.thread(_drawn, photo, found, asked.width)


async def pixel(service: Service, client: Client, asked: OfPixel) -> Media:
    """What a segmenter's answer at one place hangs on; X-Regard-Class is that answer."""
    photo = await client.thread(photo_of, service.shelves, asked)
    at = _in_input(photo, asked.x, asked.y)
    wanted = await client.thread(asked_of, photo, asked.method, asked.layer, at=at)
    found = await looked(service, client, wanted)
    return await client.thread(_drawn, photo, found, asked.width)


def _drawn(photo: Photo, found: Look, width: int) -> Media:
    assert found.map is not None
    size = pictures.shown_at(photo.size, width)
    shown = laid(found.map, photo.transform, photo.size, size)
    headers = {
        "X-Regard-Peak": f"{found.peak:.9g}",
        "X-Regard-Class": quote(photo.facts.classes[found.chosen]),
    }
    return Media(pictures.heat(shown), pictures.PNG, headers)


def _in_input(photo: Photo, x: float, y: float) -> tuple[float, float]:
    """Row and column of a place of the photo as shares of the net's input.

    Raises:
        ConfigError: no segmenter, or a place that was cropped away.
    """
    refuse_labels(photo)
    (top, left), (height, width) = window_of(photo.transform, photo.size, photo.size)
    row = (y * photo.size[0] - top) / height
    column = (x * photo.size[1] - left) / width
    if not (0 <= row <= 1 and 0 <= column <= 1):
        raise ConfigError(
            "x and y",
            expected="a place of the photo that the net sees",
            found="one that is cropped away",
            remedy="choose one nearer to the centre",
        )
    return row, column


async def prediction(service: Service, client: Client, asked: OfPicture) -> Media:
    """The mask that a segmenter predicts, in the colours that /api/run tells."""
    photo = await client.thread(photo_of, service.shelves, asked)
    refuse_labels(photo)
    weights = await client.thread(weights_of, photo.facts)
    found = await looked(service, client, Asked(photo, weights))
    return await client.thread(_painted, photo, found, asked.width)


def _painted(photo: Photo, found: Look, width: int) -> Media:
    assert found.classes is not None
    size = pictures.shown_at(photo.size, width)
    ids = ids_laid(found.classes, photo.transform, photo.size, size)
    data = pictures.classes(ids.numpy(), class_colours(photo.facts.classes))
    return Media(data, pictures.PNG)


async def background(service: Service, client: Client, asked: OfImage) -> Background:
    """What the net says when the outside of the region is exchanged: see what it hangs on."""
    photo = await client.thread(photo_of, service.shelves, asked)
    weights = await client.thread(weights_of, photo.facts)
    key = ("background", weights.digest, photo.stamp, asked)
    return await client.net(key, lambda: _exchanged(service, photo, asked))


def _exchanged(service: Service, photo: Photo, asked: OfImage) -> Background:
    run = service.nets.run(photo.facts, weights_of(photo.facts))
    with breaking(photo.facts):
        own, *others = swapped(run, asked.split, photo.sample)
    told = [
        Swapped(how=answer.how, probability=answer.probability, predicted=answer.predicted)
        for answer in others
    ]
    return Background(
        label=run.classes[photo.sample.label],
        probability=own.probability,
        predicted=own.predicted,
        swapped=told,
    )
