"""What the galleries of a study have in common: albums by arm, and who does better."""

from collections.abc import Callable, Mapping, Sequence

from regard.language import phrase
from regard.progress import Step
from regard.reports.album import Album, Shelf, photo_limit
from regard.reports.blocks import Block, Card
from regard.reports.contents import SplitContents
from regard.reports.galleries import made_gallery
from regard.reports.study_contents import Done


def arm_albums(
    runs: Mapping[str, Done], parts: Mapping[str, SplitContents], split: str, pictures: int
) -> dict[str, Album]:
    """An album of each arm, for so many pictures on the page.

    Raises:
        RegardError, MissingPicturesError: there are none.
    """
    limit, shelf = photo_limit(pictures), Shelf()
    albums = {}
    for arm, part in parts.items():
        assert part.predictions is not None
        folder = runs[arm].contents.folder
        albums[arm] = Album(folder, part.predictions, split, limit, shelf)
    return albums


def better_galleries(
    pair: tuple[str, str],
    changed: tuple[Sequence[int], Sequence[int]],
    about: str,
    card: Callable[[int], Card],
    progress: Step | None,
    legend: Sequence[tuple[str, str]] = (),
) -> list[Block]:
    """The images that one arm does better, and those that the other does.

    Args:
        pair: the arms.
        changed: of each the images, of `most_changed`.
        about: how these were chosen.
        card: makes that of an image.
        progress: called with 1 after each.
        legend: of the galleries.
    """
    blocks: list[Block] = []
    for better, chosen in zip(pair, changed, strict=True):
        title = phrase("Better under {arm}", arm=better)
        blocks += made_gallery(title, about, chosen, card, progress, wide=True, legend=legend)
    return blocks
