"""The threshold that a run of two classes decides by: chosen on val, kept in `threshold.json`."""

from collections.abc import Callable
from typing import Any

import polars as pl

from regard.errors import RunError
from regard.evaluation.settings import Evaluate
from regard.evaluation.thresholds import ENDING, Choice, at_threshold, choose
from regard.runs.files import read_json, write_json
from regard.runs.run import Run
from regard.settings.mistakes import parse

# Where it is chosen: never on what is reported.
CHOSEN_ON = "val"
AIMS = ("target_recall", "threshold")


def asked_of(run: Run, asked: Evaluate | None) -> Evaluate:
    """How the run's answers are to be read: as is asked, else as its config says.

    Raises:
        ConfigError: the run has not two classes, or other ones.
        RunError: a segmenter, a net for sets of labels, or a run without val is asked for a
            threshold.
    """
    how = asked or Evaluate.model_validate(run.config.get("evaluate") or {})
    if not how.says:
        return how
    if run.task != "classification":
        raise RunError(
            str(run.folder),
            expected="a run of one label an image, for a positive class or a threshold",
            found="one of a segmenter" if run.segments else "one of sets of labels",
            remedy="leave --target-recall, --threshold and --positive out",
        )
    if how.choice(run.classes) is not None and CHOSEN_ON not in run.manifest().table["split"]:
        raise RunError(
            str(run.folder),
            expected="a val split, on which a threshold is chosen",
            found="none",
            remedy="train anew with data.val_from_train=0.15, say",
        )
    return how


def with_options(run: Run, **given: Any) -> Evaluate | None:
    """The run's `evaluate` section with those options that are not None; None for none of them.

    One aim of a threshold takes the place of the other.

    Raises:
        ConfigError: an option that cannot be.
    """
    given = {name: value for name, value in given.items() if value is not None}
    own = dict(run.config.get("evaluate") or {})
    if not given:
        return None
    if given.keys() & set(AIMS):
        own = {name: value for name, value in own.items() if name not in AIMS}
    return parse(Evaluate, own | given, "regard evaluate")


def decision(
    run: Run, how: Evaluate, split: str, table: pl.DataFrame, val: Callable[[], pl.DataFrame]
) -> dict[str, Any] | None:
    """The threshold with how it was chosen, which `threshold.json` then holds.

    One that was chosen before of this checkpoint stays unless another is asked for.

    Args:
        run: loaded.
        how: of `asked_of`.
        split: that is evaluated.
        table: its predictions.
        val: gives those of val.
    """
    choice = how.choice(run.classes)
    before = decided(run)
    if choice is None:
        same = before is not None and how.positive in (None, before["positive"])
        return before if same else None
    alike = before is not None and all(before[k] == v for k, v in choice.as_dict().items())
    if alike and split != CHOSEN_ON:
        return before
    found = _chosen(run, choice, table if split == CHOSEN_ON else val())
    write_json(run.files.threshold, found)
    return found


def decided(run: Run, *, any_checkpoint: bool = False) -> dict[str, Any] | None:
    """What `threshold.json` holds; None: there is none of this checkpoint.

    Args:
        run: loaded.
        any_checkpoint: one of another checkpoint will do, too.
    """
    if not run.files.threshold.is_file():
        return None
    found = read_json(run.files.threshold)
    return found if any_checkpoint or found["checkpoint"] == run.checkpoint else None


def numbers_at(table: pl.DataFrame, decided: dict[str, Any]) -> dict[str, Any]:
    """What the threshold makes of a split, by names that end in `_at_threshold`."""
    found = at_threshold(table, decided["positive"], decided["threshold"])
    return {name + ENDING: interval.as_dict() for name, interval in found.items()}


def _chosen(run: Run, choice: Choice, val: pl.DataFrame) -> dict[str, Any]:
    threshold = choose(val, choice)
    metrics = at_threshold(val, choice.positive, threshold)
    return {
        "threshold": threshold,
        **choice.as_dict(),
        "split": CHOSEN_ON,
        "checkpoint": run.checkpoint,
        "images": len(val),
        "positives": int((val["label"] == choice.positive).sum()),
        "metrics": {name: interval.as_dict() for name, interval in metrics.items()},
    }
