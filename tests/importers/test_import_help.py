"""The options of each format on the command line, from signatures and docstrings."""

import inspect

import pytest

from regard.cli.data import import_
from regard.cli.options import help_of, importer_options, own_parameters
from regard.docstrings import about, entries
from regard.errors import ConfigError
from regard.importers import IMPORTERS


@pytest.mark.parametrize("name", list(IMPORTERS))
def test_every_option_of_every_format_has_its_line(name):
    text, options = help_of(IMPORTERS[name])
    assert text.startswith("Import ")
    assert [usage.split()[0] for usage, _ in options] == [
        "--" + ("no-" if p.default is True else "") + p.name.replace("_", "-")
        for p in own_parameters(IMPORTERS[name])
    ]
    for usage, meaning in options:
        assert len(meaning) > 12, usage
        assert meaning[0].isupper(), usage
        assert "`" not in meaning


def test_options_say_their_kind_and_default():
    options = dict(help_of(IMPORTERS["csv"])[1])
    assert options["--images <str>"].endswith("[default: .]")
    assert options["--region-threshold <int>"].startswith("The region is where its image is")
    assert options["--inclusive"].startswith("The corners xmax and ymax are the last")
    assert dict(help_of(IMPORTERS["voc"])[1])["--no-one-based"].startswith("Without it: the first")


@pytest.mark.parametrize("words", [["--label"], ["--label", "--region", "x"]])
def test_an_option_without_its_value_is_refused(words):
    with pytest.raises(ConfigError, match="csv, --label: expected a value after it, found"):
        importer_options(IMPORTERS["csv"], "csv", words)


def test_options_are_read_in_both_ways():
    words = ["--label=kind", "--region", "m/{stem}.png", "--inclusive", "--region-threshold", "7"]
    assert importer_options(IMPORTERS["csv"], "csv", words) == {
        "label": "kind",
        "region": "m/{stem}.png",
        "inclusive": True,
        "region_threshold": 7,
    }
    assert importer_options(IMPORTERS["voc"], "voc", ["--no-difficult"]) == {"difficult": False}
    for word, value in {"--difficult=no": False, "--difficult=TRUE": True, "--one-based=0": False,
                        "--no-one-based=false": True}.items():  # fmt: skip
        name = "one_based" if "one" in word else "difficult"
        assert importer_options(IMPORTERS["voc"], "voc", [word]) == {name: value}
    with pytest.raises(ConfigError, match="--difficult: expected nothing behind it, or true or fa"):
        importer_options(IMPORTERS["voc"], "voc", ["--difficult=2"])


def test_docstrings_are_taken_apart():
    def thing():
        """Do it.

        More of it.

        Args:
            one: first line
                and the second: with a colon.
            two, three: shared.

        Returns:
            four: not an argument.
        """

    assert about(thing) == "Do it.\n\nMore of it."
    assert entries(thing, "Args") == {
        "one": "first line and the second: with a colon.",
        "two": "shared.",
        "three": "shared.",
    }
    assert entries(thing, "Attributes") == {}


def test_no_importer_has_an_option_of_the_command_itself():
    own = {*inspect.signature(import_).parameters}
    for name, importer in IMPORTERS.items():
        assert not own & {p.name for p in own_parameters(importer)}, name
