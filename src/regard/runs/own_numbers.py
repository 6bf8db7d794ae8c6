"""Whether what was written of a split is what the run's own config asks for.

A run's folder also has what somebody asked of it afterwards: another checkpoint, threshold,
positive class, window, size or method. A study counts none of that.
"""

from collections.abc import Mapping
from typing import Any

from regard.data.settings import sides
from regard.evaluation.settings import Evaluate, Gaze
from regard.evaluation.thresholds import positive_class
from regard.runs.checkpoints import pointed
from regard.runs.files import read_json
from regard.runs.folder import RunFolder
from regard.scores.base import SCORES


def own_reading(config: Mapping[str, Any]) -> Evaluate:
    """The `evaluate` section of a run's config, the positive one of two classes named."""
    reading = Evaluate.model_validate(config.get("evaluate") or {})
    if config["data"]["task"] != "classification" or len(config["classes"]) != 2:
        return reading
    positive = positive_class(list(config["classes"]), reading.positive)
    return reading.model_copy(update={"positive": positive})


def own_answers(values: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Whether a split's metrics are of the net and the reading that the config has.

    Args:
        values: of `metrics/SPLIT.json`.
        config: of the run.
    """
    reading, metrics = own_reading(config), values["metrics"]
    if reading.positive is not None and metrics.get("positive") != reading.positive:
        return False
    choice = reading.choice(config["classes"]) if reading.chooses else None
    chosen = values.get("threshold") or {}
    if choice is not None and any(chosen.get(k) != v for k, v in choice.as_dict().items()):
        return False
    how = values.get("inference")
    if how is None:
        return True
    size = config["data"]["size"]
    return how["window"] is None and not how["flip"] and how["size"] == [*sides(size)]


def own_gaze(values: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Whether the maps of the run's own method are scored as its config says.

    Of classes pooled scores are told by class alone; of several views nothing asks the net again.
    """
    gaze = Gaze.model_validate(config["gaze"])
    told = values.get("gaze", {}).get(gaze.method, {})
    parts = [told, *told.get("per_class", {}).values()]
    found = {name for part in parts for name in part.get("scores", {})}
    several = len(config["data"]["views"]) > 1
    wanted = {name for name in gaze.scores if not (several and SCORES[name].asks == "model")}
    return wanted <= found and (not gaze.backgrounds or "backgrounds" in values)


def best_answers(folder: RunFolder, split: str) -> bool:
    """Whether the metrics of a split are the best checkpoint's, and `own_answers`.

    What was pooled over folds has no config, and is of these alone; so is what has no checkpoint.
    """
    if not folder.config.is_file():
        return True
    values, best = read_json(folder.metrics(split)), pointed(folder.checkpoints, "best")
    return best in (None, values["checkpoint"]) and own_answers(values, folder.read_config())
