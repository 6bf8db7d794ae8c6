"""What a net takes from each of its tokens, followed from the logits back through every attention.

A product of matrices over all tokens, of which only the row of the reader is asked for, is made row
by row: from the last attention to the first, without any product of matrices. Nets of two
branches have one row over the tokens of both.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.models.branches import Step


@dataclass
class Flow:
    """A row over the tokens of each branch, followed back through attention.

    It is kept in two parts, so that nothing small is lost beside the ones of the residual
    connections.

    Attributes:
        alone: (B, N) of each branch, what came through residual connections alone.
        taken: (B, N) of each branch, the rest.
        normalised: whether rows of A + I are divided by their sum (rollout), or not (Chefer).
    """

    alone: list[Tensor]
    taken: list[Tensor]
    normalised: bool

    @classmethod
    def begin(cls, rows: Sequence[Tensor], *, normalised: bool) -> "Flow":
        """At the reader.

        Args:
            rows: (B, N) of each branch; together they sum to 1.
            normalised: as the attribute.
        """
        return cls([*rows], [torch.zeros_like(row) for row in rows], normalised)

    def through(self, steps: Sequence[Step], matrices: Sequence[Tensor]) -> "Flow":
        """Multiply by A + I of each attention, the last one first.

        Args:
            steps: which tokens attend to which.
            matrices: (B, N, M) of each step, heads fused.
        """
        for step, matrix in zip(reversed(steps), reversed(matrices), strict=True):
            share = 1 / (1 + matrix.sum(-1)) if self.normalised else torch.ones_like(matrix[..., 0])
            if step.branch == step.source:
                self._within(step.branch, matrix, share)
            else:
                self._across(step, matrix[:, 0], share)
        return self

    def total(self) -> list[Tensor]:
        """Both parts together, (B, N) of each branch; of a rollout all of them sum to 1."""
        return [alone + taken for alone, taken in zip(self.alone, self.taken, strict=True)]

    def _within(self, branch: int, matrix: Tensor, share: Tensor) -> None:
        self.alone[branch] = self.alone[branch] * share
        taken = self.taken[branch] * share
        whole = self.alone[branch] + taken
        self.taken[branch] = taken + torch.bmm(whole[:, None], matrix)[:, 0]

    def _across(self, step: Step, row: Tensor, share: Tensor) -> None:
        """The class token alone asks; its keys are itself and the other branch's patches."""
        share = torch.cat([share, torch.ones_like(self.alone[step.branch][:, 1:])], 1)
        self.alone[step.branch] = self.alone[step.branch] * share
        taken = self.taken[step.branch] * share
        whole = self.alone[step.branch][:, :1] + taken[:, :1]
        self.taken[step.branch] = torch.cat([taken[:, :1] + whole * row[:, :1], taken[:, 1:]], 1)
        if row.shape[1] > 1:
            other = self.taken[step.source]
            self.taken[step.source] = torch.cat(
                [other[:, :1], other[:, 1:] + whole * row[:, 1:]], 1
            )
