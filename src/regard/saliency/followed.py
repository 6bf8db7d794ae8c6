"""Methods that follow attention from the logits back to the patches."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from regard.saliency.base import Method, Need
from regard.saliency.flow import Flow
from regard.saliency.seen import Seen
from regard.saliency.tokens import paths_of


class Followed(Method):
    """A row of a product over all attentions.

    Attributes:
        normalised: whether rows of A + I are divided by their sum.
        residual: whether what comes through residual connections alone is in the map.

    Args:
        reader: of a net of two branches the one whose class token is asked; None: both, as the
            logits are the mean of both classifiers'.
        branch: of a net of two branches the one that is followed alone, as if nothing crossed.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"attention"})
    normalised: ClassVar[bool] = True
    residual: ClassVar[bool] = False

    def __init__(self, *, reader: str | None = None, branch: str | None = None) -> None:
        self.reader, self.branch = reader, branch

    @classmethod
    def refuse(cls, seen: Seen) -> None:
        """Refuse a net whose attention cannot be followed."""
        paths_of(seen)

    @abstractmethod
    def fused(self, seen: Seen) -> Sequence[Tensor]:
        """Of each attention (B, N, M), heads fused."""

    def maps(self, seen: Seen) -> Tensor:
        """Maps (B, h, w) on the grid of the patches; of two grids on the finer one."""
        paths = paths_of(seen)
        readers = paths.chosen(self.name, self.branch or self.reader)
        alone = paths.chosen(self.name, self.branch) if self.branch else None
        pairs = [
            (step, matrix)
            for step, matrix in zip(paths.steps, self.fused(seen), strict=True)
            if alone is None or {step.branch, step.source} == set(alone)
        ]
        steps, matrices = zip(*pairs, strict=True)
        start = [
            tokens.row(matrices[0]) * (branch in readers) / len(readers)
            for branch, tokens in enumerate(paths.tokens)
        ]
        flow = Flow.begin(start, normalised=self.normalised).through(steps, matrices)
        rows = flow.total() if self.residual else flow.taken
        drawn = range(len(rows)) if alone is None else alone
        return laid_over([paths.tokens[branch].drawn(rows[branch]) for branch in drawn])


def laid_over(maps: Sequence[Tensor]) -> Tensor:
    """The sum of maps (B, h, w) of several grids over one image, on the finest grid.

    What a patch holds is shared out by area over the patches that it covers, so that sums stay.
    """
    height, width = max((own.shape[1:] for own in maps), key=lambda grid: grid[0] * grid[1])
    shared = [
        _shares(height, own.shape[1], own) @ own @ _shares(width, own.shape[2], own).T
        for own in maps
    ]
    return torch.stack(shared).sum(0)


def _shares(fine: int, coarse: int, like: Tensor) -> Tensor:
    """Which share of each of `coarse` equal pieces lies in each of `fine` ones, (fine, coarse)."""
    # In whole numbers, for a grid is to be shared out over itself without a trace.
    ours, theirs = torch.arange(fine)[:, None] * coarse, torch.arange(coarse)[None] * fine
    common = torch.minimum(ours + coarse, theirs + fine) - torch.maximum(ours, theirs)
    return common.clamp_min(0).to(like) / fine
