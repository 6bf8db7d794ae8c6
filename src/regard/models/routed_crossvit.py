"""timm's CrossViT, with a view of its own for each branch."""

from collections.abc import Mapping
from typing import Any

import torch
from timm.models.crossvit import CrossVit, scale_image
from torch import Tensor

from regard.data.patch_weights import PatchWeights
from regard.models.inputs import input_spec
from regard.models.patch_weighting import PatchWeighting
from regard.models.routing import view_for, views_of

BRANCHES = ("small", "large")
ONE_VIEW: Mapping[str, str] = dict.fromkeys(BRANCHES, "image")


class RoutedCrossViT(CrossVit):
    """A CrossViT whose branches see different views of a sample.

    Of one image for both branches it gives timm's own logits; its parameters have timm's names.
    Each view is resized to its branch's size, as timm does it: of `crossvit_small_240` the small
    branch sees 240 x 240 pixels in patches of 12, the large one 224 x 224 in patches of 16.

    Reference: Chen et al., CrossViT, arXiv:2103.14899.

    Shapes: a tensor (B, 3, H, W) for both branches, or views by name, each (B, 3, H, W), to logits
    (B, classes).

    Raises:
        ModelError: the images lack a view.
    """

    views: tuple[str, ...]
    patch_weighting: PatchWeighting | None

    @classmethod
    def of(
        cls, net: CrossVit, inputs: Mapping[str, str], weights: PatchWeights | None = None
    ) -> "RoutedCrossViT":
        """The net itself, from now on with routed views.

        Args:
            net: of any size; changed in place.
            inputs: branch (`small`, `large`) to view.
            weights: of patches; None for none.

        Raises:
            ModelError: a branch without a view, or a name that is no branch's.
        """
        views = views_of(BRANCHES, inputs)
        # timm's constructors make the class that they know; nothing but its embedding changes.
        net.__class__ = cls
        assert isinstance(net, cls)
        net.views = views
        net.patch_weighting = None
        if weights is not None:
            net.patch_weighting = PatchWeighting(weights, crossvit_grids(net), input_spec(net))
        return net

    def _embed(self, x: Tensor | Mapping[str, Tensor]) -> list[Tensor]:
        """The tokens (B, 1 + N, C) of each branch."""
        tokens = [self._tokens(view_for(x, self.views, branch), branch) for branch in (0, 1)]
        return tokens if self.patch_weighting is None else self.patch_weighting(tokens, x)

    def _tokens(self, pixels: Tensor, branch: int) -> Tensor:
        height, width = self.img_size_scaled[branch]
        scaled = scale_image(pixels, (height, width), self.crop_scale)
        patches = self.patch_embed[branch](scaled)
        first = getattr(self, f"cls_token_{branch}").expand(pixels.shape[0], -1, -1)
        tokens = torch.cat((first, patches), 1) + getattr(self, f"pos_embed_{branch}")
        return self.pos_drop(tokens)


def crossvit_grids(net: Any) -> tuple[tuple[int, int], ...]:
    """(h, w) of the patches of each branch of timm's CrossViT."""
    pairs = zip(net.img_size_scaled, net.patch_embed, strict=True)
    return tuple((h // e.patch_size[0], w // e.patch_size[1]) for (h, w), e in pairs)
