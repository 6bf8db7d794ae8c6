"""The weights of patches within a net of two branches."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from regard.data.patch_weights import PatchWeights, patch_shares
from regard.data.sample import REGION_VIEW
from regard.models.inputs import InputSpec
from regard.models.routing import view_for

# Of red, green and blue in a grey level (ITU-R 601-2).
LUMA = (0.299, 0.587, 0.114)


class PatchWeighting(nn.Module):
    """Weights of each branch's patches, by what one view shows of the subject.

    Patches of both branches at one place weigh alike, whichever view a branch sees.

    Args:
        how: kind, view and threshold.
        grids: (h, w) of each branch's patches.
        spec: normalisation of the images, which is undone before the threshold.
    """

    mean: Tensor
    std: Tensor
    luma: Tensor

    def __init__(
        self, how: PatchWeights, grids: Sequence[tuple[int, int]], spec: InputSpec
    ) -> None:
        super().__init__()
        self.how, self.grids, self.spec = how, tuple(grids), spec
        for name, values in (("mean", spec.mean), ("std", spec.std), ("luma", LUMA)):
            row = torch.tensor(values).view(1, 3, 1, 1)
            self.register_buffer(name, row, persistent=False)

    def weights(self, images: Tensor | Mapping[str, Tensor]) -> list[Tensor]:
        """(B, h, w) of each branch, from normalised images (B, 3, H, W) or views of them."""
        pixels = view_for(images, [self.how.view], 0).detach()
        grey = ((pixels.float() * self.std + self.mean) * self.luma).sum(1)
        drawn = self.how.view == REGION_VIEW
        inside = grey.clamp(0, 1) if drawn else (grey > self.how.threshold / 255).float()
        return [self.how.of(patch_shares(inside, grid)) for grid in self.grids]

    def forward(
        self, tokens: Sequence[Tensor], images: Tensor | Mapping[str, Tensor]
    ) -> list[Tensor]:
        """The tokens (B, 1 + N, C) of each branch, those of patches times their weights."""
        if not self.how.tokens:
            return [*tokens]
        return [
            torch.cat([own[:, :1], own[:, 1:] * by.flatten(1)[..., None].to(own)], 1)
            for own, by in zip(tokens, self.weights(images), strict=True)
        ]


def image_weights(net: nn.Module, images: Tensor | Mapping[str, Tensor]) -> Tensor | None:
    """What each image's loss weighs, (B,): the mean of its patches', over both branches.

    None of a net that weights no patches, or not the loss.
    """
    for module in net.modules():
        if isinstance(module, PatchWeighting) and module.how.loss:
            means = [by.mean((1, 2)) for by in module.weights(images)]
            return torch.stack(means).mean(0)
    return None
