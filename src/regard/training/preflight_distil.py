"""A teacher from whom nothing sensible could be learned is refused before a training begins."""

from collections.abc import Sequence

import torch

from regard.data.samples import Batch
from regard.errors import RegardError, wrong
from regard.guidance.base import Term
from regard.saliency.capture import undisturbed
from regard.training.config import Config
from regard.training.distil import LOGITS, MAPS
from regard.training.teacher import Teacher


def refuse_distil(config: Config, teacher: Teacher, terms: Sequence[Term]) -> None:
    """The teacher needs the student's task, classes and views, and images of its shape.

    Args:
        config: of the student, resolved.
        teacher: of it.
        terms: of the student's guidance.

    Raises:
        ConfigError: it has others, or there are no maps to learn.
    """
    _refuse_other_answers(config, teacher)
    _refuse_other_images(config, teacher)
    _refuse_combination(config, terms)
    if config.data.task == "segmentation" and teacher.how.maps is not None:
        raise wrong(
            "distil.maps",
            "none for a segmenter, whose maps are of classes drawn anew in each step",
            "some",
            "leave maps out: the logits of every pixel are learned",
        )


def _refuse_other_answers(config: Config, teacher: Teacher) -> None:
    run, classes = teacher.run, config.classes or ()
    if run.task != config.data.task:
        raise wrong(
            "distil.teacher",
            f"a run for {config.data.task}",
            f"{run.folder.name}, for {run.task}",
            "take a teacher of the same task",
        )
    if run.classes != classes:
        same = sorted(run.classes) == sorted(classes)
        other = next((name for name in classes if name not in run.classes), None)
        found = "another order" if same else f"{len(run.classes)} of them"
        raise wrong(
            "distil.teacher",
            f"the student's {len(classes)} classes in the same order",
            found if other is None else f"{found}, without {other!r}",
            "take a teacher trained on the same classes"
            + (f", or set classes=[{', '.join(run.classes)}]" if same else ""),
        )


def _refuse_other_images(config: Config, teacher: Teacher) -> None:
    run, own, data = teacher.run, teacher.run.data, config.data
    lacking = [view for view in own.views if view not in data.views]
    if lacking:
        raise wrong(
            "distil.teacher",
            f"a teacher of the views {', '.join(data.views)}",
            f"one that needs {lacking[0]}",
            f"add {lacking[0]} to data.views, or take another teacher",
        )
    (height, width), (h, w) = run.transform.size, teacher.size
    if own.fit != data.fit or (data.fit != "stretch" and height * w != width * h):
        raise wrong(
            "distil.teacher and data.fit",
            f"a teacher whose images are fitted alike ({data.fit}, {h} x {w})",
            f"{own.fit}, {height} x {width}",
            "set data.fit and the shape of data.size as the teacher's",
        )


def _refuse_combination(config: Config, terms: Sequence[Term]) -> None:
    if config.guidance.combine != "sum":
        raise wrong(
            "guidance.combine", "sum beside distil", config.guidance.combine, "leave it out"
        )
    taken = next((term.title for term in terms if term.title in (LOGITS, MAPS)), None)
    if taken is not None:
        raise wrong(
            "guidance.terms",
            "names other than those of distil's losses",
            repr(taken),
            "give the term another name",
        )


def refuse_lesson(config: Config, teacher: Teacher) -> None:
    """The teacher has to answer to images of the student's size, and to crops of them.

    Raises:
        RegardError: it cannot, or its maps cannot be made.
    """
    assert config.data.size is not None
    for size in dict.fromkeys((teacher.size, config.data.augment.cut(teacher.size))):
        blank = torch.zeros(2, 3, *size, dtype=torch.uint8)
        labels = torch.zeros(2, dtype=torch.long)
        part = Batch(dict.fromkeys(config.data.views, blank), labels, labels, None)
        try:
            with undisturbed(teacher.run.net):
                teacher.lesson(part)
        except RegardError as error:
            raise error.within("distil.teacher") from error
        except Exception as error:  # whatever a foreign net raises at what it cannot take
            found = f"{size[0]} x {size[1]} ({' '.join(str(error).split())[:120]})"
            raise wrong(
                "distil.teacher",
                "a teacher that takes the student's images",
                found,
                "set data.size as the teacher's, or leave data.augment.crop out",
            ) from error


def taught_terms(teacher: Teacher | None) -> tuple[Term, ...]:
    """What is computed of the student's maps, for those who ask whether that moves it."""
    if teacher is None or teacher.how.maps is None:
        return ()
    return (teacher.how.maps.build().term,)
