"""A CrossViT of two branches of one resolution."""

from collections.abc import Mapping

import torch
from timm.layers.patch_embed import PatchEmbed
from timm.layers.weight_init import trunc_normal_
from timm.models.crossvit import CrossAttentionBlock
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from regard.data.patch_weights import PatchWeights
from regard.errors import ModelError
from regard.models.inputs import InputSpec
from regard.models.patch_weighting import PatchWeighting
from regard.models.routing import view_for, views_of

BRANCHES = ("first", "second")
INPUTS: Mapping[str, str] = {"first": "image", "second": "segmented"}


class Stage(nn.Module):
    """Blocks of each branch, then cross-attention in both directions.

    In each direction a branch's class token attends to itself and the other branch's patches, and
    what it takes is added to it: timm's cross-attention, without projections, for both branches
    are as wide.

    Attributes:
        blocks: of each branch.
        fusion: for each branch the cross-attention of its class token; empty for none.
    """

    def __init__(self, width: int, depth: int, heads: int, mlp_ratio: float, *, fuse: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(*(Block(width, heads, mlp_ratio, qkv_bias=True) for _ in range(depth)))
            for _ in BRANCHES
        )
        self.fusion = nn.ModuleList(
            CrossAttentionBlock(width, heads, qkv_bias=True) for _ in BRANCHES if fuse
        )

    def forward(self, tokens: list[Tensor]) -> list[Tensor]:
        """Of each branch the tokens (B, 1 + N, C)."""
        tokens = [blocks(own) for blocks, own in zip(self.blocks, tokens, strict=True)]
        if not len(self.fusion):
            return tokens
        first = [own[:, :1] for own in tokens]
        patches = [own[:, 1:] for own in tokens]
        crossed = [
            fusion(torch.cat((own, other), 1))
            for fusion, own, other in zip(self.fusion, first, reversed(patches), strict=True)
        ]
        return [torch.cat(parts, 1) for parts in zip(crossed, patches, strict=True)]


class TwinCrossViT(nn.Module):
    """Two vision transformers of one size whose class tokens attend to each other's patches.

    Each branch has patch embedding, class token, position embedding, blocks, final norm and linear
    classifier of its own; the logits are the mean of both classifiers'.

    Args:
        classes: number of outputs.
        size: side of the square input, or (height, width), pixels; multiples of `patch`.
        patch: side of a patch, pixels.
        width: of a token; a multiple of `heads`.
        depth: blocks of each branch.
        heads: of each attention.
        period: blocks between two cross-attentions, which also follow the last block where it
            divides `depth`; above `depth` for none.
        mlp_ratio: width of a block's hidden layer over that of a token.
        inputs: branch (`first`, `second`) to view; None: `image` and `segmented`.
        patch_weights: by which the patches' tokens are multiplied; None for none.

    Shapes: a tensor (B, 3, H, W) for both branches, or views by name, each (B, 3, H, W), to logits
    (B, classes).

    Raises:
        ModelError: sizes that do not fit, a branch without a view, images without a view.
    """

    classifier_name = ("head.0", "head.1")

    def __init__(
        self,
        classes: int,
        *,
        size: int | tuple[int, int] = 224,
        patch: int = 16,
        width: int = 256,
        depth: int = 4,
        heads: int = 8,
        period: int = 2,
        mlp_ratio: float = 4.0,
        inputs: Mapping[str, str] | None = None,
        patch_weights: PatchWeights | None = None,
    ) -> None:
        super().__init__()
        height, breadth = (size, size) if isinstance(size, int) else size
        _refuse(height, breadth, patch, width, depth, heads, period)
        self.views = views_of(BRANCHES, INPUTS if inputs is None else inputs)
        self.input_spec = InputSpec((height, breadth))
        self.grid = (height // patch, breadth // patch)
        self.patch_weighting = None
        if patch_weights is not None:
            self.patch_weighting = PatchWeighting(patch_weights, (self.grid,) * 2, self.input_spec)
        self.patch_embed = nn.ModuleList(
            PatchEmbed((height, breadth), patch, embed_dim=width) for _ in BRANCHES
        )
        self.class_token = nn.ParameterList(torch.zeros(1, 1, width) for _ in BRANCHES)
        count = 1 + self.grid[0] * self.grid[1]
        self.positions = nn.ParameterList(torch.zeros(1, count, width) for _ in BRANCHES)
        starts = range(0, depth, period)
        self.stages = nn.ModuleList(
            Stage(width, min(period, depth - at), heads, mlp_ratio, fuse=depth - at >= period)
            for at in starts
        )
        self.norm = nn.ModuleList(nn.LayerNorm(width, eps=1e-6) for _ in BRANCHES)
        self.head = nn.ModuleList(nn.Linear(width, classes) for _ in BRANCHES)
        for embedding in (*self.class_token, *self.positions):
            trunc_normal_(embedding, std=0.02)
        self.apply(_begin)

    def forward(self, images: Tensor | Mapping[str, Tensor]) -> Tensor:
        """Logits (B, classes) of images (B, 3, H, W), or of views of them."""
        tokens = [self._tokens(view_for(images, self.views, branch), branch) for branch in (0, 1)]
        if self.patch_weighting is not None:
            tokens = self.patch_weighting(tokens, images)
        for stage in self.stages:
            tokens = stage(tokens)
        answers = [
            head(norm(own)[:, 0])
            for head, norm, own in zip(self.head, self.norm, tokens, strict=True)
        ]
        return torch.stack(answers).mean(0)

    def _tokens(self, pixels: Tensor, branch: int) -> Tensor:
        patches = self.patch_embed[branch](pixels)
        first = self.class_token[branch].expand(pixels.shape[0], -1, -1)
        return torch.cat((first, patches), 1) + self.positions[branch]


def _begin(module: nn.Module) -> None:
    """First weights as of timm's transformers."""
    if isinstance(module, nn.Linear):
        trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _refuse(
    height: int, breadth: int, patch: int, width: int, depth: int, heads: int, period: int
) -> None:
    wrong = {
        f"a size that patches of {patch} divide": height % patch or breadth % patch,
        f"a width that {heads} heads divide": width % heads,
        "a depth and a period of 1 or more": min(depth, period) < 1,
    }
    for expected, found in wrong.items():
        if found:
            raise ModelError(
                "model regard:twin_crossvit",
                expected=expected,
                found=f"size {height} x {breadth}, width {width}, depth {depth}, period {period}",
                remedy="correct model.options",
            )
