"""What is refused of a study before any of its runs begins."""

from collections.abc import Mapping
from pathlib import Path

from regard.data.preflight import refuse_files
from regard.data.source import samples_of
from regard.errors import ConfigError, RegardError
from regard.studies.settings import BEFORE, Study
from regard.training.config import Config
from regard.training.prepare import prepare


def refuse_arms(study: Study, configs: Mapping[tuple[str, int], Config], folder: Path) -> None:
    """Build each arm once, as far as it goes without training, and look at all of its files.

    Args:
        study: the study.
        configs: of the runs that have not begun, by arm and seed.
        folder: that paths in the configs start from.

    Raises:
        RegardError: the first thing that is wrong, with the arm's name.
    """
    looked: list[object] = []
    for arm, config in {arm: config for (arm, _), config in configs.items()}.items():
        if study.before is not None and arm != BEFORE:
            # The weights that it begins from are not there yet.
            model = config.model.model_copy(update={"weights": None})
            config = config.model_copy(update={"model": model})
        try:
            _refuse(config, study.splits, folder, files=config.data not in looked)
        except RegardError as error:
            raise error.within(f"study {study.name}, arm {arm}") from error
        looked.append(config.data)


def _refuse(config: Config, splits: tuple[str, ...], folder: Path, *, files: bool) -> None:
    prepared = prepare(config, folder)
    prepared.close()
    classes, data = prepared.config.classes or (), prepared.config.data
    if data.task == "segmentation":
        raise ConfigError(
            "data.task",
            expected="classification",
            found=data.task,
            remedy="train and evaluate segmenters one by one: regard train, regard evaluate",
        )
    samples = [sample for part in prepared.splits for sample in part.samples]
    for name in splits:
        samples += samples_of(prepared.manifest, name, classes, data)
    if files:
        refuse_files(samples, prepared.transform.max_pixels)
