"""An image of a run's manifest."""

from dataclasses import dataclass
from pathlib import Path

from regard.data.sample import Sample
from regard.data.transforms import Transform
from regard.errors import ConfigError
from regard.images.opening import image_size
from regard.images.size import Size
from regard.runs.net import transform_of
from regard.server.facts import Facts
from regard.server.kept import stamp_of
from regard.server.questions import OfImage
from regard.server.shelves import Shelves


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


def photo_of(shelves: Shelves, asked: OfImage) -> Photo:
    """The image that is asked for.

    Raises:
        NotFoundError: no such run, split or image.
        DataError: it cannot be read.
    """
    facts = shelves.facts(asked.run)
    sample = shelves.sample(facts, asked.split, asked.index)
    transform = transform_of(facts.data.model_dump())
    return Photo(facts, sample, image_size(sample.views[0][1]), transform)


def refuse_labels(photo: Photo) -> None:
    """Refuse an image of a run that is no segmenter's.

    Raises:
        ConfigError: it is one of labels.
    """
    if photo.facts.task != "segmentation":
        raise ConfigError(
            "run",
            expected="a run of a segmenter, which answers for each pixel",
            found=f"one of {photo.facts.task}",
            remedy="ask for /api/map",
        )
