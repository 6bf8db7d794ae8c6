"""`benchmarks/deployment.py` at toy size: what it tells is what the files say."""

import sys
from importlib import util
from pathlib import Path

import numpy as np
import pytest
import torch

import regard
from regard.deployment.prune import prune_run
from regard.runs.evaluate import evaluate_run
from regard.runs.run import load_run
from regard.training.train import train
from tinyset import SEGMENTER, config_of, write_masks, write_set

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def script():
    """The script as a module."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        found = util.spec_from_file_location("deployment_table", BENCHMARKS / "deployment.py")
        made = util.module_from_spec(found)
        sys.modules[found.name] = made
        found.loader.exec_module(made)
        yield made
    finally:
        sys.path.remove(str(BENCHMARKS))


def rows_of(text):
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]


def printed(script, monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["deployment.py", *map(str, words)])
    script.main()
    return rows_of(capsys.readouterr().out)


@pytest.mark.torture
def test_a_classifier_pruned_and_distilled(script, tmp_path, monkeypatch, capsys):
    write_set(tmp_path)
    more = "model.options.width=16", "training.epochs=3", "training.optimiser.lr=0.01"
    train(config_of(*more, "gaze.contrast=true"), tmp_path / "run", folder=tmp_path)
    prune_run(load_run(tmp_path / "run"), tmp_path / "pruned", share=0.5, epochs=1)
    train(config_of("distil.teacher=run", "training.epochs=1"), tmp_path / "small", folder=tmp_path)
    words = [tmp_path / "run", "--pruned", tmp_path / "pruned", "--distilled", tmp_path / "small",
             "--split", "test", "--rounds", 2, "--batches", 1, 3]  # fmt: skip
    rows = printed(script, monkeypatch, capsys, *words)
    wanted = [f"{a} {b}" for a in ("full", "pruned", "distilled") for b in script.KINDS]
    assert [row[""] for row in rows] == wanted
    run = load_run(tmp_path / "run")
    told = evaluate_run(run, "test")["metrics"]
    assert float(rows[0]["accuracy"]) == pytest.approx(told["accuracy"]["value"], abs=1e-3)
    assert float(rows[0]["x"]) == 1
    sizes = {row[""]: float(row["MB"]) for row in rows}
    assert sizes["pruned float32"] < sizes["full float32"] > sizes["full int8"]
    # The gaze of the predicted class, from the file and from torch.
    paths = [run.manifest().resolve(p) for p in run.manifest().select("test")["image"]]
    images = run.transform(paths)
    maps = regard.explain(run.net, images, contrast=True)
    regions = []
    for row in run.manifest().select("test")["region"]:
        mask = None if row is None else regard_mask(run, row)
        regions.append(torch.zeros(32, 32) if mask is None else mask)
    found = regard.score(maps, torch.stack(regions), "energy").nanmean()
    assert float(rows[0]["energy"]) == pytest.approx(float(found), abs=2e-3)
    assert float(rows[2]["energy"]) == pytest.approx(float(found), abs=0.05)


def regard_mask(run, path):
    from PIL import Image

    mask = np.asarray(Image.open(run.manifest().resolve(path)).convert("L"))
    return run.transform.fit_mask(torch.from_numpy(mask.copy()).float() / 255)


def test_a_segmenter_has_its_own_measures(script, tmp_path, monkeypatch, capsys):
    write_masks(tmp_path)
    train(config_of("training.epochs=1", base=SEGMENTER), tmp_path / "run", folder=tmp_path)
    words = tmp_path / "run", "--split", "test", "--rounds", 1, "--batches", 1
    rows = printed(script, monkeypatch, capsys, *words)
    assert [row[""] for row in rows] == [f"full {kind}" for kind in script.KINDS]
    assert all(0 <= float(row["pixels"]) <= 1 for row in rows)
    assert all(0 <= float(row["mean IoU"]) <= 1 for row in rows)
    assert {row["energy"] for row in rows} == {"–"}


def test_what_is_worse_or_slower_is_marked(script):
    result = {"full float32": 1.0, "full int8": 1.2, "full bf16": 0.5, "pruned float32": 0.7,
              "pruned int8": 0.6}  # fmt: skip
    taken = {1: {name: script.Result(0.0, x, torch.zeros(0)) for name, x in result.items()}}
    told = {name: {"accuracy": 0.9} for name in result} | {"full bf16": {"accuracy": 0.85}}
    said = {name: script.verdict(name, told, taken, 0.01) for name in result}
    assert said == {
        "full float32": "",
        "full int8": "slower at 1",
        "full bf16": "worse by 0.050",
        "pruned float32": "",
        "pruned int8": "",
    }
    told["pruned float32"] = {"accuracy": 0.8}
    assert script.verdict("pruned float32", told, taken, 0.01) == "worse by 0.100"
