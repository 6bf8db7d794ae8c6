"""What `regard data check` and `describe` print."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from regard.checks.describe import Description
from regard.checks.duplicates import Duplicates
from regard.checks.measures import MISSING, NO_SPLIT, UNREADABLE, region_kind
from regard.checks.problems import Problem
from regard.cli.console import plural, print_json, say, table
from regard.data.manifest import Manifest
from regard.data.source import mask_classes
from regard.data.synthetic_samples import by_split
from regard.errors import DataError, command

SHOWN = 8


def imported(manifest: Manifest) -> str:
    """Counts of a new manifest: samples, those with a region, classes, splits."""
    rows, labels = manifest.table.iter_rows(named=True), manifest.classes
    kinds = Counter(region_kind(cells, manifest, labels) for cells in rows)
    without = sum(kinds[kind] for kind in ("none", MISSING))
    some = f" ({len(manifest) - without} with a region)" if without < len(manifest) else ""
    splits = manifest.table["split"].value_counts(sort=True).rows()
    masks = "mask_classes" in manifest.table.columns
    own = manifest.set_classes if manifest.several else manifest.classes
    classes = mask_classes(manifest).names if masks else own
    text = f"{plural(len(manifest), 'sample')}{some}, {plural(len(classes), 'class')}; "
    text += ", ".join(f"{name or NO_SPLIT} {count}" for name, count in splits)
    made = sum(by_split(manifest.table).values())
    text += f"; {made:,} synthetic" if made else ""
    missing = plural(kinds[MISSING], "region file") + " missing"
    return f"{text}; {missing}" if kinds[MISSING] else text


def show_check(
    problems: Sequence[Problem],
    same: Sequence[Duplicates],
    manifest: Path,
    path: Path,
    *,
    as_json: bool,
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
        table(f"Problems of {manifest}", ["severity", "kind", "count", "first"], rows, left=4)
    _show_duplicates(same)
    if not problems:
        told = f", other than {_groups(same)}; {path} lists them" if same else ""
        say(f"{manifest}: no problems found{told}")
    elif not any(problem.severity == "error" for problem in problems):
        say(f"{manifest}: {_counted(problems, same)}; {path} lists all of them")


def refuse_errors(
    problems: Sequence[Problem], same: Sequence[Duplicates], manifest: Path, path: Path
) -> None:
    """Raise a DataError that counts the errors, if there are any; the table has said the rest."""
    if any(problem.severity == "error" for problem in problems):
        raise DataError(
            str(manifest),
            expected="files, boxes and labels that fit",
            found=_counted(problems, same),
            remedy=f"mend or remove what {path} lists",
        )


def _counted(problems: Sequence[Problem], same: Sequence[Duplicates]) -> str:
    """`2 errors and 1 warning and 3 groups of duplicates`, without what there is none of."""
    counts = Counter(problem.severity for problem in problems)
    told = [plural(counts[kind], kind) for kind in ("error", "warning") if counts[kind]]
    return " and ".join([*told, *([_groups(same)] if same else [])])


def _groups(same: Sequence[Duplicates]) -> str:
    return f"{plural(len(same), 'group')} of duplicates"


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
    say(f"{_groups(same)}, {crossing}; give them one `group` to keep them together")


def show_description(
    found: Description, manifest: Path, pictures: Sequence[Path], *, as_json: bool
) -> None:
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
    if found.labels:
        parts = (f"{number}: {count}" for number, count in found.labels.items())
        say("Samples by how many labels they have: " + ", ".join(parts))
    _show_masks(found)
    quantiles = {**found.sizes, **{f"coverage, {k}": v for k, v in found.coverage.items()}}
    if found.boxes:
        quantiles["boxes an image"] = found.boxes
    names = list(next(iter(quantiles.values()), {}))
    rows = [[name, *(_short(values.get(q)) for q in names)] for name, values in quantiles.items()]
    table("Sizes in pixels, and share of the image that regions cover", ["", *names], rows)
    width, height = (found.sizes.get(side, {}) for side in ("width", "height"))
    if width and all(side["min"] == side["max"] for side in (width, height)):
        say(f"All images are {width['min']:,.0f} x {height['min']:,.0f} pixels")
    _say_kinds("Regions", found.regions, manifest)
    if found.synthetic:
        _say_kinds("Synthetic", found.synthetic, manifest)
    _say_kinds("Formats", found.formats | {UNREADABLE: found.unreadable}, manifest)
    for path in pictures:
        say(f"drawn: {path}")


def _show_masks(found: Description) -> None:
    """Each class's share of the pixels, and in how many masks it is."""
    if not found.masks:
        return
    names = list(next(iter(found.masks.values())).pixels)
    rows = [
        [name, *(f"{own.pixels[name]:.2%} ({own.images[name]})" for own in found.masks.values())]
        for name in names
    ]
    rows.append(["void, of all", *(f"{own.void:.2%}" for own in found.masks.values())])
    rows.append(["masks read", *(f"{own.masks}" for own in found.masks.values())])
    table("Pixels by class, and the masks that show it", ["class", *found.masks], rows)
    bad = sum(own.unreadable for own in found.masks.values())
    if bad:
        say(f"{plural(bad, 'mask')} cannot be read: see regard data check")


def _say_kinds(title: str, counts: Mapping[str, int], manifest: Path) -> None:
    """The counts by kind; what is wrong comes last, with what to do."""
    bad = (MISSING, UNREADABLE)
    good = [f"{kind} {count}" for kind, count in counts.items() if kind not in bad]
    wrong = [f"{counts[kind]} {kind}" for kind in bad if counts.get(kind)]
    remedy = f": run {command('data', 'check', manifest)}" if wrong else ""
    say(f"{title}: " + ", ".join([*good, *wrong]) + remedy)


def _short(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:.3g}"
