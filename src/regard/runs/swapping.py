"""What a run says of one image when the outside of its region is exchanged."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.data.keys import keyed_generator
from regard.data.sample import Draw, Sample, says_where
from regard.data.samples import Samples
from regard.data.source import samples_of
from regard.errors import DataError
from regard.evaluation.answers import probabilities_of
from regard.evaluation.predict import model_input
from regard.images.backgrounds import blurred, emptied, mean_outside
from regard.runs.run import Run
from regard.saliency.capture import evaluating
from regard.saliency.outputs import logits_of

# Images that are looked at for one whose outside can be lent.
_TRIED = 12


@dataclass(frozen=True)
class Answer:
    """What the net says with one outside.

    Attributes:
        how: `original`, or what lies around the region: the outside's `mean` colour, the outside
            itself as a `blur`, or that of an image of the `same_class` or of an `other_class`.
        probability: of the image's label.
        predicted: the most probable class.
    """

    how: str
    probability: float
    predicted: str


@dataclass(frozen=True)
class _Fitted:
    """An image as the net takes it: its views (1, 3, H, W), and its region (1, 1, H, W)."""

    views: dict[str, Tensor]
    inside: Tensor


def swapped(run: Run, split: str, sample: Sample) -> list[Answer]:
    """The answers with the original outside, then with others, as `background_reliance` lays them.

    The partners are drawn from the split, the same ones every time. Without one of its kind that
    answer is left out.

    Args:
        run: loaded, of a classifier.
        split: that the sample is of.
        sample: with a region.

    Raises:
        DataError: no label of its own, or no region that has an outside.
    """
    own = None if run.segments or run.several else _fitted(run, sample)
    if own is None:
        raise DataError(
            sample.views[0][1].rpartition("/")[2],
            expected="an image of one label, with a region that has an outside",
            found=run.task if run.segments or run.several else "no such region",
            remedy="choose an image with a region, or draw one",
        )
    kinds, given = ["original"], [own.views]
    for how, outside in _outsides(run, split, sample, own):
        kinds.append(how)
        given.append(_laid(own, outside))
    batch = {view: torch.cat([views[view] for views in given]) for view in own.views}
    with evaluating(run.net), torch.no_grad():
        logits = logits_of(run.net(batch if len(batch) > 1 else next(iter(batch.values()))))
    shares = probabilities_of(logits.float(), run.task).cpu()
    return [
        Answer(how, float(row[sample.label]), run.classes[int(row.argmax())])
        for how, row in zip(kinds, shares, strict=True)
    ]


def _outsides(
    run: Run, split: str, sample: Sample, own: _Fitted
) -> Iterator[tuple[str, dict[str, Tensor]]]:
    hole = {view: emptied(pixels, own.inside) for view, pixels in own.views.items()}
    mean = {view: mean_outside(pixels, own.inside) for view, pixels in own.views.items()}
    yield "mean", mean
    yield "blur", {view: blurred(pixels) for view, pixels in hole.items()}
    everyone = samples_of(run.manifest(), split, run.classes, run.data)
    others = [s for s in everyone if s.index != sample.index and says_where(s)]
    order = torch.randperm(len(others), generator=keyed_generator("swap", sample.index)).tolist()
    drawn = [others[row] for row in order]
    alike = (s for s in drawn if s.label == sample.label)
    unlike = (s for s in drawn if s.label != sample.label)
    for how, lenders in (("same_class", alike), ("other_class", unlike)):
        lent = _lent(run, lenders)
        if lent is not None:
            yield how, {view: emptied(pixels, lent.inside) for view, pixels in lent.views.items()}


def _lent(run: Run, lenders: Iterable[Sample]) -> _Fitted | None:
    """The first of a few that has an outside."""
    for _, sample in zip(range(_TRIED), lenders, strict=False):
        found = _fitted(run, sample)
        if found is not None:
            return found
    return None


def _laid(own: _Fitted, outside: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        view: own.inside * pixels + (1 - own.inside) * outside[view]
        for view, pixels in own.views.items()
    }


def _fitted(run: Run, sample: Sample) -> _Fitted | None:
    """None without a region, or with one that is empty or everything."""
    batch = Samples([sample], run.transform).batch([Draw(0)])
    if batch.regions is None:
        return None
    evidence = batch.regions.of(batch.labels)
    if not bool(evidence.partial[0]):
        return None
    images = model_input(batch, run.transform, run.device)
    views = images if isinstance(images, dict) else {"image": images}
    return _Fitted(views, evidence.inside[:, None].to(run.device))
