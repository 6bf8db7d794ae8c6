"""All that there is to choose from in a run."""

from pathlib import Path
from typing import Any

import polars as pl

from regard.data.columns import has_evidence
from regard.files.parquet import read_parquet
from regard.images.mask_colours import class_colours
from regard.reports.contents import attempt
from regard.runs.files import read_json
from regard.saliency.base import METHODS
from regard.server.answers import MethodLine, RunAnswer, SplitLine, State
from regard.server.commands import evaluate_command
from regard.server.facts import Facts
from regard.server.finding import own_files
from regard.server.nets import Reach
from regard.server.shelves import Shelves


def run_answer(
    shelves: Shelves,
    facts: Facts,
    state: State,
    reach: Reach,
    problem: str | None,
) -> RunAnswer:
    """What `/api/run` says.

    Args:
        shelves: to read from.
        facts: of the run.
        state: what has become of it.
        reach: what can be asked of its net.
        problem: why its net cannot be used.
    """
    return RunAnswer(
        id=facts.found.id,
        name=facts.found.path.name,
        task=facts.task,
        views=len(facts.data.views),
        classes=list(facts.classes),
        colours=class_colours(facts.classes) if facts.task == "segmentation" else [],
        spec=facts.spec,
        state=state,
        splits=[_split(shelves, facts, name) for name in shelves.splits(facts)],
        methods=[_method(name, reach.unfit.get(name)) for name in METHODS],
        method=facts.gaze.method,
        layers=list(reach.layers),
        layer=reach.layer,
        metrics=_metrics(facts.found.path),
        config=facts.config,
        problem=problem,
    )


def _split(shelves: Shelves, facts: Facts, name: str) -> SplitLine:
    files, manifest = facts.files, shelves.manifest_or_none(facts)
    images, regions = 0, facts.task == "segmentation"
    if manifest is not None:
        rows = manifest.table.filter(split=name)
        images = len(rows)
        regions = regions or has_evidence(rows)
    predicted = files.predictions(name).is_file()
    if manifest is None and predicted:
        lazy = pl.scan_parquet(files.predictions(name), glob=False).select(pl.len())
        images = attempt(lambda: int(lazy.collect().item()), 0)
    return SplitLine(
        name=name,
        images=images,
        predicted=predicted,
        evaluate=evaluate_command(facts, name),
        scored=attempt(lambda: _scored(shelves.folder.inside(files.scores(name))), []),
        regions=regions,
    )


def _scored(path: Path) -> list[str]:
    methods = read_parquet(path, ["method"])["method"]
    return methods.cast(pl.String).unique(maintain_order=True).to_list()


def _method(name: str, unfit: str | None) -> MethodLine:
    kind = METHODS[name]
    about = f"{kind.formula}. Cost: {kind.passes}. Blind to: {kind.blind_to}. Nets: {kind.nets}"
    cost = "dear" if kind.dear else "cheap"
    return MethodLine(name=name, title=kind.__name__, cost=cost, about=about, unfit=unfit)


def _metrics(folder: Path) -> dict[str, dict[str, Any]]:
    found = {}
    for path in own_files(folder / "metrics", "*.json"):
        values = attempt(lambda path=path: read_json(path), None)
        if isinstance(values, dict):
            found[path.stem] = values
    return found
