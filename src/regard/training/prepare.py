"""From a config to what the loop needs: the resolved config, net, loaders and terms."""

import hashlib
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from regard import __version__
from regard.data.keys import key, keyed_generator
from regard.data.loader import Loader
from regard.data.manifest import Manifest
from regard.data.samples import Sample, Samples
from regard.data.source import class_names, open_manifest, samples_of, splits_of
from regard.data.transforms import Transform
from regard.errors import ConfigError, DataError, near
from regard.guidance.base import Term
from regard.models.families import input_spec
from regard.runs.run import net_of, transform_of
from regard.training.config import Config


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
        transform: normalises batches.
        digest: of the samples and their splits, as hex.
    """

    config: Config
    net: nn.Module
    train: Loader
    train_gaze: Loader | None
    val: Loader | None
    terms: tuple[Term, ...]
    transform: Transform
    digest: str

    def close(self) -> None:
        """Stop the loading processes."""
        for loader in (self.train, self.train_gaze, self.val):
            if loader is not None:
                loader.close()


def prepare(config: Config, folder: Path) -> Prepared:
    """Build everything; paths in the config start from the folder.

    Raises:
        RegardError: whatever is wrong with data, model or config, before anything is trained.
    """
    manifest = open_manifest(config.data, folder)
    classes = config.classes or class_names(manifest)
    torch.manual_seed(key(config.training.seed, "first weights"))
    net = net_of(config.model, len(classes), folder)
    config = resolved(config, net, classes)
    transform = transform_of(config.data.model_dump())
    train = samples_of(manifest, "train", classes, config.data.views)
    _refuse_absent(train, classes, manifest)
    has_val = "val" in splits_of(manifest.table)
    val = samples_of(manifest, "val", classes, config.data.views) if has_val else []
    terms = tuple(term.build() for term in config.guidance.terms)
    _check(config, train, has_val, terms)
    return Prepared(
        config=config,
        net=net.to(device_of(config.training.device)),
        train=_train_loader(config, train, transform),
        train_gaze=_gaze_loader(config, train, transform),
        val=_loader(config, val, transform) if has_val else None,
        terms=terms,
        transform=transform,
        digest=digest(manifest),
    )


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


def device_of(name: str) -> torch.device:
    """The device of that name; `auto` is the first GPU, else the CPU."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            "training.device",
            expected="a device of this machine",
            found=repr(name),
            remedy="use auto or cpu",
        ) from error
    return device


def digest(manifest: Manifest) -> str:
    """A digest of which samples are in which split with which label."""
    columns = [c for c in ("image", "label", "split", "region") if c in manifest.table.columns]
    text = manifest.table.select(columns).write_csv()
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


def _train_loader(config: Config, samples: list[Sample], transform: Transform) -> Loader:
    data = Samples(
        samples,
        transform,
        augmentation=config.data.augment,
        seed=config.training.seed,
        # A plain arm makes no use of regions, so it need not load them.
        regions=config.guidance.regions if config.guidance.terms else "none",
        cache_mb=config.data.cache_mb,
    )
    size = config.training.batch_size * config.training.accumulate
    return Loader(data, size, workers=config.data.workers)


def _gaze_loader(config: Config, samples: list[Sample], transform: Transform) -> Loader | None:
    seen = [s for s in samples if s.region or s.boxes is not None or s.avoid]
    if not seen or not config.gaze.train_sample:
        return None
    # The same images for every arm and seed of a study.
    order = torch.randperm(len(seen), generator=keyed_generator("train gaze")).tolist()
    return _loader(config, [seen[i] for i in order[: config.gaze.train_sample]], transform)


def _loader(config: Config, samples: list[Sample], transform: Transform) -> Loader:
    data = Samples(samples, transform, cache_mb=config.data.cache_mb)
    return Loader(data, config.training.batch_size, workers=config.data.workers)


def _refuse_absent(samples: list[Sample], classes: Sequence[str], manifest: Manifest) -> None:
    absent = set(range(len(classes))) - {sample.label for sample in samples}
    if absent:
        raise DataError(
            str(manifest.path or "manifest"),
            expected="every class in train",
            found=f"no {classes[min(absent)]!r}",
            remedy="split anew, or add samples",
        )


def _check(config: Config, train: list[Sample], has_val: bool, terms: Sequence[Term]) -> None:
    """Refuse at the start what would only fail after the first epoch."""
    regions = any(s.region or s.boxes is not None or s.avoid for s in train)
    if terms and not regions:
        raise ConfigError(
            "guidance.terms",
            expected="samples with a region in train",
            found="none",
            remedy="add regions to the manifest, or remove the terms",
        )
    split, _, name = config.training.best.partition(".")
    if split == "val" and not has_val:
        raise ConfigError(
            "training.best",
            expected="a val split for " + config.training.best,
            found="no samples in val",
            remedy="set data.val_from_train (0.15, say)",
        )
    known = ["loss", "cross_entropy", "accuracy", "balanced_accuracy", "f1"]
    known += [f"loss.{term.title}" for term in terms] + (
        list(config.gaze.scores) if regions else []
    )
    if name not in known:
        raise ConfigError(
            "training.best",
            expected="a metric that is logged",
            found=config.training.best,
            remedy=near(name, known),
        )
