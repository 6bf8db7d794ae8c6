"""Maps of the pieces that are worth a look, with a thumbnail each."""

import heapq
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import torch
from PIL import Image
from torch import Tensor

from regard.errors import RunError
from regard.evaluation.settings import Gaze
from regard.evaluation.table import PREFIX
from regard.files.atomic import blamed, sync
from regard.images.heat import smooth, tinted
from regard.images.pictures import save_image
from regard.models.tensors import write_safetensors
from regard.progress import Step
from regard.runs.files import read_table, write_table
from regard.saliency.capture import evaluating
from regard.saliency.explain import explain
from regard.screening.cutting import Cutting
from regard.screening.operator import Operator, in_halves
from regard.screening.parts import part_path
from regard.screening.pieces import of_image
from regard.screening.sources import Source
from regard.screening.wanted import Wanted

MAPS, PIECES, BATCH = "maps", "pieces.parquet", 32
# Longest side of a thumbnail's photo, pixels.
SIDE = 192


def chosen(
    out: Path, parts: int, positive: Wanted | None, uncertain: float, most: int
) -> dict[int, pl.DataFrame]:
    """Of each part the rows whose maps are made, with `why`.

    The most uncertain share of all pieces, and those that are positive, the most probable ones
    first where there are too many. One part after the other is read.

    Args:
        out: the screening's folder, with all of its parts.
        parts: how many there are.
        positive: the class that is looked for; None: none is.
        uncertain: share of all pieces that could be read.
        most: maps in all for either reason.
    """
    count = sum(_pieces(part_path(out, part)) for part in range(parts))
    read = pl.col("error").is_null()
    wanted = {"uncertain": ("uncertainty", read, min(most, round(uncertain * count)))}
    if positive is not None:
        wanted["positive"] = (PREFIX + positive.name, positive.counts, most)
    reasons: dict[tuple[int, int], list[str]] = {}
    for why, (column, counts, number) in wanted.items():
        for _, place in heapq.nlargest(number, _values(out, parts, column, counts)):
            reasons.setdefault((-place[0], -place[1]), []).append(why)
    found: dict[int, pl.DataFrame] = {}
    for part in sorted({part for part, _ in reasons}):
        own = {at: why for (where, at), why in reasons.items() if where == part}
        rows = read_table(part_path(out, part)).with_row_index("piece")
        told = pl.DataFrame(
            {"piece": [*own], "why": [", ".join(why) for why in own.values()]},
            schema_overrides={"piece": pl.UInt32},
        )
        found[part] = rows.join(told, on="piece", how="inner", maintain_order="left")
    return found


def _pieces(part: Path) -> int:
    return read_table(part, columns=["error"])["error"].null_count()


def _values(
    out: Path, parts: int, column: str, counts: pl.Expr
) -> Iterator[tuple[float, tuple[int, int]]]:
    """Each piece's value that counts, with its place, of which the first wins among equals."""
    columns = list(dict.fromkeys([column, *counts.meta.root_names()]))
    for part in range(parts):
        own = read_table(part_path(out, part), columns=columns).with_row_index("piece")
        for at, value in own.filter(counts).select("piece", column).rows():
            yield value, (-part, -at)


def make_maps(
    out: Path,
    picked: dict[int, pl.DataFrame],
    source: Source,
    cutting: Cutting,
    operator: Operator,
    progress: Step | None = None,
) -> None:
    """Write `maps/part-N/`: `maps.safetensors`, a thumbnail a piece, and `pieces.parquet`.

    The map is of the predicted class, by the run's own method and contrast. Those of pieces that
    are no longer picked are removed.

    Args:
        out: the screening's folder.
        picked: of `chosen`.
        source: of the images.
        cutting: of the images.
        operator: whose net is explained.
        progress: called with the number of maps just made.
    """
    targets = {out / MAPS / f"part-{part:06d}": rows for part, rows in picked.items()}
    for old in (out / MAPS).glob("part-*"):
        if old not in targets or not _is_of(old, targets[old]):
            # Under another name first: half of it removed, it would pass for a whole one.
            gone = old.with_name(f".{old.name}.{os.getpid()}.partial")
            shutil.rmtree(gone, ignore_errors=True)
            old.rename(gone)
            shutil.rmtree(gone)
    for target, rows in targets.items():
        if not target.is_dir():
            partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            try:
                with blamed(target):
                    _make(partial, rows, source, cutting, operator)
                    sync(partial)
                    os.replace(partial, target)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        if progress is not None:
            progress(len(rows))


def _is_of(folder: Path, rows: pl.DataFrame) -> bool:
    try:
        return read_table(folder / PIECES).equals(rows)
    except (OSError, RunError):  # not there, or cut off by a loss of power
        return False


def _make(
    folder: Path, rows: pl.DataFrame, source: Source, cutting: Cutting, operator: Operator
) -> None:
    run, maps = operator.run, dict[str, Tensor]()
    waiting: list[tuple[int, int, Tensor]] = []

    def explained() -> None:
        if not waiting:
            return
        numbers, classes, pixels = zip(*waiting, strict=True)
        found = _explained(operator, pixels, classes)
        for piece, own, map_ in zip(numbers, pixels, found, strict=True):
            maps[f"{piece:06d}"] = map_.half().contiguous()
            save_image(_thumbnail(own, map_), folder / f"{piece:06d}.jpg", "JPEG", quality=88)
        waiting.clear()

    # As the rows say, which are not always of the precision that maps are computed in.
    best = rows.select(PREFIX + name for name in run.classes).to_numpy().argmax(1)
    rows = rows.with_columns(_class=pl.Series(best))
    for row, own in rows.group_by("row", maintain_order=True):
        pieces = {_key(piece.crop): piece for piece in of_image(
            source, int(row[0]), cutting, run.transform)}  # fmt: skip
        for piece, crop, label in own.select("piece", "crop", "_class").iter_rows():
            found = pieces.get(_key(crop))
            if found is not None and found.pixels is not None:
                waiting.append((piece, label, found.pixels))
                if len(waiting) == BATCH:
                    explained()
    explained()
    write_safetensors(folder / "maps.safetensors", maps)
    write_table(folder / PIECES, rows.drop("_class"))
    for path in folder.iterdir():
        sync(path)


def _explained(operator: Operator, pixels: Sequence[Tensor], classes: Sequence[int]) -> Tensor:
    """The maps (B, h, w) of classes; in halves where memory runs out."""
    run = operator.run
    gaze = Gaze.model_validate(run.config["gaze"])

    def asked(own: slice) -> Tensor:
        images = run.transform.normalise(torch.stack([*pixels[own]]).to(operator.device))
        targets = torch.tensor(classes[own], device=operator.device)
        with evaluating(run.net):
            found = explain(
                run.net,
                images,
                targets,
                method=gaze.method,
                layer=gaze.layer,
                contrast=gaze.contrast,
            )
            return found.detach().float().cpu()

    return in_halves(asked, len(pixels), operator.device)


def _key(crop: object) -> tuple[int, ...] | None:
    return None if crop is None else tuple(crop)  # pyright: ignore[reportArgumentType]


def _thumbnail(pixels: Tensor, map_: Tensor) -> Image.Image:
    """Photo and overlay side by side."""
    scale = SIDE / max(pixels.shape[1:])
    height, width = (max(1, round(side * scale)) for side in pixels.shape[1:])
    photo = Image.fromarray(pixels.permute(1, 2, 0).numpy()).resize((width, height))
    large = torch.from_numpy(np.array(photo)).permute(2, 0, 1)
    sheet = Image.new("RGB", (2 * width + 4, height), "white")
    sheet.paste(photo, (0, 0))
    sheet.paste(Image.fromarray(tinted(large, smooth(map_, (height, width)))), (width + 4, 0))
    return sheet
