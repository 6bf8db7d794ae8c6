"""What is refused before a training begins, so that it does not fail after hours or an epoch."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from regard.data.manifest import Manifest
from regard.data.mask_classes import MaskClasses
from regard.data.pixel_counts import PixelCounts
from regard.data.sample import Sample, any_says_where
from regard.data.transforms import Transform
from regard.errors import ConfigError, DataError, RegardError, near
from regard.guidance.base import Term
from regard.guidance.probe import reaches
from regard.images.size import Size
from regard.models.heads import classifier_of
from regard.models.inputs import input_spec
from regard.models.patch_weighting import PatchWeighting
from regard.saliency.capture import Images, evaluating, undisturbed
from regard.saliency.explain import explain
from regard.saliency.outputs import logits_of
from regard.saliency.targets import PixelTarget
from regard.training.config import Config
from regard.training.distil import LOGITS, MAPS
from regard.training.preflight_tasks import COUNTED, MEASURED, refuse_for_task


def refuse_absent(samples: Sequence[Sample], classes: Sequence[str], manifest: Manifest) -> None:
    """Every class has to occur in train.

    Raises:
        DataError: a class without a sample.
    """
    used = {label for s in samples for label in ([s.label] if s.labels is None else s.labels)}
    absent = set(range(len(classes))) - used
    if absent:
        raise DataError(
            str(manifest.path or "manifest"),
            expected="every class in train",
            found=f"no {classes[min(absent)]!r}",
            remedy="split anew, or add samples",
        )


def pixel_counts(
    samples: Sequence[Sample], classes: MaskClasses, manifest: Manifest
) -> PixelCounts:
    """Pixels of each class in the masks of train; of many masks see `PixelCounts.of`.

    Raises:
        DataError: a class is in none of them.
    """
    counts = PixelCounts.of(samples, classes)
    absent = [name for name, n in zip(classes.names, counts.total.tolist(), strict=True) if not n]
    if absent:
        raise DataError(
            str(manifest.path or "manifest"),
            expected="pixels of every class in the masks of train",
            found=f"none of {absent[0]!r}",
            remedy="split anew, add samples, or make it void in mask_classes",
        )
    return counts


def refuse_config(
    config: Config, train: Sequence[Sample], val: Sequence[Sample], terms: Sequence[Term]
) -> None:
    """Guidance needs regions, and the metric that chooses the best checkpoint has to exist.

    Raises:
        ConfigError: no region for the terms, or no such metric for `training.best`.
    """
    refuse_for_task(config, terms)
    if config.data.task != "segmentation" and terms and not any_says_where(train):
        raise ConfigError(
            "guidance.terms",
            expected="samples with a region in train",
            found="none",
            remedy="add regions to the manifest, or remove the terms",
        )
    step = config.training.batch_size * config.training.accumulate
    lending = next((term.title for term in terms if term.lends), None)
    if lending is not None and step == 1:
        raise ConfigError(
            "training.batch_size",
            expected=f"two images or more a step for {lending}, whose images lend to each other",
            found="1",
            remedy="set training.batch_size or training.accumulate to 2 or more",
        )
    if config.training.best == "last":
        if config.training.schedule.name == "plateau":
            raise ConfigError(
                "training.schedule.name",
                expected="a metric in training.best for the plateau to watch",
                found="last",
                remedy="set training.best=val.loss, or another schedule",
            )
        return
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
            remedy=near(f"{split}.{name}", [f"{split}.{own}" for own in known]),
        )


def logged(
    config: Config, samples: Sequence[Sample], split: str, terms: Sequence[Term]
) -> list[str]:
    """The names of the metrics that an epoch's record has for a split."""
    task = config.data.learned
    names: list[str] = [*(COUNTED if split == "train" else MEASURED[task])]
    if split == "train" and config.distil is not None:
        names += [f"loss.{LOGITS}", *([f"loss.{MAPS}"] if config.distil.maps else [])]
    if task == "segmentation":
        names += ["loss.dice"] if config.training.dice else []
        return names + [f"loss.{term.title}" for term in terms if split == "train"]
    regions = any_says_where(samples)
    if regions:
        names += [f"loss.{term.title}" for term in terms]
    if regions and (split == "val" or config.gaze.train_sample):
        names += config.gaze.scores
    return names


def refuse_net(
    config: Config, net: nn.Module, transform: Transform, terms: Sequence[Term], *, gaze: bool
) -> None:
    """The net has to take the views at their sizes, and to be one that the methods can read."""
    _refuse_views(config, net)
    _refuse_normalisation(net, transform)
    views = config.data.views
    # Images of train may be crops; those of val, and those whose gaze is measured, are whole.
    for size in dict.fromkeys((transform.size, config.data.augment.cut(transform.size))):
        _refuse_size(config, net, size, whole=size == transform.size)
        images = blank(views, size)
        for term in terms:
            _refuse_unmoved(config, net, images, term)
    if gaze:
        images, targets = blank(views, transform.size), torch.zeros(2, dtype=torch.long)
        if config.data.task == "segmentation":
            targets = PixelTarget(targets, torch.ones(2, *transform.size))
        with evaluating(net):
            view = views[0] if len(views) > 1 else None
            explain(net, images, targets, config.gaze.method, layer=config.gaze.layer, view=view)


def blank(views: Sequence[str], size: Size, count: int = 2) -> Images:
    """Images of nothing as the net takes them."""
    images = torch.zeros(count, 3, *size)
    return images if len(views) == 1 else dict.fromkeys(views, images)


def _refuse_size(config: Config, net: nn.Module, size: Size, *, whole: bool) -> None:
    """The net answers to images of that size, and with what the task asks for."""
    views = config.data.views
    try:
        with undisturbed(net), evaluating(net), torch.no_grad():
            logits = logits_of(net(blank(views, size)))
    except RegardError:
        raise
    except Exception as error:  # whatever a foreign net raises at inputs that it cannot take
        raise ConfigError(
            "data.size and data.views" if whole else "data.augment.crop",
            expected=f"what {config.model.spec} takes",
            found=f"{size[0]} x {size[1]}, {', '.join(views)} ({str(error)[:120]})",
            remedy=_fitting(config, net) if whole else "leave it out, or take a net for any size",
        ) from error
    _refuse_other_task(config, logits)


def _refuse_other_task(config: Config, logits: Tensor) -> None:
    """Labels and sets of them are learned by a classifier, masks by a segmenter."""
    segments = config.data.task == "segmentation"
    if logits.ndim == (4 if segments else 2):
        return
    wanted, given = "a segmenter", "a classifier"
    if not segments:
        wanted, given = given, wanted
    raise ConfigError(
        f"model.spec for {config.data.task}",
        expected=wanted,
        found=f"{config.model.spec}, {given}",
        remedy="set model.spec: regard:fpn and model.options.encoder: resnet50, say"
        if segments
        else "take a classifier, or set data.task: segmentation",
    )


def _refuse_views(config: Config, net: nn.Module) -> None:
    """A net that names its views gets each of them, and no other."""
    branches, weights, given = (
        getattr(net, "views", None),
        config.model.patch_weights,
        config.data.views,
    )
    if branches is None:
        return
    wanted = [*branches, *([] if weights is None else [weights.view])]
    if set(wanted) == set(given):
        return
    lacking = [view for view in wanted if view not in given]
    raise ConfigError(
        "data.views and model.inputs",
        expected="the same views in both",
        found=f"{', '.join(given)} and {', '.join(dict.fromkeys(wanted))}",
        remedy=f"add {lacking[0]} to data.views, or name another view in model.inputs"
        if lacking
        else "name each view of data.views in model.inputs, or take it away",
    )


def _refuse_normalisation(net: nn.Module, transform: Transform) -> None:
    """The weights of patches undo the normalisation that they know of."""
    for part in net.modules():
        if isinstance(part, PatchWeighting) and (part.spec.mean, part.spec.std) != (
            tuple(transform.mean),
            tuple(transform.std),
        ):
            raise ConfigError(
                "data.mean and data.std",
                expected="the net's own beside model.patch_weights",
                found="others",
                remedy="leave data.mean and data.std out",
            )


def _refuse_unmoved(config: Config, net: nn.Module, images: Images, term: Term) -> None:
    """A term whose gradient reaches nothing that is trained would do nothing."""
    frozen = config.model.frozen(config.training.epochs - 1)
    trained = list((classifier_of(net) if frozen else net).parameters())
    with evaluating(net):
        segments = config.data.task == "segmentation"
        classes = len(config.classes or ())
        if reaches(net, _noise(images), classes, term, trained, pixels=segments):
            return
    what = "the classifier, which alone is trained" if frozen else "the net's parameters"
    raise ConfigError(
        f"guidance, term {term.title}",
        expected=f"a loss with a gradient to {what}",
        found="none: "
        + (
            "the backbone is frozen in every epoch" if frozen else "the map does not depend on them"
        ),
        remedy="choose another method or layer" + (", or set model.freeze=none" if frozen else ""),
    )


def _noise(images: Images) -> Images:
    generator = torch.Generator().manual_seed(0)
    if isinstance(images, Mapping):
        return {n: torch.randn(view.shape, generator=generator) for n, view in images.items()}
    return torch.randn(images.shape, generator=generator)


def _fitting(config: Config, net: nn.Module) -> str:
    """What makes the size of the images and the net fit."""
    height, width = input_spec(net).size
    own = f"leave data.size out for the net's own {height} x {width}"
    if len(config.data.views) > 1:
        return f"take one view with data.views=[{config.data.views[0]}], or {own}"
    if not config.model.spec.startswith("regard:"):
        return f"{own}, or set what its constructor takes in model.options"
    size = config.data.size
    side = size if isinstance(size, int) else size[0] if size and size[0] == size[1] else None
    square = "" if side is None else f"model.options.size={side} or "
    return f"{own}, or set {square}model.options.pool=avg"
