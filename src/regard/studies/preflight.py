"""What is refused of a study before any of its runs begins."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from regard.checks.preflight import refuse_files
from regard.data.hierarchy import Hierarchy, hierarchy_of
from regard.data.settings import Data, Task
from regard.data.source import samples_of
from regard.errors import ConfigError, RegardError
from regard.evaluation.hierarchical import DISTANCES
from regard.evaluation.thresholds import AT_THRESHOLD
from regard.scores.base import SCORES
from regard.studies.pixel_metrics import of_class
from regard.studies.set_metrics import CLASS_METRICS, level_of, of_hierarchy
from regard.studies.settings import BEFORE, MEASURED_OF, Job, Study
from regard.training.config import Config
from regard.training.prepare import prepare


def refuse_arms(study: Study, configs: Mapping[Job, Config], folder: Path) -> None:
    """Build each arm once, as far as it goes without training, and look at all of its files.

    Args:
        study: the study.
        configs: of the runs that have not begun.
        folder: that paths in the configs start from.

    Raises:
        RegardError: the first thing that is wrong, with the arm's name.
    """
    looked: list[object] = []
    for arm, config in {job.arm: config for job, config in configs.items()}.items():
        if study.before is not None and arm != BEFORE:
            # The weights that it begins from are not there yet.
            model = config.model.model_copy(update={"weights": None})
            config = config.model_copy(update={"model": model})
        try:
            _refuse(config, study, folder, files=config.data not in looked)
        except RegardError as error:
            raise error.within(f"study {study.name}, arm {arm}") from error
        looked.append(config.data)


def _refuse(config: Config, study: Study, folder: Path, *, files: bool) -> None:
    prepared = prepare(config, folder)
    prepared.close()
    classes, data, splits = prepared.config.classes or (), prepared.config.data, study.splits
    _refuse_metrics(study.metrics, classes, data, hierarchy_of(data, folder, classes))
    _refuse_undecided(study.metrics, config)
    samples = [sample for part in prepared.splits for sample in part.samples]
    for name in splits:
        samples += samples_of(prepared.manifest, name, classes, data)
    if files:
        refuse_files(samples, prepared.transform.max_pixels)


def _refuse_undecided(metrics: Sequence[str], config: Config) -> None:
    """What holds at a threshold needs one."""
    wanted = next((metric for metric in metrics if metric in AT_THRESHOLD), None)
    if wanted is not None and not config.evaluate.chooses:
        raise ConfigError(
            "metrics",
            expected=f"a threshold for {wanted}, evaluate.target_recall or evaluate.threshold",
            found="neither",
            remedy="set base.evaluate.target_recall: 0.9, say",
        )


def _refuse_metrics(
    metrics: Sequence[str], classes: Sequence[str], data: Data, hierarchy: Hierarchy | None
) -> None:
    """What is compared has to be measured of such a net."""
    task = data.learned
    for metric in metrics:
        if task == "segmentation" and metric == "iou":
            raise ConfigError(
                "metrics",
                expected="mean_iou, or iou:CLASS, for the overlap of a segmenter's pixels",
                found="iou, which is a score of maps",
                remedy=f"write mean_iou, or iou:{classes[0]}",
            )
        if of_hierarchy(metric):
            _refuse_level(metric, data, hierarchy)
        elif not _fits(metric, task, classes):
            raise ConfigError(
                "metrics",
                expected=f"what is measured of {_NETS[task]}",
                found=repr(metric),
                remedy=f"choose {', '.join(MEASURED_OF[task][:7])}{_of_classes(task, classes)}",
            )


_NETS = {
    "classification": "a classifier",
    "multilabel": "sets of labels",
    "segmentation": "a segmenter",
}


def _fits(metric: str, task: Task, classes: Sequence[str]) -> bool:
    named = of_class(metric)
    if named is None:
        return metric in MEASURED_OF[task] or metric in SCORES
    return named[1] in classes and (named[0] in CLASS_METRICS[task] or named[0] in SCORES) and (
        task != "classification"
    )  # fmt: skip


def _of_classes(task: Task, classes: Sequence[str]) -> str:
    """What there is of single classes, in words."""
    if task == "classification":
        return ""
    first = f"{CLASS_METRICS[task][0]}:{classes[0]}"
    return f", {first} and its like, for {', '.join(classes)}"


def _refuse_level(metric: str, data: Data, hierarchy: Hierarchy | None) -> None:
    """Metrics by level need a hierarchy that has the level; distances need one label an image."""
    if hierarchy is None:
        raise ConfigError(
            "metrics",
            expected=f"data.hierarchy for {metric}",
            found="none",
            remedy="name a CSV of child,parent in base.data.hierarchy, or leave the metric out",
        )
    level = level_of(metric)
    if level is not None and level > hierarchy.levels:
        raise ConfigError(
            "metrics",
            expected=f"a level from 1 to {hierarchy.levels}, as {data.hierarchy} has them",
            found=metric,
            remedy="leave it out, or correct the file",
        )
    if metric in DISTANCES and data.task == "multilabel":
        raise ConfigError(
            "metrics",
            expected="hierarchical_f1 or its like for sets of labels",
            found=f"{metric}, which is of one label an image",
            remedy="leave it out",
        )
