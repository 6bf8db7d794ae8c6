"""Where a run looks as a rule: the mean maps that `regard explain --global` left in its folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from regard.images.decoding import decode
from regard.language import isolated, phrase, plural
from regard.reports import layers
from regard.reports.blocks import Block, Cell, Heading, Section, Sheet, Table, Text
from regard.reports.contents import RunContents, attempt
from regard.reports.words import NONE, between, columns, decimal, percent, whole
from regard.runs.averages import NUMBERS
from regard.runs.files import read_json

# Of one picture in the page, in bytes.
_LARGEST = 250_000


def mean_maps_section(run: RunContents) -> list[Section]:
    """The mean maps by class of every method that was asked for; no section where none was."""
    blocks = mean_maps(run)
    return [Section("means", phrase("Mean maps"), blocks)] if blocks else []


def mean_maps(run: RunContents, *, arm: str = "") -> list[Block]:
    """Picture and numbers of each method; under an arm's name in a study."""
    blocks: list[Block] = []
    for path in sorted((run.folder / "explanations" / "global").glob(f"*/{NUMBERS}")):
        values = attempt(lambda path=path: read_json(path), None)
        if values is not None:
            blocks += attempt(
                lambda path=path, values=values: _of_method(path.parent, values, arm), []
            )
    return blocks


def _of_method(folder: Path, values: Mapping[str, Any], arm: str) -> list[Block]:
    name = values["method"]
    name = phrase("{method} with contrast", method=name) if values["contrast"] else name
    name = f"{isolated(arm)}, {name}" if arm else name
    rows = values["rows"]
    text = phrase(
        "Mean maps of {split} by {method}, of the checkpoint {checkpoint}: each map over the sum "
        "of its absolute values, so that every one counts alike.",
        split=values["split"],
        method=name,
        checkpoint=values["checkpoint"],
    )
    blocks: list[Block] = [Heading(name), Text([text])]
    if (folder / "classes.png").is_file():
        blocks.append(
            _sheet(folder / "classes.png", phrase("Mean maps by class, {method}", method=name))
        )
    cells = [_row(row) for row in rows]
    head = columns("Class", "Maps#", "In the region#", "Region's area#", "Centre, down and across#")
    caption = phrase("Mean maps by {method}", method=name)
    return [*blocks, Table(head, cells, caption, folded=len(cells) > 20)]


def _row(row: Mapping[str, Any]) -> list[Cell]:
    name = phrase("all") if row["class"] is None else row["class"]
    inside = {key: row.get(f"inside_{key}") for key in ("low", "high")}
    centre = [row["centre_down"], row["centre_across"]]
    down, across = (decimal(x, 2) for x in centre)
    place = NONE if None in centre else phrase("{down}, {across}", down=down, across=across)
    dead = plural(row["dead"], "{n} more is zero everywhere", "{n} more are zero everywhere")
    return [
        Cell(name),
        Cell(whole(row["images"] - row["dead"]), note=dead if row["dead"] else ""),
        Cell(decimal(row["inside"]), note="" if inside["low"] is None else between(inside)),
        Cell(percent(row["area"])),
        Cell(place),
    ]


def _sheet(path: Path, alt: str) -> Sheet:
    image = decode(path)
    # It is drawn for screens of twice the usual resolution.
    return Sheet(layers.photo(image, _LARGEST), alt, image.shape[2] // 2, image.shape[1] // 2)
