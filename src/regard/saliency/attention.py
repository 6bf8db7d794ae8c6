"""The attention of one block."""

from typing import ClassVar

from torch import Tensor

from regard.errors import ConfigError
from regard.saliency.base import METHODS, Method, Need
from regard.saliency.seen import Seen
from regard.saliency.tokens import find_tokens, self_attention


@METHODS.register("attention")
class Attention(Method):
    """Attention: what the class token of one block attends to.

    mean over heads of A_b, row of the class token

    with A_b the block's attention, whose rows sum to 1 over all tokens. Where the logits are
    read from the patches (average pooling), the mean of the patches' rows. Tokens other than
    patches are not in the map.

    Reference: Caron et al., Emerging Properties in Self-Supervised Vision Transformers,
    arXiv:2104.14294, section 4.2.2, which shows single heads; the mean over heads is ours.

    Args:
        block: which one, from 0, or from the end if negative.
    """

    name: ClassVar[str] = "attention"
    needs: ClassVar[frozenset[Need]] = frozenset({"attention"})
    gradients: ClassVar[bool] = False
    targeted: ClassVar[bool] = False
    formula: ClassVar[str] = "mean over heads of the class token's row in one block"
    passes: ClassVar[str] = "1 forward"
    blind_to: ClassVar[str] = "the target; what the values carry; what other blocks have mixed"
    nets: ClassVar[str] = "transformers of one set of tokens: ViT, DeiT, DINOv2"
    reference: ClassVar[str] = "arXiv:2104.14294 sec. 4.2.2"

    def __init__(self, *, block: int = -1) -> None:
        self.block = block

    @classmethod
    def refuse(cls, seen: Seen) -> None:
        """Refuse a net without such attention, or whose tokens lie on no grid."""
        find_tokens(seen.net, seen.images, self_attention(seen)[0].shape[-1])

    def maps(self, seen: Seen) -> Tensor:
        """Maps (B, h, w) on the grid of the patches.

        Raises:
            ConfigError: the net has no such block.
        """
        matrices = self_attention(seen)
        count = len(matrices)
        if not -count <= self.block < count:
            raise ConfigError(
                f"method {self.name}",
                expected=f"a block of {-count} to {count - 1}",
                found=str(self.block),
                remedy="-1 is the last",
            )
        matrix = matrices[self.block].mean(1)
        tokens = find_tokens(seen.net, seen.images, matrix.shape[-1])
        return tokens.drawn((tokens.row(matrix)[:, None] @ matrix)[:, 0])
