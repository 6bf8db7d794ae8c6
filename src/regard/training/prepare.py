"""From a config to what the loop needs: the resolved config, net, loaders and terms."""

import hashlib
import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from regard import __version__
from regard.data.annotation import Annotation, annotated
from regard.data.columns import COLUMNS
from regard.data.hierarchy import hierarchy_of
from regard.data.keys import key, keyed_generator
from regard.data.loader import Loader, Share
from regard.data.manifest import Manifest
from regard.data.mask_classes import MaskClasses
from regard.data.mixing import Partners
from regard.data.pasting import Lenders
from regard.data.pixel_counts import PixelCounts
from regard.data.sample import Sample, any_says_where, says_where
from regard.data.samples import Samples
from regard.data.settings import sides
from regard.data.source import (
    class_names,
    mask_classes,
    open_manifest,
    samples_of,
    splits_of,
    task_of,
)
from regard.data.transforms import Transform
from regard.data.where import Where
from regard.guidance.base import Term
from regard.models.inputs import input_spec
from regard.runs.net import net_of, transform_of
from regard.training.config import Config
from regard.training.group import ALONE, Group
from regard.training.preflight import (
    pixel_counts,
    refuse_absent,
    refuse_config,
    refuse_net,
)
from regard.training.preflight_augment import refuse_augment
from regard.training.preflight_distil import refuse_distil, refuse_lesson, taught_terms
from regard.training.preflight_evaluate import refuse_evaluate
from regard.training.preflight_group import device_for, refuse_processes
from regard.training.preflight_parts import refuse_single
from regard.training.teacher import Teacher


@dataclass
class Prepared:
    """All that a training needs.

    Attributes:
        config: with sizes, normalisation and classes filled in.
        net: with its first weights, on the device.
        train: loads the effective batches.
        train_gaze: loads the fixed sample of train images whose gaze is measured; or None.
        val: loads the val split; or None where there is none.
        terms: of the guidance.
        teacher: from whom something is learned; or None.
        transform: normalises batches.
        pixels: (K,) of each class in masks of train, of a thousand at the most; or None.
        manifest: with the splits as the config wants them.
        digest: of the samples and their splits, as hex.
        group: the processes that train the net; the loaders give this process's share.
    """

    config: Config
    net: nn.Module
    train: Loader
    train_gaze: Loader | None
    val: Loader | None
    terms: tuple[Term, ...]
    teacher: Teacher | None
    transform: Transform
    pixels: Tensor | None
    manifest: Manifest
    digest: str
    group: Group = ALONE

    @property
    def splits(self) -> tuple[Samples, ...]:
        """Train, and val where there is one."""
        return tuple(loader.data for loader in (self.train, self.val) if loader is not None)

    def close(self) -> None:
        """Stop the loading processes."""
        for loader in (self.train, self.train_gaze, self.val):
            if loader is not None:
                loader.close()


def prepare(config: Config, folder: Path, group: Group = ALONE) -> Prepared:
    """Build everything; paths in the config start from the folder.

    Args:
        config: of the run.
        folder: that its paths start from.
        group: the processes that train together.

    Raises:
        RegardError: whatever is wrong with data, model or config, before anything is trained.
    """
    refuse_processes(config, group)
    manifest = open_manifest(config.data, folder)
    data = config.data.model_copy(update={"task": task_of(manifest, config.data)})
    config = config.model_copy(update={"data": data})
    classes = config.classes or class_names(manifest, config.data)
    hierarchy_of(config.data, folder, classes)  # whatever is wrong with it is told now
    torch.manual_seed(key(config.training.seed, "first weights"))
    net = net_of(config.model, len(classes), folder)
    config = resolved(config, net, classes)
    transform = transform_of(config.data.model_dump())
    train = samples_of(manifest, "train", classes, config.data)
    masks = mask_classes(manifest, data.void) if data.task == "segmentation" else None
    counts = None if masks is None else pixel_counts(train, masks, manifest)
    pixels = None if counts is None else counts.total
    terms = tuple(term.build() for term in config.guidance.terms)
    teacher = _teacher(config, folder, terms)
    refuse_augment(config, pixels, terms)
    if masks is None:
        refuse_absent(train, classes, manifest)
    has_val = "val" in splits_of(manifest.table)
    val = samples_of(manifest, "val", classes, config.data) if has_val else []
    refuse_config(config, train, val, terms)
    refuse_evaluate(config, val)
    gaze = masks is None and any_says_where([*train, *val])
    # That of a segmenter is scored when it is evaluated.
    scored = gaze or (masks is not None and bool(config.gaze.scores))
    refuse_net(config, net, transform, (*terms, *taught_terms(teacher)), gaze=scored)
    refuse_single(config, net, transform, [sample.label for sample in train], group)
    device = device_for(config, group)
    used = annotation(config, train, transform)
    return Prepared(
        config=config,
        net=net.to(device),
        train=_train_loader(config, train, transform, masks, counts, group, used),
        train_gaze=_gaze_loader(config, train, transform, group) if gaze else None,
        val=_loader(config, val, transform, group, masks, used) if has_val else None,
        terms=terms,
        teacher=None if teacher is None else teacher.beside(transform.size, device),
        transform=transform,
        pixels=pixels,
        manifest=manifest,
        digest=digest_of_samples(manifest),
        group=group,
    )


def _teacher(config: Config, folder: Path, terms: Sequence[Term]) -> Teacher | None:
    """The teacher on the CPU, after whatever is wrong with it was told."""
    if config.distil is None:
        return None
    assert config.data.size is not None
    size = sides(config.data.size)
    teacher = Teacher.of(config.distil, folder).beside(size, torch.device("cpu"))
    refuse_distil(config, teacher, terms)
    refuse_lesson(config, teacher)
    return teacher


def resolved(config: Config, net: nn.Module, classes: Sequence[str]) -> Config:
    """The config with what the backbone wants filled in where it was left open."""
    wants, data = input_spec(net), config.data
    data = data.model_copy(
        update={
            "size": data.size or wants.size,
            "mean": data.mean or wants.mean,
            "std": data.std or wants.std,
            "interpolation": data.interpolation or wants.interpolation,
        }
    )
    return config.model_copy(update={"data": data, "classes": tuple(classes)})


def digest_of_samples(manifest: Manifest) -> str:
    """A digest of the samples: which are in which split, with which label and region."""
    columns = [name for name in COLUMNS if name in manifest.table.columns]
    text = manifest.table.select(columns).write_ndjson()
    return hashlib.sha256(text.encode()).hexdigest()


def environment() -> dict[str, Any]:
    """Versions and machine, for `environment.json`."""
    return {
        "regard": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def train_samples(config: Config, manifest: Manifest) -> Samples:
    """The train split of a resolved config as it is trained on: augmented, mixed, with regions.

    Raises:
        RegardError: a file cannot be read, or the manifest is not the one of the config.
    """
    samples = samples_of(manifest, "train", config.classes or (), config.data)
    segments = config.data.task == "segmentation"
    masks = mask_classes(manifest, config.data.void) if segments else None
    paste = masks is not None and config.data.augment.paste
    counts = pixel_counts(samples, masks, manifest) if masks is not None and paste else None
    transform = transform_of(config.data.model_dump())
    used = annotation(config, samples, transform)
    return _train_data(config, samples, transform, masks, counts, used)


def _train_loader(
    config: Config,
    samples: list[Sample],
    transform: Transform,
    masks: MaskClasses | None,
    counts: PixelCounts | None,
    group: Group,
    used: Annotation,
) -> Loader:
    data = _train_data(config, samples, transform, masks, counts, used)
    size = config.training.batch_size * config.training.accumulate
    share = Share(group.number, group.size, cuts=True)
    return Loader(data, size, workers=config.data.workers, share=share)


def _train_data(
    config: Config,
    samples: list[Sample],
    transform: Transform,
    masks: MaskClasses | None,
    counts: PixelCounts | None,
    used: Annotation,
) -> Samples:
    paste = config.data.augment.paste
    return Samples(
        annotated(samples, config.guidance.share),
        transform,
        augmentation=config.data.augment,
        seed=config.training.seed,
        annotation=used,
        classes=masks,
        lenders=Lenders.of(counts) if counts is not None and paste else None,
        partners=_partners(config, samples) if config.data.augment.mixes else None,
        cache_mb=config.data.cache_mb,
    )


def _partners(config: Config, samples: list[Sample]) -> Partners:
    evenly = config.training.imbalance in ("oversample", "both")
    labels = [sample.label for sample in samples]
    return Partners.of(labels, len(config.classes or ()), evenly=evenly)


def annotation(config: Config, samples: list[Sample], transform: Transform) -> Annotation:
    """How the regions of the train split are used."""
    how = config.guidance
    # A plain arm makes no use of regions, so it need not load them.
    kind = how.regions if how.terms else "none"
    used = Annotation(kind, how.dilate, config.training.seed)
    if kind != "mean":
        return used
    told = annotated(samples, how.share)
    return replace(used, means=Where(transform, replace(used, kind="own"), told).means(told))


def _gaze_loader(
    config: Config, samples: list[Sample], transform: Transform, group: Group
) -> Loader | None:
    seen = list(filter(says_where, samples))
    if not seen or not config.gaze.train_sample:
        return None
    # The same images for every arm and seed of a study.
    order = torch.randperm(len(seen), generator=keyed_generator("train gaze")).tolist()
    chosen = [seen[i] for i in order[: config.gaze.train_sample]]
    return _loader(config, chosen, transform, group)


def _loader(
    config: Config,
    samples: list[Sample],
    transform: Transform,
    group: Group,
    masks: MaskClasses | None = None,
    used: Annotation | None = None,
) -> Loader:
    # Maps are scored on the samples' own regions; the losses are those that are trained.
    other = used if used is not None and used.kind != "none" and used.changes else None
    cache = config.data.cache_mb
    data = Samples(samples, transform, classes=masks, used=other, cache_mb=cache)
    share = Share(group.number, group.size)
    return Loader(data, config.training.batch_size, workers=config.data.workers, share=share)
