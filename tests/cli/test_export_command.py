"""`regard export`: what it prints and writes, and its mistakes."""

import json
import shutil

import pytest

from regard.cli.show_export import show_export
from regard.runs.files import read_json


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


def test_it_says_what_the_file_takes_and_how_it_was_checked(regard, run):
    out = run / "net.pt2"
    answer = regard("export", run, "--format", "torch", "--out", out)
    assert answer.code == 0, answer.err
    values = read_json(run / "net.pt2.json")
    lines = answer.out.splitlines()
    assert lines[0] == f"{out}: {out.stat().st_size / 1e6:.1f} MB, float32"
    assert lines[1] == "takes image: uint8 (B, 3, 32, 32), RGB; gives logits, probabilities"
    assert lines[2] == "classes: fern, moss"
    assert lines[3].startswith(f"Parity: {values['parity']['images']} photos, batches of ")
    assert lines[3].endswith("(at most 0.0001)")
    assert len(lines) == 4


def test_as_json_it_is_the_file_beside_the_net(regard, run):
    answer = regard("export", run, "--format", "torch", "--out", run / "net.pt2", "--json")
    assert (answer.code, answer.err) == (0, "")
    told, kept = json.loads(answer.out), read_json(run / "net.pt2.json")
    assert told == kept | {"file": str(run / "net.pt2")}


def test_eight_bits_are_told_with_what_they_cost_and_gain(capsys):
    show_export(
        {
            "file": "net.onnx",
            "bytes": 1_250_000,
            "about": {
                "precision": "int8", "size": [24, 32], "views": ["image"],
                "outputs": ["logits", "probabilities"], "classes": ["fern", "moss"],
            },
            "parity": {"difference": {"logits": 2e-6, "probabilities": 1e-7}, "images": 12,
                       "batches": [1, 5], "tolerance": 1e-4},
            "quantized": {
                "samples": 40, "metric": "accuracy", "before": 0.9, "after": 0.875,
                "difference": {"value": -0.025, "low": -0.1, "high": 0.05},
                "bytes": {"before": 5_000_000, "after": 1_250_000},
                "latency_ms": {"before": 4.0, "after": 2.0}, "speedup": 2.0,
            },
        }
    )  # fmt: skip
    lines = capsys.readouterr().out.splitlines()
    assert lines[3] == (
        "Parity of float32: 12 photos, batches of 1 and 5, largest difference 2e-06 "
        "(at most 0.0001)"
    )
    assert lines[4] == (
        "8 bits on val (40 samples): accuracy 0.900 to 0.875, difference -0.025 [-0.100, 0.050]"
    )
    assert lines[5] == "5.0 MB to 1.2 MB; one image 4.0 ms to 2.0 ms, 2.00 times as fast"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--checkpoint", "step-99"), "step-99"),
        (("--most-lost", "nan"), "most-lost: expected a share from 0 to 1, found nan"),
        (("--format", "torch", "--out", "net.onnx"), "ends in .pt2 for --format torch"),
    ],
)
def test_mistakes_are_one_line(regard, run, words, said):
    answer = regard("export", run, *words)
    assert answer.code == 2
    assert said in answer.err
    assert answer.err.count("\n") == 1
