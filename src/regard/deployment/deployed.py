"""A run's net as production wants it: uint8 pixels in, probabilities out, and the gaze beside."""

from typing import Any, no_type_check

import torch
from torch import Tensor, nn

from regard.data.transforms import Transform
from regard.errors import RunError
from regard.evaluation.answers import probabilities_of
from regard.evaluation.settings import Gaze
from regard.models.layout import Layout
from regard.runs.run import Run
from regard.saliency.base import weighted_sum
from regard.saliency.capture import Images
from regard.saliency.compiled import Keeper
from regard.saliency.layers import find_layer
from regard.saliency.linear_heads import remembered_head
from regard.saliency.outputs import logits_of

LOGITS, PROBABILITIES, GAZE = "logits", "probabilities", "gaze"


class Deployed(nn.Module):
    """Normalisation, net and probabilities in one.

    Takes the views of a run in their order, uint8 (B, 3, H, W) of the run's input size: resizing
    stays outside, as its kernels differ from one runtime to another. Gives `logits` and
    `probabilities`, (B, K), of a segmenter (B, K, H, W), and with a gaze the map (B, h, w) of the
    predicted class: Grad-CAM, which average pooling and one linear layer have in closed form, with
    the run's own contrast.

    Args:
        run: in evaluation mode.
        gaze: whether to give the map.

    Raises:
        RunError: a gaze is asked of a net without such a head, or of several views.
    """

    def __init__(self, run: Run, *, gaze: bool = False) -> None:
        super().__init__()
        self.views, self.task = run.data.views, run.task
        self.names = (LOGITS, PROBABILITIES, *([GAZE] if gaze else []))
        self.normalise = Normalise(run.transform)
        head = _head(run) if gaze else None
        self.net = run.net if head is None else head.keeper
        self.head = head

    @no_type_check  # a checker of types would be traced, too
    def forward(self, *views: Tensor) -> tuple[Tensor, ...]:
        """What `names` names."""
        pixels = [self.normalise(view) for view in views]
        images = pixels[0] if len(pixels) == 1 else dict(zip(self.views, pixels, strict=True))
        if self.head is None:
            logits = logits_of(self.net(images))
            return logits, probabilities_of(logits, self.task)
        answer, outputs = self.net(images)
        logits = logits_of(answer)
        return logits, probabilities_of(logits, self.task), self.head(logits, outputs[0])


class Normalise(nn.Module):
    """uint8 (B, 3, H, W) to what the net takes, as `Transform.normalise` does."""

    mean: Tensor
    std: Tensor

    def __init__(self, transform: Transform) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(transform.mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(transform.std).view(3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """float32 (B, 3, H, W)."""
        return (images.float() / 255 - self.mean) / self.std


class GazeHead(nn.Module):
    """The map of the predicted class from the activations that the linear head averages.

    Grad-CAM's weights are those of the class over the number of positions (Selvaraju et al.,
    arXiv:1610.02391, section 3); of a contrast less the mean over the classes.

    Args:
        weight: (K, C), the linear head's.
        layout: of the layer's output.
        contrast: as of `Gaze`.
        keeper: the net that keeps the layer's output.
    """

    weight: Tensor

    def __init__(self, weight: Tensor, layout: Layout, contrast: bool, keeper: Keeper) -> None:
        super().__init__()
        weight = weight.detach().clone()
        self.register_buffer("weight", weight - weight.mean(0) if contrast else weight)
        self.layout = layout
        self._keeper = [keeper]  # in a list: it is no part of this module

    @property
    def keeper(self) -> Keeper:
        """The net that keeps the layer's output."""
        return self._keeper[0]

    @no_type_check
    def forward(self, logits: Tensor, output: Tensor) -> Tensor:
        """Maps (B, h, w)."""
        maps = self.layout.maps(output)
        positions = maps.shape[2] * maps.shape[3]
        return weighted_sum(self.weight[logits.argmax(1)] / positions, maps)


def _head(run: Run) -> GazeHead:
    if run.task != "classification" or len(run.data.views) > 1:
        raise _no_gaze(run, "a segmenter" if run.segments else "several labels or views")
    gaze = Gaze.model_validate(run.config["gaze"])
    images = _example(run)
    layer = find_layer(run.net, images, gaze.layer)
    weight = remembered_head(run.net, images, layer)
    if weight is None:
        raise _no_gaze(run, f"another head in {type(run.net).__name__}")
    return GazeHead(weight, layer.layout, gaze.contrast, Keeper(run.net, (layer.name,)))


def _example(run: Run) -> Images:
    """Grey images as the net takes them."""
    return run.transform.normalise(torch.full((2, 3, *run.transform.size), 127, dtype=torch.uint8))


def _no_gaze(run: Run, found: str) -> RunError:
    return RunError(
        f"{run.folder}, --gaze",
        expected="a classifier of average pooling and one linear layer",
        found=found,
        remedy="leave --gaze out; regard explain makes its maps",
    )


def random_views(run: Run, batch: int) -> list[Any]:
    """Random uint8 pixels (B, 3, H, W) for each view, to trace a net with."""
    generator = torch.Generator().manual_seed(0)
    shape = (batch, 3, *run.transform.size)
    return [
        torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator) for _ in run.data.views
    ]
