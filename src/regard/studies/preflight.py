"""What is refused of a study before any of its runs begins."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from regard.data.preflight import refuse_files
from regard.data.source import samples_of
from regard.errors import ConfigError, RegardError
from regard.evaluation.thresholds import AT_THRESHOLD
from regard.studies.pixel_metrics import MEAN_METRICS, of_class
from regard.studies.settings import BEFORE, LABEL_METRICS, Job, Study
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
    _refuse_metrics(study.metrics, classes, segments=data.task == "segmentation")
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


def _refuse_metrics(metrics: Sequence[str], classes: Sequence[str], *, segments: bool) -> None:
    """What is compared has to be measured of such a net."""
    for metric in metrics:
        named = of_class(metric)
        if segments and metric == "iou":
            raise ConfigError(
                "metrics",
                expected="mean_iou, or iou:CLASS, for the overlap of a segmenter's pixels",
                found="iou, which is a score of maps",
                remedy=f"write mean_iou, or iou:{classes[0]}",
            )
        if named is None:
            fits = metric not in (LABEL_METRICS if segments else MEAN_METRICS)
        else:
            fits = segments and named[1] in classes
        if not fits:
            own = ", ".join(MEAN_METRICS) if segments else ", ".join(LABEL_METRICS[:6])
            raise ConfigError(
                "metrics",
                expected="what is measured of a segmenter" if segments else "of a classifier",
                found=repr(metric),
                remedy=f"choose accuracy, {own}"
                + (f", iou:{classes[0]} and its like, for {', '.join(classes)}" * segments),
            )
