"""One image as a run's net answers it, and where it looks."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from regard.data.sample import Draw, Sample
from regard.data.samples import Samples
from regard.data.transforms import Source
from regard.errors import DataError
from regard.evaluation.answers import probabilities_of
from regard.evaluation.label_sets import THRESHOLD
from regard.evaluation.predict import model_input
from regard.evaluation.settings import Gaze
from regard.runs.run import Run
from regard.saliency.capture import Images, evaluating
from regard.saliency.explain import explain
from regard.saliency.outputs import logits_of
from regard.saliency.targets import PixelTarget


@dataclass(frozen=True)
class Explained:
    """One image as the net answered it.

    Attributes:
        path: of the image.
        sample: of the manifest that has this image, with its region; None for another image.
        shares: (classes,), the probabilities, of sets of labels each by itself; of a segmenter the
            shares of the pixels where each class is predicted.
        chosen: the class that is explained.
        maps: by method, at the layer's resolution.
        explained: of a segmenter the pixels (H, W) of the input where the class is predicted.
        classes: of a segmenter the predicted class of each pixel, uint8 (H, W).
    """

    path: str
    sample: Sample | None
    shares: Tensor
    chosen: int
    maps: dict[str, Tensor]
    explained: Tensor | None = None
    classes: Tensor | None = None

    @property
    def predicted(self) -> int:
        """The most probable class."""
        return int(self.shares.argmax())

    @property
    def predicted_set(self) -> list[int]:
        """The classes whose probability is one half or more, where each stands by itself."""
        return (self.shares >= THRESHOLD).nonzero().flatten().tolist()


def explain_image(
    run: Run,
    image: Source,
    sample: Sample | None,
    methods: Mapping[str, Mapping[str, Any]],
    gaze: Gaze,
    target: str | None = None,
    *,
    at: tuple[float, float] | None = None,
) -> Explained:
    """Ask the net about one image, and where it looks.

    Args:
        run: loaded.
        image: its path, or anything else that a transform takes.
        sample: of the manifest that has this image; None for another image.
        methods: name to options.
        gaze: whose layer and contrast the maps have.
        target: a class; None: the predicted one, of a segmenter the one predicted on most pixels.
        at: of a segmenter, the row and the column of one pixel as shares of the input in [0, 1):
            its predicted class is explained there alone. None: where the class is predicted.

    Raises:
        DataError: the image cannot be read.
    """
    images = _input(run, image, sample)
    with evaluating(run.net):
        with torch.no_grad():
            logits = logits_of(run.net(images)).float()[0].cpu()
        shares = (
            _pixel_shares(logits) if run.segments else probabilities_of(logits, run.task, dim=0)
        )
        chosen = int(shares.argmax()) if target is None else run.classes.index(target)
        pixel = None if at is None else _place(at, logits)
        if pixel is not None:
            chosen = int(logits[:, *pixel].argmax())
        asked = PixelTarget(chosen, pixel or "predicted") if run.segments else [chosen]
        how = {"layer": gaze.layer, "contrast": gaze.contrast, "view": run.explained_view}
        maps = {
            method: explain(run.net, images, asked, method, **how, **own)[0].cpu()
            for method, own in methods.items()
        }
    explained = (logits.argmax(0) == chosen).float() if run.segments else None
    classes = logits.argmax(0).to(torch.uint8) if run.segments else None
    path = str(image) if isinstance(image, str | Path) else "image"
    return Explained(path, sample, shares, chosen, maps, explained, classes)


def _place(at: tuple[float, float], logits: Tensor) -> tuple[int, int]:
    height, width = logits.shape[1:]
    return min(height - 1, int(at[0] * height)), min(width - 1, int(at[1] * width))


def _pixel_shares(logits: Tensor) -> Tensor:
    """Of logits (K, H, W) the shares (K,) of the pixels where each class wins."""
    won = logits.argmax(0).flatten()
    return torch.bincount(won, minlength=len(logits)) / len(won)


def _input(run: Run, image: Source, sample: Sample | None) -> Images:
    """An image as the net takes it, with its further views."""
    if run.explained_view is None:
        return run.transform(image).to(run.device)
    if sample is None:
        raise DataError(
            str(image) if isinstance(image, str | Path) else "image",
            expected="an image of the run's manifest, where its views "
            + ", ".join(run.data.views[1:])
            + " are named",
            found="another image",
            remedy="add it to the manifest, or call Run.predict with all views",
        )
    return model_input(Samples([sample], run.transform).batch([Draw(0)]), run.transform, run.device)
