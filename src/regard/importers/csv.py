"""Any CSV: one row a sample, or one row a box."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from regard.checks.table_checks import looks_missing
from regard.data.columns import PATHS
from regard.data.manifest import Manifest, manifest_from_rows
from regard.errors import DataError
from regard.files.separators import layout_of
from regard.files.table_files import read_csv
from regard.importers.boxes import Corners
from regard.importers.files import entry, some, split_name
from regard.importers.gather import gather
from regard.importers.mask_ids import classes_of_ids, leave_out_masks, tells_ids
from regard.importers.on_disk import Spellings, leave_out_absent, refuse_absent, refuse_none
from regard.importers.registry import IMPORTERS
from regard.importers.template import Template

Row = dict[str, Any]
# What a sample may do without.
AREAS = ("region", "avoid", "ignore")
# Of which spaces around them are no part.
NAMES = ("label", "split", "group")
# How a cell says that it holds, or does not.
TRUTHS = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}


@IMPORTERS.register("csv")
def import_csv(
    src: Path,
    *,
    root: Path,
    image: str = "image",
    images: str = ".",
    label: str | None = None,
    label_separator: str | None = None,
    split: str | None = None,
    group: str | None = None,
    synthetic: str | None = None,
    segmented: str | None = None,
    mask: str | None = None,
    mask_classes: str | None = None,
    region: str | None = None,
    region_threshold: int | None = None,
    avoid: str | None = None,
    ignore: str | None = None,
    boxes: str | None = None,
    inclusive: bool = False,
    one_based: bool = False,
    box_label: str | None = None,
    say: Callable[[str], object] | None = None,
) -> Manifest:
    """Import a CSV, whatever its columns are called.

    Where an option takes a column, a template does as well: text with names in braces, which
    are filled in for each row. `{name}` is what the row has in the column `name`, and `{stem}`
    is the image's file name without folder and suffix: `masks/{stem}.png` for `photos/a.jpg` is
    `masks/a.png`. An option that is not given takes the column of its own name, if the CSV
    has one; but for boxes, whose four columns have to be named.

    A path that does not exist as it is written is looked for with slashes in place of backslashes,
    and with its umlauts as one sign or two; the manifest has it as it is on the disk.

    Rows of one image become one sample: boxes are gathered, differing labels go to `labels`.

    A region (or area to avoid or ignore) whose path comes from a template and where no file is
    found is left out for that sample; one that a column names stays, and the checks report it.

    Args:
        src: the CSV.
        root: the folder in which the manifest will be written.
        image: column or template of the image's path, from the folder `images` on.
        images: the folder that image paths start from, itself from the CSV's folder on.
        label: column or template of the class.
        label_separator: what stands between the classes of a cell, such as `;`: every sample then
            has a set of labels, and an empty cell is a sample of none of the classes.
        split: column or template of the split: train, val or test.
        group: column or template of what stays together, such as a patient.
        synthetic: column or template that is true (or 1) where an image was made or borrowed; it is
            used in training alone.
        segmented: column or template of a second view, the subject on black; like all paths
            below from the CSV's folder on.
        mask: column or template of a label image for segmentation, of class ids.
        mask_classes: what the ids mean: their classes from id 0 on, such as void,road,car, where
            void is pixels of which nothing is said; or a table, a CSV with columns `id` and
            `class`; or the column that has them in every row, which is `mask_classes` unless given.
        region: column or template of a grey image that is bright where the evidence is.
        region_threshold: the region is where its image is brighter than this, 0 to 255; left
            out, the grey level is a weight.
        avoid: column or template of a grey image that is bright where not to look.
        ignore: column or template of a grey image that is bright where nothing counts.
        boxes: four columns, such as xmin,ymin,xmax,ymax, in pixels of the upright image; where
            semicolons or tabs separate the columns, 10,7 is 10.7.
        inclusive: the corners xmax and ymax are the last pixel inside, not the edge behind it.
        one_based: the first pixel is called 1, not 0.
        box_label: column or template of the class of the row's box.
        say: called with a line where rows of one image name several classes, where a label looks
            like a missing value, or where a column that may be of boxes or masks is not read.

    Raises:
        DataError: no such file, not a CSV, no such column, a box that is not four numbers,
            rows of one image that contradict each other, no file where the paths say.

    Example:
        `import_csv(Path("skin/labels.csv"), root=Path("skin"), images="images",
        label="diagnosis", region="masks/{stem}.png", region_threshold=127)`
    """
    src, root = Path(src), Path(root)
    table = read_csv(src)
    if table.is_empty():
        raise DataError(str(src), expected="one row or more", found="none", remedy="add samples")
    paths = {"segmented": segmented, "mask": mask, "region": region}
    paths |= {"avoid": avoid, "ignore": ignore}
    given = {"image": image, "label": label, "split": split, "group": group}
    given |= {"synthetic": synthetic} | paths
    columns = _templates(given, table, str(src))
    if mask is None and "label" in columns and not tells_ids(mask_classes, table):
        leave_out_masks(columns, None if "mask" in given.values() else say)
    rows = _rows(table, columns, src, images)
    if label_separator is not None:
        _refuse_separator(label_separator, columns, src)
        for row in rows:
            row["label"] = _set(row["label"], label_separator)
    refuse_absent(rows, src)
    for key in ("segmented", "mask", *AREAS):
        refuse_none(rows, key, src)
    ids = classes_of_ids(mask_classes, table, src, masks="mask" in columns)
    for key in AREAS:
        if key in columns and columns[key].computed:
            leave_out_absent(rows, key)
    if boxes is not None:
        corners = Corners.parse(
            boxes,
            table.columns,
            str(src),
            inclusive=inclusive,
            one_based=one_based,
            decimal_comma=layout_of(src)[0] != ",",
        )
        where = f"{src}, --box-label"
        box_label = box_label or ("box_label" if "box_label" in table.columns else None)
        named = Template(box_label, table.columns, where) if box_label else None
        for number, cells in enumerate(table.iter_rows(named=True)):
            rows[number]["box"] = corners.box(cells, f"{src}, row {number + 1}")
            rows[number]["box_label"] = (named.fill(cells) or "").strip() or None if named else None
    elif say is not None and (unread := {"boxes", "box_label"} & {*table.columns}):
        say(f"not read, as --boxes names no columns: {', '.join(sorted(unread))}")
    samples = gather(rows, str(src), sets=label_separator is not None)
    several = [sample["image"].name for sample in samples if len(sample.get("labels") or ()) > 1]
    if several and label_separator is None and say is not None:
        say(
            "images whose rows name several classes, so that all have sets of them: "
            + some(several)
        )
    if say is not None:
        _tell_missing(rows, say)
    for sample in samples:
        if ids is not None:
            sample["mask_classes"] = ids
        if region_threshold is not None and sample.get("region"):
            sample["region_threshold"] = region_threshold
        sample |= {key: entry(sample[key], root) for key in PATHS if sample.get(key)}
    return manifest_from_rows(samples, root)


def _tell_missing(rows: Iterable[Row], say: Callable[[str], object]) -> None:
    """Labels that are likelier no labels."""
    cells = (row.get("label") for row in rows)
    labels = (name for cell in cells for name in (cell if isinstance(cell, list) else [cell]))
    for label, count in Counter(filter(None, labels)).items():
        if looks_missing(label):
            say(f"the label {label!r} is a class now (rows: {count}); empty the cells if not")


def _templates(
    given: Mapping[str, str | None], table: pl.DataFrame, where: str
) -> dict[str, Template]:
    """A template for each option that was given, or whose name is a column."""
    named = {key: text or (key if key in table.columns else None) for key, text in given.items()}
    return {
        key: Template(text, table.columns, f"{where}, --{key}")
        for key, text in named.items()
        if text
    }


def _rows(
    table: pl.DataFrame, columns: Mapping[str, Template], src: Path, images: str
) -> list[Row]:
    rows, spellings = [], Spellings()
    folder = spellings.find(src.parent, images)
    for number, cells in enumerate(table.iter_rows(named=True), start=1):
        name = columns["image"].fill(cells)
        if name is None:
            raise DataError(
                f"{src}, row {number}",
                expected="an image's path",
                found="an empty cell",
                remedy="fill or remove the row",
            )
        path = spellings.find(folder, name)
        row: Row = {key: column.fill(cells, path.stem) for key, column in columns.items()}
        row |= {key: (row[key] or "").strip() or None for key in NAMES if key in row}
        row |= {key: spellings.find(src.parent, row[key]) for key in PATHS if row.get(key)}
        row["image"] = path
        if row.get("split"):
            row["split"] = split_name(row["split"])
        if "synthetic" in row:
            row["synthetic"] = _truth(row["synthetic"], f"{src}, row {number}, --synthetic")
        rows.append(row)
    return rows


def _truth(text: str | None, where: str) -> bool:
    """Whether a cell says yes; an empty one says no."""
    word = (text or "false").strip().lower()
    if word not in TRUTHS:
        raise DataError(
            where, expected=", ".join(TRUTHS), found=repr(text), remedy="correct that cell"
        )
    return TRUTHS[word]


def _refuse_separator(separator: str, columns: Mapping[str, Template], src: Path) -> None:
    where = f"{src}, --label-separator"
    if "label" not in columns:
        raise DataError(
            where,
            expected="a column of labels",
            found="none",
            remedy="name it: --label COLUMN",
        )
    if not separator.strip():
        raise DataError(
            where,
            expected="a character that stands between labels",
            found=repr(separator),
            remedy="write for example --label-separator ';'",
        )


def _set(cell: str | None, separator: str) -> list[str]:
    names = (name.strip() for name in (cell or "").split(separator.strip()))
    return list(dict.fromkeys(filter(None, names)))
