"""Handlers of one image as it is: the photo, its region, what is known of it."""

from dataclasses import dataclass
from pathlib import Path

from regard.data.decoding import Size, image_size
from regard.data.sample import Sample
from regard.data.transforms import Transform
from regard.data.where import Where
from regard.runs.net import transform_of
from regard.runs.overlay import whole
from regard.server import pictures
from regard.server.client import Client
from regard.server.facts import Facts
from regard.server.kept import stamp_of
from regard.server.media import Media
from regard.server.questions import OfImage, OfPicture
from regard.server.service import Service


@dataclass(frozen=True)
class Photo:
    """An image of a run's manifest.

    Attributes:
        facts: of the run.
        sample: with the files.
        size: (height, width) upright.
        transform: how the net sees it.
    """

    facts: Facts
    sample: Sample
    size: Size
    transform: Transform

    @property
    def path(self) -> Path:
        """Of the first view."""
        return Path(self.sample.views[0][1])

    @property
    def stamp(self) -> str:
        """What the image is known by: its file as it is now."""
        return f"{self.path}|{stamp_of([self.path])}"


def photo_of(service: Service, asked: OfImage) -> Photo:
    """The image that is asked for.

    Raises:
        NotFoundError: no such run, split or image.
        DataError: it cannot be read.
    """
    facts = service.shelves.facts(asked.run)
    sample = service.shelves.sample(facts, asked.split, asked.index)
    transform = transform_of(facts.data.model_dump())
    return Photo(facts, sample, image_size(sample.views[0][1]), transform)


async def picture(service: Service, client: Client, asked: OfPicture) -> Media:
    """The photo, upright and in its own proportions, at most so wide."""
    return await client.thread(_picture, service, asked)


def _picture(service: Service, asked: OfPicture) -> Media:
    photo = photo_of(service, asked)
    size = pictures.shown_at(photo.size, asked.width)
    key = f"photo|{photo.stamp}|{size}|{photo.transform.max_pixels}"
    data = service.cache.made(key, lambda: pictures.photo(str(photo.path), photo.transform, size))
    return Media(data, pictures.JPEG)


async def region(service: Service, client: Client, asked: OfPicture) -> Media:
    """The outline of the image's region on nothing, as large as its picture."""
    return await client.thread(_region, service, asked)


def _region(service: Service, asked: OfPicture) -> Media:
    photo = photo_of(service, asked)
    size = pictures.shown_at(photo.size, asked.width)
    shown = Where(whole(photo.transform, size)).region(photo.sample)
    return Media(pictures.outline(shown, size), pictures.PNG)
