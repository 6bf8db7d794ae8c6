"""What a training refuses before it writes anything."""

import polars as pl
import pytest
from PIL import Image

from regard.checks.preflight import refuse_files
from regard.errors import ConfigError, DataError, ModelError
from regard.runs.log import read_log
from regard.training.config import changed, merged, read_config
from regard.training.prepare import prepare
from regard.training.train import train
from tinyset import BASE, config_of, write_config, write_set


@pytest.fixture
def folder(tmp_path):
    write_set(tmp_path, counts={"train": 9, "val": 6, "test": 3})
    return tmp_path


def refused(folder, *changes, kind=ConfigError):
    """The error of a training that must not leave anything behind."""
    with pytest.raises(kind) as caught:
        train(config_of(*changes), folder / "run", folder=folder)
    assert not (folder / "run").exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("file", ["images/train-04.png", "images/val-01.png"])
@pytest.mark.parametrize("kind", ["missing", "empty", "garbage", "region"])
def test_a_file_that_cannot_be_read_is_named(folder, file, kind):
    path = folder / (file.replace(".png", "-region.png") if kind == "region" else file)
    if kind == "missing":
        path.unlink()
    else:
        path.write_bytes(b"" if kind == "empty" else b"no image at all")
    text = refused(folder, kind=DataError)
    found = "no such file" if kind == "missing" else "not an image"
    assert text.startswith(f"{path}: expected a readable image, found {found}")
    assert text.endswith("regard data check lists all such files")


def test_several_bad_files_are_counted(folder):
    for number in (2, 5, 7):
        (folder / f"images/train-0{number}.png").write_bytes(b"x")
    text = refused(folder, kind=DataError)
    assert "train-02.png" in text
    assert "(and 2 more)" in text


def test_files_of_test_do_not_stop_a_training(folder):
    (folder / "images/test-00.png").unlink()
    train(config_of("training.epochs=1"), folder / "run", folder=folder)
    assert (folder / "run" / "log.jsonl").is_file()


def test_too_many_pixels_are_told_from_the_header(folder):
    Image.new("L", (64, 32)).save(folder / "images/train-03.png")
    text = refused(folder, "data.max_pixels=1500", kind=DataError)
    assert "train-03.png: expected at most 1,500 pixels, found 64 x 32" in text
    prepared = prepare(config_of("data.max_pixels=2048"), folder)
    refuse_files(prepared.train.data.samples, 2048)
    prepared.close()


def test_a_file_cut_short_is_met_while_training_and_the_run_goes_on_once_it_is_mended(folder):
    from regard.training.train import resume

    path = folder / "images/train-04.png"
    whole = path.read_bytes()
    path.write_bytes(whole[:-700])
    with pytest.raises(DataError, match=r"train-04\.png: expected a readable image"):
        train(config_of("training.epochs=1"), folder / "run", folder=folder)
    path.write_bytes(whole)
    assert resume(folder / "run").epoch == 1


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("training.best=val.acuracy", "did you mean val.accuracy"),
        ("training.best=train.f1", "a metric of train that is logged, found train.f1"),
        ("training.best=train.balanced_accuracy", "a metric of train"),
        ("training.best=val.loss.energy", "a metric of val"),
        ("model.spec=timm:resnet1", "did you mean"),
        ("model.spec=resnet18", "write timm:resnet18"),
        ("model.options={widht: 4}", "widht"),
        ("training.device=tpu9", "a device of this machine"),
        ("data.views=[segmented]", "no such column"),
        ("gaze.layer=featurs", "featurs"),
        ("guidance.terms=[{term: energy, layer: featurs}]", "featurs"),
    ],
)
def test_what_would_fail_later_is_refused_at_once(folder, change, found):
    assert found in refused(folder, change, kind=ValueError)


@pytest.mark.parametrize("score", ["energy", "loss.energy"])
def test_a_metric_of_regions_needs_regions_in_its_split(folder, score):
    table = pl.read_parquet(folder / "manifest.parquet")
    region = pl.when(pl.col("split") == "train").then("region").alias("region")
    table.with_columns(region).write_parquet(folder / "manifest.parquet")
    term = "guidance.terms=[{term: energy}]"
    assert "a metric of val" in refused(folder, term, f"training.best=val.{score}")
    train(
        config_of(term, f"training.best=train.{score}", "training.epochs=1"),
        folder / "run",
        folder=folder,
    )
    assert "train.energy" not in (folder / "run" / "log.jsonl").read_text()


def test_gaze_of_train_needs_a_sample_of_it(folder):
    text = refused(folder, "training.best=train.energy", "gaze.train_sample=0")
    assert "a metric of train that is logged" in text


def test_a_size_that_the_net_cannot_take_is_refused(folder):
    text = refused(folder, "model.options.pool=flatten", "data.size=48")
    assert text.startswith("data.size and data.views: expected what regard:cnn2 takes")
    assert "48 x 48" in text
    remedy = "leave data.size out for the net's own 32 x 32, or set model.options"
    assert text.endswith(f"{remedy}.size=48 or model.options.pool=avg")
    text = refused(folder, "model.options.pool=flatten", "data.size=[48, 64]")
    assert text.endswith(f"{remedy}.pool=avg")
    for change in ("model.options.size=48", "model.options.pool=avg"):
        fitting = config_of("model.options.pool=flatten", "data.size=48", change)
        prepare(fitting, folder).close()


@pytest.mark.parametrize("spec", ["regard:cnn2", "timm:resnet18"])
def test_weights_of_another_net_say_what_to_set(folder, spec):
    text = refused(folder, f"model.spec={spec}", "model.options={}", "model.weights=bundled",
                   kind=ModelError)  # fmt: skip
    assert text.startswith("weights bundled: expected the model timm:tf_efficientnet_lite0")
    assert ("set model.weights=pretrained" in text) == spec.startswith("timm")
    assert "none or a file" in text


@pytest.mark.parametrize("word", ["none", "null", "None", "~"])
def test_no_weights_have_one_meaning_however_they_are_written(tmp_path, word):
    path = write_config(tmp_path, "model.weights=bundled")
    assert read_config(path).model.weights == "bundled"
    assert read_config(path, [f"model.weights={word}"]).model.weights is None


def test_several_views_need_a_net_that_takes_them(folder):
    table = pl.read_parquet(folder / "manifest.parquet")
    table.with_columns(segmented="image").write_parquet(folder / "manifest.parquet")
    assert "image, segmented" in refused(folder, "data.views=[image, segmented]")


def test_a_method_that_cannot_read_the_net_is_refused(folder):
    flat = ("model.options.pool=flatten", "gaze.method=cam")
    assert refused(folder, *flat, kind=ModelError).startswith("method cam: expected")


def test_a_label_that_train_never_shows_is_refused(folder):
    table = pl.read_parquet(folder / "manifest.parquet")
    label = pl.when(pl.col("image") == "images/val-00.png").then(pl.lit("fermn"))
    table.with_columns(label.otherwise("label").alias("label")).write_parquet(
        folder / "manifest.parquet"
    )
    text = refused(folder, kind=DataError)
    assert "row 10, column 'label'" in text
    assert "did you mean fern" in text


def test_guidance_without_regions_is_refused(tmp_path):
    write_set(tmp_path, counts={"train": 6, "val": 3}, regions=False)
    text = refused(tmp_path, "guidance.terms=[{term: energy}]")
    assert text.startswith("guidance.terms: expected samples with a region in train")


@pytest.mark.parametrize(
    "term",
    ["{term: energy, weights: stop}", "{term: energy, method: scorecam}", "{term: actdiff}"],
)
def test_a_term_that_cannot_move_what_is_trained_is_refused(folder, term):
    text = refused(folder, f"guidance.terms=[{term}]", "model.freeze=backbone")
    assert "expected a loss with a gradient to the classifier, which alone is trained" in text
    assert text.endswith("or set model.freeze=none")
    changes = (f"guidance.terms=[{term}]", "training.epochs=1")
    train(config_of(*changes), folder / "run", folder=folder)
    (epoch,) = read_log(folder / "run/log.jsonl", "epoch")
    name = "actdiff" if "actdiff" in term else "energy"
    assert epoch["train"][f"loss.{name}"] > 0


def test_a_plateau_needs_a_metric_to_watch(folder):
    text = refused(folder, "training.best=last", "training.schedule.name=plateau")
    assert "a metric in training.best for the plateau to watch" in text


def test_a_missing_val_is_refused_unless_it_is_carved_or_not_needed(tmp_path):
    write_set(tmp_path, counts={"train": 24})
    assert "set data.val_from_train" in refused(tmp_path)
    train(
        config_of("training.best=train.loss", "training.epochs=1"), tmp_path / "a", folder=tmp_path
    )
    carved = config_of("data.val_from_train=0.25", "training.epochs=1")
    train(carved, tmp_path / "b", folder=tmp_path)
    assert not (tmp_path / "a" / "val").exists()


def test_the_written_config_is_resolved_and_reads_back_the_same(folder):
    weights = folder / "net.safetensors"
    train(config_of("training.epochs=1"), folder / "deep" / "run", folder=folder)
    from safetensors.torch import save_file

    from regard.runs.run import load_run

    first = load_run(folder / "deep" / "run")
    assert first.config["data"]["manifest"] == "../../manifest.parquet"
    assert first.config["data"]["mean"] == [0.5, 0.5, 0.5]
    assert first.config["classes"] == ["fern", "moss"]
    assert first.manifest().path.samefile(folder / "manifest.parquet")
    save_file({k: v.contiguous() for k, v in first.net.state_dict().items()}, weights)
    changes = ("model.weights=net.safetensors", "training.epochs=1")
    train(config_of(*changes), folder / "deep" / "again", folder=folder)
    second = load_run(folder / "deep" / "again")
    assert second.config["model"]["weights"] == "../../net.safetensors"


def test_changes_are_read_as_yaml_and_laid_over_the_file(tmp_path):
    path = write_config(tmp_path)
    config = read_config(path, ["training.optimiser.lr=1e-3", "data.augment={flip: 0.5}"])
    assert config.training.optimiser.lr == 1e-3
    assert config.data.augment.flip == 0.5
    assert config.data.size == 32
    assert changed({"a": {"b": 1}}, ["a.c=[1, x]", "d=null"]) == {
        "a": {"b": 1, "c": [1, "x"]},
        "d": None,
    }
    base = {"a": {"b": 1}}
    assert merged(base, {"a": {"c": 2}}) == {"a": {"b": 1, "c": 2}}
    assert base == {"a": {"b": 1}}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("training.optimizer.lr=1", "'optimizer'; did you mean optimiser"),
        ("trainin.epochs=1", "'trainin'; did you mean training?"),
        ("training.epochs=many", "training.epochs"),
        ("training.epochs=0", "expected 1 or more, found 0"),
        ("guidance.terms=[{term: energi}]", "did you mean energy?"),
        ("guidance.terms=[{term: energy, weight: -1}]", "weight of 0 or more, found -1; give"),
        ("guidance.terms=[{term: energy, weigth: 1}]", "weigth"),
        ("guidance.terms=[{term: energy, method: rise, options: {maks: 3}}]", "maks"),
        ("guidance.terms=[{term: energy, method: saliency, weights: stop}]", "of a layer or of"),
        ("guidance.share=0", "guidance.share"),
        ("guidance={combine: product, terms: [{term: rrr}]}", "term rrr, which has no such bound"),
        ("guidance={combine: mean}", "combine"),
        ("gaze.scores=[enregy]", "did you mean energy"),
        ("gaze.method=gradcan", "did you mean gradcam"),
        ("training.best=accuracy", "write for example val.loss"),
        ("model.freeze=-1", "found -1 epochs; write none, backbone, or 0 or more epochs"),
    ],
)
def test_a_mistake_in_the_config_is_one_line_with_the_near_name(tmp_path, change, text):
    path = write_config(tmp_path)
    with pytest.raises(ConfigError) as caught:
        read_config(path, [change])
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [None, "- a", "a: [", "data: {manifest: m}"])
def test_a_file_that_is_no_config_is_refused(tmp_path, content):
    path = tmp_path / "config.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=r"config\.yaml"):
        read_config(path)
    assert "model" in BASE


def test_it_is_noted_when_other_maps_are_measured_than_steered(folder):
    terms = "guidance.terms=[{term: energy, contrast: true}]"
    for gaze, told in (("gaze.contrast=true", []), ("gaze.contrast=false", ["energy"])):
        out = folder / f"run {gaze}"
        train(config_of("training.epochs=1", terms, gaze), out, folder=folder)
        notes = [record["text"] for record in read_log(out / "log.jsonl", "note")]
        assert [text.split()[1] for text in notes if "steers" in text] == told
