"""Runs of transformers' nets: trained, resumed, loaded, evaluated, explained and used."""

import shutil

import polars as pl
import pytest
import torch
import yaml

import regard
from regard.evaluation.table import PREFIX
from regard.runs.checkpoints import load
from regard.runs.evaluate import evaluate_run
from regard.runs.explain import explain_images, images_of
from regard.runs.files import read_json
from regard.runs.run import load_run
from regard.studies.read import read_study
from regard.training.train import resume, train
from tinyset import config_of, same_tensors

VIT = {
    "image_size": 32,
    "patch_size": 8,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
}
CVT = {"depth": [1, 2, 3], "embed_dim": [8, 16, 24], "num_heads": [1, 2, 3]}
MODELS = {
    "vit": {"spec": "hf:vit", "options": VIT, "freeze": 1},
    "cvt": {"spec": "hf:cvt", "options": CVT, "head": {"kind": "mlp", "width": 8}},
}


def config(model):
    base = {
        "data": {"manifest": "manifest.parquet", "size": 32},
        "model": model,
        "training": {"epochs": 2, "batch_size": 8, "threads": 1, "device": "cpu"},
        "guidance": {"terms": [{"term": "energy", "weight": 0.5}]},
    }
    return config_of("training.optimiser.backbone_lr=0.001", base=base)


@pytest.mark.parametrize("kind", list(MODELS))
def test_a_net_is_trained_resumed_loaded_evaluated_explained_and_used(kind, tiny, tmp_path):
    folder = tmp_path / "run"
    train(config(MODELS[kind]), folder, folder=tiny)
    saved = load(folder / "checkpoints")
    shutil.rmtree(saved.path)
    resume(folder)
    again = load(folder / "checkpoints")
    assert again.path == saved.path
    assert same_tensors(again.model, saved.model)

    run = regard.load_run(folder)
    kept = load(folder / "checkpoints", "best").model
    assert same_tensors(dict(run.net.state_dict()), kept)
    assert run.config["model"]["spec"] == f"hf:{kind}"
    paths = images_of(run, "test")
    found = run.predict(paths)
    torch.testing.assert_close(found.sum(1), torch.ones(len(paths)))
    evaluate_run(run, "test", gaze=[])
    table = pl.read_parquet(run.files.predictions("test"))
    written = torch.from_numpy(table.select(PREFIX + name for name in run.classes).to_numpy())
    torch.testing.assert_close(written.float(), found, rtol=0, atol=1e-5)
    rows = explain_images(run, paths[:2], ["gradcam"], tmp_path / "maps")
    assert [row["method"] for row in rows] == ["gradcam", "gradcam"]
    assert len(list((tmp_path / "maps" / "gradcam").glob("*.jpg"))) == 2


@pytest.fixture
def folder(tmp_path):
    """A folder that save_pretrained wrote, of a net of 4 classes."""
    net = regard.build_model("hf:vit", 4, **VIT)
    net.save_pretrained(tmp_path / "nets" / "vit")
    return tmp_path / "nets" / "vit"


def test_a_run_from_a_folder_needs_the_folder_no_more(tiny, folder, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(tiny, home)
    shutil.move(folder, home / "vit")
    model = {"spec": "hf:./vit", "weights": "pretrained"}
    out = tmp_path / "runs" / "first"
    train(config(model), out, folder=home)
    written = yaml.safe_load((out / "config.yaml").read_text())["model"]
    assert written["spec"] == "hf:../../home/vit"
    assert read_json(out / "architecture" / "config.json")["hidden_size"] == 16
    before = load_run(out).predict(home / "images" / "test-00.png")
    last = load(out / "checkpoints")
    shutil.rmtree(home / "vit")
    torch.testing.assert_close(load_run(out).predict(home / "images" / "test-00.png"), before)
    shutil.rmtree(last.path)
    resume(out)
    assert same_tensors(load(out / "checkpoints").model, last.model)


def test_a_study_s_folder_starts_from_its_file(tmp_path):
    path = tmp_path / "study.yaml"
    base = {"data": {"manifest": "m.parquet"}, "model": {"spec": "hf:./vit"}}
    arms = {"one": {}, "two": {"training": {"epochs": 2}}}
    path.write_text(yaml.safe_dump({"name": "s", "base": base, "arms": arms, "baseline": "one"}))
    assert read_study(path).base["model"]["spec"] == f"hf:{tmp_path / 'vit'}"
