"""What a reader of a run's log should know of its config."""

import os
from collections.abc import Iterator

from torch.nn.modules.batchnorm import _BatchNorm

from regard.data.manifest import Manifest
from regard.data.source import splits_of
from regard.data.synthetic_samples import by_split, withheld, withheld_words
from regard.errors import RegardError
from regard.evaluation.settings import Gaze
from regard.guidance.maps import MapTerm
from regard.runs.grouped import told_groups
from regard.training.prepare import Prepared


def remarks(prepared: Prepared) -> Iterator[str]:
    """Where things are not quite as one may think."""
    yield from _who_trains(prepared)
    yield from _what_is_learned(prepared)
    yield from _what_is_synthetic(prepared)
    yield from _whose_groups(prepared)
    yield from _what_norms_see(prepared)
    yield from _what_gaze_is_of(prepared)
    yield from _what_the_teacher_saw(prepared)


def _who_trains(prepared: Prepared) -> Iterator[str]:
    """That processes share the images of a step."""
    if prepared.group.size > 1:
        yield f"{prepared.group.size} processes share the {_images(prepared)} images of a step"


def _images(prepared: Prepared) -> int:
    """Of a step."""
    return prepared.config.training.batch_size * prepared.config.training.accumulate


def _what_is_learned(prepared: Prepared) -> Iterator[str]:
    """That sets of labels are learned, which the columns of a manifest may have decided."""
    if prepared.config.data.task != "multilabel":
        return
    counts = [len(sample.labels or ()) for sample in prepared.train.data.samples]
    several, none = (sum(map(test, counts)) for test in (lambda n: n > 1, lambda n: n == 0))
    yield f"sets of labels: of {len(counts)} train images {several} have several, {none} none"


def _what_is_synthetic(prepared: Prepared) -> Iterator[str]:
    """How many samples are no photographs, and which of them are not trained on."""
    table = prepared.manifest.table
    made, away = by_split(table).get("train", 0), withheld(table)
    if not made and not away:
        return
    text = f"{made:,} of {len(prepared.train.data):,} samples of train are synthetic"
    yield f"{text}; {withheld_words(away)}" if away else text


def _whose_groups(prepared: Prepared) -> Iterator[str]:
    """That groups are judged by which the net learns from or is chosen on."""
    for split in ("val", "test"):
        if split not in splits_of(prepared.manifest.table):
            continue
        learned = told_groups(prepared.manifest, split)["groups_learned"]
        if learned:
            yield (
                f"groups of {split} that lie in other splits, too: {learned} (regard data check "
                f"lists them); what {split} says does not hold for new groups"
            )


def _what_norms_see(prepared: Prepared) -> Iterator[str]:
    """Where the gradient is not quite that of one large batch."""
    norms = any(isinstance(module, _BatchNorm) for module in prepared.net.modules())
    share = -(-_images(prepared) // prepared.group.size)
    seen = min(prepared.config.training.batch_size, share)
    if norms and seen < _images(prepared) and not prepared.config.model.freeze_bn:
        yield f"batch norm sees parts of {seen} images, not the whole step"


def _what_gaze_is_of(prepared: Prepared) -> Iterator[str]:
    """Where other maps are measured than those that the terms steer."""
    gaze = prepared.config.gaze
    for term in prepared.terms:
        if not isinstance(term, MapTerm):
            continue
        if (term.method, term.layer, term.contrast) != (gaze.method, gaze.layer, gaze.contrast):
            yield f"term {term.title} steers {_of(term)}, and the gaze is measured on {_of(gaze)}"


def _what_the_teacher_saw(prepared: Prepared) -> Iterator[str]:
    """Where the teacher learned from images that the student is judged by."""
    if prepared.teacher is None:
        return
    try:
        learned = _files(prepared.teacher.run.manifest(), "train")
    except (RegardError, OSError):
        yield "the teacher's manifest is gone: it is not known which images it learned from"
        return
    for split in splits_of(prepared.manifest.table):
        both = len(learned & _files(prepared.manifest, split)) if split != "train" else 0
        if both:
            yield f"the teacher has learned from {both} images of {split}, so {split} flatters"


def _files(manifest: Manifest, split: str) -> set[str]:
    return {os.path.realpath(manifest.resolve(path)) for path in manifest.select(split)["image"]}


def _of(how: MapTerm | Gaze) -> str:
    """Which maps, in words."""
    layer = "" if how.layer is None else f" at {how.layer}"
    return f"{how.method}{layer} {'with' if how.contrast else 'without'} contrast"
