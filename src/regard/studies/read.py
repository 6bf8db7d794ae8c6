"""A study from its YAML file, or from a recipe that is shipped."""

from importlib import resources
from pathlib import Path
from typing import Any

from regard.errors import ConfigError, command, near
from regard.models.settings import NAMED, NONE
from regard.models.specs import moved
from regard.settings.mistakes import parse, written
from regard.studies.settings import Study
from regard.studies.sources import Sources
from regard.training.config import merged, read_mapping


def recipes() -> dict[str, Path]:
    """The recipes that are shipped, name to file."""
    folder = Path(str(resources.files("regard.studies") / "recipes"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def read_study(
    name: str | Path,
    scale: str | None = None,
    seeds: int | None = None,
    data: Path | None = None,
    folds: int | None = None,
) -> Study:
    """A study from a YAML file or a recipe's name, at a scale, with so many seeds and folds.

    Args:
        name: a file, or a recipe.
        scale: one of the study's.
        seeds: 0 to one less; None: the study's own.
        data: where the samples are made from, for a study that needs that.
        folds: number of folds; None: the study's own.

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
    if "search" in values:
        raise ConfigError(
            str(path),
            expected="a study",
            found="a tuning (it has search)",
            remedy=f"use: {command('tune', path)}",
        )
    if "arms" not in values and {"data", "model", "training"} & values.keys():
        raise ConfigError(
            str(path),
            expected="a study",
            found="the config of one run (it has no arms)",
            remedy=f"use: {command('train', path)}",
        )
    if scale is not None:
        parse(Study, values, str(path))
        scales = values.get("scales") or {}
        if scale not in scales:
            raise ConfigError(
                f"study {name}, scale",
                expected="one of " + (", ".join(scales) or "none"),
                found=repr(scale),
                remedy="leave --scale out, or choose one of these",
            )
        where = f"study {name}, scale {scale}"
        values = merged(values, scales[scale] or {})
        kept = values.pop("keep", None)
        parse(Study, values, where)
        values = values if kept is None else _kept(values, kept, where)
    if seeds is not None:
        values["seeds"] = list(range(seeds))
    if folds is not None:
        values["folds"] = folds
    study = _with_source(parse(Study, values, str(path)), name, data)
    here = path.parent
    changes = {arm: from_here(own, here) for arm, own in study.arms.items()}
    before = None if study.before is None else from_here(study.before, here)
    update = {"base": from_here(study.base, here), "before": before, "arms": changes}
    return study.model_copy(update=update)


def _kept(values: dict[str, Any], kept: Any, where: str) -> dict[str, Any]:
    """The study of those arms alone that a scale keeps, and what it says of them."""
    if not isinstance(kept, list) or not all(isinstance(arm, str) for arm in kept):
        raise ConfigError(
            f"{where}, keep",
            expected="a list of arms",
            found=written(kept),
            remedy="write [ARM, ...], or leave keep out for all of them",
        )
    arms = values.get("arms") or {}
    unknown = [arm for arm in kept if arm not in arms]
    if unknown or not kept:
        raise ConfigError(
            f"{where}, keep",
            expected="arms of the study",
            found=repr(unknown[0]) if unknown else "none",
            remedy=near(str(unknown[0]), arms) if unknown else "leave keep out for all of them",
        )
    values = values | {"arms": {arm: arms[arm] for arm in arms if arm in kept}}
    if values.get("comparisons") is not None:
        pairs = values["comparisons"]
        values["comparisons"] = [pair for pair in pairs if all(arm in kept for arm in pair)]
    told = values.get("published")
    if told is not None:
        left_out = [arm for arm in arms if arm not in kept]
        values["published"] = told | {"others": [*(told.get("others") or ()), *left_out]}
    return values


def _with_source(study: Study, name: str | Path, data: Path | None) -> Study:
    if study.data.decoys is not None:
        return _with_digits(study, name, data)
    given = study.data.made is None and "manifest" in study.base.get("data", {})
    if data is None:
        if study.data.made is None and not given:
            raise ConfigError(
                f"study {name}",
                expected="a manifest to train on",
                found="none",
                remedy="add --data M.parquet; make one: regard data import --help",
            )
        return study
    if given:
        raise ConfigError(
            f"study {name}, --data",
            expected="none for this study",
            found=str(data),
            remedy="leave --data out, or change base.data.manifest",
        )
    if data.suffix not in (".parquet", ".csv") or not data.is_file():
        raise ConfigError(
            f"study {name}, --data",
            expected="a manifest to train on",
            found=str(data) if data.exists() else f"{data}, which does not exist",
            remedy="make one: regard data import --help",
        )
    base = merged(study.base, {"data": {"manifest": str(data.resolve())}})
    return study.model_copy(update={"data": Sources(), "base": base})


def _with_digits(study: Study, name: str | Path, data: Path | None) -> Study:
    decoys = study.data.decoys
    assert decoys is not None
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


# Keys of a config that name files or folders.
_PATHS = (
    ("data", "manifest"),
    ("data", "hierarchy"),
    ("model", "weights"),
    ("model", "pruned"),
    ("distil", "teacher"),
)


def from_here(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A config, or a part of one, with its paths, which start from `folder`, made absolute."""
    values = merged(config, {})
    for section, name in _PATHS:
        value = _at(values, section, name)
        if isinstance(value, str) and value not in (*NAMED, *NONE):
            values[section][name] = str((folder / value).resolve())
    spec = _at(values, "model", "spec")
    if isinstance(spec, str):
        values["model"]["spec"] = moved(spec, lambda path: str((folder / path).resolve()))
    return values


def _at(values: dict[str, Any], section: str, name: str) -> Any:
    own = values.get(section)
    return own.get(name) if isinstance(own, dict) else None
