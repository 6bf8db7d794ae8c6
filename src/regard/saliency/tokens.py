"""Where the tokens of an attention lie, and which of them the logits are read from."""

from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from regard.errors import ConfigError, ModelError, near
from regard.models.branches import Step, branches_of
from regard.models.layout import Layout, Visit, layout_of
from regard.saliency.attention_recorder import AttentionRecorder
from regard.saliency.capture import Images, evaluating, trace, undisturbed
from regard.saliency.layers import circumstances, image_size, telling_number
from regard.saliency.seen import Seen

_FOUND: WeakKeyDictionary[nn.Module, dict[tuple[int, int], "Tokens"]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Tokens:
    """The tokens that attend to each other.

    Attributes:
        layout: grid of the patches, and how many tokens stand before them.
        class_token: whether the logits are read from the first token; else from the patches.
    """

    layout: Layout
    class_token: bool

    def row(self, like: Tensor) -> Tensor:
        """Where the logits are read from, (B, N), as shares that sum to 1.

        That is the class token; without one, all patches alike. Other tokens before the patches
        are never read.

        Args:
            like: (B, ...) of the type and on the device that is wanted.
        """
        prefix, (height, width) = self.layout.prefix, self.layout.grid
        row = like.new_zeros(prefix + height * width)
        if self.class_token:
            row[0] = 1
        else:
            row[prefix:] = 1 / (height * width)
        return row.expand(len(like), -1)

    def drawn(self, row: Tensor) -> Tensor:
        """What of a row (B, N) lies on the patches, as maps (B, h, w)."""
        return row[:, self.layout.prefix :].unflatten(1, self.layout.grid)


@dataclass(frozen=True)
class Paths:
    """How what attention takes flows through a net.

    Attributes:
        steps: its attentions in order.
        tokens: one set, or of a net of two branches one each.
        names: of the branches; empty for one set.
    """

    steps: tuple[Step, ...]
    tokens: tuple[Tokens, ...]
    names: tuple[str, ...] = ()

    def chosen(self, method: str, name: str | None) -> tuple[int, ...]:
        """The numbers of the branches of a name; None: all.

        Raises:
            ConfigError: no branch of that name.
        """
        if name is None:
            return tuple(range(len(self.tokens)))
        if name not in self.names:
            raise ConfigError(
                f"method {method}",
                expected="a branch of " + ", ".join(self.names) if self.names else "two branches",
                found=repr(name) if self.names else f"one set of tokens, and {name!r}",
                remedy=near(name, self.names) if self.names else "leave branch and reader out",
            )
        return (self.names.index(name),)


def paths_of(seen: Seen) -> Paths:
    """The ways that attention goes in a pass.

    Raises:
        ModelError: the net has none, or attends within windows or to pooled keys.
    """
    branches = branches_of(seen.net)
    if branches is None:
        matrices = self_attention(seen)
        tokens = find_tokens(seen.net, seen.images, matrices[0].shape[-1])
        return Paths((Step(0, 0),) * len(matrices), (tokens,))
    if len(branches.steps) != len(seen.attention):
        raise _refused(
            f"the {len(branches.steps)} attentions of two branches",
            f"{len(seen.attention)}, some around them",
        )
    layouts = [Layout("tokens", grid, prefix=1) for grid in branches.grids]
    tokens = tuple(Tokens(layout, branches.class_token) for layout in layouts)
    return Paths(branches.steps, tokens, branches.names)


def find_tokens(net: nn.Module, images: Images, count: int) -> Tokens:
    """How so many tokens lie; remembered for the net's modules and the images' size.

    The grid is that of the map which the tokens were made of. Whether the class token is read
    shows in the last matrix: if not, the logits do not depend on its row.

    Raises:
        ModelError: no grid has so many positions, or up to 16 fewer.
    """
    known, key = _FOUND.setdefault(net, {}), (circumstances(net, images), count)
    if key not in known:
        layout = _layout(net, images, count)
        known[key] = Tokens(layout, layout.prefix > 0 and _first_is_read(net, images))
    return known[key]


def _layout(net: nn.Module, images: Images, count: int) -> Layout:
    tokens = Visit("", nn.Identity(), (1, count, 1))
    layout = layout_of(tokens, [*trace(net, images), tokens], image_size(images))
    if layout is None:
        raise _refused("patches on a grid of the image", f"{count} tokens that fit none")
    return layout


def _first_is_read(net: nn.Module, images: Images) -> bool:
    recorder = AttentionRecorder(graph=True)
    with undisturbed(net), evaluating(net), torch.enable_grad():
        with recorder:
            total = telling_number(net, images)
        (gradient,) = torch.autograd.grad(total, [recorder.matrices[-1]], allow_unused=True)
    return gradient is not None and bool(gradient[:, :, 0].any())


def self_attention(seen: Seen) -> tuple[Tensor, ...]:
    """The attention matrices (B, heads, N, N) of a net whose blocks share one set of tokens.

    Raises:
        ModelError: it has none, or attends within windows, to pooled keys, or in several sets of
            tokens: then rows and columns of its matrices are not the same tokens throughout.
    """
    batch, shapes = len(seen.logits), [matrix.shape for matrix in seen.attention]
    found = _obstacle(batch, shapes)
    if found:
        raise _refused(
            "every block to attend from all tokens of an image to the same tokens", found
        )
    return seen.attention


def _obstacle(batch: int, shapes: Sequence[torch.Size]) -> str:
    """Why matrices of these shapes cannot be followed through the net; empty if they can."""
    if not shapes:
        return "no attention"
    if any(shape[0] != batch for shape in shapes):
        return "attention within windows, as in Swin"
    if any(shape[2] != shape[3] for shape in shapes):
        return "attention to other or pooled tokens, as in CrossViT and CvT"
    if len({shape[2] for shape in shapes}) > 1:
        return "blocks of " + " and ".join(map(str, sorted({s[2] for s in shapes}))) + " tokens"
    return ""


def _refused(expected: str, found: str) -> ModelError:
    return ModelError(
        "attention",
        expected=expected,
        found=found,
        remedy="use method gradcam, which reads the tokens of any layer",
    )
