"""A term on a map whose region is another net's map."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from regard.data.regions import Evidence
from regard.guidance.base import Term
from regard.guidance.forward_pass import ForwardPass
from regard.guidance.maps import MapTerm, normal_maps
from regard.saliency.base import Need
from regard.saliency.resizing import resize
from regard.scores.base import one_sign


@dataclass(frozen=True)
class Taught(Term):
    """A term on maps that wants a teacher's map where it would want a region.

    Both maps are of the same class. The teacher's is brought to the resolution of the student's,
    and over its maximum it takes the region's place; a zero map of the teacher counts as a uniform
    one. Regions play no part.

    After Zagoruyko and Komodakis, Paying more attention to attention, arXiv:1612.03928, who let a
    student match the squared activations or the input gradients of a teacher; here it is whatever
    map the term is on.

    Attributes:
        inner: what the maps are compared by, `KL` or `MSE`, with its own method and layer.
        maps: the teacher's, (B, h, w), at any resolution.
        told: which images count; None: all.
    """

    kind: ClassVar[str] = "taught"
    of_segmenters: ClassVar[bool] = True

    inner: MapTerm | None = None
    maps: Float[Tensor, "B h w"] | None = None
    told: Bool[Tensor, " B"] | None = None

    @classmethod
    def of(cls, inner: MapTerm, maps: Tensor | None = None, told: Tensor | None = None) -> "Taught":
        """With the weight, the warm-up and the name of the inner term."""
        how = {"weight": inner.weight, "name": inner.title, "warmup_epochs": inner.warmup_epochs}
        return cls(**how, inner=inner, maps=maps, told=told)

    @property
    def term(self) -> MapTerm:
        """The inner one."""
        assert self.inner is not None
        return self.inner

    @property
    def reads(self) -> frozenset[Need]:
        """What the inner one reads."""
        return self.term.reads

    @property
    def analytic(self) -> bool:
        """Whether the inner one is."""
        return self.term.analytic

    @property
    def read_layer(self) -> str | nn.Module | None:
        """The layer that the inner one reads."""
        return self.term.read_layer

    def valid(self, evidence: Evidence) -> Tensor:
        """The images that are told, whatever regions they have."""
        return torch.ones_like(evidence.present) if self.told is None else self.told

    def raw(self, seen: ForwardPass) -> Tensor:
        """The student's maps (B, h, w)."""
        return self.term.raw(seen)

    def losses(self, seen: ForwardPass) -> Tensor:
        """The losses (B,) of the student's maps against the teacher's."""
        assert self.maps is not None
        found = one_sign(self.raw(seen), self.term.sign)
        height, width = found.shape[1:]
        wanted = resize(one_sign(self.maps, self.term.sign), (height, width)).to(found)
        everywhere = Evidence(
            torch.ones_like(wanted),
            torch.ones_like(wanted),
            torch.ones(len(wanted), dtype=torch.bool, device=wanted.device),
        )
        normal = normal_maps(wanted, everywhere)
        return self.term.loss(found, replace(everywhere, inside=normal))
