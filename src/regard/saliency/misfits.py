"""Why a net fails on a batch: pixels of another type, on another device, of other channels."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from regard.errors import DataError
from regard.saliency.capture import Images


@contextmanager
def misfits_told(net: nn.Module, images: Images) -> Iterator[None]:
    """Where torch fails within and the images do not fit the net, say that.

    Nothing is refused beforehand: a net may convert what it is given.

    Raises:
        DataError: in place of a `RuntimeError`, as far as the reason is known.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        views = images.values() if isinstance(images, Mapping) else (images,)
        for view in views:
            found = _misfit(net, view, str(error))
            if found is not None:
                raise found from error
        raise


def _misfit(net: nn.Module, view: Tensor, said: str) -> DataError | None:
    weight = next((p for p in net.parameters() if p.is_floating_point()), None)
    if weight is None:
        return None
    if weight.device != view.device:
        return DataError(
            "images",
            expected=f"pixels on {weight.device}, where the net is",
            found=f"on {view.device}",
            remedy=f"images.to({str(weight.device)!r})",
        )
    if weight.dtype != view.dtype and not torch.is_autocast_enabled(view.device.type):
        return DataError(
            "images",
            expected=f"{weight.dtype}, as the net's weights are",
            found=str(view.dtype),
            remedy=f"images.to({weight.dtype})",
        )
    first = next((m for m in net.modules() if isinstance(m, nn.Conv2d)), None)
    if "channels" in said and first is not None and view.shape[1] != first.in_channels:
        return DataError(
            "images",
            expected=f"{first.in_channels} channels, as the net's first convolution takes",
            found=f"shape {tuple(view.shape)}",
            remedy="grey images become RGB by images.expand(-1, 3, -1, -1)"
            if (view.shape[1], first.in_channels) == (1, 3)
            else "pass images of as many channels",
        )
    return None
