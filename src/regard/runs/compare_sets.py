"""Compare nets for sets of labels on the same images: sets, classes and gaze, with intervals."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from regard.evaluation.comparison import OUTCOMES, Answers, accuracy_of, outcome_of
from regard.evaluation.flips import compare_accuracy, same_images
from regard.evaluation.gaze import by_image, is_pooled, score_differences, score_names, shared_names
from regard.evaluation.intervals import CONFIDENCE
from regard.evaluation.label_sets import predicted_of, truth_of
from regard.evaluation.multilabel import BY_CLASS, BY_IMAGE, POOLED, PooledSets
from regard.evaluation.paired import PairedTest, paired_bootstrap
from regard.evaluation.ranges import difference_range, range_of
from regard.evaluation.segmentation_pairs import compare_pooled
from regard.evaluation.table import classes, probabilities
from regard.evaluation.units import told_groups, units_of

ENDS = ("before", "after")


def pair_sets(before: Answers, after: Answers) -> pl.DataFrame:
    """One row an image: `index`, `image`, its `group` if told, `labels`, what the nets say of it.

    With the endings `_before` and `_after`: `predicted`, whether the whole set is `right`, its
    `f1`, and where both are scored the means over its labels of the scores of maps; and once
    `outcome`.

    Raises:
        DataError: the tables are of other images.
    """
    sides = same_images(before.predictions, after.predictions)
    table = sides[0].select("index", "image", *told_groups(sides[0]), "labels")
    for own, end in zip(sides, ENDS, strict=True):
        told = {"predicted": "predicted", "correct": "right", "f1_samples": "f1"}
        table = table.with_columns(own[name].alias(f"{new}_{end}") for name, new in told.items())
    table = table.with_columns(outcome=outcome_of())
    for side, end in zip((before, after), ENDS, strict=True):
        if before.scores is None or after.scores is None or side.scores is None:
            continue
        scores = by_image(side.scores)
        names = [name for name in score_names(scores) if not is_pooled(name)]
        scores = scores.select("index", *(pl.col(n).alias(f"{n}_{end}") for n in names))
        table = table.join(scores, on="index", how="left", maintain_order="left")
    return table


def compare_sets(before: Answers, after: Answers) -> dict[str, Any]:
    """How much a net differs from another one on the same images, ready for JSON.

    The keys:

    - `images`, `accuracy` of whole sets and `outcomes`, as of `compare_models`;
    - `metrics`: by name the values `before` and `after`, `difference` and `p_value`, of those of
      the set of images by resampling images of both together, of those by image by
      `paired_bootstrap`;
    - `per_class`: the same by class, of average precision, precision, recall and F1;
    - `scores`: of maps, of the means over an image's labels, and `scores_by_class`; `dead_maps`:
      the share of the maps `before` and `after`, None where nothing is scored.

    Raises:
        DataError: the tables are of other images.
    """
    sides = same_images(before.predictions, after.predictions)
    names, pairs = classes(sides[0]), pair_sets(before, after)
    found = compare_accuracy(*sides, CONFIDENCE)
    shares = {end: accuracy_of(own) for end, own in zip(ENDS, sides, strict=True)}
    accuracy = shares | {key: found[key] for key in ("difference", "mcnemar")}
    return {
        "images": len(pairs),
        "accuracy": accuracy | {"p_value": found["mcnemar"]["p_value"]},
        "outcomes": dict.fromkeys(OUTCOMES, 0) | dict(pairs["outcome"].value_counts().rows()),
        **_metrics(sides, names),
        **_of_maps(before.scores, after.scores, names),
    }


def _metrics(sides: Sequence[pl.DataFrame], names: Sequence[str]) -> dict[str, Any]:
    pooled = [PooledSets(truth_of(t), predicted_of(t), probabilities(t)) for t in sides]
    units = units_of(sides[0])
    tests = compare_pooled(pooled[0], pooled[1], units, level=CONFIDENCE)
    values = [own(np.ones((len(units), 1))) for own in pooled]

    def told(key: str) -> dict[str, Any]:
        return _difference([float(own[key][0]) for own in values], tests[key])

    found = {name: told(name) for name in POOLED}
    for name in BY_IMAGE:
        rows = [own[name].to_numpy() for own in sides]
        within = difference_range(range_of(name))
        test = paired_bootstrap(*rows, units=units, level=CONFIDENCE, within=within)
        found[name] = _difference([float(own.mean()) for own in rows], test)
    per_class = {
        own: {name: told(f"{name}.{c}") for name in BY_CLASS} for c, own in enumerate(names)
    }
    return {"metrics": found, "per_class": per_class}


def _of_maps(
    before: pl.DataFrame | None, after: pl.DataFrame | None, names: Sequence[str]
) -> dict[str, Any]:
    """The scores of maps, of all images and by class; none where one of the nets is not scored."""
    if before is None or after is None:
        return {"scores": {}, "scores_by_class": {}, "dead_maps": None}
    dead = {end: float(own["dead"].to_numpy().mean()) for end, own in
            zip(ENDS, (before, after), strict=True)}  # fmt: skip
    scored = shared_names(before, after)
    by_class = {
        name: score_differences(before.filter(label=name), after.filter(label=name), scored)
        for name in names
    }
    return {
        "scores": score_differences(before, after, scored),
        "scores_by_class": by_class,
        "dead_maps": dead,
    }


def _difference(ends: Sequence[float], test: PairedTest) -> dict[str, Any]:
    values = (None if np.isnan(value) else value for value in ends)
    return dict(zip(ENDS, values, strict=True)) | test.as_dict()
