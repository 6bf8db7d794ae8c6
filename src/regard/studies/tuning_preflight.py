"""What is refused of a tuning before its first trial."""

from collections.abc import Sequence
from pathlib import Path

from regard.checks.preflight import refuse_files
from regard.data.source import open_manifest, samples_of, splits_of
from regard.errors import ConfigError, RegardError, near
from regard.studies.tuning_settings import Tuning
from regard.studies.tuning_space import Parameter, config_of
from regard.training.config import Config
from regard.training.preflight import logged
from regard.training.prepare import digest_of_samples, prepare

# Sections whose values change what is built; the rest is checked by the config.
BUILT = ("data", "model", "guidance", "gaze")


def samples_digest(config: Config) -> str:
    """A digest of the samples of a config, whose paths are absolute.

    Raises:
        ConfigError: there is no val split to choose on.
        DataError: the manifest cannot be read.
    """
    manifest = open_manifest(config.data)
    if "val" not in splits_of(manifest.table):
        raise ConfigError(
            "objective",
            expected="a val split to choose on",
            found="splits " + ", ".join(splits_of(manifest.table)),
            remedy="set base.data.val_from_train: 0.15, say",
        )
    return digest_of_samples(manifest)


def refuse_trials(tuning: Tuning, space: tuple[Parameter, ...]) -> None:
    """Build what both ends and every choice ask for, one key after the other, and look at files.

    Raises:
        RegardError: the first thing that is wrong.
    """
    first = {parameter.key: parameter.probes[0] for parameter in space}
    _refuse(tuning, config_of(tuning, first), "", files=True)
    for parameter in space:
        if parameter.key.partition(".")[0] in BUILT:
            for value in parameter.probes[1:]:
                config = config_of(tuning, first | {parameter.key: value})
                _refuse(tuning, config, f" {parameter.key}={value}", files=False)


def _refuse(tuning: Tuning, config: Config, which: str, *, files: bool) -> None:
    try:
        prepared = prepare(config, Path())
        prepared.close()
        _refuse_metrics(tuning, prepared.config)
        if files:
            samples = [sample for data in prepared.splits for sample in data.samples]
            refuse_files(samples, prepared.transform.max_pixels)
    except RegardError as error:
        raise error.within(f"tuning {tuning.name}{',' if which else ''}{which}") from error


def _refuse_metrics(tuning: Tuning, config: Config) -> None:
    """The objectives have to be logged."""
    manifest = open_manifest(config.data)
    val = samples_of(manifest, "val", config.classes or (), config.data)
    terms = tuple(term.build() for term in config.guidance.terms)
    known = [f"val.{name}" for name in logged(config, val, "val", terms)]
    for metric in tuning.metrics:
        if metric not in known:
            raise ConfigError(
                "objective",
                expected="a metric of val that is logged",
                found=repr(metric),
                remedy=near(metric, known),
            )
    for key in tuning.search:
        for metric in tuning.metrics:
            if any(_touches(key, other) for other in _weighs(config, metric)):
                raise ConfigError(
                    f"search {key}",
                    expected=f"an objective that means the same whatever {key} is",
                    found=f"{metric}, whose parts it weighs or makes: the best would be the least",
                    remedy=f"judge by {_FIRM[config.data.learned]}",
                )


# What terms of val are made of; the regions of val are those of train.
_OF_TERMS = ("guidance.terms", "guidance.combine", "guidance.regions", "guidance.dilate")
# Metrics that no key of the config is a factor of.
_FIRM = {
    "classification": "val.cross_entropy, val.accuracy, or [val.accuracy, val.energy]",
    "multilabel": "val.cross_entropy, val.map, or [val.map, val.energy]",
    "segmentation": "val.mean_iou, or val.accuracy",
}


def _weighs(config: Config, metric: str) -> Sequence[str]:
    """Keys that change what is added up in a loss of val, not only what the net has learned."""
    masks = config.data.learned == "segmentation"
    entropy = ("training.label_smoothing", "training.imbalance") if masks else ()
    if metric == "val.cross_entropy":
        return entropy
    if metric != "val.loss":
        return ()
    own = ("training.dice",) if masks else _OF_TERMS
    return ("guidance.cross_entropy", *own, *entropy)


def _touches(key: str, other: str) -> bool:
    """Whether one of the two keys is part of the other, or the same."""
    return f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}.")
