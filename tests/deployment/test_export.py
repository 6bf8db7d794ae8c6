"""Exported files answer as the net does, or are not there."""

import errno
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import polars as pl
import pytest
import torch
from PIL import Image

from regard.deployment import export, parity, quantise
from regard.deployment.deployed import Deployed
from regard.deployment.export import export_run
from regard.deployment.formats import open_exported
from regard.deployment.photos import batches, some_samples
from regard.deployment.right import right_of
from regard.errors import ConfigError, RunError
from regard.runs.files import write_json
from regard.runs.run import load_run
from regard.saliency.explain import explain
from regard.training.train import train
from tinyset import (
    SEGMENTER,
    SETS,
    TWIN,
    config_of,
    write_masks,
    write_pairs,
    write_set,
    write_sets,
)

KINDS = {
    "classifier": (write_set, None, ()),
    "segmenter": (write_masks, SEGMENTER, ()),
    "pairs": (write_pairs, TWIN, ()),
    "sets": (write_sets, SETS, ()),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    made = {}

    def get(kind, *changes):
        if (kind, changes) not in made:
            folder = tmp_path_factory.mktemp(kind)
            write, base, own = KINDS[kind]
            write(folder)
            base = {} if base is None else {"base": base}
            config = config_of("training.epochs=1", *own, *changes, **base)
            train(config, folder / "run", folder=folder)
            made[kind, changes] = folder / "run"
        return load_run(made[kind, changes])

    return get


def photos(run, count):
    samples = some_samples(run, ("test", "val", "train"))
    rows = [samples[i % len(samples)] for i in range(count)]
    return next(batches(run, rows, count))[0]


def answers(run, pixels):
    """What the run's own code makes of the same pixels."""
    views = [run.transform.normalise(torch.from_numpy(view)) for view in pixels]
    images = views[0] if len(views) == 1 else dict(zip(run.data.views, views, strict=True))
    with torch.no_grad():
        return run.net.eval()(images)


torture = pytest.mark.torture


@pytest.mark.parametrize(
    ("kind", "format"),
    [
        *((kind, "onnx") for kind in KINDS),
        ("classifier", "torch"),
        *(pytest.param(kind, "torch", marks=torture) for kind in KINDS if kind != "classifier"),
    ],
)
def test_every_kind_of_net_answers_alike_at_any_batch(trained, tmp_path, kind, format):
    run = trained(kind)
    out = tmp_path / f"net{'.onnx' if format == 'onnx' else '.pt2'}"
    told = export_run(run, out, format=format)
    assert max(told["parity"]["difference"].values()) <= 1e-4
    assert "of" not in told["parity"]
    opened = open_exported(out)
    assert opened.about["classes"] == list(run.classes)
    assert opened.about["views"] == list(run.data.views)
    for count in (1, 3, 5):
        pixels = photos(run, count)
        logits, probabilities = opened.run(pixels)
        torch.testing.assert_close(
            torch.from_numpy(logits), answers(run, pixels), rtol=1e-4, atol=1e-4
        )
        if kind != "segmenter":
            own = probabilities.sum(1) if kind != "sets" else 1 / (1 + np.exp(-logits))
            np.testing.assert_allclose(own, 1 if kind != "sets" else probabilities, atol=1e-5)
    assert sorted(path.name for path in tmp_path.iterdir()) == [out.name, f"{out.name}.json"]
    assert json.loads((tmp_path / f"{out.name}.json").read_text())["sha256"] == told["sha256"]


def test_the_file_says_which_threshold_was_chosen(trained, tmp_path):
    folder = trained("classifier").folder
    run = load_run(shutil.copytree(folder, folder.with_name(f"decided-{tmp_path.name}")))
    told = {"threshold": 0.25, "positive": "moss", "checkpoint": run.checkpoint}
    write_json(run.files.threshold, told)
    about = export_run(run, tmp_path / "net.onnx")["about"]
    assert (about["positive"], about["threshold"]) == ("moss", 0.25)
    assert open_exported(tmp_path / "net.onnx").about["threshold"] == 0.25
    write_json(run.files.threshold, told | {"checkpoint": "step-1"})
    about = export_run(run, tmp_path / "net.onnx")["about"]
    assert (about["positive"], about["threshold"]) == (None, None)


def test_what_stood_there_stays_whole_where_an_export_fails(trained, tmp_path, monkeypatch):
    run, out = trained("classifier"), tmp_path / "net.onnx"
    export_run(run, out)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(path, value):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(export, "write_json", full)
    with pytest.raises(OSError, match="No space"):
        export_run(run, out)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_stranger_runs_it_with_onnxruntime_alone(trained, tmp_path):
    run = trained("classifier")
    export_run(run, tmp_path / "net.onnx")
    onnx.checker.check_model(tmp_path / "net.onnx")
    session = ort.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    assert [(node.name, node.type) for node in session.get_inputs()] == [("image", "tensor(uint8)")]
    path = run.manifest().resolve(run.manifest().select("test")["image"][0])
    pixels = run.transform.load(path)[None].numpy()
    _, probabilities = session.run(["logits", "probabilities"], {"image": pixels})
    np.testing.assert_allclose(probabilities, run.predict(path).numpy(), atol=1e-5)
    about = json.loads(session.get_modelmeta().custom_metadata_map["regard"])
    assert about["classes"] == ["fern", "moss"]


@pytest.mark.parametrize(
    ("format", "contrast"),
    [
        ("onnx", True),
        ("torch", False),
        pytest.param("onnx", False, marks=torture),
        pytest.param("torch", True, marks=torture),
    ],
)
def test_the_second_output_is_grad_cam_of_the_predicted_class(trained, tmp_path, format, contrast):
    run = trained("classifier", "model.options.pool=avg", f"gaze.contrast={contrast}")
    out = tmp_path / f"net{'.onnx' if format == 'onnx' else '.pt2'}"
    export_run(run, out, format=format, gaze=True)
    pixels = photos(run, 4)
    *_, found = open_exported(out).run(pixels)
    images = run.transform.normalise(torch.from_numpy(pixels[0]))
    wanted = explain(run.net, images, method="gradcam", contrast=contrast)
    maps = wanted if isinstance(wanted, torch.Tensor) else wanted.maps
    assert float(maps.max()) > 0
    torch.testing.assert_close(torch.from_numpy(found), maps.detach(), rtol=1e-4, atol=1e-6)
    assert open_exported(out).about["gaze"] == {"method": "gradcam", "contrast": contrast}


@pytest.mark.parametrize(
    ("kind", "changes"),
    [("classifier", ("model.head.kind=mlp",)), ("segmenter", ()), ("sets", ()), ("pairs", ())],
)
def test_a_map_without_a_closed_form_is_refused(trained, tmp_path, kind, changes):
    with pytest.raises(RunError, match=r"--gaze: expected a classifier of average pooling"):
        export_run(trained(kind, *changes), tmp_path / "net.onnx", gaze=True)
    assert not list(tmp_path.iterdir())


def test_a_file_that_answers_otherwise_is_not_kept(trained, tmp_path, monkeypatch):
    run = trained("classifier")
    real = parity.open_exported

    def wrong(path):
        opened = real(path)
        return type(opened)(
            opened.about, opened.outputs, lambda pixels: [out + 1e-3 for out in opened.run(pixels)]
        )

    (tmp_path / "net.onnx").write_text("an older one")
    monkeypatch.setattr(parity, "open_exported", wrong)
    with pytest.raises(
        RunError, match=r"answers to 0\.0001 on 12 photos, found .* differ by 0\.001"
    ):
        export_run(run, tmp_path / "net.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]
    assert (tmp_path / "net.onnx").read_text() == "an older one"


def test_what_does_not_go_together_is_one_line(trained, tmp_path):
    run = trained("classifier")
    with pytest.raises(ConfigError, match=r"expected --format onnx, .*found --format torch"):
        export_run(run, tmp_path / "a.pt2", format="torch", quantize="int8")
    with pytest.raises(ConfigError, match=r"ends in \.pt2 for --format torch, found a\.onnx"):
        export_run(run, tmp_path / "a.onnx", format="torch")
    with pytest.raises(RunError, match="a file that regard export wrote, found no such file"):
        open_exported(tmp_path / "a.onnx")
    (tmp_path / "a.onnx").write_bytes(b"no graph")
    with pytest.raises(RunError, match="a file that regard export wrote"):
        open_exported(tmp_path / "a.onnx")


class Fickle(torch.nn.Module):
    """Its way hangs on the numbers."""

    def forward(self, images):
        flat = images.mean((2, 3))[:, :2]
        return flat if images.sum() > 0 else -flat


def test_a_net_that_cannot_be_traced_is_one_line(trained, tmp_path):
    run = trained("classifier")
    object.__setattr__(run, "net", Fickle())
    with pytest.raises(RunError, match=r"that torch\.export can trace .*found Fickle: ") as caught:
        export_run(run, tmp_path / "net.onnx")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_an_operator_that_onnx_lacks_is_one_line(trained, tmp_path):
    class Odd(torch.nn.Module):
        def forward(self, images):
            return torch.special.bessel_j0(images.mean((2, 3))[:, :2])

    run = trained("classifier")
    object.__setattr__(run, "net", Odd())
    with pytest.raises(RunError, match=r"--format onnx: expected a net whose operators ONNX has"):
        export_run(run, tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())
    export_run(run, tmp_path / "net.pt2", format="torch")


@pytest.fixture
def timed(monkeypatch):
    """Times are given, as those of a tiny net hang on the machine alone."""

    def set_(before, after):
        times = {"before": [before], "after": [after]}
        monkeypatch.setattr(quantise, "_in_turns", lambda *_: times)

    return set_


def test_eight_bits_are_kept_where_they_pay(trained, tmp_path, timed):
    run = trained("classifier", "model.options.pool=avg")
    timed(0.002, 0.001)
    told = export_run(run, tmp_path / "net.onnx", quantize="int8", most_lost=1.0)
    opened, own = open_exported(tmp_path / "net.onnx"), told["quantized"]
    assert own["speedup"] == 2
    assert opened.about["precision"] == "int8"
    nodes = {node.op_type for node in onnx.load(tmp_path / "net.onnx").graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= nodes
    samples = some_samples(run, ("val",))
    pixels, rows = next(batches(run, samples, len(samples)))
    right = right_of(run, [samples[row] for row in rows], opened.run(pixels)[1])
    assert own["after"] == right.right.mean()
    assert (own["metric"], own["samples"], own["maps"]) == ("accuracy", 12, None)
    with torch.no_grad():
        plain = Deployed(run)(torch.from_numpy(pixels[0]))[1].numpy()
    assert own["before"] == right_of(run, samples, plain).right.mean()
    assert np.abs(opened.run(pixels)[1] - plain).max() < 0.1


def test_in_eight_bits_it_says_what_was_checked_of_what(trained, tmp_path, timed):
    run = trained("classifier", "model.options.pool=avg")
    timed(0.002, 0.001)
    told = export_run(run, tmp_path / "net.onnx", quantize="int8", gaze=True, most_lost=1.0)
    assert told["parity"]["of"] == "float32, before it was quantised"
    samples = some_samples(run, ("val",))
    pixels, _ = next(batches(run, samples, len(samples)))
    with torch.no_grad():
        plain = Deployed(run, gaze=True)(torch.from_numpy(pixels[0]))[2].numpy()
    found = open_exported(tmp_path / "net.onnx").run(pixels)[2]
    each = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(plain, found, strict=True)]
    assert told["quantized"]["maps"] == pytest.approx(np.mean(each), abs=1e-6)
    assert np.mean(each) > 0.9


def test_eight_bits_are_not_weighed_on_what_they_were_fitted_to(trained, tmp_path, monkeypatch):
    run = trained("classifier", "model.options.pool=avg")
    own = run.manifest()
    table = own.table.filter(pl.col("split") != "val")
    monkeypatch.setattr(type(run), "manifest", lambda _: replace(own, table=table))
    with pytest.raises(RunError, match="expected samples in val, found none"):
        export_run(run, tmp_path / "net.onnx", quantize="int8")
    assert not list(tmp_path.iterdir())
    export_run(run, tmp_path / "net.onnx")  # held against the net on photos of train


def test_weights_too_large_for_one_file_are_refused(trained, tmp_path, monkeypatch):
    run, real = trained("classifier"), torch.onnx.export

    def large(*args, **how):
        program = real(*args, **how)
        whole = program.save
        monkeypatch.setattr(type(program), "save", lambda _, path: whole(path, external_data=True))
        return program

    monkeypatch.setattr(torch.onnx, "export", large)
    with pytest.raises(RunError, match=r"one ONNX file can hold, .* second file; use --format t"):
        export_run(run, tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


def test_numbers_that_are_none_are_not_alike():
    own = np.array([[np.nan, 1]], np.float32)
    path = Path("net.onnx")
    assert parity._difference(own, np.ones((1, 2), np.float32), path) == np.inf
    assert parity._difference(np.ones((1, 2), np.float32), own, path) == np.inf


def test_eight_bits_that_are_slower_or_worse_are_refused(trained, tmp_path, timed, monkeypatch):
    run = trained("classifier", "model.options.pool=avg")
    timed(0.001, 0.002)
    with pytest.raises(RunError, match=r"faster than float32 here, found 0\.50 times"):
        export_run(run, tmp_path / "net.onnx", quantize="int8", most_lost=1.0)
    timed(0.002, 0.001)
    _let_the_second_be_wrong(monkeypatch)
    with pytest.raises(RunError, match=r"no more than 0 of accuracy lost, found 0\.[1-9]"):
        export_run(run, tmp_path / "net.onnx", quantize="int8", most_lost=0.0)
    assert not list(tmp_path.iterdir())


def test_a_loss_of_just_as_much_as_is_allowed_is_none_too_many():
    right = np.arange(101) / 100
    lost = right[1:] - right[:-1]
    assert (lost > 0.01).any()  # as floats are
    assert (lost <= 0.01 + quantise.ROUNDING).all()


def _let_the_second_be_wrong(monkeypatch):
    told, asked = quantise.told_of, []

    def mostly(run, samples, answer):
        found = told(run, samples, answer)
        asked.append(found)
        return found if len(asked) == 1 else replace(found, right=np.zeros_like(found.right))

    monkeypatch.setattr(quantise, "told_of", mostly)


@pytest.mark.parametrize(
    ("kind", "metric"),
    [pytest.param("segmenter", "pixels", marks=torture), ("sets", "labels")],
)
def test_other_tasks_are_weighed_in_their_own_measure(trained, tmp_path, timed, kind, metric):
    run = trained(kind)
    timed(0.002, 0.001)
    told = export_run(run, tmp_path / "net.onnx", quantize="int8", most_lost=1.0)
    assert told["quantized"]["metric"] == metric
    assert 0 <= told["quantized"]["after"] <= 1


def test_the_example_of_the_docs_runs(trained, tmp_path):
    run = trained("classifier", "data.interpolation=bicubic")
    export_run(run, tmp_path / "model.onnx")
    path = run.manifest().resolve(run.manifest().select("test")["image"][0])
    Image.open(path).save(tmp_path / "photo.jpg", quality=100, subsampling=0)
    text = (Path(__file__).resolve().parents[2] / "docs" / "deployment.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    told = run.classes[int(run.predict(tmp_path / "photo.jpg").argmax())]
    assert done.stdout == f"{told}\n"
