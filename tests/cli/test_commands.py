"""Every command: its help, what it prints and what it writes."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
import typer
from PIL import Image

from regard import __version__
from regard.cli.console import table
from regard.cli.main import app
from regard.importers import IMPORTERS
from regard.models.families import SMALL
from regard.runs.files import read_json, write_json
from regard.runs.run import load_run
from regard.saliency import methods
from regard.scores import scores
from regard.studies.read import recipes
from tinyset import SEGMENTER, log_lines, run_regard, write_config, write_masks, write_set


def commands():
    """Every command's words, from the command line itself."""

    def walk(command, words):
        yield words
        for name, own in getattr(command, "commands", {}).items():
            yield from walk(own, [*words, name])

    return list(walk(typer.main.get_command(app), []))


@pytest.fixture
def run(trained):
    copy = trained.with_name("copy")
    yield shutil.copytree(trained, copy)
    shutil.rmtree(copy)


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_has_help(regard, words):
    answer = regard(*words, "--help")
    assert answer.code == 0
    usage, text = answer.out.strip().split("\n", 1)
    assert usage.startswith(" ".join(["Usage: regard", *words]))
    assert "--help" in text
    assert text.strip().splitlines()[0].strip()[0].isupper()
    assert not text.strip().startswith("Options")


def test_the_commands_of_the_design_are_there():
    names = {" ".join(words) for words in commands()}
    assert names >= {
        "train",
        "evaluate",
        "explain",
        "score",
        "bench",
        "study",
        "tune",
        "report",
        "quickstart",
    }
    assert names >= {"data import", "data check", "data describe", "data sheets", "list methods"}


def test_version_and_the_module_as_a_program():
    answer = run_regard("--version")
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, f"{__version__}\n", "")


def test_help_imports_nothing_heavy():
    import subprocess
    import sys

    code = (
        "import sys; sys.argv = ['regard', '--help']\n"
        "from regard.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'polars', 'rich.table', 'pydantic', 'PIL'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("methods", methods),
        ("scores", scores),
        ("importers", lambda: list(IMPORTERS)),
        ("recipes", lambda: list(recipes())),
    ],
)
def test_lists(regard, kind, names):
    assert regard("list", kind).out.splitlines() == names()
    assert json.loads(regard("list", kind, "--json").out) == names()


def test_backbones_are_listed_by_pattern(regard):
    found = regard("list", "backbones", "resnet1*").out.splitlines()
    assert "timm:resnet18" in found
    assert all(name.partition(":")[2].startswith("resnet1") for name in found)
    everything = {*regard("list", "backbones").out.splitlines()}
    assert {"smp:unet", *(f"regard:{name}" for name in SMALL)} <= everything
    found = regard("list", "backbones", "*convnextv2*").out.splitlines()
    assert {"hf:convnextv2", "timm:convnextv2_atto"} <= set(found)
    assert "hf:vit" not in found


def test_from_pictures_to_scores_in_a_folder_with_spaces_and_letters(regard, tiny, tmp_path):
    home = tmp_path / "Grüße aus 東京 & mehr"
    shutil.copytree(tiny, home)
    config = write_config(home, "training.epochs=1", name="mein lauf.yaml")
    run = home / "läufe" / "erster lauf"
    answer = regard("train", config, "--out", run)
    assert answer.code == 0, answer.err
    # As it is to be pasted: quoted.
    steps = [f"regard {name} '{run}'" for name in ("evaluate", "score", "explain", "report")]
    assert "Next: " + "; ".join(steps) in answer.out.splitlines()
    assert "epoch   1" in answer.err
    answer = regard("evaluate", run)
    assert answer.code == 0, answer.err
    assert "this split has been read 1 time\n" in answer.out
    assert "By class" in answer.out
    answer = regard("score", run, "--json")
    assert json.loads(answer.out) == read_json(run / "metrics" / "test.json")["gaze"]
    answer = regard("explain", run, "--limit", "2")
    assert answer.code == 0, answer.err
    rows = read_json(run / "explanations" / "explanations.json")
    assert [Path(row["image"]).name for row in rows] == ["test-00.png", "test-01.png"]
    assert all((run / "explanations" / row["overlay"]).is_file() for row in rows)


def test_a_segmenter_from_masks_to_its_numbers(regard, tmp_path):
    home = write_masks(tmp_path)
    config = write_config(home, "training.epochs=1", base=SEGMENTER)
    answer = regard("train", config, "--out", home / "run")
    assert answer.code == 0, answer.err
    run = home / "run"
    line = f"Next: regard evaluate {run}; regard score {run}; regard explain {run} --class ground; "
    assert f"{line}regard report {run}" in answer.out.splitlines()
    assert "mean_iou" in answer.err
    answer = regard("evaluate", home / "run")
    assert answer.code == 0, answer.err
    assert all(word in answer.out for word in ("mean_iou", "boundary F1", "ground", "box"))
    answer = regard("evaluate", home / "run", "--window", 24, "--flip", "--size", 40, 64, "--json")
    assert json.loads(answer.out)["inference"] == {
        "size": [40, 64], "window": [24, 24], "overlap": 0.5, "flip": True,
    }  # fmt: skip
    for words in (("--window", "0"), ("--window", "24", "--overlap", "1")):
        answer = regard("evaluate", home / "run", *words)
        assert (answer.code, answer.err.count("\n")) == (2, 1)
        assert "expected a s" in answer.err
    answer = regard("explain", run)
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "found none; name one of: ground, box" in answer.err
    for name in ("ground", "box"):
        assert regard("explain", run, "--class", name, "--limit", "1").code == 0
    for name in ("ground", "box"):
        rows = read_json(run / "explanations" / name / "explanations.json")
        assert [row["target"] for row in rows] == [name]
        assert (run / "explanations" / name / rows[0]["overlay"]).is_file()
    answer = regard("score", run)
    assert answer.code == 0, answer.err
    assert "Gaze by class, gradcam" in answer.out
    # What was measured in windows stays when the gaze is scored.
    assert read_json(run / "metrics" / "test.json")["inference"]["flip"] is True
    assert regard("report", run).code == 0
    assert "in windows of 24 x 24" in (run / "report.html").read_text()
    answer = regard("data", "describe", home / "manifest.parquet", "--out", home / "described")
    assert "Pixels by class, and the masks that show it" in answer.out
    assert (home / "described" / "samples.png").is_file()


def test_the_default_folder_is_named_after_the_config(regard, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = write_config(tiny, "training.epochs=1", name="small.yaml")
    assert regard("train", config, "--set", "training.seed=3").code == 0
    assert load_run("runs/small").config["training"]["seed"] == 3


def test_what_comes_next_is_what_the_run_can_do(regard, tmp_path):
    write_set(tmp_path, counts={"train": 6, "val": 3}, regions=False)
    run = tmp_path / "run"
    answer = regard("train", write_config(tmp_path, "training.epochs=1"), "--out", run)
    line = f"Next: regard evaluate {run} --split val; regard explain {run} --split val; "
    assert f"{line}regard report {run}" in answer.out.splitlines()


def test_lines_of_a_log_are_not_folded(regard, tiny, tmp_path):
    config = write_config(tiny, "training.epochs=1", name="long.yaml")
    answer = regard("train", config, "--out", tmp_path / "run")
    (line,) = [line for line in answer.err.splitlines() if line.startswith("epoch")]
    assert len(line) > 100
    assert "train loss" in line
    assert "val loss" in line


def test_a_title_is_not_folded_to_its_table(capsys):
    title = "A title of a table that is very much longer than the table that stands below it, " * 2
    table(title, ["a"], [[1]])
    assert capsys.readouterr().out.splitlines()[0] == title


def test_resume_of_a_finished_run_says_that_it_is_done(regard, run):
    before = log_lines(run)
    answer = regard("train", run, "--resume")
    said = f"{run}: was already finished, after 2 epochs; nothing was trained"
    assert (answer.code, answer.out.splitlines()[0]) == (0, said)
    assert log_lines(run) == before


def test_evaluation_as_json_is_the_file(regard, run):
    answer = regard("evaluate", run, "--split", "val", "--checkpoint", "last", "--json")
    assert json.loads(answer.out) == read_json(run / "metrics" / "val.json")
    assert json.loads(answer.out)["checkpoint"] == "step-6"
    assert answer.err == ""


def test_a_threshold_is_chosen_shown_and_kept(regard, run):
    answer = regard("evaluate", run, "--target-recall", 0.75)
    assert answer.code == 0, answer.err
    kept = read_json(run / "threshold.json")
    said = f"Threshold {kept['threshold']:.3g} of moss, chosen on val for a recall of 75 %: recall "
    assert said in answer.out
    assert "over 4 images" in answer.out
    assert "specificity_at_threshold" in answer.out
    answer = regard("evaluate", run, "--threshold", "f1", "--positive", "fern", "--json")
    found = json.loads(answer.out)
    assert found["threshold"] == read_json(run / "threshold.json")
    assert (found["threshold"]["by"], found["metrics"]["positive"]) == ("f1", "fern")


def test_scores_of_several_methods(regard, run):
    answer = regard("score", run, "--method", "gradcam", "--method", "cam", "--split", "val")
    assert answer.code == 0, answer.err
    assert "Gaze on val" in answer.out
    assert "Methods on val, by paired tests" in answer.out
    ranked = [line.split()[0] for line in answer.out.splitlines() if "is better)" in line]
    assert set(ranked) > {"energy", "pointing", "deletion", "sparseness"}
    table = pl.read_parquet(run / "scores" / "val.parquet")
    assert table["method"].unique().sort().to_list() == ["cam", "gradcam"]
    assert set(read_json(run / "metrics" / "val.json")["gaze"]) == {"cam", "gradcam"}
    one = regard("score", run, "--method", "hirescam", "--score", "sparseness", "--split", "val")
    assert one.code == 0, one.err
    energy = next(line for line in one.out.splitlines() if line.split()[:1] == ["energy"])
    assert energy.split()[-1] == "–"  # not scored by hirescam


def test_single_images_are_explained(regard, run, tiny, tmp_path):
    image = tiny / "images" / "val-03.png"
    words = ("--images", image, "--images", image, "--class", "moss", "--out", tmp_path)
    answer = regard("explain", run, *words, "--json")
    rows = json.loads(answer.out)
    assert [row["target"] for row in rows] == ["moss", "moss"]
    assert rows == read_json(tmp_path / "explanations.json")


def test_explanations_are_shown_as_a_table(regard, run):
    answer = regard("explain", run, "--method", "gradcam", "--method", "cam", "--limit", 8)
    lines = answer.out.splitlines()
    assert lines[0] == f"Explanations in {run / 'explanations'}"
    rows = read_json(run / "explanations" / "explanations.json")
    told = [line.split() for line in lines if ".jpg" in line]
    assert told == [
        [Path(row["image"]).name, row["predicted"], f"{row['probability']:.1%}", row["overlay"]]
        for row in rows[:12]
    ]
    assert lines[-1].startswith("4 more maps; ")


def test_maps_of_other_images_do_not_stay_beside_the_new_ones(regard, run, tiny):
    out = run / "explanations"
    assert regard("explain", run, "--limit", 3).code == 0
    (out / "gradcam" / "own.jpg").write_text("not listed")
    (out / "notes.txt").write_text("not listed")
    rows = read_json(out / "explanations.json")
    outside = run / "outside.jpg"
    outside.write_text("not ours")
    write_json(out / "explanations.json", [*rows, rows[0] | {"overlay": "../outside.jpg"}])
    images = ("--images", tiny / "images/val-03.png", "--images", tiny / "images/test-00.png")
    assert regard("explain", run, *images).code == 0
    listed = {row["overlay"] for row in read_json(out / "explanations.json")}
    assert listed == {"gradcam/00000-val-03.jpg", "gradcam/00001-test-00.jpg"}
    pictures = {path.relative_to(out).as_posix() for path in out.rglob("*.jpg")}
    assert pictures == listed | {"gradcam/own.jpg"}
    assert (out / "notes.txt").is_file()
    assert outside.is_file()


def test_expected_gradients_can_be_drawn_and_scored(regard, run):
    words = ("--method", "expected_gradients", "--background", 2)
    answer = regard("explain", run, *words, "--limit", 2, "--json")
    assert answer.code == 0, answer.err
    assert [row["method"] for row in json.loads(answer.out)] == ["expected_gradients"] * 2
    answer = regard("score", run, *words, "--score", "energy", "--split", "val", "--json")
    assert answer.code == 0, answer.err
    assert list(json.loads(answer.out)) == ["expected_gradients"]


def test_mean_maps_are_written_for_each_method_and_told(regard, run):
    words = ("--global", "--split", "val", "--limit", 6)
    methods_ = ("--method", "gradcam", "--method", "saliency")
    answer = regard("explain", run, *words, *methods_)
    assert answer.code == 0, answer.err
    assert "Mean maps of gradcam on val" in answer.out
    assert "Mean maps of saliency on val" in answer.out
    out = run / "explanations" / "global"
    files = {"averages.json", "averages.parquet", "maps.safetensors", "mean.png", "classes.png"}
    for name in ("gradcam", "saliency"):
        assert {path.name for path in (out / name).iterdir()} == files
    answer = regard("explain", run, *words, "--background", 2, "--json")
    (values,) = json.loads(answer.out)
    assert values == read_json(out / "expected_gradients" / "averages.json")
    assert (values["method"], values["background"], values["target"]) == (
        "expected_gradients",
        2,
        "label",
    )
    assert values["rows"][0]["images"] == 6


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--images", "photo.jpg"), "found --images; leave out --images, or --global"),
        (("--class", "fern"), "found --class; leave out --class, or --global"),
        (("--limit", 0), "limit: expected 1 image or more, found 0"),
        (("--background", 0), "background: expected 1 image or more, found 0"),
        (("--method", "gradcm"), "did you mean gradcam"),
        (("--method", "gradcam", "--background", 4), "--background: expected a method that"),
        (("--split", "holdout"), "'holdout'"),
    ],
)
def test_what_cannot_be_averaged_is_refused_in_a_line(regard, run, words, told):
    answer = regard("explain", run, "--global", *words)
    assert answer.code == 2
    assert told in answer.err
    assert len(answer.err.strip().splitlines()) == 1
    assert not (run / "explanations").exists()


@pytest.mark.parametrize("command", ["explain", "score"])
def test_a_background_that_no_method_begins_from_is_refused(regard, run, command):
    answer = regard(command, run, "--background", 4)
    assert answer.code == 2
    assert "found gradcam; leave it out" in answer.err


@pytest.mark.parametrize("words", [("--split", "test"), ("--limit", 3)])
def test_images_and_a_split_are_not_both_explained(regard, run, words):
    answer = regard("explain", run, "--images", "photo.jpg", *words)
    assert answer.code == 2
    assert f"found {words[0]}; leave out {words[0]}, or --images" in answer.err


def test_less_than_one_image_is_not_explained(regard, run):
    answer = regard("explain", run, "--limit", -1)
    assert answer.code == 2
    assert "limit: expected 1 image or more, found -1" in answer.err


def test_import_check_and_describe(regard, tmp_path):
    for number, name in enumerate(("fern", "moss")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for k in range(5):
            colour = (40 * k, 90 * number, 200 - 30 * k)
            Image.new("RGB", (20 + k, 30), colour).save(tmp_path / "photos" / name / f"{k}.png")
    out = tmp_path / "my.parquet"
    answer = regard("data", "import", "folder", tmp_path / "photos", "--out", out)
    assert answer.code == 0, answer.err
    assert f"{out}: 10 samples, 2 classes; " in answer.out
    assert pl.read_parquet(out)["split"].null_count() == 0
    before = out.read_bytes()
    words = ("data", "import", "folder", tmp_path / "photos", "--out", out, "--shares", "80/20")
    assert regard(*words, "--force").code == 0
    assert out.read_bytes() != before
    answer = regard("data", "check", out, "--json")
    found = json.loads(answer.out)
    assert found["file"] == str(tmp_path / "bad_files.csv")
    assert (answer.code == 1) == any(p["severity"] == "error" for p in found["problems"])
    answer = regard("data", "describe", out, "--json")
    assert answer.code == 0, answer.err
    assert all(Path(path).is_file() for path in json.loads(answer.out)["pictures"])


def test_images_of_one_size_are_said_in_a_line(regard, tmp_path):
    for kind in ("fern", "moss"):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for k in range(4):
            Image.new("RGB", (20, 30), (40 * k, 0, 0)).save(tmp_path / "photos" / kind / f"{k}.png")
    out = tmp_path / "my.parquet"
    assert regard("data", "import", "folder", tmp_path / "photos", "--out", out).code == 0
    assert "All images are 20 x 30 pixels" in regard("data", "describe", out).out


def test_sheets_are_drawn(regard, tmp_path):
    counts = ("--train", 2, "--val", 2, "--test", 2)
    answer = regard("data", "sheets", tmp_path / "sheets", *counts)
    assert answer.code == 0, answer.err
    assert pl.read_parquet(tmp_path / "sheets" / "manifest.parquet").height == 8
