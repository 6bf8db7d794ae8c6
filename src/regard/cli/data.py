"""`regard data`: import, check, describe, sheets, decoy."""

from pathlib import Path

import typer

from regard.cli.import_help import ImportCommand

app = typer.Typer(help="Manifests: make one, check it, see what is in it.", no_args_is_help=True)

EXTRA = {"allow_extra_args": True, "ignore_unknown_options": True}


@app.command("import", cls=ImportCommand, context_settings=EXTRA)
def import_(
    context: typer.Context,
    format: str = typer.Argument(
        help="folder, csv, pairs, voc, imagenet, coco, camvid, cityscapes, crops; see: "
        "regard list importers."
    ),
    src: Path = typer.Argument(help="What to import."),
    out: Path = typer.Option(..., help="The manifest to write, .parquet or .csv."),
    shares: str | None = typer.Option(
        None, help="Split anew: 70/15/15, 80/20 ... Default: the source's splits, or 70/15/15."
    ),
    seed: int = typer.Option(42, help="Of the split."),
    force: bool = typer.Option(False, help="Replace an existing manifest."),
) -> None:
    """Make a manifest from images.

    Options of the format follow as --name value, for example:
    regard data import csv labels.csv --out m.parquet --label species --region 'masks/{stem}.png'
    """
    from regard.cli.console import bar, say
    from regard.cli.options import handed, importer_options
    from regard.cli.show_data import imported
    from regard.data.splits import split as assign
    from regard.errors import DataError, command
    from regard.importers import IMPORTERS, MADE

    if out.exists() and not force:
        raise DataError(
            str(out), expected="a new file", found="one that exists", remedy="add --force"
        )
    importer = IMPORTERS[format]
    options = importer_options(importer, format, context.args)
    root, notes = out.parent.resolve(), []
    with bar("importing") as shown:
        files = root / f"{out.stem}-{MADE.get(format, 'masks')}"
        places = handed(importer, root=root, files=files, progress=shown, say=notes.append)
        manifest = importer(src, **places, **options)
    if shares is not None or "split" not in manifest.table.columns:
        manifest = assign(manifest, shares or "70/15/15", seed)
    manifest.write(out)
    say(f"{out}: {imported(manifest)}")
    for note in notes:
        say(note)
    say("Next: " + "; ".join(command("data", step, out) for step in ("check", "describe")))


@app.command()
def check(
    manifest: Path = typer.Argument(help="A manifest."),
    out: Path | None = typer.Option(
        None,
        help="Default: bad_files.csv beside the manifest; NAME-bad_files.csv if that is another's.",
    ),
    near: bool = typer.Option(True, help="Look for exact and near duplicates, too."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Find what is wrong with a manifest.

    Decodes every file, looks for duplicates across splits, and writes bad_files.csv. Exit
    code 2 if there are errors.
    """
    from regard.checks.check import check as run_checks
    from regard.checks.check import place_of_bad_files, write_bad_files
    from regard.checks.duplicates import duplicates
    from regard.cli.console import bar
    from regard.cli.show_data import refuse_errors, show_check
    from regard.data.manifest import read_manifest

    table = read_manifest(manifest)
    with bar("checking files") as shown:
        problems = run_checks(table, progress=shown)
    same = []
    if near:
        with bar("looking for duplicates") as shown:
            same = duplicates(table, progress=shown)
    listed = [*problems, *(group.problem() for group in same)]
    path = write_bad_files(listed, out or place_of_bad_files(manifest), manifest.name)
    show_check(problems, same, manifest, path, as_json=as_json)
    refuse_errors(problems, same, manifest, path)


@app.command()
def describe(
    manifest: Path = typer.Argument(help="A manifest."),
    out: Path | None = typer.Option(None, help="Folder for plots. Default: beside the manifest."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Show what is in a manifest.

    Counts classes, sizes and regions, and draws them with a sheet of samples, on which boxes have
    the colours of their classes.
    """
    from regard.checks.describe import describe as measure
    from regard.checks.plots import draw
    from regard.cli.console import bar
    from regard.cli.show_data import show_description
    from regard.data.manifest import read_manifest

    table = read_manifest(manifest)
    with bar("measuring") as shown:
        found = measure(table, progress=shown)
    folder = out or manifest.parent / f"{manifest.stem}-described"
    show_description(found, manifest, draw(table, found, folder), as_json=as_json)


@app.command()
def sheets(
    out: Path = typer.Argument(help="A new folder."),
    train: int = typer.Option(600, help="Sheets to train on."),
    val: int = typer.Option(150, help="Sheets to choose on."),
    test: int = typer.Option(300, help="Sheets in each of test and test_shifted."),
    shortcut: float = typer.Option(0.95, help="How often the stamp's colour tells the class."),
    thorn: float = typer.Option(1.0, help="How clear the thorns are, 0 to 2."),
    seed: int = typer.Option(42, help="Of the drawing."),
) -> None:
    """Draw synthetic herbarium sheets.

    Thorny or smooth plants, and a stamp whose colour tells the class too often.
    """
    from regard.cli.console import bar, say
    from regard.machine import cores
    from regard.synthetic.sheets import write_sheets

    counts = {"train": train, "val": val, "test": test, "test_shifted": test}
    with bar("drawing sheets") as shown:
        path = write_sheets(
            out,
            counts=counts,
            shortcut=shortcut,
            thorn=thorn,
            seed=seed,
            workers=cores(),
            progress=shown,
        )
    say(f"{path}: {sum(counts.values())} sheets")


@app.command()
def decoy(
    out: Path = typer.Argument(help="A new folder."),
    source: Path = typer.Option(help="Folder of the IDX files of MNIST or Fashion-MNIST."),
    side: int = typer.Option(4, help="Of the patch, pixels."),
    limit: int | None = typer.Option(None, help="Images of each split. Default: all."),
    seed: int = typer.Option(42, help="Of corners and greys."),
) -> None:
    """Make decoy digits.

    A grey patch in a corner tells the class in train, and nothing in test.
    """
    from regard.cli.console import bar, say
    from regard.synthetic.decoys import write_decoys

    with bar("making decoys") as shown:
        path = write_decoys(source, out, side=side, limit=limit, seed=seed, progress=shown)
    say(f"{path}, and the same digits without a patch: {out / 'clean.parquet'}")
