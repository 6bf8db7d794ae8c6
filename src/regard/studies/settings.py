"""What a study is: a YAML file of arms, seeds and a base config."""

from typing import Any, NamedTuple

from pydantic import Field, model_validator

from regard.data.settings import FEWEST_FOLDS, Task
from regard.errors import near
from regard.evaluation.thresholds import AT_THRESHOLD
from regard.files.names import named_plainly
from regard.language import phrase
from regard.runs.reliance import GAP, MEASURED
from regard.scores.base import SCORES
from regard.settings.base import Settings
from regard.studies.pixel_metrics import MEAN_METRICS, of_class
from regard.studies.set_metrics import SET_METRICS, of_hierarchy
from regard.studies.sources import Sources
from regard.training.config import Config, Partial, merged, parse_config

# Those of `evaluation.metrics.evaluate` and of exchanged backgrounds that only labels have; with
# those of segmenters and all scores of maps they are what a study can compare.
LABEL_METRICS = (
    "precision_macro",
    "recall_macro",
    "f1_macro",
    "roc_auc",
    "average_precision",
    "log_loss",
    "brier",
    "ece",
    "precision",
    "recall",
    "f1",
    "specificity",
    *AT_THRESHOLD,
    *MEASURED,
    GAP,
)
# What each task has beside scores of maps; with a hierarchy of labels those of `of_hierarchy` too.
MEASURED_OF: dict[Task, tuple[str, ...]] = {
    "classification": ("accuracy", "balanced_accuracy", *LABEL_METRICS, "dead_maps"),
    "multilabel": ("accuracy", *SET_METRICS, "dead_maps"),
    "segmentation": ("accuracy", "balanced_accuracy", "dead_maps", *MEAN_METRICS),
}
METRICS = tuple(dict.fromkeys(name for names in MEASURED_OF.values() for name in names))


# The name of the first training.
BEFORE = "before"


class Job(NamedTuple):
    """One training of a study.

    Attributes:
        arm: its name, or `BEFORE`.
        seed: of the training.
        fold: that is test; None in a study without folds.
    """

    arm: str
    seed: int
    fold: int | None = None

    @property
    def run(self) -> str:
        """The run's folder, relative to the study's."""
        return run_folder(*self)

    @property
    def words(self) -> str:
        """`plain, seed 0, fold 2`."""
        return phrase(
            "{arm}, seed {seed}" if self.fold is None else "{arm}, seed {seed}, fold {fold}",
            arm=self.arm,
            seed=self.seed,
            fold=self.fold,
        )


class Published(Settings):
    """What others reported, shown beside what comes out.

    Attributes:
        source: who, and where: `Ross et al., arXiv:1703.03717`.
        values: `SPLIT.METRIC` to arm to value.
        others: arms among them that are not trained here; a scale that leaves arms out names them.
    """

    source: str
    values: dict[str, dict[str, float]]
    others: tuple[str, ...] = ()


class Study(Settings):
    """Arms x seeds, compared under one protocol.

    Attributes:
        name: of the study's folder, studies/NAME.
        title: heading of the report.
        about: a paragraph for readers of the report.
        data: what samples to make; left out, `base.data.manifest` names a manifest.
        base: the config that all arms share.
        before: what differs from the base in a first training, one a seed, from whose best
            checkpoint all arms begin; none: they begin from `base.model.weights`.
        arms: name to what differs from the base.
        baseline: arm that the others are compared with.
        comparisons: pairs (arm, against); None: every arm against the baseline.
        seeds: of the trainings, the same for every arm.
        folds: number of folds of a cross-validation, 3 or more: every arm is trained with every
            seed once a fold, that fold being test and the next one val, and what the nets say of
            their test parts is pooled. With `base.data.val_from_train`, 0.1 say, val is that share
            of all other folds, and the nets learn from more. All images are dealt anew, the same
            for every arm and seed, whatever splits the manifest has. None: the manifest's splits.
        splits: the parts that the trained nets are evaluated on.
        metrics: what is compared, on each split; of two classes with `evaluate.target_recall` also
            `specificity_at_threshold` and its like; of a segmenter's class `iou:CLASS`,
            `recall:CLASS`, `boundary_f1:CLASS` ..., or a score of its maps; of a class of sets of
            labels `average_precision:CLASS`, `f1:CLASS` ...; with `data.hierarchy` also
            `accuracy_level_1` and so on, `mistake_distance`, `hierarchical_f1` ...
        published: what others reported of some arms.
        bench: measure latency and size of every trained net, one after the other at the end.
        mean_maps: at the end average the maps of one run an arm by class, over at most so many
            images of the first split; 0: not at all.
        scales: name to what differs at that scale; `keep` there lists the arms that are run.
    """

    name: str
    title: str = ""
    about: str = ""
    data: Sources = Sources()
    base: Partial
    before: Partial | None = None
    arms: dict[str, Partial] = Field(min_length=1)
    baseline: str
    comparisons: tuple[tuple[str, str], ...] | None = None
    seeds: tuple[int, ...] = Field(default=(0, 1, 2), min_length=1)
    folds: int | None = Field(default=None, ge=FEWEST_FOLDS, le=1000)
    splits: tuple[str, ...] = Field(default=("test",), min_length=1)
    metrics: tuple[str, ...] = Field(default=("accuracy", "energy", "energy_gain"), min_length=1)
    published: Published | None = None
    bench: bool = False
    mean_maps: int = Field(default=0, ge=0)
    scales: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names(self) -> "Study":
        named = [self.baseline, *(arm for pair in self.comparisons or () for arm in pair)]
        told = {} if self.published is None else self.published.values
        others = () if self.published is None else self.published.others
        measured = [f"{split}.{metric}" for split in self.splits for metric in self.metrics]
        for name, values in told.items():
            if name not in measured:
                raise ValueError(f"published {name!r}; {near(name, measured)}")
            named += [arm for arm in values if arm not in others]
        for arm in named:
            if arm not in self.arms:
                raise ValueError(f"unknown arm {arm!r}; {near(arm, self.arms)}")
        for arm, other in self.comparisons or ():
            if arm == other:
                raise ValueError(f"{arm!r} compared with itself; name two arms")
        for metric in self.metrics:
            known = metric in known_metrics() or of_hierarchy(metric)
            if not known and of_class(metric) is None:
                raise ValueError(f"unknown metric {metric!r}; {near(metric, known_metrics())}")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("a seed that comes twice; give each once")
        if BEFORE in self.arms:
            raise ValueError(f"arm {BEFORE!r}; that is the first training, choose another name")
        for name in (self.name, *self.splits):
            named_plainly(name)
        for arm in self.arms:
            if not arm.replace("-", "").replace("_", "").isalnum():
                raise ValueError(f"arm {arm!r}; use letters, digits, - and _ only")
        return self

    @model_validator(mode="after")
    def _parts(self) -> "Study":
        if self.folds is None:
            return self
        if self.splits != ("test",):
            raise ValueError(
                f"splits {', '.join(self.splits)} beside folds, which make every image test once; "
                "leave splits out, or folds"
            )
        for name, values in {"base": self.base, BEFORE: self.before or {}, **self.arms}.items():
            own = (values or {}).get("data")
            where = name if name in ("base", BEFORE) else f"arms.{name}"
            for key in ("folds", "fold", "split", "val_from_train"):
                if not isinstance(own, dict) or own.get(key) is None:
                    continue
                if key != "val_from_train":
                    raise ValueError(
                        f"{where}.data.{key} beside folds, which deal the images themselves; "
                        f"leave {key} out, or folds"
                    )
                if name != "base":
                    raise ValueError(
                        f"{where}.data.{key} beside folds, whose arms learn from the same images; "
                        f"set base.data.{key}"
                    )
        return self

    @property
    def jobs(self) -> list[Job]:
        """The trainings of the arms, seed by seed, fold by fold."""
        folds = [None] if self.folds is None else range(self.folds)
        return [Job(arm, seed, fold) for seed in self.seeds for fold in folds for arm in self.arms]

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The comparisons, (arm, against)."""
        if self.comparisons is not None:
            return self.comparisons
        return tuple((arm, self.baseline) for arm in self.arms if arm != self.baseline)


def known_metrics() -> list[str]:
    """What can be compared on a split."""
    return [*METRICS, *SCORES]


def run_folder(arm: str, seed: int, fold: int | None = None) -> str:
    """A run's folder, relative to the study's."""
    return f"runs/{arm}-seed{seed}" + ("" if fold is None else f"-fold{fold}")


def arm_config(
    study: Study, arm: str, seed: int, manifest: str | None, threads: int, fold: int | None = None
) -> Config:
    """The config of one run; `threads` holds where the study names no number of its own.

    Args:
        study: the study.
        arm: of it, or `BEFORE` for the first training.
        seed: of the run.
        manifest: that the study has made, relative to its folder.
        threads: of torch.
        fold: that is test, of a study with folds.

    Raises:
        ConfigError: an arm overrides an unknown key, or a value is of the wrong kind.
    """
    values = merged({"training": {"threads": threads}}, study.base)
    if manifest is not None:
        values = merged(values, {"data": {"manifest": manifest}})
    own = study.before if arm == BEFORE else study.arms[arm]
    if study.before is not None and arm != BEFORE:
        values = merged(values, {"model": {"weights": run_folder(BEFORE, seed, fold)}})
    values = merged(merged(values, own or {}), {"training": {"seed": seed}})
    if fold is not None:
        values = merged(values, {"data": {"folds": study.folds, "fold": fold}})
    return parse_config(values, f"study {study.name}, arm {arm}")
