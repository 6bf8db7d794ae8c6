"""Pictures of what is in a manifest."""

from pathlib import Path

import polars as pl
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from regard.checks.contact_sheet import contact_sheet
from regard.checks.describe import Description, ordered_splits, quantiles
from regard.data.manifest import Manifest
from regard.images.plotting import (
    BLUE,
    COLOURS,
    INK,
    MUTED,
    SPLITS,
    figure,
    grid,
    save,
    shortened,
    style,
)

# With more classes than this their names no longer fit, and their distribution is drawn.
NAMED = 60
WIDTH = 7.2


def draw(manifest: Manifest, description: Description, folder: str | Path) -> list[Path]:
    """Draw `classes.svg`, `sizes.svg`, `coverage.svg` and `samples.png`; returns their paths.

    Those of which there is nothing to show are left out: one size needs no picture.
    """
    folder = Path(folder)
    with style():
        paths = []
        if description.classes:
            paths.append(class_counts(description, folder / "classes.svg"))
        if description.measures.drop_nulls("width").n_unique(["width", "height"]) > 1:
            paths.append(image_sizes(description, folder / "sizes.svg"))
        if description.coverage:
            paths.append(region_coverage(description, folder / "coverage.svg"))
        paths.append(contact_sheet(manifest, description, folder / "samples.png"))
        return paths


def class_counts(description: Description, path: Path) -> Path:
    """Samples a class, by split."""
    count = len(description.classes)
    if count > NAMED:
        drawn = figure(WIDTH, 3.4)
        axes = drawn.add_subplot()
        _ranked(axes, description)
    else:
        drawn = figure(WIDTH, 1.3 + 0.22 * count)
        axes = drawn.add_subplot()
        _bars(axes, description)
    axes.set_title(f"Samples in {count} classes")
    if len(description.splits) > 1:
        drawn.legend(loc="outside lower center", ncols=4, handlelength=0.9)
    return save(drawn, path)


def _bars(axes: Axes, description: Description) -> None:
    labels = list(description.classes)
    left = [0] * len(labels)
    for split in description.splits:
        counts = [description.classes[label][split] for label in labels]
        axes.barh(range(len(labels)), counts, 0.72, left, color=colour(split), label=split)
        left = [start + own for start, own in zip(left, counts, strict=True)]
    for position, total in enumerate(left):
        axes.annotate(
            f"{total:,}", (total, position), (4, 0), textcoords="offset points",
            va="center", fontsize=8, color=MUTED,
        )  # fmt: skip
    axes.set_yticks(range(len(labels)), [shortened(label, 30) for label in labels])
    axes.tick_params(axis="y", labelcolor=INK)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.margins(x=0.08)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    grid(axes, "x")


def _ranked(axes: Axes, description: Description) -> None:
    counts = sorted(description.classes.values(), key=lambda own: -sum(own.values()))
    series = [[own[split] for own in counts] for split in description.splits]
    axes.stackplot(
        range(1, len(counts) + 1), series, labels=list(description.splits), step="mid",
        colors=[colour(split) for split in description.splits],
    )  # fmt: skip
    axes.set_xlabel("classes, the largest first")
    axes.set_xlim(1, len(counts))
    grid(axes, "y")


def image_sizes(description: Description, path: Path) -> Path:
    """Width against height; the dot's area is the number of images."""
    counts = description.measures.drop_nulls("width").group_by("width", "height").len()
    counts = counts.sort("len", descending=True)
    drawn = figure(WIDTH, 4.4)
    axes = drawn.add_subplot()
    most = counts["len"][0]
    areas = (18 + 500 * counts["len"] / counts["len"].sum()).to_list()
    axes.scatter(counts["width"], counts["height"], areas, BLUE, alpha=0.55, linewidths=0)
    width, height = counts["width"][0], counts["height"][0]
    (left, right), (low, high) = (_reach(counts[side]) for side in ("width", "height"))
    axes.set(xlim=(left, right), ylim=(low, high))
    if left == low == 0:
        _diagonal(axes, min(right, high))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set(xlabel="width, pixels", ylabel="height, pixels")
    share = f"{most:,} of {counts['len'].sum():,} images are {width} × {height}"
    axes.set_title(f"{counts.height:,} image sizes; {share}")
    axes.grid()
    return save(drawn, path)


def _reach(sides: pl.Series) -> tuple[float, float]:
    """An axis' ends: from 0, unless all sides are nearly equal, which would be one blot there."""
    least, most = float(sides.min()), float(sides.max())  # type: ignore[arg-type]
    if least < 0.75 * most:
        return 0, most * 1.12
    room = max(0.25 * (most - least), 0.02 * most)
    return least - room, most + room


def _diagonal(axes: Axes, end: float) -> None:
    axes.plot([0, 2 * end], [0, 2 * end], color=MUTED, lw=0.8, ls=(0, (4, 4)), zorder=0)
    axes.annotate("square", (0.45 * end, 0.45 * end), (-8, 8), textcoords="offset points",
                  ha="right", fontsize=8, color=MUTED)  # fmt: skip


def region_coverage(description: Description, path: Path) -> Path:
    """How much of the image the region covers, by split."""
    known = description.measures.drop_nulls("coverage")
    splits = ordered_splits(known)
    values = [known.filter(pl.col("split") == split)["coverage"].to_list() for split in splits]
    shares = quantiles(known["coverage"])
    median, end = shares["median"], min(1.0, (int(shares["max"] * 10) + 1) / 10)
    drawn = figure(WIDTH, 3.4)
    axes = drawn.add_subplot()
    axes.hist(
        values, bins=25, range=(0, end), stacked=True, rwidth=0.9,
        color=[colour(split) for split in splits], label=splits,
    )  # fmt: skip
    axes.axvline(median, color=INK, lw=1, ls=(0, (4, 3)))
    axes.set_title(f"Share of the image inside the region; median {median:.1%}")
    axes.set(xlim=(0, end), ylabel="samples")
    axes.xaxis.set_major_formatter(PercentFormatter(1, 0))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    grid(axes, "y")
    if len(splits) > 1:
        drawn.legend(loc="outside lower center", ncols=4, handlelength=0.9)
    return save(drawn, path)


def colour(split: str) -> str:
    """Of a split; those of other names share the rest of the colours."""
    return SPLITS.get(split, COLOURS[3 + sum(map(ord, split)) % 2])
