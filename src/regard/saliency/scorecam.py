"""Score-CAM and Faster Score-CAM."""

from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from regard.errors import ConfigError
from regard.saliency.base import METHODS, Method, weighted_sum
from regard.saliency.options import at_least_one
from regard.saliency.outputs import precise, precise_type
from regard.saliency.quicker import native_bfloat16, quicker
from regard.saliency.seen import Seen
from regard.saliency.variants import in_cache

Variant = Literal["paper", "author", "grad-cam", "torchcam"]
Precision = Literal["float32", "bfloat16", "auto"]
# With fewer channels the exact map is quick enough, and with fewer pixels bfloat16 is not near it.
_MANY_CHANNELS, _MANY_PIXELS = 512, 128 * 128


@METHODS.register("scorecam")
class ScoreCAM(Method):
    """Score-CAM: channels weighted by what the net answers when it sees through them.

    relu(sum_k w_k A_k),  w_k = softmax over k of y(x m_k),
    m_k = (U(A_k) - min U(A_k)) / (max U(A_k) - min U(A_k))

    with A_k the activations of channel k, U bilinear enlargement to the image's size, x the image
    and y the target's logit; the score of a baseline image, the same for all k, would cancel.
    Flat channels, which have no mask, are skipped; every other one is evaluated. In a loss the
    weights count as constants.

    The softmax over hundreds of channels is nearly even, so most of the map is what the channels
    have in common; `variant="author"` has none.

    Args:
        max_n: only this many channels of each image, those of largest spatial standard
            deviation (Faster Score-CAM); None, or as many as there are, is Score-CAM.
        variant: `paper`; or as other code does it: `author` weights by the class's probability
            with no softmax over k, `grad-cam` enlarges with align_corners=True, `torchcam` takes
            minimum and maximum before the enlargement.
        chunk: masked images a pass; None is as many as fit the caches on a CPU, else 128. Memory
            grows with it, not with the number of channels.
        precision: of the masked passes. `float32` is as the net runs, `bfloat16` under
            autocast. `auto` is bfloat16 where it pays and no other code is to be matched: a
            net in float32, more than 512 channels, images of 128 x 128 pixels or more, variant
            `paper`, and a machine that multiplies bfloat16 in hardware. On photos and
            EfficientNet-lite0 its map correlates with the exact one by 0.9995 at 224 px and
            0.995 at 128 px; at 96 px it would be 0.95.

    Reference: Wang et al., Score-CAM, arXiv:1910.01279 v2, equations 6 to 10 and algorithm 1; the
    softmax over k stands only in algorithm 1. Faster Score-CAM:
    github.com/tabayashi0117/Score-CAM.
    """

    name: ClassVar[str] = "scorecam"
    needs: ClassVar = frozenset({"layer", "pixels"})
    gradients: ClassVar[bool] = False
    extra_forwards: ClassVar[bool] = True
    dear: ClassVar[bool] = True
    reaches_head: ClassVar[bool] = False
    formula: ClassVar[str] = "relu(sum_k w_k A_k), w_k = softmax_k y(x * minmax(upsampled A_k))"
    passes: ClassVar[str] = "1 forward, and 1 a channel that is not flat (at most max_n)"
    blind_to: ClassVar[str] = "what several channels show together; anything finer than the grid"
    nets: ClassVar[str] = "all with positions: maps or tokens"
    reference: ClassVar[str] = "arXiv:1910.01279 eq. 6-10, alg. 1"

    def __init__(
        self,
        max_n: int | None = None,
        variant: Variant = "paper",
        chunk: int | None = None,
        precision: Precision = "auto",
    ) -> None:
        at_least_one(self.name, max_n=max_n, chunk=chunk)
        self.max_n, self.chunk = max_n, chunk
        self.variant = _one_of("variant", variant, get_args(Variant))
        self.precision = _one_of("precision", precision, get_args(Precision))

    def maps(self, seen: Seen) -> Tensor:
        """Maps (B, h, w)."""
        with torch.no_grad():
            weights = self._weights(seen, seen.activations)
        return weighted_sum(weights.to(seen.activations.dtype), seen.activations)

    def _weights(self, seen: Seen, activations: Tensor) -> Tensor:
        used = _varied(activations, self.max_n)
        dtype = precise_type(seen.logits)
        scores = torch.full(used.shape, -torch.inf, device=used.device, dtype=dtype)
        if bool(used.any()):
            self._fill(scores, seen, activations, used.nonzero())
        # An image of flat channels alone has no softmax.
        return torch.where(used, scores if self.variant == "author" else scores.softmax(1), 0)

    def _fill(self, scores: Tensor, seen: Seen, activations: Tensor, places: Tensor) -> None:
        pixels, dtype = seen.pixels, self._dtype(seen)
        answer = quicker(seen.logits_at, pixels, dtype, logits=seen.logits, steady=seen.steady)
        length = self.chunk or in_cache(pixels, dtype)
        for rows, channels in (part.unbind(1) for part in places.split(length)):
            masks = self._masks(activations[rows, channels][:, None], pixels.shape[2:])
            logits = answer(pixels[rows] * masks, rows).to(scores.dtype)
            if self.variant == "author":
                scores[rows, channels] = seen.probability_of(logits, rows)
            else:
                scores[rows, channels] = seen.value_of(logits, rows)

    def _masks(self, channels: Tensor, size: torch.Size) -> Tensor:
        """Masks (n, 1, H, W) in 0..1 from activations (n, 1, h, w)."""
        if self.variant == "torchcam":
            return _enlarge(_stretched(channels), size, corners=False)
        return _stretched(_enlarge(channels, size, corners=self.variant == "grad-cam"))

    def _dtype(self, seen: Seen) -> torch.dtype | None:
        """For autocast, the same for an image alone and in a batch; None is as the net runs."""
        channels = seen.activations.shape[1]
        pays = (
            min(channels, self.max_n or channels) > _MANY_CHANNELS
            and seen.pixels[0, 0].numel() >= _MANY_PIXELS
            and self.variant == "paper"
            and seen.pixels.dtype == torch.float32
            and native_bfloat16(seen.pixels.device)
        )
        wanted = self.precision == "bfloat16" or (self.precision == "auto" and pays)
        return torch.bfloat16 if wanted else None


def _one_of(option: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ConfigError(
            "method scorecam",
            expected=f"{option} " + ", ".join(allowed),
            found=repr(value),
            remedy="choose one of them",
        )
    return value


def _varied(activations: Tensor, most: int | None) -> Tensor:
    """Which channels (B, C) are not flat, and among those of largest standard deviation."""
    flat = activations.flatten(2)
    used = flat.amax(2) != flat.amin(2)
    if most is not None and most < used.shape[1]:
        spread = precise(flat).std(2, correction=0)
        used &= torch.zeros_like(used).scatter_(1, spread.topk(most, 1).indices, True)
    return used


def _enlarge(channels: Tensor, size: torch.Size, *, corners: bool) -> Tensor:
    return F.interpolate(channels, tuple(size), mode="bilinear", align_corners=corners)


def _stretched(channels: Tensor) -> Tensor:
    """Each (n, 1, h, w) to 0..1."""
    low, high = channels.amin((2, 3), keepdim=True), channels.amax((2, 3), keepdim=True)
    reach = high - low
    return (channels - low) / torch.where(reach == 0, 1, reach)
