"""The report of a comparison says what its files say, and shows the images it names."""

import shutil

import polars as pl
import pytest
from pages import HOSTILE, MATHS, see

from regard.cli.show_compare import show_comparison
from regard.errors import RunError
from regard.evaluation.comparison import OUTCOMES
from regard.reports.compare_report import compare_report, pictures_of
from regard.reports.compare_tables import reading
from regard.reports.compare_verdicts import dead_words, map_words
from regard.reports.words import count, decimal, percent, signed
from regard.runs.comparable import open_runs
from regard.runs.compare import compare_runs
from regard.runs.files import read_json, write_json


@pytest.fixture(scope="module")
def compared(trained, tmp_path_factory):
    """A run of hostile class names against a copy of it."""
    folder = tmp_path_factory.mktemp("compared")
    runs = [str(shutil.copytree(trained, folder / name)) for name in ("run", "other run")]
    out = folder / "out"
    compare_runs(open_runs(runs, "test"), "test", out)
    return out


@pytest.fixture
def folder(compared, tmp_path):
    """A copy whose outcomes are made up: two images of each kind but for stays wrong."""
    out = shutil.copytree(compared, compared.parent / "copy")
    pairs = pl.read_parquet(out / "pairs.parquet")
    assert len(pairs) == 6
    outcomes = [name for name in OUTCOMES[:3] for _ in range(2)]
    right = {"right_before": [o != OUTCOMES[2] for o in outcomes],
             "right_after": [o != OUTCOMES[1] for o in outcomes],
             "outcome": outcomes, "magtr_after": [0.4, 0.3, 0.2, 0.1, 0.2, 0.3]}  # fmt: skip
    pairs.with_columns(**{k: pl.Series(v) for k, v in right.items()}).write_parquet(
        out / "pairs.parquet"
    )
    summary = read_json(out / "summary.json")
    summary["others"][0]["outcomes"] = dict(zip(OUTCOMES, (2, 2, 2, 0), strict=True))
    write_json(out / "summary.json", summary)
    yield out
    shutil.rmtree(out)


def test_the_page_says_what_the_files_say(compared):
    seen, summary = see(compare_report(compared, pictures=0)), read_json(compared / "summary.json")
    (other,) = summary["others"]
    accuracy = other["accuracy"]
    shown = [decimal(accuracy[end]["value"]) for end in ("before", "after")]
    assert seen.row("Accuracy")[1:3] == shown
    energy = other["scores"]["energy"]
    assert seen.row("Energy")[3].split("|")[0] == signed(energy["difference"]["value"])
    for name, number in other["outcomes"].items():
        row = seen.row(name.replace("_", " ").capitalize())
        assert row[1:3] == [f"{number:,}", percent(number / 6)]
    assert percent(accuracy["after"]["value"]).replace("\xa0", " ") in seen.text
    assert [h for h in seen.named("section") if h.get("id") == "pictures"] == []
    assert count(6, "image") in seen.text
    assert "no difference shown" in seen.text


def test_both_confusion_matrices_side_by_side(compared):
    seen = see(compare_report(compared, pictures=0))
    (other,) = read_json(compared / "summary.json")["others"]
    matrices = [tag for tag in seen.named("table") if tag.get("class") == "matrix"]
    assert [tag["aria-label"] for tag in matrices] == ["run", "other run"]
    rows = [row for row in seen.rows if len(row) == 3 and row[0] in (HOSTILE, MATHS)]
    cells = [[int(cell.split("|")[0]) for cell in row[1:]] for row in rows]
    assert cells == [*other["confusion"]["before"], *other["confusion"]["after"]]


def test_of_many_classes_both_images_and_both_lists(compared, tmp_path):
    out = shutil.copytree(compared, tmp_path / "out")
    summary, names = read_json(out / "summary.json"), [f"class {n}" for n in range(20)]
    matrix = [[6 if a == b else int((a, b) == (3, 4)) for b in range(20)] for a in range(20)]
    summary["others"][0]["confusion"] = {"before": matrix, "after": matrix}
    write_json(out / "summary.json", summary | {"classes": names})
    seen = see(compare_report(out, pictures=0))
    captions = [f"The most frequent confusions, {name}" for name in ("run", "other run")]
    assert [tag["aria-label"] for tag in seen.named("table")][-2:] == captions
    drawn = [tag for tag in seen.named("svg") if tag.get("role") == "img"]
    assert len(drawn) == 2 + 2  # the matrices, and the calibration of both
    assert seen.row("class 3")[:3] == ["class 3", "class 4", "1"]


def test_maps_that_cannot_be_compared_say_why_in_card_text_table_and_terminal(
    compared, tmp_path, capsys
):
    out = shutil.copytree(compared, tmp_path / "out")
    summary = read_json(out / "summary.json")
    (other,) = summary["others"]
    why = "no image has a map of both that is not zero everywhere"
    none = {"before": None, "after": None, "p_value": None}
    for name, found in other["scores"].items():
        lost = {"value": None, "low": None, "high": None, "n": 0, "reason": why}
        other["scores"][name] = none | {"difference": found["difference"] | lost}
    other |= {"dead_maps": {"before": 0.8, "after": 0.93}, "unlooked": None}
    write_json(out / "summary.json", summary)
    dead = " ".join(dead_words(summary, other).split())
    assert dead.startswith("Maps that are zero everywhere, and in no score: 80.0 % with run, 93.0")
    text = " ".join(see(compare_report(out, pictures=0)).text.split())
    assert f"energy is defined on no image with both ({why})" in text
    assert text.count(why) >= 2 + 2 + len(other["scores"])  # text, cards, table
    assert dead in text
    show_comparison(summary)
    told = capsys.readouterr().out
    assert f"– ({why})" in told
    assert dead in " ".join(told.split())
    # Of sets and of segmenters the text says it in a sentence.
    assert map_words(summary, other) == " ".join(
        [f"The energy of maps cannot be compared: {why}.", dead_words(summary, other)]
    )
    other["scores"]["energy"]["difference"]["value"] = 0.0
    assert map_words(summary, other | {"dead_maps": {"before": 0, "after": 0}}) == ""


def test_names_of_others_are_text(compared):
    html = compare_report(compared, pictures=0).read_text()
    assert HOSTILE not in html


def test_a_gallery_an_outcome_in_the_order_that_it_says(folder):
    done = []
    seen = see(compare_report(folder, pictures=1, progress=done.append))
    assert len(done) == pictures_of(read_json(folder / "summary.json"), 1) == 3
    pairs = pl.read_parquet(folder / "pairs.parquet")
    titles = (
        "Right with both, lowest MAGTR with other run",
        "Right with run, wrong with other run",
        "Wrong with run, right with other run",
    )
    assert all(title in seen.text for title in titles)
    photos = [tag for tag in seen.named("img") if "map" not in tag.get("class", "")]
    maps = [tag for tag in seen.named("img") if "map" in tag.get("class", "")]
    assert (len(photos), len(maps)) == (9, 6)
    outlines = [tag for tag in seen.named("svg") if tag.get("class") == "outline"]
    assert len(outlines) == 9
    first = pairs.filter(pl.col("outcome") == OUTCOMES[0]).sort("magtr_after")
    others = [pairs.filter(pl.col("outcome") == name) for name in OUTCOMES[1:3]]
    rows = [first, *(o.sort("probability_after", descending=True) for o in others)]
    files = [table["image"][0] for table in rows]
    assert [tag["alt"].removesuffix(", without a map") for tag in photos[::3]] == files


def test_lost_runs_leave_out_the_pictures_and_say_so(folder):
    summary = read_json(folder / "summary.json")
    summary["first"]["folder"] = "nowhere"
    write_json(folder / "summary.json", summary)
    seen = see(compare_report(folder))
    assert "Pictures are left out: " in seen.text
    assert seen.named("img") == []


def test_several_others_have_a_section_each(run_folder, tmp_path):
    runs = open_runs([str(run_folder)] * 3, "test")
    compare_runs(runs, "test", tmp_path / "out")
    seen = see(compare_report(tmp_path / "out", pictures=1))
    anchors = [tag["id"] for tag in seen.named("section") if "id" in tag]
    assert anchors == ["summary", "run-0", "run-1", "words"]
    assert "not corrected for the number of runs" in seen.text


@pytest.mark.parametrize("name", ["summary.json", "pairs.parquet"])
def test_another_folder_is_refused(folder, name):
    (folder / name).unlink()
    with pytest.raises(RunError, match="of regard compare"):
        compare_report(folder)


@pytest.mark.parametrize(
    ("low", "high", "p", "word"),
    [
        (0.1, 0.2, 0.01, "better"),
        (-0.2, -0.1, 0.01, "worse"),
        (0.1, 0.2, 0.125, "no difference shown"),
        (-0.1, 0.2, 0.01, "no difference shown"),
        (0.1, 0.2, None, "better"),
        (None, None, 0.01, "better"),
        (None, None, 1.0, "no difference shown"),
        (None, None, None, "no difference shown"),
    ],
)
def test_a_reading_needs_the_interval_and_p(low, high, p, word):
    """Of four images the interval is too narrow, and p cannot be below an eighth."""
    value = 0.15 if low is None else (low + high) / 2
    ends = {"value": value, "low": low, "high": high, "level": 0.95}
    found = {"difference": ends, "p_value": p}
    assert reading("energy", found) == word
