"""What is refused before a training begins, so that it does not fail after hours or an epoch."""

from collections.abc import Sequence

import torch
from torch import nn

from regard.data.decoding import image_size
from regard.data.manifest import Manifest
from regard.data.samples import Sample
from regard.data.threads import in_threads
from regard.data.transforms import Transform
from regard.errors import ConfigError, DataError, RegardError, near
from regard.guidance.base import Term
from regard.saliency.capture import evaluating, undisturbed
from regard.saliency.explain import explain, logits_of
from regard.training.config import Config

MEASURED = ("loss", "cross_entropy", "accuracy", "balanced_accuracy", "f1")
COUNTED = ("loss", "cross_entropy", "accuracy")


def refuse_absent(samples: Sequence[Sample], classes: Sequence[str], manifest: Manifest) -> None:
    """Every class has to occur in train."""
    absent = set(range(len(classes))) - {sample.label for sample in samples}
    if absent:
        raise DataError(
            str(manifest.path or "manifest"),
            expected="every class in train",
            found=f"no {classes[min(absent)]!r}",
            remedy="split anew, or add samples",
        )


def refuse_unreadable(samples: Sequence[Sample], max_pixels: int) -> None:
    """Every file has to be there, with a readable header and a bounded size.

    Nothing is decoded: a file that is cut short passes here, and `regard data check` finds it.

    Raises:
        DataError: names the first such file and their number.
    """

    def problem(path: str) -> DataError | None:
        try:
            height, width = image_size(path)
        except DataError as error:
            return error
        if height * width <= max_pixels:
            return None
        expected, found = f"at most {max_pixels:,} pixels", f"{width} x {height}"
        return DataError(path, expected=expected, found=found, remedy="")

    found = [error for error in in_threads(problem, _files(samples)) if error is not None]
    if found:
        first, more = found[0], len(found) - 1
        raise DataError(
            first.where,
            expected=first.expected,
            found=first.found + (f" (and {more} more bad files)" if more else ""),
            remedy="replace or remove it; regard data check lists all such files",
        )


def _files(samples: Sequence[Sample]) -> list[str]:
    """Each file once, in the samples' order."""
    paths = (
        path
        for s in samples
        for path in (*(path for _, path in s.views), s.region, s.avoid, s.ignore)
        if path is not None
    )
    return list(dict.fromkeys(paths))


def refuse_config(
    config: Config, train: Sequence[Sample], val: Sequence[Sample], terms: Sequence[Term]
) -> None:
    """Guidance needs regions, and the metric that chooses the best checkpoint has to exist."""
    if terms and not has_regions(train):
        raise ConfigError(
            "guidance.terms",
            expected="samples with a region in train",
            found="none",
            remedy="add regions to the manifest, or remove the terms",
        )
    split, _, name = config.training.best.partition(".")
    if split == "val" and not val:
        raise ConfigError(
            "training.best",
            expected="a val split for " + config.training.best,
            found="no samples in val",
            remedy="set data.val_from_train (0.15, say)",
        )
    known = logged(config, train if split == "train" else val, split, terms)
    if name not in known:
        raise ConfigError(
            "training.best",
            expected=f"a metric of {split} that is logged",
            found=config.training.best,
            remedy=near(name, known),
        )


def logged(
    config: Config, samples: Sequence[Sample], split: str, terms: Sequence[Term]
) -> list[str]:
    """The names of the metrics that an epoch's record has for a split."""
    names: list[str] = [*(COUNTED if split == "train" else MEASURED)]
    regions = has_regions(samples)
    if regions:
        names += [f"loss.{term.title}" for term in terms]
    if regions and (split == "val" or config.gaze.train_sample):
        names += config.gaze.scores
    return names


def has_regions(samples: Sequence[Sample]) -> bool:
    """Whether any of the samples says where to look."""
    return any(map(says_where, samples))


def says_where(sample: Sample) -> bool:
    """Whether the sample has a region, boxes, or an area to avoid."""
    return bool(sample.region or sample.boxes is not None or sample.avoid)


def refuse_net(
    config: Config, net: nn.Module, transform: Transform, terms: Sequence[Term], *, gaze: bool
) -> None:
    """The net has to take the views at their size, and to be one that the methods can read."""
    blank = torch.zeros(2, 3, *transform.size)
    views = config.data.views
    images = blank if len(views) == 1 else dict.fromkeys(views, blank)
    targets = torch.zeros(2, dtype=torch.long)
    try:
        with undisturbed(net), evaluating(net), torch.no_grad():
            logits_of(net(images))
    except RegardError:
        raise
    except Exception as error:  # whatever a foreign net raises at inputs that it cannot take
        height, width = transform.size
        raise ConfigError(
            "data.size and data.views",
            expected=f"what {config.model.spec} takes",
            found=f"{height} x {width}, {', '.join(views)} ({str(error)[:120]})",
            remedy="leave data.size out, or set model.options",
        ) from error
    for term in terms:
        explain(net, images, targets, term.method, layer=term.layer)
    if gaze:
        with evaluating(net):
            explain(net, images, targets, config.gaze.method, layer=config.gaze.layer)
