"""The whole batch of a step, as a process that has a share of it has to know it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from regard.data.samples import Batch
from regard.data.transforms import Transform
from regard.guidance.base import Term
from regard.guidance.combination import Divisors
from regard.guidance.forward_pass import Donors, lenders
from regard.training.group import Group


class Loan(NamedTuple):
    """An image that lends pixels, uint8 (3, H, W) by view, and its region (H, W)."""

    views: dict[str, Tensor]
    inside: Tensor


@dataclass(frozen=True)
class Lending:
    """Of each image of a share the one that lends it pixels.

    That is the next of the whole batch that has an outside to lend, which for the last one of a
    share is in another share.

    Attributes:
        images: uint8 (B, 3, H, W) by view, and those lent by another share.
        inside: their regions, (B, H, W).
        rows: of each image of the share, the place of the lender among these.
    """

    images: dict[str, Tensor]
    inside: Tensor
    rows: Tensor

    def donors(self, part: slice, transform: Transform, device: torch.device) -> Donors:
        """Those of a part of the share."""
        rows = self.rows[part]
        views = {k: transform.normalise(v[rows].to(device)) for k, v in self.images.items()}
        images = next(iter(views.values())) if len(views) == 1 else views
        lent = rows != torch.arange(len(self.rows))[part]
        return Donors(images, self.inside[rows].to(device), lent.to(device))


@dataclass(frozen=True)
class Whole:
    """What the shares of a batch make together.

    Attributes:
        by: what sums over it are divided by.
        rows: in the manifest, of all its images in their order.
        share: of the images that this process has.
        lending: for terms that take pixels from other images; or None.
    """

    by: Divisors
    rows: list[int]
    share: float
    lending: Lending | None


@dataclass(frozen=True)
class Work:
    """What of a step this process does.

    Attributes:
        batch: its images; of a process by itself all.
        step: that is taken.
        terms: with the weights of this step.
        whole: what has to be known of the shares of all processes together.
    """

    batch: Batch
    step: int
    terms: tuple[Term, ...]
    whole: Whole


@dataclass(frozen=True)
class Taken:
    """What a step found, in all processes together.

    Attributes:
        rows: of its images, in the manifest.
        correct: right answers.
        parts: of the loss.
        by: what the parts, and the right answers, are the means of.
        micro: the size of a micro-batch from here on.
    """

    rows: list[int]
    correct: float
    parts: dict[str, float]
    by: Divisors
    micro: int


def whole(group: Group, by: Divisors, batch: Batch, terms: Sequence[Term]) -> Whole:
    """The whole batch of a step from the shares of all processes.

    Args:
        group: of the processes.
        by: of this process's share.
        batch: the share, which may be empty.
        terms: of the guidance.
    """
    lends = any(term.lends for term in terms)
    offer = _offered(batch) if lends and group.size > 1 else None
    told = group.gather((by, batch.index.tolist(), offer))
    rows = [row for _, own, _ in told for row in own]
    return Whole(
        _with_partners(Divisors.together([by for by, _, _ in told]), terms),
        rows,
        len(batch) / len(rows),
        _lending(batch, _next([offer for *_, offer in told], group.number)) if lends else None,
    )


def _with_partners(by: Divisors, terms: Sequence[Term]) -> Divisors:
    """An image that no other one lends pixels is not counted by terms that take them."""
    alone = {t.title: 0 for t in terms if t.lends and by.terms.get(t.title) == 1}
    return replace(by, terms=by.terms | alone)


def _offered(batch: Batch) -> Loan | None:
    """The first image of a share that can lend."""
    usable, inside = _evidence(batch)
    if not usable.any():
        return None
    row = int(usable.nonzero()[0])
    views = {name: view[row].clone() for name, view in batch.images.items()}
    return Loan(views, inside[row].clone())


def _next(offers: Sequence[Loan | None], number: int) -> Loan | None:
    """What the nearest of the following shares lends, from the last on to the first."""
    following = [*offers[number + 1 :], *offers[:number]]
    return next((offer for offer in following if offer is not None), None)


def _lending(batch: Batch, lent: Loan | None) -> Lending:
    usable, inside = _evidence(batch)
    images, rows = batch.images, lenders(usable)
    if lent is None or not usable.any():
        return Lending(images, inside, rows)
    last = int(usable.nonzero()[-1])
    return Lending(
        {name: torch.cat([view, lent.views[name][None]]) for name, view in images.items()},
        torch.cat([inside, lent.inside[None].to(inside)]),
        rows.index_fill(0, torch.tensor([last]), len(batch)),
    )


def _evidence(batch: Batch) -> tuple[Tensor, Tensor]:
    """Which images have an outside to lend, (B,), and all regions, (B, H, W)."""
    assert batch.regions is not None
    evidence = batch.regions.of(batch.labels)
    return evidence.partial, evidence.inside
