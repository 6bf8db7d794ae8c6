"""What the lines and colours of a sheet of samples mean, below its tiles."""

from collections.abc import Iterable, Mapping

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from regard.data.manifest import Manifest, natural
from regard.data.source import mask_classes
from regard.errors import DataError
from regard.images.mask_colours import class_colours
from regard.images.plotting import AVOID, BOX, REGION, shortened

KINDS = {"region": REGION, "boxes": BOX, "avoid": AVOID}
# A kind of mark, and of a box its class, if it has one.
Mark = tuple[str, str]
# Inches: a line of the legend, what is free around all; an entry's sign, and a letter at most.
LINE, AROUND, SIGN, LETTER = 0.2, 0.2, 0.6, 0.085
LONGEST = 20


def sheet_colours(manifest: Manifest) -> dict[str, str]:
    """A colour for each class of the masks, and then for each other one of the boxes."""
    try:
        names = list(mask_classes(manifest).names) if "mask" in manifest.table.columns else []
    except DataError:
        names = []
    if "box_labels" in manifest.table.columns:
        found = set(manifest.table["box_labels"].explode().drop_nulls().to_list())
        names += sorted(found - set(names), key=natural)
    return dict(zip(names, class_colours(names), strict=True))


def legend(
    drawn: Figure,
    cells: Iterable[Axes],
    shown: Iterable[Mark],
    masks: Iterable[str],
    colours: Mapping[str, str],
) -> None:
    """Say what the marks are, on as many lines as that takes; the figure grows by them.

    Args:
        drawn: the sheet, its tiles set by hand.
        cells: the tiles.
        shown: all marks on them; boxes of classes are said by these.
        masks: the classes of the masks, if any is shown.
        colours: of classes, of `sheet_colours`.
    """
    found, painted = {*shown}, [*masks]
    handles: list[Artist] = [
        Line2D([], [], color=KINDS[kind], lw=2.5, label=kind)
        for kind in KINDS
        if (kind, "") in found
    ]
    named = sorted({name for kind, name in found if kind == "boxes" and name}, key=natural)
    handles += [
        Line2D([], [], color=colours[name], lw=2.5, label=_short(name))
        for name in named
        if name not in painted
    ]
    handles += [Patch(color=colours[name], label=_short(name)) for name in painted]
    if not handles:
        return
    longest = max(len(str(handle.get_label())) for handle in handles)
    width = float(drawn.get_figwidth())
    columns = max(1, min(len(handles), int((width - AROUND) / (SIGN + LETTER * longest))))
    lines = -(-len(handles) // columns)
    _grow(drawn, cells, LINE * lines + AROUND)
    # Columns are filled first, but what stands in a row is read first.
    across = [handle for column in range(columns) for handle in handles[column::columns]]
    drawn.legend(handles=across, loc="lower center", ncols=columns, columnspacing=1.4)


def _short(name: str) -> str:
    return shortened(name, LONGEST)


def _grow(drawn: Figure, cells: Iterable[Axes], more: float) -> None:
    """Add so many inches below the tiles, which keep their size."""
    before = float(drawn.get_figheight())
    after = before + more
    drawn.set_figheight(after)
    for axes in cells:
        place = axes.get_position(original=True)
        bottom, height = (place.y0 * before + more) / after, place.height * before / after
        axes.set_position((place.x0, bottom, place.width, height))
