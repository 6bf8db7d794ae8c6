"""Random changes of a training sample: image, views, region and target always change together."""

import torch
from torch import Tensor

from regard.data.colours import recoloured
from regard.data.moving import Move
from regard.data.settings import Augment

Planes = dict[str, Tensor]


def augment(
    images: Planes,
    masks: Planes,
    how: Augment,
    generator: torch.Generator,
) -> tuple[Planes, Planes]:
    """Change the views (uint8 (3, H, W)) and masks (float (H, W)) of one sample together.

    In this order: flips and moves, colours.

    Every draw is made whether it is used or not, so that switching one change off leaves the
    others as they were. What a move uncovers takes the view's mean colour, in views on black
    black; masks are 0 there, and the target is void.

    Args:
        images: by view.
        masks: by kind; the target holds class indices.
        how: what may change.
        generator: keyed by what the sample is drawn for.
    """
    unit = torch.rand(10, generator=generator).tolist()
    images, masks = Move.drawn(how, unit[:6])(images, masks)
    return {name: recoloured(image, how, unit[6:]) for name, image in images.items()}, masks
