"""A threshold that could not be chosen after a training is refused before it."""

from collections.abc import Sequence

from regard.data.sample import Sample
from regard.errors import ConfigError
from regard.training.config import Config

_OTHERS = {
    "multilabel": "sets of labels, of which each class has a threshold of 0.5",
    "segmentation": "a segmenter, whose pixels have classes",
}


def refuse_evaluate(config: Config, val: Sequence[Sample]) -> None:
    """A positive class needs two classes, and a threshold needs val to be chosen on.

    Args:
        config: resolved.
        val: samples of val.

    Raises:
        ConfigError: any of it.
    """
    if not config.evaluate.says:
        return
    if config.data.task in _OTHERS:
        raise ConfigError(
            "evaluate",
            expected=f"nothing for {_OTHERS[config.data.task]}",
            found="a positive class or a threshold",
            remedy="leave it out",
        )
    choice = config.evaluate.choice(config.classes or ())
    if choice is not None and not val:
        raise ConfigError(
            "evaluate",
            expected="a val split, on which the threshold is chosen",
            found="no samples in val",
            remedy="set data.val_from_train (0.15, say)",
        )
