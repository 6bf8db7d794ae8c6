"""Random changes of a training sample: image, views, region and target always change together."""

from collections.abc import Callable

import torch

from regard.data.colours import recoloured
from regard.data.cropping import crop_of, pixel_of_a_class
from regard.data.mask_classes import TARGET
from regard.data.moving import Move
from regard.data.pasting import Loan, pasted
from regard.data.sample import Planes
from regard.data.settings import Augment

Lend = Callable[[list[float]], Loan | None]


def augment(
    images: Planes,
    masks: Planes,
    how: Augment,
    generator: torch.Generator,
    lend: Lend | None = None,
) -> tuple[Planes, Planes]:
    """Change the views (uint8 (3, H, W)) and masks (float (H, W)) of one sample together.

    In this order: what is borrowed, flips and moves, the crop, colours.

    Every draw is made whether it is used or not, so that switching one change off leaves the
    others as they were. What a move uncovers takes the view's mean colour, in views on black
    black; masks are 0 there, and the target is void.

    Args:
        images: by view.
        masks: by kind; the target holds class indices.
        how: what may change.
        generator: keyed by what the sample is drawn for.
        lend: gives what another sample lends, by two numbers in [0, 1); None: nothing is borrowed.
    """
    # Later kinds of draws come after the earlier ones, whose numbers stay what they were.
    unit, place, loan = (torch.rand(n, generator=generator).tolist() for n in (10, 5, 4))
    if lend is not None and loan[0] < how.paste:
        images, masks = _borrowed(images, masks, lend(loan[1:3]), loan[3] < 0.5 and how.flip > 0)
    images, masks = Move.drawn(how, unit[:6])(images, masks)
    if how.crop is not None:
        images, masks = _cropped(images, masks, how, place)
    return {name: recoloured(image, how, unit[6:]) for name, image in images.items()}, masks


def _borrowed(
    images: Planes, masks: Planes, loan: Loan | None, mirrored: bool
) -> tuple[Planes, Planes]:
    if loan is None:
        return images, masks
    return pasted(images, masks, loan.mirrored() if mirrored else loan)


def _cropped(
    images: Planes, masks: Planes, how: Augment, unit: list[float]
) -> tuple[Planes, Planes]:
    """All views and masks cut alike, by five numbers in [0, 1)."""
    height, width = next(iter(images.values())).shape[1:]
    target, pixel = masks.get(TARGET), None
    if target is not None and unit[0] < how.rare:
        pixel = pixel_of_a_class(target, unit[1:3])
    rows, columns = crop_of((height, width), how.cut((height, width)), unit[3:], pixel)
    return (
        {name: image[:, rows, columns] for name, image in images.items()},
        {name: mask[rows, columns] for name, mask in masks.items()},
    )
