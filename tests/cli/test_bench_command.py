"""`regard bench`: what it prints and writes, and its mistakes."""

import json
import shutil

import pytest

from regard.runs.files import read_json

QUICK = ("--device", "cpu", "--seconds", 0.02, "--batch", 2)


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


def test_the_table_is_that_of_the_file(regard, run):
    answer = regard("bench", run, *QUICK, "--batch", 4)
    assert answer.code == 0, answer.err
    values = read_json(run / "bench.json")
    (device,) = values["devices"]
    lines = answer.out.splitlines()
    assert lines[0].startswith(f"{values['parameters']:,} parameters (")
    assert "input 32 x 32" in lines[0]
    assert lines[0].endswith("FLOPs an image")
    assert f"{device['threads']} thread, float32" in lines[1]
    rows = [line.split() for line in lines if line.split()[:1] in (["1"], ["2"], ["4"])]
    for row, found in zip(rows, device["batches"], strict=True):
        assert f"{found['median_ms']:.2f}" in row
        assert (row[1] == "*") == (found["batch"] == device["best"])
    assert lines[-1] == str(run / "bench.json")


def test_as_json_it_is_the_file(regard, run):
    answer = regard(
        "bench", run, *QUICK, "--bf16", "--threads", 1, "--checkpoint", "last", "--json"
    )
    assert json.loads(answer.out) == read_json(run / "bench.json")
    assert json.loads(answer.out)["devices"][0]["dtype"] == "bfloat16"
    assert answer.err == ""


def test_no_line_of_the_profiler_is_seen(run):
    from tinyset import run_regard

    answer = run_regard("bench", run, *QUICK)
    assert (answer.returncode, answer.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--device", "tpu9"), "found 'tpu9'; use auto or cpu"),
        (("--batch", 0), "batch: expected 1 or more, found 0"),
        (("--checkpoint", "step-99"), "step-99"),
    ],
)
def test_mistakes_are_one_line(regard, run, words, said):
    answer = regard("bench", run, *words)
    assert answer.code == 2
    assert said in answer.err
    assert answer.err.count("\n") == 1
    assert not (run / "bench.json").exists()


def test_a_comparison_shows_latencies_where_both_were_measured(regard, run, tmp_path):
    other = shutil.copytree(run, tmp_path / "other")
    regard("bench", run, *QUICK)
    words = ("compare", run, other, "--pictures", 0, "--out", tmp_path / "out")
    assert "Latency" not in regard(*words).out
    regard("bench", other, *QUICK)
    answer = regard(*words)
    assert answer.code == 0, answer.err
    title = next(line for line in answer.out.splitlines() if line.startswith("Latency and size"))
    assert "1 thread, float32" in title
    told = answer.out.partition(title)[2]
    for folder in (run, other):
        latency = read_json(folder / "bench.json")["devices"][0]["batches"][0]["median_ms"]
        assert f"{latency:,.2f}" in told
