"""Compare segmenters on the same images: pixels, classes and gaze, each with its interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from regard.evaluation.gaze import by_image, is_pooled, score_differences, score_names, shared_names
from regard.evaluation.intervals import CONFIDENCE
from regard.evaluation.segmentation import BY_CLASS, MEANS, evaluate_counted, pooled_metrics
from regard.evaluation.segmentation_pairs import compare_segmentations
from regard.evaluation.units import shared_groups, told_groups


@dataclass(frozen=True)
class Segmented:
    """What a segmenter says of the images of a split, and where it looks.

    Attributes:
        predictions: one row an image, with its counts of pixels.
        scores: one row an image and class.
    """

    predictions: pl.DataFrame
    scores: pl.DataFrame


def pair_masks(before: Segmented, after: Segmented) -> pl.DataFrame:
    """One row an image: `index`, `image`, its `group` if told, and with endings what both find.

    With `_before` and `_after`: `iou`, the mean IoU of the image by itself, its share of `right`
    pixels, and the means over its classes of the scores of maps; NaN where undefined.
    """
    first, second = (_by_image(side, end) for side, end in ((before, "before"), (after, "after")))
    told = told_groups(before.predictions)
    own = before.predictions.select("index", "image", *told).sort("index")
    for table in (first, second):
        own = own.join(table, on="index", how="left", maintain_order="left")
    return own


def _by_image(side: Segmented, end: str) -> pl.DataFrame:
    table = side.predictions.sort("index")
    counts = [np.array(rows, dtype=np.int64) for rows in table["confusion"].to_list()]
    found = pl.DataFrame(
        {
            "index": table["index"],
            f"iou_{end}": [pooled_metrics(own)["mean_iou"] for own in counts],
            f"right_{end}": [own.trace() / max(1, own.sum()) for own in counts],
        }
    )
    scores = by_image(side.scores)
    names = [name for name in score_names(scores) if name not in ("iou",)]
    told = scores.select("index", *(pl.col(name).alias(f"{name}_{end}") for name in names))
    return found.join(told, on="index", how="left", maintain_order="left")


def compare_segmenters(
    before: Segmented, after: Segmented, classes: Sequence[str]
) -> dict[str, Any]:
    """How much a segmenter differs from another one on the same images, ready for JSON.

    The keys:

    - `images`; `metrics`: by name the values `before` and `after`, `difference` and `p_value` of
      `compare_segmentations`, of `accuracy` and the means over the classes;
    - `per_class`: the same by class, of `iou`, `dice`, `recall`, `precision`, `boundary_f1`, and
      `scores` of its maps;
    - `scores`: of maps, of the means over an image's classes; `dead_maps`: the share of the maps
      `before` and `after`;
    - `confusion`: `before` and `after`, K x K pixels, a row a true class.

    Raises:
        DataError: the tables are of other images.
    """
    sides = {"before": before, "after": after}
    first, second = before.scores, after.scores
    names = shared_names(first, second)
    tests = compare_segmentations(before.predictions, after.predictions, level=CONFIDENCE)
    numbers = {end: evaluate_counted(side.predictions, classes) for end, side in sides.items()}
    return {
        "images": len(before.predictions),
        "metrics": {
            name: _difference(numbers, (name,), tests[name].as_dict())
            for name in ("accuracy", *MEANS.values())
        },
        "per_class": {
            name: {
                key: _difference(numbers, ("per_class", name, key), tests[f"{key}.{c}"].as_dict())
                for key in BY_CLASS
            }
            | {
                "scores": score_differences(
                    first.filter(label=name), second.filter(label=name), names
                )
            }
            for c, name in enumerate(classes)
        },
        "scores": score_differences(first, second, names),
        "dead_maps": {
            end: float(side.scores["dead"].mean() or 0)  # type: ignore[arg-type]
            for end, side in sides.items()
        },
        "confusion": {end: numbers[end]["confusion"] for end in sides},
    }


def mean_scores(tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Scores of maps of several trainings: of each image and class the mean where it is defined.

    A map is `dead` where those of all trainings are. Scores that are numbers of a set are left out.

    Args:
        tables: of one method, one row an image and class.
    """
    names = [name for name in score_names(tables[0]) if not is_pooled(name)]
    numbers = [pl.col(name).cast(pl.Float64).fill_nan(None).mean().fill_null(np.nan)
               for name in ("share", "area", *names)]  # fmt: skip
    tables = shared_groups(tables)
    keys, fixed = ["index", "label"], ["image", *told_groups(tables[0]), "method"]
    rows = pl.concat([t.select(*keys, *fixed, "dead", "share", "area", *names)
                      for t in tables]).group_by(keys, maintain_order=True)  # fmt: skip
    return rows.agg(pl.col(fixed).first(), pl.col("dead").all(), *numbers).sort(keys)


def no_scores() -> pl.DataFrame:
    """The table of scores of segmenters whose gaze was not scored."""
    kinds = {"index": pl.Int64, "image": pl.String, "label": pl.String, "method": pl.String}
    numbers = {"share": pl.Float64, "area": pl.Float64, "dead": pl.Boolean}
    return pl.DataFrame(schema=kinds | numbers)


def _difference(
    numbers: Mapping[str, Any], path: Sequence[str], test: Mapping[str, Any]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for end, own in numbers.items():
        for key in path:
            own = own[key]
        found[end] = own["value"]
    return found | dict(test)
