"""timm's CrossViT, with a view of its own for each branch."""

from collections.abc import Mapping

import torch
from timm.models.crossvit import CrossVit, scale_image
from torch import Tensor

from regard.models.routing import view_for, views_of

BRANCHES = ("small", "large")


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

    @classmethod
    def of(cls, net: CrossVit, inputs: Mapping[str, str], spec: str) -> "RoutedCrossViT":
        """The net itself, from now on with routed views.

        Args:
            net: of any size; changed in place.
            inputs: branch (`small`, `large`) to view.
            spec: for errors.

        Raises:
            ModelError: a branch without a view, or a name that is no branch's.
        """
        views = views_of(BRANCHES, inputs, spec)
        # timm's constructors make the class that they know; nothing but its embedding changes.
        net.__class__ = cls
        assert isinstance(net, cls)
        net.views = views
        return net

    def _embed(self, x: Tensor | Mapping[str, Tensor]) -> list[Tensor]:
        """The tokens (B, 1 + N, C) of each branch."""
        return [self._tokens(view_for(x, self.views, branch), branch) for branch in (0, 1)]

    def _tokens(self, pixels: Tensor, branch: int) -> Tensor:
        height, width = self.img_size_scaled[branch]
        scaled = scale_image(pixels, (height, width), self.crop_scale)
        patches = self.patch_embed[branch](scaled)
        first = getattr(self, f"cls_token_{branch}").expand(len(pixels), -1, -1)
        tokens = torch.cat((first, patches), 1) + getattr(self, f"pos_embed_{branch}")
        return self.pos_drop(tokens)
