"""The attention of a net of any make, recorded on its way through.

Attention is called as a module, as a function and fused; a function mode meets all of it, without
a list of architectures.
"""

import inspect
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from regard.errors import ModelError
from regard.saliency.capture import leaf
from regard.saliency.graph import valued

SOFTMAX = (torch.softmax, Tensor.softmax, F.softmax)
# Arguments of torch's multi-head attention that no net of images makes use of.
EXOTIC = ("key_padding_mask", "attn_mask", "bias_k", "bias_v", "static_k", "static_v")


class AttentionRecorder(TorchFunctionMode):
    """Records the matrices (B, heads, N, M) of every attention in a forward pass, in order.

    The matrix is the softmax over the keys. Of fused attention, torch's multi-head attention
    among it, it is computed beside it, and the outputs stay the fused ones: with a graph, the
    gradient flows through the matrix. Torch's "fast path" of whole encoder layers is not taken
    under any function mode: there, outputs are those of the ordinary path.

    Args:
        graph: whether gradients with respect to the matrices are wanted; the graph begins at
            the first matrix where nothing before it has one.
        begin: called with the first matrix, before the net goes on.
    """

    def __init__(self, *, graph: bool, begin: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.graph, self.begin = graph, begin
        self.matrices: list[Tensor] = []

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Called in place of every function of torch."""
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention:
            return self._attend(func, *args, **kwargs)
        if func is F.multi_head_attention_forward:
            return self._attend_in_heads(func, args, kwargs)
        answer = func(*args, **kwargs)
        if func in SOFTMAX and _over_keys(answer, args, kwargs):
            return self._seen(answer)
        return answer

    def _seen(self, matrix: Tensor) -> Tensor:
        if self.graph:
            torch.set_grad_enabled(True)  # undone by whoever began the pass
            if not matrix.requires_grad:
                matrix = leaf(matrix)
        self.matrices.append(matrix)
        self.begin()
        return matrix

    def _attend(
        self,
        fused: Callable,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        rest = (attn_mask, dropout_p, is_causal)
        if query.ndim != 4 or enable_gqa:
            raise _unreadable(f"{tuple(query.shape)}, grouped: {enable_gqa}")
        logits = query @ key.transpose(-2, -1) * (scale or 1 / math.sqrt(query.shape[-1]))
        matrix = self._seen((logits + _bias(logits, attn_mask, is_causal)).softmax(-1))
        if self.graph and dropout_p:
            return F.dropout(matrix, dropout_p) @ value
        return self._either(matrix @ value, lambda: fused(query, key, value, *rest, scale=scale))

    def _attend_in_heads(self, fused: Callable, args: tuple, kwargs: dict[str, Any]) -> Any:
        bound = inspect.signature(fused).bind(*args, **kwargs)
        bound.apply_defaults()
        given = bound.arguments
        exotic = [name for name in EXOTIC if given[name] is not None]
        if exotic or given["add_zero_attn"] or given["query"].ndim != 3:
            raise _unreadable(", ".join(exotic) or "zero attention or no batch axis")
        query, key, value = _heads(given)
        matrix = (query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])).softmax(-1)
        matrix, lost = self._seen(matrix), given["dropout_p"] if given["training"] else 0.0
        mixed = F.dropout(matrix, lost) @ value if self.graph and lost else matrix @ value
        mixed = mixed.permute(2, 0, 1, 3).flatten(2)
        manual = F.linear(mixed, given["out_proj_weight"], given["out_proj_bias"])
        if self.graph and lost:
            return manual, None
        weights = None

        def whole() -> Tensor:
            nonlocal weights
            answer, weights = fused(*args, **kwargs)
            return answer

        return self._either(manual, whole), weights

    def _either(self, manual: Tensor, fused: Callable[[], Tensor]) -> Tensor:
        """The fused answer; with a graph, the one made by way of the matrix passes gradients."""
        if not self.graph:
            return fused()
        with torch.no_grad():
            answer = fused()
        return valued(manual, answer)


def _unreadable(found: str) -> ModelError:
    return ModelError(
        "attention",
        expected="queries (B, heads, N, d), each with keys of its own, without padding",
        found=found,
        remedy="use method gradcam, which reads any layer",
    )


def _heads(given: dict[str, Any]) -> list[Tensor]:
    """Queries, keys and values (B, heads, N, d) of torch's multi-head attention (N, B, C)."""
    inputs = [given[name] for name in ("query", "key", "value")]
    if given["use_separate_proj_weight"]:
        weights = [given[f"{name}_proj_weight"] for name in "qkv"]
    else:
        weights = given["in_proj_weight"].chunk(3)
    bias = given["in_proj_bias"]
    biases = [None] * 3 if bias is None else bias.chunk(3)
    made = map(F.linear, inputs, weights, biases)
    return [each.unflatten(2, (given["num_heads"], -1)).permute(1, 2, 0, 3) for each in made]


def _over_keys(answer: Any, args: tuple, kwargs: dict[str, Any]) -> bool:
    axis = kwargs.get("dim", args[1] if len(args) > 1 else None)
    return isinstance(answer, Tensor) and answer.ndim == 4 and axis in (-1, 3)


def _bias(logits: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    """What is added to the logits of an attention: minus infinity where it may not look."""
    bias = logits.new_zeros(logits.shape[-2:])
    if causal:
        bias = bias.masked_fill(torch.ones_like(bias, dtype=torch.bool).triu(1), -math.inf)
    if mask is None:
        return bias
    if mask.dtype == torch.bool:
        return bias.masked_fill(~mask, -math.inf)
    return bias + mask
