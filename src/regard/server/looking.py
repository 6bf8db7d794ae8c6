"""What a net says of an image and where it looks: from the cache, else from the queue."""

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from regard import __version__
from regard.errors import ConfigError, near
from regard.runs.background import options_of
from regard.runs.explained import Explained, explain_image
from regard.runs.run import Run
from regard.saliency.base import METHODS
from regard.scores.base import one_sign
from regard.server.client import Client
from regard.server.kept import stamp_of
from regard.server.nets import Weights, breaking, weights_of
from regard.server.photos import Photo
from regard.server.service import Service

PREDICTED, LABEL = "predicted", "label"


@dataclass(frozen=True)
class Look:
    """What is kept of a look at an image.

    Attributes:
        chosen: the class that is explained.
        shares: (classes,), see `Explained`.
        map: (h, w), at least 0, at the layer's resolution; None where none was asked for.
        classes: of a segmenter, uint8 (H, W) of the input.
    """

    chosen: int
    shares: Tensor
    map: Tensor | None = None
    classes: Tensor | None = None

    @classmethod
    def of(cls, seen: Explained, method: str | None) -> "Look":
        """Of what was seen, with the map of a method."""
        own = None if method is None else one_sign(seen.maps[method][None].float(), "positive")[0]
        return cls(seen.chosen, seen.shares, own, seen.classes)

    @property
    def peak(self) -> float:
        """The map's highest value."""
        return 0.0 if self.map is None else float(self.map.max())

    def dumped(self) -> bytes:
        """As bytes."""
        parts = {"chosen": torch.tensor([self.chosen]), "shares": self.shares,
                 "map": self.map, "classes": self.classes}  # fmt: skip
        return save({k: v.contiguous() for k, v in parts.items() if v is not None})

    @classmethod
    def loaded(cls, data: bytes) -> "Look":
        """The inverse of `dumped`."""
        parts = load(data)
        return cls(int(parts["chosen"][0]), parts["shares"], parts.get("map"), parts.get("classes"))


@dataclass(frozen=True)
class Asked:
    """What to look at, and how.

    Attributes:
        photo: the image.
        weights: of the net.
        method: of the map; None: no map, only what is predicted.
        layer: of the map; None: the run's own.
        target: a class; None: the predicted one.
        at: of a segmenter one pixel, see `regard.runs.explained.explain_image`.
    """

    photo: Photo
    weights: Weights
    method: str | None = None
    layer: str | None = None
    target: str | None = None
    at: tuple[float, float] | None = None

    @property
    def key(self) -> str:
        """Equal for what gives equal answers."""
        facts, sample = self.photo.facts, self.photo.sample
        files = [Path(path) for _, path in sample.views]
        drawn = (sample.region, sample.boxes) if sample.draws_region else ()
        begins = self.method is not None and METHODS[self.method].from_background
        from_train = (facts.manifest, stamp_of([facts.manifest])) if begins else ()
        return repr((
            "look", __version__, self.weights.digest, files, stamp_of(files),
            drawn, from_train, self.photo.transform, self.method, self.layer, facts.gaze.layer,
            facts.gaze.contrast, self.target, self.at,
        ))  # fmt: skip

    def work(self, run: Run) -> Look:
        """Look."""
        gaze, method = self.photo.facts.gaze, self.method
        if self.layer is not None:
            gaze = gaze.model_copy(update={"layer": self.layer})
        methods = {} if method is None else {method: options_of(run, method)}
        image, sample = str(self.photo.path), self.photo.sample
        with breaking(self.photo.facts):
            seen = explain_image(run, image, sample, methods, gaze, self.target, at=self.at)
        return Look.of(seen, method)


def asked_of(
    photo: Photo,
    method: str | None,
    layer: str | None = None,
    target: str = PREDICTED,
    at: tuple[float, float] | None = None,
) -> Asked:
    """What to look at, checked.

    Args:
        photo: the image.
        method: None: the run's own.
        layer: None: the run's own.
        target: a class, `predicted` or `label`.
        at: of a segmenter one pixel.

    Raises:
        ConfigError: no such method or class.
        RunError: no checkpoint.
    """
    facts = photo.facts
    name = method or facts.gaze.method
    METHODS[name]  # an unknown one is refused with the near names
    chosen = None if target == PREDICTED else class_of(photo, target)
    return Asked(photo, weights_of(facts), name, layer, chosen, at)


def named_target(classes: tuple[str, ...], target: str) -> str | None:
    """The class of a target; None for the predicted one.

    Raises:
        ConfigError: no such class.
    """
    if target == PREDICTED:
        return None
    if target not in classes:
        raise ConfigError(
            "target",
            expected="a class of the run, or predicted",
            found=repr(target)[:120],
            remedy=near(target, classes),
        )
    return target


def class_of(photo: Photo, target: str) -> str | None:
    """The class of a target, which may be the image's label; None for the predicted one.

    Raises:
        ConfigError: no such class, or an image without a label.
    """
    if target != LABEL:
        return named_target(photo.facts.classes, target)
    sample = photo.sample
    own = sample.label if sample.labels is None else next(iter(sample.labels), -1)
    if own < 0:
        raise ConfigError(
            "target",
            expected="an image with a label",
            found="one without",
            remedy="name a class, or take predicted",
        )
    return photo.facts.classes[own]


async def looked(service: Service, client: Client, asked: Asked) -> Look:
    """The answer to what is asked, however many ask it worked out once."""
    known = await client.thread(held, service, asked.key)
    if known is not None:
        return known
    facts, weights = asked.photo.facts, asked.weights

    def work() -> Look:
        before = held(service, asked.key)
        if before is not None:
            return before
        found = asked.work(service.nets.run(facts, weights))
        service.cache.put(asked.key, found.dumped())
        return found

    return await client.net(asked.key, work)


def held(service: Service, key: str) -> Look | None:
    """What the cache holds; None for nothing, or for what is damaged."""
    data = service.cache.get(key)
    if data is None:
        return None
    try:
        return Look.loaded(data)
    except (SafetensorError, KeyError, ValueError):
        return None
