"""`regard list`: what there is to choose from."""

import typer

app = typer.Typer(help="What there is to choose from.", no_args_is_help=True)


def _show(names: list[str], as_json: bool) -> None:
    from regard.cli.console import print_json

    if as_json:
        print_json(names)
    else:
        typer.echo("\n".join(names))


JSON = typer.Option(False, "--json", help="Print JSON.")


@app.command()
def methods(as_json: bool = JSON) -> None:
    """Saliency methods."""
    from regard.saliency import methods as names

    _show(names(), as_json)


@app.command()
def scores(as_json: bool = JSON) -> None:
    """Scores of maps."""
    from regard.scores import scores as names

    _show(names(), as_json)


@app.command()
def terms(as_json: bool = JSON) -> None:
    """Guidance terms."""
    from regard.guidance import terms as names

    _show(names(), as_json)


@app.command()
def importers(as_json: bool = JSON) -> None:
    """Formats that can be imported."""
    from regard.importers import IMPORTERS

    _show(list(IMPORTERS), as_json)


@app.command()
def recipes(as_json: bool = JSON) -> None:
    """Studies that are shipped."""
    from regard.studies.read import recipes as names

    _show(list(names()), as_json)


@app.command()
def backbones(
    like: str = typer.Argument("*", help="A pattern, such as 'resnet*'."), as_json: bool = JSON
) -> None:
    """Backbones, by the spec that a config takes."""
    from fnmatch import fnmatch

    import timm

    from regard.models.architectures import architectures
    from regard.models.families import SMALL
    from regard.models.segmenters import DECODERS

    own = [f"regard:{name}" for name in SMALL if fnmatch(name, like)]
    own += [f"smp:{name}" for name in DECODERS if fnmatch(name, like)]
    others = [f"hf:{name}" for name in architectures() if fnmatch(name, like)]
    _show([*own, *others, *(f"timm:{name}" for name in timm.list_models(like))], as_json)
