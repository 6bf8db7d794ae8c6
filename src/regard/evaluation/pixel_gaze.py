"""Where a segmenter looks for the classes of an image, scored against each class's own pixels."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from regard.data.pixel_regions import present_classes, regions_of, turns
from regard.data.regions import Regions
from regard.data.samples import Batch
from regard.data.transforms import Transform
from regard.evaluation.predict import made_as, model_input, options_of
from regard.evaluation.settings import Gaze
from regard.models.fitting import fitted
from regard.progress import Step
from regard.saliency.capture import evaluating
from regard.saliency.explain import build_method, look, maps_of
from regard.saliency.targets import PixelTarget, of_rows, resolve
from regard.scores.base import SCORES
from regard.scores.scoring import tally


@dataclass(frozen=True)
class Turn:
    """One class of some images of a batch, and where the net looks for it.

    Attributes:
        rows: (n,) which images of the batch.
        labels: (n,) the class of each.
        maps: (n, h, w), of the class over the pixels where it is predicted.
        target: what the maps explain.
        regions: the true pixels of the class, void ignored, (n, H, W).
    """

    rows: Tensor
    labels: Tensor
    maps: Tensor
    target: PixelTarget
    regions: Regions


@dataclass(frozen=True)
class PixelGaze:
    """What a pass gave, one row an image and class that it holds, in the order of the loader.

    Attributes:
        index: (N,) rows in the manifest.
        labels: (N,) class indices.
        share: (N,) of the image's pixels that are predicted to be of the class.
        scores: by name (N,), of a pooled one its counts (N, R, T), NaN where undefined.
        area: (N,) share of the class among the pixels that are not void.
        dead: (N,) bool, whether the map was zero everywhere.
    """

    index: np.ndarray
    labels: np.ndarray
    share: np.ndarray
    scores: Mapping[str, np.ndarray]
    area: np.ndarray
    dead: np.ndarray


def class_turns(
    net: nn.Module,
    images: Tensor,
    truth: Tensor,
    classes: int,
    gaze: Gaze,
    background: Tensor | None = None,
) -> Iterator[Turn]:
    """Maps of every class that an image holds, from one pass of the net and its method's own.

    Args:
        net: in the mode that it is to be asked in.
        images: (B, 3, H, W) as the net takes them.
        truth: class indices of pixels (B, H, W), `VOID` where nothing is said.
        classes: K.
        gaze: how maps are made.
        background: for a method that begins from it.
    """
    method = build_method(gaze.method, **options_of(gaze, background))
    seen = None
    for rows, labels in turns(present_classes(truth, classes)):
        # The images that have no class left are asked about their first, which nobody reads.
        asked = labels.new_zeros(len(truth)).index_put((rows,), labels).to(images.device)
        target = PixelTarget(asked)
        if seen is None:
            seen = look(net, images, target, method, layer=gaze.layer, contrast=gaze.contrast)
        else:
            seen = replace(seen, target=resolve(target, seen.logits))
        assert isinstance(seen.target, PixelTarget)
        maps = maps_of(method, seen).detach().float()[rows]
        own = of_rows(seen.target, rows)
        assert isinstance(own, PixelTarget)
        yield Turn(rows, labels, maps, own, regions_of(truth[rows], labels))


def score_classes(
    net: nn.Module,
    batches: Iterable[Batch],
    transform: Transform,
    gaze: Gaze,
    *,
    classes: int,
    background: Tensor | None = None,
    progress: Step | None = None,
) -> PixelGaze:
    """Score the maps of a segmenter, in evaluation mode, at the input size.

    Args:
        net: left in its own mode afterwards.
        batches: of a loader, with targets.
        transform: normalises them.
        gaze: how maps are made and scored.
        classes: K.
        background: (N, 3, H, W) as the net takes them, for a method that begins from it.
        progress: called with the number of images after each batch.
    """
    device = next(net.parameters()).device
    found: list[dict[str, np.ndarray]] = []

    def ask(batch: Batch) -> list[dict[str, np.ndarray]]:
        images = model_input(batch, transform, device)
        assert isinstance(images, Tensor)
        assert batch.target is not None
        turns = class_turns(net, images, batch.target.to(device), classes, gaze, background)
        return [_scored(net, images, turn, batch, gaze, background) for turn in turns]

    with evaluating(net):
        for batch, scored in fitted(batches, ask, device):
            found += scored
            if progress is not None:
                progress(len(batch))
    return _gathered(found, gaze)


@torch.no_grad()
def _scored(
    net: nn.Module,
    images: Tensor,
    turn: Turn,
    batch: Batch,
    gaze: Gaze,
    background: Tensor | None,
) -> dict[str, np.ndarray]:
    rows: dict[str, Any] = {
        "index": batch.index[turn.rows.cpu()],
        "labels": turn.labels,
        "dead": turn.maps.flatten(1).amax(1) <= 0,
        "area": turn.regions.of(turn.labels).area,
    }
    assert isinstance(turn.target.where, Tensor)
    rows["share"] = turn.target.where.flatten(1).float().mean(1)
    asked = images[turn.rows]
    for name in gaze.scores:
        made = made_as(gaze, background) if SCORES[name].explains else {}
        given = {"net": net, "images": asked, "targets": turn.target}
        rows[name] = tally(turn.maps, turn.regions, name, **given, **made)
    return {name: value.cpu().numpy() for name, value in rows.items()}


def _gathered(rows: list[dict[str, np.ndarray]], gaze: Gaze) -> PixelGaze:
    def joined(name: str) -> np.ndarray:
        return np.concatenate([row[name] for row in rows]) if rows else np.zeros(0)

    fixed = {name: joined(name) for name in ("index", "labels", "share", "area", "dead")}
    return PixelGaze(scores={name: joined(name) for name in gaze.scores}, **fixed)
