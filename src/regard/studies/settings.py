"""What a study is: a YAML file of arms, seeds and a base config."""

from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from regard.data.mistakes import parse
from regard.data.settings import Settings
from regard.errors import ConfigError, near
from regard.models.settings import NAMED, NONE
from regard.models.specs import moved
from regard.runs.reliance import GAP, MEASURED
from regard.scores.base import SCORES
from regard.training.config import Config, merged, parse_config, read_mapping

# Those of `evaluation.metrics.evaluate` and of exchanged backgrounds; beside them all scores of
# maps.
METRICS = (
    "accuracy",
    "balanced_accuracy",
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
    "dead_maps",
    *MEASURED,
    GAP,
)


# The name of the first training.
BEFORE = "before"


class Sheets(Settings):
    """Synthetic herbarium sheets, made into the study's folder.

    Attributes:
        counts: sheets a split.
        size: (height, width), pixels.
        shortcut: probability that the stamp's colour agrees with the class.
        thorn: how clear the thorns are.
        seed: of the drawing.
    """

    counts: dict[str, int]
    size: tuple[int, int] = (288, 216)
    shortcut: float = Field(default=0.95, ge=0.5, le=1)
    thorn: float = 1.0
    seed: int = 42


class Decoys(Settings):
    """Decoy digits, made into the study's folder from IDX files, which `--data` names.

    Attributes:
        source: folder of the IDX files.
        side: of the patch, pixels.
        limit: images of each split; none: all.
        seed: of corners and greys.
    """

    source: str | None = None
    side: int = Field(default=4, gt=0)
    limit: int | None = Field(default=None, gt=0)
    seed: int = 42


class Sources(Settings):
    """Where the samples come from, when the study makes them.

    Attributes:
        sheets: synthetic herbarium sheets, in `sheets/manifest.parquet`.
        decoys: decoy digits, in `decoys/manifest.parquet`; the same digits without a patch in
            `decoys/clean.parquet`.
    """

    sheets: Sheets | None = None
    decoys: Decoys | None = None

    @property
    def manifest(self) -> str | None:
        """What the arms train on unless they say otherwise, in the study's folder."""
        made = [name for name in ("sheets", "decoys") if getattr(self, name) is not None]
        return f"{made[0]}/manifest.parquet" if made else None


class Published(Settings):
    """What others reported, shown beside what comes out.

    Attributes:
        source: who, and where: `Ross et al., arXiv:1703.03717`.
        values: `SPLIT.METRIC` to arm to value.
    """

    source: str
    values: dict[str, dict[str, float]]


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
        splits: the parts that the trained nets are evaluated on.
        metrics: what is compared, on each split.
        published: what others reported of some arms.
        scales: name to what differs at that scale.
    """

    name: str
    title: str = ""
    about: str = ""
    data: Sources = Sources()
    base: dict[str, Any]
    before: dict[str, Any] | None = None
    arms: dict[str, dict[str, Any]] = Field(min_length=1)
    baseline: str
    comparisons: tuple[tuple[str, str], ...] | None = None
    seeds: tuple[int, ...] = Field(default=(0, 1, 2), min_length=1)
    splits: tuple[str, ...] = ("test",)
    metrics: tuple[str, ...] = ("accuracy", "energy", "energy_gain")
    published: Published | None = None
    scales: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names(self) -> "Study":
        named = [self.baseline, *(arm for pair in self.comparisons or () for arm in pair)]
        told = {} if self.published is None else self.published.values
        measured = [f"{split}.{metric}" for split in self.splits for metric in self.metrics]
        for name, values in told.items():
            if name not in measured:
                raise ValueError(f"published {name!r}; {near(name, measured)}")
            named += values
        for arm in named:
            if arm not in self.arms:
                raise ValueError(f"unknown arm {arm!r}; {near(arm, self.arms)}")
        for metric in self.metrics:
            if metric not in known_metrics():
                raise ValueError(f"unknown metric {metric!r}; {near(metric, known_metrics())}")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("a seed that comes twice; give each once")
        if BEFORE in self.arms:
            raise ValueError(f"arm {BEFORE!r}; that is the first training, choose another name")
        for arm in self.arms:
            if not arm.replace("-", "").replace("_", "").isalnum():
                raise ValueError(f"arm {arm!r}; use letters, digits, - and _ only")
        return self

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The comparisons, (arm, against)."""
        if self.comparisons is not None:
            return self.comparisons
        return tuple((arm, self.baseline) for arm in self.arms if arm != self.baseline)


def known_metrics() -> list[str]:
    """What can be compared on a split."""
    return [*METRICS, *SCORES]


def recipes() -> dict[str, Path]:
    """The recipes that are shipped, name to file."""
    folder = Path(str(resources.files("regard.studies") / "recipes"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def read_study(
    name: str | Path,
    scale: str | None = None,
    seeds: int | None = None,
    data: Path | None = None,
) -> Study:
    """A study from a YAML file or a recipe's name, at a scale and with so many seeds.

    Args:
        name: a file, or a recipe.
        scale: one of the study's.
        seeds: 0 to one less; None: the study's own.
        data: where the samples are made from, for a study that needs that.

    Raises:
        ConfigError: no such file or recipe, an unknown scale, arm or key, no data.
    """
    known = recipes()
    path = known.get(str(name), Path(name))
    if not path.is_file():
        raise ConfigError(
            f"study {name}",
            expected="a YAML file or a recipe",
            found="neither",
            remedy=near(str(name), known),
        )
    values = read_mapping(path)
    if "arms" not in values and {"data", "model", "training"} & values.keys():
        raise ConfigError(
            str(path),
            expected="a study",
            found="the config of one run (it has no arms)",
            remedy=f"use: regard train {path}",
        )
    if scale is not None:
        scales = values.get("scales") or {}
        if scale not in scales:
            raise ConfigError(
                f"study {name}, scale",
                expected="one of " + (", ".join(scales) or "none"),
                found=repr(scale),
                remedy="leave --scale out, or choose one of these",
            )
        values = merged(values, scales[scale] or {})
    if seeds is not None:
        values["seeds"] = list(range(seeds))
    study = _with_source(parse(Study, values, str(path)), name, data)
    return study.model_copy(update={"base": _from_here(study.base, path.parent)})


def _with_source(study: Study, name: str | Path, data: Path | None) -> Study:
    decoys = study.data.decoys
    if decoys is None:
        if data is None:
            return study
        raise ConfigError(
            f"study {name}, --data",
            expected="none for this study",
            found=str(data),
            remedy="leave --data out",
        )
    source = data or decoys.source
    if source is None:
        raise ConfigError(
            f"study {name}",
            expected="the folder of the IDX files of MNIST",
            found="none",
            remedy="add --data FOLDER",
        )
    made = decoys.model_copy(update={"source": str(Path(source).resolve())})
    sources = study.data.model_copy(update={"decoys": made})
    return study.model_copy(update={"data": sources})


def _from_here(base: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The base config with its paths, which start from the study's file, made absolute."""
    base = merged(base, {})
    for section, name in (("data", "manifest"), ("model", "weights")):
        value = base.get(section, {}).get(name)
        if isinstance(value, str) and value not in (*NAMED, *NONE):
            base[section][name] = str((folder / value).resolve())
    spec = base.get("model", {}).get("spec")
    if isinstance(spec, str):
        base["model"]["spec"] = moved(spec, lambda path: str((folder / path).resolve()))
    return base


def run_folder(arm: str, seed: int) -> str:
    """A run's folder, relative to the study's."""
    return f"runs/{arm}-seed{seed}"


def arm_config(study: Study, arm: str, seed: int, manifest: str | None, threads: int) -> Config:
    """The config of one run; `threads` holds where the study names no number of its own.

    Args:
        study: the study.
        arm: of it, or `BEFORE` for the first training.
        seed: of the run.
        manifest: that the study has made, relative to its folder.
        threads: of torch.

    Raises:
        ConfigError: an arm overrides an unknown key, or a value is of the wrong kind.
    """
    values = merged({"training": {"threads": threads}}, study.base)
    if manifest is not None:
        values = merged(values, {"data": {"manifest": manifest}})
    own = study.before if arm == BEFORE else study.arms[arm]
    if study.before is not None and arm != BEFORE:
        values = merged(values, {"model": {"weights": run_folder(BEFORE, seed)}})
    values = merged(merged(values, own or {}), {"training": {"seed": seed}})
    return parse_config(values, f"study {study.name}, arm {arm}")
