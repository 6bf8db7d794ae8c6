"""Nets with two sets of tokens, a branch each, that attend to themselves and to each other."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from timm.models.crossvit import CrossVit
from torch import nn

from regard.models import twin_crossvit
from regard.models.routed_crossvit import BRANCHES, crossvit_grids
from regard.models.twin_crossvit import TwinCrossViT


@dataclass(frozen=True)
class Step:
    """One attention of a forward pass.

    Attributes:
        branch: whose tokens it changes.
        source: whose patches it reads. Where that is another branch, its queries are the branch's
            class token alone, and its keys that token and, for the first of several in a row,
            the source's patches.
    """

    branch: int
    source: int


@dataclass(frozen=True)
class Branches:
    """What a net with two branches is made of.

    Attributes:
        names: of the branches.
        grids: (h, w) of each branch's patches; one class token stands before them.
        class_token: whether the logits are read from the class tokens; else from the patches.
        steps: attentions in the order of a forward pass.
    """

    names: tuple[str, ...]
    grids: tuple[tuple[int, int], ...]
    class_token: bool
    steps: tuple[Step, ...]


def branches_of(net: nn.Module) -> Branches | None:
    """The branches of a net, also one within wrappers; None of a net with one set of tokens."""
    for module in net.modules():
        if isinstance(module, TwinCrossViT):
            steps = (*_steps(module.stages),)
            return Branches(twin_crossvit.BRANCHES, (module.grid,) * 2, True, steps)
        if isinstance(module, CrossVit):
            token = module.global_pool == "token"
            return Branches(BRANCHES, crossvit_grids(module), token, (*_steps(module.blocks),))
    return None


def _steps(stages: Any) -> Iterator[Step]:
    """Of stages with `blocks` and `fusion` by branch."""
    for stage in stages:
        for branch, blocks in enumerate(stage.blocks):
            yield from (Step(branch, branch) for _ in blocks)
        for branch, fusion in enumerate(stage.fusion):
            several = len(fusion) if isinstance(fusion, nn.Sequential) else 1
            yield from (Step(branch, 1 - branch) for _ in range(several))
