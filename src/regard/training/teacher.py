"""A teacher: another run's net, whose answers and maps a student learns from."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from regard.data.mask_classes import VOID
from regard.data.regions import Regions
from regard.data.samples import Batch
from regard.guidance.base import Term
from regard.images.size import Size
from regard.runs.run import Run, open_run
from regard.saliency.capture import Images, undisturbed
from regard.saliency.explain import build_method, look, maps_of
from regard.saliency.outputs import logits_of
from regard.training.distil import LOGITS, MAPS, Distil
from regard.training.losses import softened


@dataclass(frozen=True)
class Lesson:
    """What a teacher says of a part of a batch.

    Attributes:
        teacher: who says it.
        logits: (B, K), of a segmenter (B, K, h, w).
        terms: on its maps (B, h, w), where they are asked for.
    """

    teacher: "Teacher"
    logits: Tensor
    terms: tuple[Term, ...] = ()

    def losses(self, logits: Tensor, part: Batch) -> dict[str, tuple[float, Tensor]]:
        """By name, weight and divergence (B,) of a student's answers, see `softened`."""
        how, target = self.teacher.how, part.target
        target = None if target is None else target.to(logits.device)
        task = self.teacher.run.task
        return {LOGITS: (how.weight, softened(logits, self.logits, how.temperature, task, target))}


@dataclass(frozen=True)
class Teacher:
    """A run's net in evaluation mode, that is never trained.

    Attributes:
        run: loaded; its net on the student's device.
        how: what is learned of it.
        size: (H, W) of the student's images. Crops of them are brought to the teacher's size in the
            same proportion.
    """

    run: Run
    how: Distil
    size: Size

    @classmethod
    def of(cls, how: Distil, folder: Path) -> "Teacher":
        """Load the run, whose path starts from the folder; its images are as large as its own.

        Raises:
            RunError: no such run, or no whole checkpoint.
        """
        run = open_run(str(folder / how.teacher))
        run.net.requires_grad_(False)
        return cls(run, how, run.transform.size)

    def beside(self, size: Size, device: torch.device) -> "Teacher":
        """For a student whose images have that size, on its device."""
        self.run.net.to(device)
        return replace(self, size=size)

    @property
    def weights(self) -> str:
        """A digest of its weights, by which a run that goes on knows it again."""
        return self.run.weights

    def lesson(self, part: Batch) -> Lesson:
        """Answers and maps for the images of a part as the student gets them, augmented and mixed.

        Maps are of the images' labels, of mixed images of that of the larger share.
        """
        net, device = self.run.net, next(self.run.net.parameters()).device
        images, maps = self.fitted(part.images, device), self.how.maps
        if maps is None:
            with torch.no_grad():
                return Lesson(self, logits_of(net(images)).float())
        told = (part.labels >= 0).to(device)
        with undisturbed(net):  # a method may draw; the student's dropout does not feel it
            method = build_method(maps.method)
            seen = look(
                net,
                images,
                part.labels.to(device).clamp_min(0),
                method,
                layer=maps.teacher_layer,
                contrast=maps.contrast,
                view=self.run.explained_view,
            )
            found = maps_of(method, seen).detach().float()
        term = replace(maps.build(), maps=found, told=told)
        return Lesson(self, seen.logits.detach().float(), (term,))

    def fitted(self, views: Mapping[str, Tensor], device: torch.device) -> Images:
        """A student's uint8 views at the teacher's size, normalised as the teacher wants them."""
        found = {}
        for name in self.run.data.views:
            view, size = views[name].to(device), self.size_of(views[name])
            if tuple(view.shape[2:]) != size:
                # Float: a GPU resizes no bytes.
                view = F.interpolate(view.float(), size, mode="bilinear", antialias=True)
                view = view.clamp(0, 255)
            found[name] = self.run.transform.normalise(view)
        return next(iter(found.values())) if len(found) == 1 else found

    def size_of(self, view: Tensor) -> Size:
        """The size that a view, which may be a crop, is brought to."""
        wanted = self.run.transform.size
        height, width = (
            round(own * there / here)
            for own, there, here in zip(view.shape[2:], wanted, self.size, strict=True)
        )
        return height, width

    def divisors(self, batch: Batch) -> dict[str, int]:
        """Images of an effective batch, or of a share of it, that count, by the loss's name."""
        said = len(batch) if batch.target is None else int(_said(batch.target).sum())
        return {LOGITS: said, MAPS: int((batch.labels >= 0).sum())}


def _said(target: Tensor) -> Tensor:
    """Bool (B,): of which masks some pixel is not void."""
    return (target != VOID).flatten(1).any(1)


def nowhere(part: Batch) -> Regions:
    """Regions that are all missing, for terms that need none."""
    count = len(part)
    return Regions(torch.zeros(count, 1, 1), present=torch.zeros(count, dtype=torch.bool))
