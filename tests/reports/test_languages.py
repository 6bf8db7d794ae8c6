"""Reports in French: the catalogue is whole, and no English is left on a page."""

import ast
import re
import shutil
from functools import cache

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from pages import see
from templates_said import HOUSE, templates
from test_segmenter_reports import LAYER
from test_tuning_report import write_tuning

from regard.errors import ConfigError
from regard.evaluation.settings import Gaze
from regard.language import ENGLISH, phrase, plural, speaking
from regard.reports import report
from regard.reports.compare_report import compare_report
from regard.reports.drawing import canvas, inline, plot
from regard.reports.languages import language_of
from regard.reports.words import (
    _REASONS,
    between,
    count,
    decimal,
    general,
    listed,
    magnitude,
    p_value,
    pair_named,
    percent,
    title,
)
from regard.runs.comparable import open_runs
from regard.runs.compare import compare_runs
from regard.runs.evaluate import evaluate_run
from regard.runs.run import load_run
from regard.training.train import train
from tinyset import SEGMENTER, config_of, write_masks

FRENCH = language_of("fr")
CATALOGUE = FRENCH.catalogue
NARROW, BROAD = "\N{NARROW NO-BREAK SPACE}", "\N{NO-BREAK SPACE}"


@cache
def said():
    return templates()


def places(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


def test_every_template_has_a_french_one_and_none_is_left_over():
    assert said() - set(CATALOGUE) == set()
    assert set(CATALOGUE) - said() == set()
    assert len(said()) > 700


def test_french_templates_have_the_places_of_the_english_ones():
    assert {e: f for e, f in CATALOGUE.items() if places(e) != places(f)} == {}


def test_french_is_set_as_french_is():
    """Spaces before high punctuation do not break, and apostrophes are no straight ones."""
    for text in CATALOGUE.values():
        assert not re.search(r" [:;?!%»]|« |'|\w[;?!]", text), text


# What names and arguments in `evaluation` hold why a number or its interval is missing.
REASONS = re.compile(r"reason|why|nothing|BOUNDLESS|ONE_GROUP|_REASONS")


def reasons(tree: ast.Module) -> set[str]:
    found: list[ast.AST] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            if REASONS.fullmatch(node.targets[0].id):
                own = node.value
                found += own.values if isinstance(own, ast.Dict) else [own]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in (
            "missing", "share", "Interval",
        ):  # fmt: skip
            found += [*node.args, *(key.value for key in node.keywords if key.arg == "reason")]
    texts = {own.value for node in found for own in ast.walk(node)
             if isinstance(own, ast.Constant) and isinstance(own.value, str)}  # fmt: skip
    # Names of metrics and of methods are one word.
    return {text for text in texts if " " in text}


def test_every_reason_for_a_missing_number_is_known():
    found = set()
    for path in (HOUSE / "evaluation").glob("*.py"):
        found |= reasons(ast.parse(path.read_text("utf-8")))
    assert "the class is never predicted" in found
    assert len(found) > 15
    assert found - set(_REASONS) == set()


def test_the_collector_sees_every_way_to_say_something():
    # One of a condition, of a table of templates, of plural forms, of a column, of the page.
    for text in (
        "Means with 95 % intervals over images",
        "The worst class is {label}, with {value}.",
        "{n} runs failed and are in no number here: {names}.",
        "Corrected p",
        "Region outline",
        "comparisons",
        "Faithfulness: does the net's answer hang on what the map shows",
    ):
        assert text in said()


@pytest.mark.parametrize(
    ("shown", "english", "french"),
    [
        (lambda: decimal(-1234.5678), "−1,234.568", f"−1{NARROW}234,568"),
        (lambda: decimal(0.0000204), "0.000020", "0,000020"),
        (lambda: decimal(-2e-9), "−2.0e−09", "−2,0e−09"),
        (lambda: decimal(-1e-17), "−0.000", "−0,000"),
        (lambda: between({"low": 0.0, "high": 0.00002}), "0.000 to 0.000020", "0,000 à 0,000020"),
        (lambda: percent(0.4215), f"42.1{BROAD}%", f"42,1{BROAD}%"),
        (lambda: between({"low": 0.1, "high": 0.25}, percent), f"10.0 to 25.0{BROAD}%",
         f"10,0 à 25,0{BROAD}%"),
        (lambda: p_value(1e-5), "< 0.001", "< 0,001"),
        (lambda: count(0, "image"), "0 images", "0 image"),
        (lambda: count(12000, "class", "classes"), "12,000 classes", f"12{NARROW}000 classes"),
        (lambda: magnitude(3.64e9, "B"), f"3.64{BROAD}GB", f"3,64{BROAD}Go"),
        (lambda: general(0.5), "0.5", "0,5"),
        (lambda: listed(list("abc")), "a, b and c", "a, b et c"),
        (lambda: title("recall"), "Recall", "Rappel"),
        (lambda: plural(1, "{n} thread", "{n} threads"), "1 thread", "1 fil d’exécution"),
    ],
)  # fmt: skip
def test_numbers_and_words_are_those_of_the_language(shown, english, french):
    assert shown() == english
    with speaking(FRENCH):
        assert shown() == french
    assert shown() == english


def test_ticks_of_plots_have_decimal_commas():
    def ticks() -> list[str]:
        with canvas() as drawn:
            axes = plot(drawn, "x")
            axes.plot([0.0, 0.5], [0.25, 0.75])
            return re.findall(r">(−?[\d.,]+)</text>", inline(drawn, "a line"))

    english = ticks()
    with speaking(FRENCH):
        french = ticks()
    assert any("." in tick for tick in english)
    assert french == [tick.replace(".", ",") for tick in english]


@pytest.mark.parametrize(
    ("values", "written"),
    [
        ([0.693125, 0.69315], "0.693130"),
        ([1.2e6, 1.5e6], "1,400,000"),
        ([1e-7, 3e-7], "3e−07"),
        ([-250000.5, 3.0], "−200,000"),
    ],
)
@pytest.mark.parametrize("code", ["en", "fr"])
def test_nothing_beside_an_axis_is_cut_off(values, written, code):
    with speaking(language_of(code)), canvas(340, 240) as drawn:
        axes = plot(drawn, phrase("epoch"), phrase("share of images at or below"))
        axes.plot([0, 100_000], values)
        html = inline(drawn, "a line")
        pen = FigureCanvasAgg(drawn).get_renderer()
        box, (width, height) = axes.get_tightbbox(pen), drawn.bbox.size
        if code == "en":
            assert f">{written}</text>" in html
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= width
    assert box.y1 <= height


def test_values_with_braces_are_text():
    assert phrase("{label} (wrong)", label="{x} {0}") == "{x} {0} (wrong)"


def test_names_from_right_to_left_leave_numbers_where_they_are():
    name, apart = "שרך", "\N{FIRST STRONG ISOLATE}שרך\N{POP DIRECTIONAL ISOLATE}"
    assert phrase("map of {label}", label=name) == f"map of {apart}"
    assert pair_named(name, "plain") == f"{apart} − plain"
    assert listed([name, name, "fern"]) == f"\N{FIRST STRONG ISOLATE}{apart}, {apart}" + (
        "\N{POP DIRECTIONAL ISOLATE} and fern"
    )
    assert phrase("map of {label}", label="fougère") == "map of fougère"


def test_an_unknown_language_is_refused(trained, tmp_path):
    with pytest.raises(ConfigError, match="en or fr"):
        report(trained, tmp_path / "r.html", pictures=0, language="de")


@cache
def english_sentences() -> list[re.Pattern[str]]:
    """What English templates of two words or more look like when they are filled."""
    found = []
    for text in said():
        words = re.findall(r"[A-Za-z]{2,}", re.sub(r"\{\w+\}", " ", text))
        if len(words) > 1 and CATALOGUE[text] != text:
            pattern = re.sub(r"\\\{\w+\\\}", ".+", re.escape(text))
            found.append(re.compile(pattern))
    return found


def english_left(path) -> list[str]:
    """Visible and spoken texts of a page that an English template could have made."""
    page = see(path)
    spoken = [value for tag in page.tags for name, value in tag.attributes.items()
              if name in ("alt", "aria-label", "title")]  # fmt: skip
    texts = {" ".join(text.split()) for text in [*page.words, *spoken]}
    patterns = english_sentences()
    return [text for text in texts if any(p.fullmatch(text) for p in patterns)]


def checked(path) -> str:
    """The page's HTML, after what holds of every French one."""
    html = path.read_text(encoding="utf-8")
    assert '<html lang="fr">' in html
    assert english_left(path) == []
    text = see(path).text
    assert "Tous les nombres de cette page" in text
    assert re.search(r"\d,\d", text)
    shown = re.sub(r"<pre>.*?</pre>|<style>.*?</style>|<script>.*?</script>", "", html, flags=re.S)
    drawn = re.findall(r"<text[^>]*>([^<]*)</text>", shown)
    assert not [tick for tick in drawn if re.fullmatch(r"−?\d+\.\d+", tick)]
    return html


def test_the_check_finds_english(trained, tmp_path):
    left = english_left(report(trained, tmp_path / "en.html", pictures=1))
    assert "The test split was evaluated once." in left
    assert "Every number on this page" in " ".join(left)


def test_a_run_in_french(trained, tmp_path):
    html = checked(report(trained, tmp_path / "fr.html", pictures=2, language="fr"))
    assert "Le jeu de test a été évalué une fois." in html
    assert "Exactitude sur test" in html
    assert ENGLISH is language_of("en")


def test_a_study_in_french(study_folder, tmp_path):
    html = checked(report(study_folder, tmp_path / "fr.html", pictures=1, language="fr"))
    assert "Comment lire ces résultats" in html


def test_a_study_in_folds_in_french(folds_folder, tmp_path):
    html = checked(report(folds_folder, tmp_path / "fr.html", pictures=1, language="fr"))
    assert "Nadeau et Bengio" in html
    assert "Réunis sur 3 plis" in html


def test_a_comparison_in_french(trained, tmp_path):
    runs = [str(shutil.copytree(trained, tmp_path / name)) for name in ("one", "other")]
    compare_runs(open_runs(runs, "test"), "test", tmp_path / "out")
    html = checked(compare_report(tmp_path / "out", pictures=1, language="fr"))
    assert "Aucune différence n’est démontrée." in html


def test_a_tuning_in_french(tmp_path):
    html = checked(report(write_tuning(tmp_path), language="fr"))
    assert "Ces valeurs sont optimistes" in html


def test_a_segmenter_in_french(tmp_path):
    home = write_masks(tmp_path, count=16)
    changes = ("training.epochs=1", "data.size=[64,96]", f"gaze.layer={LAYER}")
    train(config_of(*changes, base=SEGMENTER), home / "run", folder=home)
    evaluate_run(load_run(home / "run"), "test", gaze=[Gaze(layer=LAYER)])
    html = checked(report(home / "run", pictures=2, language="fr"))
    assert "IoU moyenne</a> sur test" in html
    assert "prédiction" in html
