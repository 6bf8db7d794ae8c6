"""What is refused of how an epoch is cut into parts."""

from collections.abc import Sequence

import torch
from torch import nn

from regard.data.loader import Share, epoch_order
from regard.data.transforms import Transform
from regard.errors import ConfigError
from regard.models.heads import train_mode
from regard.saliency.capture import evaluating, undisturbed
from regard.training.config import Config
from regard.training.group import Group
from regard.training.preflight import blank


def refuse_single(
    config: Config, net: nn.Module, transform: Transform, labels: Sequence[int], group: Group
) -> None:
    """Batch norm at a single place has nothing to norm by, where a part is one image.

    Args:
        config: of the run.
        net: on the CPU; it is left as it was.
        transform: of the images.
        labels: of the train split.
        group: the processes that train together.

    Raises:
        ConfigError: a part of an epoch is one image, and the net cannot be trained on one.
    """
    how, model = config.training, config.model
    count = len(epoch_order(labels, how.imbalance, seed=how.seed, epoch=0))
    if 1 not in _parts(count, how.batch_size, how.accumulate, group.size):
        return
    size = config.data.augment.cut(transform.size)
    try:
        with evaluating(net), torch.no_grad():
            train_mode(net, frozen=model.frozen(how.epochs - 1), freeze_bn=model.freeze_bn)
            with undisturbed(net):
                net(blank(config.data.views, size, 1))
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise ConfigError(
            "training.batch_size",
            expected=f"two images or more in every part of a step, as {model.spec} has batch norm "
            f"where {size[0]} x {size[1]} pixels have become one place",
            found=f"{count} images an epoch in parts of {how.batch_size}, one of a single image",
            remedy="choose another batch_size, a larger data.size, or set model.freeze_bn=true",
        ) from error


def _parts(count: int, batch_size: int, accumulate: int, processes: int) -> set[int]:
    """How many images the parts of an epoch's steps have, whoever has them."""
    whole = batch_size * accumulate
    sizes = set()
    for step in {min(whole, count), count % whole} - {0}:
        for number in range(processes):
            share = Share(number, processes, cuts=True).rows_of(step)
            sizes |= {min(batch_size, share), share % batch_size}
    return sizes - {0}
