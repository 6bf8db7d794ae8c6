"""What terms on saliency maps have in common."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from regard.data.regions import Evidence
from regard.errors import ConfigError, near
from regard.guidance.base import Term
from regard.guidance.forward_pass import ForwardPass
from regard.saliency.base import METHODS, Method, Need
from regard.saliency.explain import build_method
from regard.saliency.resizing import resize
from regard.scores.base import one_sign

Weights = Literal["flow", "stop"]


@dataclass(frozen=True)
class MapTerm(Term):
    """A differentiable loss on a map and a region, one number an image.

    Attributes:
        method: makes the map, of the label's class.
        layer: that the method reads: None (found), a dotted name or a module.
        contrast: the map is of the label's logit less the mean of all logits. Without it a net
            can keep its evidence out of sight, as evidence against the other classes: with
            two classes it does.
        sign: what counts of a signed map: its positive part or its absolute value.
        weights: `flow`; with `stop` the gradients at the layer, and with them the weights of
            its channels, count as constants: cheaper, and the layers above it are not moved.
        options: of the method.
        separate: whether an image's loss is a function of its own map and region alone, as those
            of this package are. Its gradient is computed with it then where a net is compiled.
    """

    of_segmenters: ClassVar[bool] = True
    separate: ClassVar[bool] = False

    method: str = "gradcam"
    layer: str | nn.Module | None = None
    contrast: bool = False
    sign: Literal["positive", "absolute"] = "positive"
    weights: Weights = "flow"
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not METHODS[self.method].differentiable:
            able = [name for name in METHODS if METHODS[name].differentiable]
            raise ConfigError(
                f"term {self.title}",
                expected="a differentiable method",
                found=self.method,
                remedy="choose one of: " + ", ".join(able),
            )
        one_sign(torch.zeros(1), self.sign)
        if self.weights not in get_args(Weights):
            raise ConfigError(
                f"term {self.title}",
                expected="weights: " + " or ".join(get_args(Weights)),
                found=repr(self.weights),
                remedy=near(str(self.weights), get_args(Weights)),
            )
        # `reads` builds the method, so that a wrong option of it is found here.
        if not self.reads & {"layer", "attention"} and self.weights == "stop":
            raise ConfigError(
                f"term {self.title}",
                expected="a method of a layer or of attention for weights: stop",
                found=f"{self.method}, whose map is the gradient itself",
                remedy="set weights: flow",
            )

    @cached_property
    def technique(self) -> Method:
        """The method with its options."""
        return build_method(self.method, **self.options)

    @property
    def reads(self) -> frozenset[Need]:
        """What the method reads."""
        return self.technique.reads | (self.technique.needs & {"pixels"})

    @property
    def read_layer(self) -> str | nn.Module | None:
        """The layer that the method reads."""
        return self.layer

    @property
    def analytic(self) -> bool:
        """Whether maps need no gradient under a head of average pooling and one linear layer."""
        return self.reads == {"layer"} and not self.technique.extra_forwards

    def raw(self, seen: ForwardPass) -> Tensor:
        """Maps (B, h, w) at the layer's resolution."""
        key = (
            self.method,
            tuple((name, _told(self.options[name])) for name in sorted(self.options)),
        )
        return seen.maps(
            self.technique,
            key,
            self.layer,
            contrast=self.contrast,
            stop=self.weights == "stop",
        )

    def losses(self, seen: ForwardPass) -> Tensor:
        """The losses (B,) of the maps, at the regions' size."""
        height, width = seen.evidence.inside.shape[1:]
        return self.loss(
            resize(one_sign(self.raw(seen), self.sign), (height, width)), seen.evidence
        )

    @abstractmethod
    def loss(self, maps: Float[Tensor, "B H W"], evidence: Evidence) -> Float[Tensor, " B"]:
        """The loss of each image, of maps at least 0 and at the region's size."""


def _told(value: Any) -> Any:
    """What tells an option's value from others; of a tensor, which the term holds, itself."""
    return id(value) if isinstance(value, Tensor) else repr(value)


def counted_maps(maps: Tensor, evidence: Evidence) -> Tensor:
    """Maps (B, H, W) where pixels count; one that is zero there becomes uniform."""
    counted = maps * evidence.counted
    alive = has_room(counted.flatten(1).amax(1))[:, None, None]
    return torch.where(alive, counted, evidence.counted)


def has_room(values: Tensor) -> Tensor:
    """Which values can be divided by: the gradient of a share of less would be infinite.

    A map of such values is one of zeros as far as a loss is concerned.
    """
    # In half precision everything below 0.00006 is as small as that, and is divided by.
    least = torch.finfo(values.dtype).tiny * 100 if values.dtype != torch.float16 else 0
    return values > least


def normal_maps(maps: Tensor, evidence: Evidence) -> Tensor:
    """n: maps (B, H, W) over their maximum; a zero map becomes uniform."""
    counted = counted_maps(maps, evidence)
    peak = counted.flatten(1).amax(1)[:, None, None]
    return counted / torch.where(has_room(peak), peak, 1)


def mean_or_zero(values: Tensor, where: Tensor) -> Tensor:
    """The mean (B,) of values (B, H, W), weighted; 0 where nothing weighs."""
    total = where.sum((1, 2))
    return (values * where).sum((1, 2)) / torch.where(total > 0, total, 1)
