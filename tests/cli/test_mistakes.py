"""A mistake is one line with what was expected, what was found and what to do; exit code 2."""

import json
import shutil

import polars as pl
import pytest
import yaml
from PIL import Image

from tinyset import BASE, write_config, write_set


@pytest.fixture
def folder(tmp_path):
    write_set(tmp_path, counts={"train": 9, "val": 6, "test": 3})
    write_config(tmp_path)
    return tmp_path


def change(folder, **columns):
    path = folder / "manifest.parquet"
    pl.read_parquet(path).with_columns(**columns).write_parquet(path)


def files(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != ".lock"}


def mistake(regard, folder, *words, found, kept=None):
    """Run the command; nothing may be written, and the one line has to say what was found."""
    before = files(folder)
    answer = regard(*words)
    assert answer.code == 2, answer.err
    lines = answer.err.splitlines()
    assert len(lines) == 1, answer.err
    assert lines[0].startswith("regard: ")
    assert ": expected " in lines[0]
    assert ", found " in lines[0]
    assert "; " in lines[0]
    assert found in lines[0]
    assert files(folder) == before
    return lines[0]


def refused(regard, folder, *changes, found):
    words = [word for each in changes for word in ("--set", each)]
    out = folder / "runs of today" / "run"
    mistake(regard, folder, "train", folder / "config.yaml", "--out", out, *words, found=found)
    assert not out.parent.exists()


@pytest.mark.parametrize(
    ("setting", "found"),
    [
        ("model.spec=timm:resnet81", "did you mean"),
        ("model.spec=regard:cnn3", "did you mean cnn"),
        ("training.optimizer.lr=1", "did you mean optimiser"),
        ("trainng.epochs=1", "did you mean training?"),
        ("training.best=val.acuracy", "did you mean val.accuracy"),
        ("guidance.terms=[{term: energy, weight: -1}]", "found -1"),
        ("guidance.terms=[{term: enregy}]", "did you mean energy"),
        ("gaze.method=gradcan", "did you mean gradcam"),
        ("gaze.scores=[enregy]", "did you mean energy"),
        ("data.manifest=nowhere.parquet", "no such file"),
        ("data.split=70/40", "70/40"),
        ("nothing", "write a.b=c"),
        ("training.epochs=[1", "quote it"),
    ],
)
def test_a_mistake_in_a_setting(regard, folder, setting, found):
    refused(regard, folder, setting, found=found)


def test_a_misspelt_key_in_the_file(regard, folder):
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(BASE).replace("batch_size", "batchsize"))
    refused(regard, folder, found="found 'batchsize'; did you mean batch_size?")


def test_no_such_config(regard, folder):
    words = ("train", folder / "nowhere.yaml", "--out", folder / "run")
    mistake(regard, folder, *words, found="found no such file")
    assert not (folder / "run").exists()


def test_an_unreadable_image(regard, folder):
    (folder / "images/train-03.png").write_bytes(b"GIF89a, said the liar")
    refused(regard, folder, found="train-03.png: expected a readable image")


def test_a_missing_column(regard, folder):
    path = folder / "manifest.parquet"
    pl.read_parquet(path).rename({"image": "picture"}).write_parquet(path)
    refused(regard, folder, found="expected a column 'image', found columns picture")


def test_a_label_that_train_never_shows(regard, folder):
    label = pl.when(pl.col("split") == "val").then(pl.lit("mos")).otherwise("label")
    change(folder, label=label)
    refused(regard, folder, found="found 'mos'; did you mean moss?")


def test_an_empty_split(regard, folder):
    change(folder, split=pl.col("split").replace("train", "trian"))
    refused(regard, folder, found="expected samples in split 'train', found none")


def test_guidance_without_regions(regard, tmp_path):
    write_set(tmp_path, counts={"train": 6, "val": 3}, regions=False)
    write_config(tmp_path)
    refused(
        regard, tmp_path, "guidance.terms=[{term: energy}]", found="samples with a region in train"
    )


def test_an_existing_run(regard, trained):
    config = trained / "config.yaml"
    words = ("train", config, "--out", trained)
    text = mistake(regard, trained, *words, found="found a finished run; choose another --out")
    assert "--resume" not in text


def test_a_run_that_is_not_finished_may_be_gone_on_with(regard, trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    (state,) = run.glob("checkpoints/step-6/state.json")
    values = json.loads(state.read_text())
    values["progress"]["epoch"] = 1
    state.write_text(json.dumps(values))
    found = f"found a run; choose another --out, or go on with it: regard train {run} --resume"
    mistake(regard, run, "train", trained / "config.yaml", "--out", run, found=found)


def test_a_study_and_a_config_are_told_apart(regard, folder):
    study = folder / "study.yaml"
    study.write_text(yaml.safe_dump({"name": "s", "base": BASE, "arms": {"a": {}}}))
    words = ("train", study, "--out", folder / "run")
    mistake(regard, folder, *words, found=f"use: regard study {study}")
    config = folder / "config.yaml"
    words = ("study", config, "--out", folder / "out")
    mistake(regard, folder, *words, found=f"use: regard train {config}")


def test_resuming_what_is_no_run_or_with_other_settings(regard, folder, trained):
    images = folder / "images"
    mistake(regard, folder, "train", images, "--resume", found="expected a run's folder")
    nowhere = folder / "nowhere"
    mistake(regard, folder, "train", nowhere, "--resume", "--out", nowhere, found="no such folder")
    assert not nowhere.exists()
    words = ("train", trained, "--resume", "--set", "training.epochs=9")
    mistake(regard, trained, *words, found="found --set training.epochs=9")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("evaluate", "RUN", "--split", "tests"), "did you mean test?"),
        (("evaluate", "RUN", "--checkpoint", "step-1"), "no such checkpoint"),
        (("evaluate", "nowhere"), "found no such folder"),
        (("evaluate", "RUN", "--target-recall", "1.5"), "recall: expected above 0 and at most 1"),
        (("evaluate", "RUN", "--threshold", "f2"), "evaluate, threshold: expected one of f1, youd"),
        (("evaluate", "RUN", "--threshold", "f1", "--target-recall", "0.9"), "both target_recall"),
        (("evaluate", "RUN", "--positive", "mos"), "expected fern or moss, found 'mos'; did you"),
        (("score", "RUN", "--method", "gradcan"), "did you mean gradcam"),
        (("score", "RUN", "--split", "tests"), "did you mean test?"),
        (("explain", "RUN", "--method", "gradcan"), "gradcam"),
        (("explain", "RUN", "--class", "mos"), "did you mean moss?"),
        (("explain", "RUN", "--images", "nowhere.png"), "nowhere.png"),
        (("explain", "RUN", "--images", "nowhere.png"), "such file; check the path, which starts"),
        (("explain", "RUN", "--images", "RUN"), "found a folder; give the images in it one by one"),
        (("explain", "RUN", "--images", __file__), "; give the path of an image"),
        (("explain", "nowhere"), "found no such folder"),
    ],
)
def test_mistakes_about_a_run(regard, trained, words, found):
    words = [trained if word == "RUN" else word for word in words]
    assert "regard data check" not in mistake(regard, trained, *words, found=found)


def test_a_score_needs_regions(regard, tmp_path):
    write_set(tmp_path, counts={"train": 6, "val": 3, "test": 3}, regions=False)
    config = write_config(tmp_path, "training.epochs=1")
    assert regard("train", config, "--out", tmp_path / "run").code == 0
    found = "expected samples of 'test' with a region for energy, iou, found none"
    words = ("score", tmp_path / "run", "--score", "energy", "--score", "iou")
    mistake(regard, tmp_path, *words, found=found)
    answer = regard("score", tmp_path / "run", "--json")
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)["gradcam"]["scores"]
    assert set(found) == {"deletion", "insertion", "average_drop", "increase", "sparseness"}
    assert all(0 <= value["value"] <= 1 for value in found.values())


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("csvs", "SRC"), "did you mean csv?"),
        (("folder", "SRC", "--lable", "x"), "'--lable'"),
        (("folder", "nowhere"), "nowhere"),
        (("folder", "SRC", "--shares", "70/40"), "70/40"),
    ],
)
def test_mistakes_of_an_import(regard, folder, words, found):
    out = folder / "new" / "m.parquet"
    words = [folder / "classes" if word == "SRC" else word for word in words]
    for name in ("fern", "moss"):
        (folder / "classes" / name).mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (8, 8)).save(folder / "classes" / name / f"{number}.png")
    mistake(regard, folder, "data", "import", *words, "--out", out, found=found)
    assert not out.parent.exists()


def test_an_existing_manifest_is_replaced_only_by_force(regard, folder):
    out = folder / "manifest.parquet"
    words = ("data", "import", "folder", folder / "images", "--out", out)
    mistake(regard, folder, *words, found="found one that exists; add --force")


@pytest.mark.parametrize("command", ["check", "describe"])
def test_a_manifest_that_is_not_there(regard, folder, command):
    words = ("data", command, folder / "nowhere.parquet")
    mistake(regard, folder, *words, found="expected a manifest file, found no such file")


def test_a_file_where_a_folder_should_be(regard, folder):
    (folder / "taken").write_text("")
    answer = regard("train", folder / "config.yaml", "--out", folder / "taken" / "run")
    assert answer.code == 2
    assert answer.err.startswith(f"regard: {folder / 'taken'}")
    assert len(answer.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("trian", "regard: expected one of its commands, found 'trian'; did you mean train?"),
        ("list terns", "regard list: expected one of its commands, found 'terns'; did you mean te"),
        ("train", "regard train: expected CONFIG, found none; see regard train --help"),
        ("train x --ouf y", "train: expected its own options, found --ouf; did you mean --out?; s"),
        ("train x --epochs 3", "found --epochs; add --set training.epochs=3; see regard train"),
        ("train x --lr=3", "found --lr; add --set training.optimiser.lr=3; see regard train"),
        ("tune x --batch-size 3", "add --set base.training.batch_size=3; see regard tune --help"),
        ("data import", "regard data import: expected FORMAT, found none"),
        ("screen run src", "regard screen: expected --out, found none"),
        (
            "study --seeds",
            "regard study: expected a value after --seeds, found none; see regard st",
        ),
        ("study x --seeds many", "study: expected a whole number for --seeds, found 'many'"),
        ("export x --format onx", "export: expected one of onnx, torch for --format, found 'onx'"),
        ("bench x --json=3", "regard bench: expected no value after --json, found one"),
        (
            "explain x --images a b",
            "expected no more words, found 'b'; repeat --images before each",
        ),
    ],
)
def test_usage_errors_are_one_line_and_exit_2_as_well(regard, words, said):
    answer = regard(*words.split())
    assert answer.code == 2
    assert answer.err.startswith("regard: regard")
    assert said in answer.err
    assert len(answer.err.splitlines()) == 1


@pytest.mark.parametrize("size", [(20, 32), (16, 16), (64, 64)])
def test_a_mask_of_another_size(regard, folder, size):
    Image.new("L", size, 255).save(folder / "images/other.png")
    names = pl.read_parquet(folder / "manifest.parquet")["image"].to_list()
    change(folder, region=pl.Series(["images/other.png", *[None] * (len(names) - 1)]))
    found = f"expected the size of {names[0].split('/')[-1]}, 32 x 32, found {size[0]} x {size[1]}"
    refused(regard, folder, "gaze.train_sample=0", found=found)


@pytest.mark.parametrize("box", [[40.0, 2.0, 50.0, 9.0], [0.0, 0.0, 64.0, 64.0]])
def test_a_box_outside_the_image(regard, folder, box):
    names = pl.read_parquet(folder / "manifest.parquet")["image"].to_list()
    boxes = pl.Series([None, [box], [box], *[None] * (len(names) - 3)])
    change(folder, region=pl.Series([None] * len(names), dtype=pl.String), boxes=boxes)
    found = "expected boxes inside of 32 x 32 pixels, found ["
    line_end = "(and 1 more); correct its boxes; regard data check lists all such files"
    refused(regard, folder, "gaze.train_sample=0", found=found)
    refused(regard, folder, "gaze.train_sample=0", found=line_end)


def test_the_check_reports_boxes_and_masks_that_do_not_fit(regard, folder):
    Image.new("L", (20, 32), 255).save(folder / "images/other.png")
    names = pl.read_parquet(folder / "manifest.parquet")["image"].to_list()
    region = ["images/other.png", *[None] * (len(names) - 1)]
    boxes = [None, [[40.0, 2.0, 50.0, 9.0]], *[None] * (len(names) - 2)]
    change(folder, region=pl.Series(region), boxes=pl.Series(boxes))
    answer = regard("data", "check", folder / "manifest.parquet", "--no-near")
    assert answer.code == 2
    (line,) = answer.err.splitlines()
    manifest = folder / "manifest.parquet"
    assert line.startswith(f"regard: {manifest}: expected files, boxes and labels that fit, found")
    assert line.endswith(f"; mend or remove what {folder / 'bad_files.csv'} lists")
    assert "found 2 errors and " in line
    assert answer.out.count(f"Problems of {manifest}") == 1
    for kind in ("other size", "box outside"):
        assert (answer.out + answer.err).count(kind) == 1
    kinds = ["other size", "box outside"]
    table = pl.read_csv(folder / "bad_files.csv").filter(pl.col("kind").is_in(kinds))
    assert table.select("row", "kind").rows() == [(1, "other size"), (2, "box outside")]
    assert "20 x 32" in table["detail"][0]


def test_numbers_that_blow_up_exit_with_1_and_one_line(regard, folder):
    out = folder / "run"
    sgd = "training.optimiser={name: sgd, lr: 1e30, momentum: 0.0}"
    answer = regard("train", folder / "config.yaml", "--set", sgd, "--out", out)
    assert answer.code == 1
    lines = answer.err.splitlines()
    assert lines[-1].startswith("regard: not finite: ")
    assert ".png" in lines[-1]
    assert sum(line.startswith("regard:") for line in lines) == 1
