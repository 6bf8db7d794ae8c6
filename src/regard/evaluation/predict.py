"""One pass over a loader: logits, and where asked the maps' scores."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from regard.data.regions import Regions
from regard.data.samples import Batch, truth_of
from regard.data.settings import Task
from regard.data.transforms import Transform
from regard.evaluation.answers import probabilities_of
from regard.evaluation.settings import Gaze
from regard.guidance.base import Term
from regard.guidance.forward import guided_forward
from regard.guidance.maps import MapTerm
from regard.guidance.output import GuidedOutput
from regard.models.fitting import fitted
from regard.progress import Step
from regard.saliency.base import METHODS
from regard.saliency.capture import evaluating
from regard.saliency.explain import build_method, look, maps_of
from regard.saliency.outputs import logits_of
from regard.scores.base import SCORES
from regard.scores.scoring import tally

# What was found of the images of a batch, by name, each (B, ...), on the CPU.
Answers = dict[str, Tensor]


@dataclass(frozen=True)
class Predictions:
    """What a pass gave, in the order of the loader.

    Attributes:
        index: (N,) rows in the manifest.
        labels: (N,) class indices; of images with sets of labels the one that is asked about, -1
            for none.
        logits: (N, K) float32.
        gaze: by score (N,), of a pooled one its counts (N, R, T), NaN where undefined; empty when
            no gaze was asked for.
        area: (N,) of the regions, NaN where missing.
        dead: (N,) bool, whether the map was zero everywhere.
        terms: by guidance term (N,), its loss, NaN where it is not valid.
        truth: (N, K) bool, of images with sets of labels which classes each is of; else None.
    """

    index: np.ndarray
    labels: np.ndarray
    logits: np.ndarray
    gaze: Mapping[str, np.ndarray]
    area: np.ndarray
    dead: np.ndarray
    terms: Mapping[str, np.ndarray]
    truth: np.ndarray | None = None

    @property
    def probabilities(self) -> np.ndarray:
        """Softmax of the logits, (N, K), float64; of images with sets of labels the sigmoid."""
        task: Task = "classification" if self.truth is None else "multilabel"
        return probabilities_of(torch.from_numpy(self.logits).double(), task).numpy()


def model_input(batch: Batch, transform: Transform, device: torch.device) -> Tensor | dict:
    """The normalised batch as the net takes it: a tensor, or a dict of several views."""
    views = {k: transform.normalise(v.to(device)) for k, v in batch.images.items()}
    return next(iter(views.values())) if len(views) == 1 else views


def predict(
    net: nn.Module,
    batches: Iterable[Batch],
    transform: Transform,
    *,
    gaze: Gaze | None = None,
    terms: Sequence[Term] = (),
    background: Tensor | None = None,
    device: torch.device | str = "cpu",
    bf16: bool = False,
    progress: Step | None = None,
) -> Predictions:
    """Run the net over the batches, in evaluation mode, and score the labels' maps.

    Args:
        net: left in its own mode afterwards.
        batches: of a loader.
        transform: normalises them.
        gaze: how maps are made and scored; None, or batches without regions: not at all.
        terms: guidance terms to compute as well, where maps are made.
        background: (N, 3, H, W) as the net takes them, for a gaze whose method begins from it.
        device: where the net is.
        bf16: run the net under autocast in bfloat16.
        progress: called with the number of images after each batch.

    Raises:
        RunError: there is no memory for a single image; batches that do not fit are halved.
    """
    rows = []
    for row in answered(
        net,
        batches,
        transform,
        gaze=gaze,
        terms=terms,
        background=background,
        device=device,
        bf16=bf16,
    ):
        rows.append(row)
        if progress is not None:
            progress(len(row["labels"]))
    return predictions(rows, gaze, terms)


def answered(
    net: nn.Module,
    batches: Iterable[Batch],
    transform: Transform,
    *,
    gaze: Gaze | None = None,
    terms: Sequence[Term] = (),
    background: Tensor | None = None,
    device: torch.device | str = "cpu",
    bf16: bool = False,
) -> Iterator[Answers]:
    """What `predict` finds, in parts that fit into memory; arguments as there."""
    device = torch.device(device)

    def ask(batch: Batch) -> Answers:
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            images = model_input(batch, transform, device)
            return _row(net, batch, images, gaze, terms, background, device)

    with evaluating(net):
        for _, row in fitted(batches, ask, device):
            yield row


def _row(
    net: nn.Module,
    batch: Batch,
    images: Tensor | dict,
    gaze: Gaze | None,
    terms: Sequence[Term],
    background: Tensor | None,
    device: torch.device,
) -> Answers:
    row = {"index": batch.index, "labels": batch.labels}
    row |= {} if batch.sets is None else {"sets": batch.sets}
    names = () if gaze is None else scores_of(gaze, batch)
    if gaze is None or not names:
        with torch.no_grad():
            return row | {"logits": logits_of(net(images)).float().cpu()}
    told, several = batch.labels.to(device) >= 0, batch.sets is not None
    labels = batch.labels.to(device).clamp_min(0)
    regions = None if batch.regions is None else batch.regions.to(device)
    used = regions if batch.used is None else batch.used.to(device)
    guided = _guided(net, images, labels, used, terms)
    logits, maps = _maps(net, images, labels, gaze, terms, guided, background)
    asked = images if isinstance(images, Tensor) else None
    with torch.no_grad():
        for name in names:
            made = made_as(gaze, background) if SCORES[name].explains else {}
            given = {"net": net, "images": asked, "targets": labels, "independent": several}
            row[name] = tally(maps, regions, name, **given, **made)
            # The map of no label is the map of nothing.
            row[name][~told] = torch.nan
        row["dead"] = (maps.flatten(1).amax(1) <= 0) & told
        if regions is not None:
            evidence = regions.of(labels)
            row["area"] = torch.where(evidence.present, evidence.area, torch.nan)
        for name, losses in guided.losses.items():
            row[f"loss.{name}"] = torch.where(guided.valid[name], losses, torch.nan)
    return {name: value.cpu() for name, value in row.items()} | {"logits": logits.float().cpu()}


def scores_of(gaze: Gaze, batch: Batch) -> list[str]:
    """The scores that can be had of a batch: some ask for regions, some for a net of one image."""
    able = {"map", *(["region"] if batch.regions is not None else [])}
    able |= {"model"} if len(batch.images) == 1 else set()
    return [name for name in gaze.scores if SCORES[name].asks in able]


@torch.no_grad()
def _guided(
    net: nn.Module,
    images: Tensor | dict,
    labels: Tensor,
    regions: Regions | None,
    terms: Sequence[Term],
) -> GuidedOutput:
    """The terms' losses, and maps; none without regions."""
    if not terms or regions is None:
        return GuidedOutput(torch.zeros(0, 0))
    return guided_forward(net, images, labels, regions, terms)


def _maps(
    net: nn.Module,
    images: Tensor | dict,
    labels: Tensor,
    how: Gaze,
    terms: Sequence[Term],
    guided: GuidedOutput,
    background: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Logits and maps; those of a term, if it has made the same."""
    for term in terms:
        if isinstance(term, MapTerm) and term.title in guided.maps and _alike(term, how):
            return guided.logits, guided.maps[term.title]
    method = build_method(how.method, **options_of(how, background))
    # The first of several views is the one explained.
    view = None if isinstance(images, Tensor) else next(iter(images))
    seen = look(net, images, labels, method, layer=how.layer, view=view, contrast=how.contrast)
    return seen.logits.detach(), maps_of(method, seen).detach().float()


def _alike(term: MapTerm, how: Gaze) -> bool:
    own = (term.method, term.layer, term.contrast)
    return not term.options and own == (how.method, how.layer, how.contrast)


def options_of(how: Gaze, background: Tensor | None) -> dict[str, Any]:
    """The options of the gaze's method: the background, if it begins from one."""
    given = background is not None and METHODS[how.method].from_background
    return {"background": background} if given else {}


def made_as(how: Gaze, background: Tensor | None) -> dict[str, Any]:
    """How the maps were made, for a score that makes others."""
    own = {"method": how.method, "layer": how.layer, "contrast": how.contrast}
    return own | options_of(how, background)


def predictions(rows: Sequence[Answers], gaze: Gaze | None, terms: Sequence[Term]) -> Predictions:
    """One table of the answers to batches.

    Args:
        rows: of `answered`, in the order of the batches.
        gaze: as there.
        terms: as there.
    """

    def joined(name: str) -> np.ndarray:
        return torch.cat([row[name] for row in rows]).numpy()

    count = sum(len(row["labels"]) for row in rows)
    sets = torch.cat([row["sets"] for row in rows]) if "sets" in rows[0] else None
    classes = rows[0]["logits"].shape[1]
    known = [name for name in (gaze.scores if gaze else ()) if name in rows[0]]
    losses = [term.title for term in terms if f"loss.{term.title}" in rows[0]]
    return Predictions(
        index=joined("index"),
        labels=joined("labels"),
        logits=joined("logits"),
        gaze={name: joined(name) for name in known},
        area=joined("area") if "area" in rows[0] else np.full(count, np.nan),
        dead=joined("dead") if known else np.zeros(count, dtype=bool),
        terms={title: joined(f"loss.{title}") for title in losses},
        truth=None if sets is None else truth_of(sets, classes).numpy(),
    )
