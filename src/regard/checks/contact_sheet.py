"""Samples of all classes on one sheet, with their regions and boxes."""

from collections import defaultdict
from collections.abc import Mapping
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import Normal, Stroke
from torchvision.transforms.v2 import functional as F

from regard.checks.describe import Description, quantiles
from regard.checks.sheet_legend import KINDS, Mark, legend, sheet_colours
from regard.data.keys import key
from regard.data.manifest import Manifest, natural
from regard.data.regions import from_grey
from regard.data.source import mask_classes
from regard.errors import DataError
from regard.images.decoding import decode, decode_grey
from regard.images.mask_colours import painted
from regard.images.opening import image_size
from regard.images.outlines import outlines
from regard.images.plotting import BOX, GRID, INK, MUTED, figure, save, shortened

SAMPLES = 24
COLUMNS = 6
SIDE = 420
# Inches: a tile's width, what lies between tiles, the lines of text above a tile.
TILE, GAP, CAPTION = 1.9, 0.12, 0.46
CASING = [Stroke(linewidth=2.1, foreground="#00000080"), Normal()]


def contact_sheet(manifest: Manifest, description: Description, path: Path) -> Path:
    """Draw up to `SAMPLES` samples, every class in turn, with region, boxes and label."""
    rows = chosen(manifest, description, SAMPLES)
    shown: set[Mark] = set()
    colours = sheet_colours(manifest)
    drawn, cells = _cells(len(rows), _shape(description, rows))
    for axes, row in zip(cells, rows, strict=True):
        axes.set_axis_off()
        shown |= _tile(axes, manifest, manifest.table.row(row, named=True), colours)
    masks = mask_classes(manifest).names if ("mask", "") in shown else ()
    legend(drawn, cells, shown, masks, colours)
    return save(drawn, path)


def _cells(count: int, shape: float) -> tuple[Figure, list[Axes]]:
    """A figure and its tiles, set by hand: fitting two dozen by the engine takes seconds."""
    columns = min(COLUMNS, max(count, 1))
    lines = max(1, -(-count // columns))
    step = TILE * shape + CAPTION
    width, height = (TILE + GAP) * columns + GAP, step * lines + GAP
    drawn = figure(width, height, layout=None)
    places = [divmod(number, columns) for number in range(count)]
    cells = [
        drawn.add_axes((
            (GAP + (TILE + GAP) * column) / width,
            (height - step * (line + 1)) / height,
            TILE / width,
            TILE * shape / height,
        ))
        for line, column in places
    ]  # fmt: skip
    return drawn, cells


def _shape(description: Description, rows: list[int]) -> float:
    """Height by width of a tile: the images' own, within reason."""
    known = description.measures[rows]
    return min(1.5, max(0.5, quantiles(known["height"] / known["width"]).get("median", 1.0)))


def chosen(manifest: Manifest, description: Description, count: int) -> list[int]:
    """Rows of readable images: of each class in turn, by class; the same at every call."""
    readable = description.measures["width"].is_not_null()
    labels = [_label(row) for row in manifest.table.iter_rows(named=True)]
    by_label: dict[str, list[int]] = defaultdict(list)
    for row in readable.arg_true().to_list():
        by_label[labels[row]].append(row)
    for own in by_label.values():
        own.sort(key=lambda row: key("contact sheet", row))
    names = sorted(by_label, key=lambda name: key("contact sheet", name))
    turns = chain.from_iterable(zip_longest(*(by_label[name] for name in names)))
    rows = [row for row in turns if row is not None][:count]
    return sorted(rows, key=lambda row: (natural(labels[row]), row))


def _label(row: Mapping[str, Any]) -> str:
    return row.get("label") or ", ".join(row.get("labels") or [])


def _tile(
    axes: Axes, manifest: Manifest, row: Mapping[str, Any], colours: Mapping[str, str]
) -> set[Mark]:
    """Draw one sample; the marks that it has."""
    _caption(axes, row)
    try:
        path = manifest.resolve(row["image"])
        height, width = image_size(path)
        scale = SIDE / max(height, width)
        size = [max(1, round(height * scale)), max(1, round(width * scale))]
        image = F.resize(decode(path, need=(size[0], size[1])), size, antialias=True)
    except DataError:
        axes.add_patch(Rectangle((0, 0), 1, 1, color=GRID))
        axes.text(0.5, 0.5, "cannot be read", ha="center", va="center", fontsize=8, color=MUTED)
        return set()
    axes.imshow(image.permute(1, 2, 0).numpy(), aspect="equal", interpolation="bilinear")
    marks: set[Mark] = set()
    if row.get("mask") and _mask(axes, manifest, row["mask"], size, colours):
        marks.add(("mask", ""))
    for kind in ("region", "avoid"):
        if row.get(kind) and _outline(axes, manifest, row, kind, size):
            marks.add((kind, ""))
    boxes = row.get("boxes") or []
    for box, name in zip_longest(boxes, (row.get("box_labels") or [])[: len(boxes)]):
        _box(axes, box, size[1] / width, size[0] / height, colours[name] if name else BOX)
        marks.add(("boxes", name or ""))
    axes.add_patch(Rectangle((-0.5, -0.5), size[1], size[0], fill=False, color=GRID, linewidth=1))
    axes.set(xlim=(-0.5, size[1] - 0.5), ylim=(size[0] - 0.5, -0.5))
    return marks


def _mask(
    axes: Axes, manifest: Manifest, mask: str, size: list[int], colours: Mapping[str, str]
) -> bool:
    """Lay a mask's classes over the photo; void is left clear."""
    try:
        classes = mask_classes(manifest)
        ids = classes.read(manifest.resolve(mask))
    except DataError:
        return False
    small = F.resize(ids[None], size, interpolation=F.InterpolationMode.NEAREST)[0]
    layer = painted(small.numpy(), [colours[name] for name in classes.names]).convert("RGBA")
    axes.imshow(layer, aspect="equal", interpolation="nearest", alpha=0.55)
    return True


def _caption(axes: Axes, row: Mapping[str, Any]) -> None:
    """The class, and below it the file's name, of which the end tells more than the start."""
    label, name = _label(row), Path(row["image"]).name
    # What has a mask needs none, and nothing of the kind is told where no sample has one.
    missing = not label and not row.get("mask") and bool({"label", "labels"} & {*row})
    name = name if len(name) <= 30 else "…" + name[-29:]
    above: dict[str, Any] = {
        "xycoords": "axes fraction",
        "textcoords": "offset points",
        "ha": "center",
    }
    title, colour = ("no label", MUTED) if missing else (shortened(label, 26), INK)
    axes.annotate(title, (0.5, 1), (0, 13), fontsize=8, color=colour, **above)
    axes.annotate(name, (0.5, 1), (0, 4), fontsize=6, color=MUTED, **above)


def _outline(
    axes: Axes, manifest: Manifest, row: Mapping[str, Any], kind: str, size: list[int]
) -> bool:
    try:
        grey = decode_grey(manifest.resolve(row[kind]))
    except DataError:
        return False
    cut = row.get("region_threshold") if kind == "region" else None
    small = F.resize(from_grey(grey, cut)[None], size, antialias=True)[0]
    # Pixel centres are at whole numbers here, not at halves.
    lines = [line - 0.5 for line in outlines(small)]
    own = LineCollection(lines, colors=KINDS[kind], linewidths=1.1, path_effects=CASING)
    axes.add_collection(own, autolim=False)
    return bool(lines)


def _box(axes: Axes, box: list[float], x_scale: float, y_scale: float, colour: str) -> None:
    xmin, ymin, xmax, ymax = box
    corner = (xmin * x_scale - 0.5, ymin * y_scale - 0.5)
    frame = Rectangle(
        corner, (xmax - xmin) * x_scale, (ymax - ymin) * y_scale,
        fill=False, edgecolor=colour, linewidth=1.1, path_effects=CASING,
    )  # fmt: skip
    axes.add_patch(frame)
