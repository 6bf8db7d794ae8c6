"""What `regard data check` and `describe` print."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from regard.cli.console import print_json, say, table
from regard.data.describe import Description
from regard.data.duplicates import Duplicates
from regard.data.problems import Problem

SHOWN = 8


def show_check(
    problems: Sequence[Problem], same: Sequence[Duplicates], path: Path, *, as_json: bool
) -> None:
    """Problems by kind with the first of each, and duplicates, across splits first."""
    if as_json:
        found = {"problems": [asdict(p) for p in problems]}
        print_json(found | {"duplicates": [asdict(d) for d in same], "file": str(path)})
        return
    counts = Counter((p.severity, p.kind) for p in problems)
    first = {(p.severity, p.kind): p for p in reversed(problems)}
    rows = [
        [severity, kind, count, _where(first[severity, kind])]
        for (severity, kind), count in sorted(counts.items())
    ]
    if rows:
        table("Problems", ["severity", "kind", "count", "first"], rows, left=4)
    _show_duplicates(same)
    errors = sum(p.severity == "error" for p in problems)
    say(f"{errors} errors, {len(problems) - errors} warnings; all of them in {path}")


def _where(problem: Problem) -> str:
    place = f"row {problem.row}, " if problem.row is not None else ""
    name = Path(problem.file).name if problem.file else ""
    return f"{place}{name} {problem.detail}".strip()


def _show_duplicates(same: Sequence[Duplicates]) -> None:
    if not same:
        return
    leaks = [group for group in same if group.leak]
    rows = [
        [
            "exact" if group.exact else "near",
            " ".join(group.splits),
            " | ".join(group.labels),
            " ".join(Path(f).name for f in group.files[:3]) + " …" * (len(group.files) > 3),
        ]
        for group in [*leaks, *(g for g in same if not g.leak)][:SHOWN]
    ]
    table(
        "Duplicates, those across splits first", ["kind", "splits", "labels", "files"], rows, left=4
    )
    crossing = f"{len(leaks)} across splits" if leaks else "none across splits"
    say(
        f"{len(same)} groups of duplicates, {crossing}; give them one `group` to keep them together"
    )


def show_description(found: Description, pictures: Sequence[Path], *, as_json: bool) -> None:
    """Counts, sizes and coverage as tables."""
    if as_json:
        print_json(found.as_dict() | {"pictures": [str(path) for path in pictures]})
        return
    splits = list(found.splits)
    rows = [
        [name, *(counts.get(split, 0) for split in splits), sum(counts.values())]
        for name, counts in found.classes.items()
    ]
    rows.append(["all", *found.splits.values(), found.samples])
    table("Samples", ["class", *splits, "all"], rows)
    quantiles = {**found.sizes, **{f"coverage, {k}": v for k, v in found.coverage.items()}}
    if found.boxes:
        quantiles["boxes an image"] = found.boxes
    names = list(next(iter(quantiles.values()), {}))
    rows = [[name, *(_short(values.get(q)) for q in names)] for name, values in quantiles.items()]
    table("Sizes in pixels, and share of the image that regions cover", ["", *names], rows)
    say("Regions: " + ", ".join(f"{kind} {count}" for kind, count in found.regions.items()))
    say("Formats: " + ", ".join(f"{kind} {count}" for kind, count in found.formats.items()))
    for path in pictures:
        say(f"drawn: {path}")


def _short(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:.3g}"
