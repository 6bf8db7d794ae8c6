"""What a reader of a study's numbers should know before believing them."""

from collections.abc import Mapping
from typing import Any

from regard.language import numeral, phrase
from regard.runs.grouped import grouped_words
from regard.studies.settings import Study

FEW_SEEDS = 3


def remarks(study: Study, summary: Mapping[str, Any]) -> list[str]:
    """What few seeds and folds allow to say, and parts that were chosen on; a sentence or two each.

    Args:
        study: the study.
        summary: of it.
    """
    found = [_of_folds(study, summary) if study.folds is not None else _of_seeds(len(study.seeds))]
    found += [*_of_families(study), *_of_choice(study)]
    found += [*_of_groups(summary), *_of_dead_maps(study, summary)]
    return [text for text in found if text]


def _of_seeds(count: int) -> str:
    if count == 1:
        return phrase(
            "One seed allows no interval over seeds and no test of the arms: intervals over images "
            "tell these very nets apart, not what another training would give; take 3 or more "
            "(--seeds 3)."
        )
    if count < FEW_SEEDS:
        text = "Intervals over {count} seeds are very wide; take 3 or more (--seeds 3)."
        return phrase(text, count=count)
    return ""


def _of_folds(study: Study, summary: Mapping[str, Any]) -> str:
    text = phrase(
        "The {folds} folds are no independent repetitions, as their trainings share images: "
        "differences are tested with the corrected t-test of Nadeau and Bengio, which claims too "
        "little rather than too much. Intervals over images are of these nets.",
        folds=study.folds,
    )
    own = (summary.get("folds") or {}).get("own_splits") or {}
    if "test" in own:
        told = ", ".join(f"{name} {numeral(f'{count:,}')}" for name, count in own.items())
        unused = phrase(
            "The manifest's own splits ({splits}) are not used: all images are dealt anew.",
            splits=told,
        )
        return f"{text} {unused}"
    return text


def _of_groups(summary: Mapping[str, Any]) -> list[str]:
    """Splits whose images are alike in groups, for which intervals over images are too narrow."""
    told = (summary.get("groups") or {}).items()
    return [grouped_words(own, own["images"], split) for split, own in told]


def _of_dead_maps(study: Study, summary: Mapping[str, Any]) -> list[str]:
    """The share of maps that are zero everywhere, and what follows from it, where there are any."""
    found = []
    for split in study.splits:
        arms = summary.get("arms") or {}
        shares = {arm: (arms[arm].get(f"{split}.dead_maps") or {}).get("value") for arm in arms}
        dead = {arm: share for arm, share in shares.items() if share}
        if dead:
            told = ", ".join(f"{arm} {numeral(f'{share:.1%}')}" for arm, share in dead.items())
            text = (
                "Dead maps on {split} (zero everywhere, in no score of the gaze): {arms}. An arm's "
                "mean is over the maps that it has, a difference over the images of which both "
                "arms have one: the two need not agree."
            )
            found.append(phrase(text, split=split, arms=told))
    return found


def _of_families(study: Study) -> list[str]:
    """How many families of tests there are, where there is more than one."""
    number = len(study.splits) * len(study.metrics)
    if number < 2 or not study.pairs:
        return []
    return [
        phrase(
            "p-values are corrected within each of the {number} metrics and splits, not for their "
            "number: name the one that decides before you look.",
            number=number,
        )
    ]


def _of_choice(study: Study) -> list[str]:
    """Splits that the best epoch or the end of training was chosen on, and that are reported."""
    if "val" not in study.splits or study.folds is not None:
        return []
    arms = [study.base, *study.arms.values()]
    given = [(values or {}).get("training") or {} for values in arms]
    bests = {str(own["best"]) for own in given if "best" in own} or {"val"}
    patient = any(own.get("patience") for own in given)
    if not patient and not any(best.startswith("val") for best in bests):
        return []
    text = phrase(
        "val is reported and was chosen on (training.best or patience), so its numbers are too "
        "good. Of a set with train and val alone, set base.data.val_from_train: 0.15, and val "
        "becomes test."
    )
    return [text]
