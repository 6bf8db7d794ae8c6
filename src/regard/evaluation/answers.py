"""From logits to probabilities, by what was learned."""

from torch import Tensor

from regard.data.settings import Task


def probabilities_of(logits: Tensor, task: Task, dim: int = 1) -> Tensor:
    """Probabilities of classes: the sigmoid of each where an image has a set of them, else softmax.

    Args:
        logits: (B, K), of a segmenter (B, K, H, W).
        task: what was learned.
        dim: of the classes.
    """
    return logits.sigmoid() if task == "multilabel" else logits.softmax(dim)
