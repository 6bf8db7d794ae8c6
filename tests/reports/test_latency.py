"""Latencies in reports: of a run, of a comparison, of a study."""

import shutil

import pytest
from pages import see

from regard.reports import report
from regard.reports.blocks import Note, Table
from regard.reports.compare_report import compare_report
from regard.reports.latency import latency_tables
from regard.reports.run_report import run_report
from regard.reports.study_report import study_report
from regard.reports.words import magnitude
from regard.runs.bench import bench_run
from regard.runs.comparable import open_runs
from regard.runs.compare import compare_runs
from regard.runs.files import read_json, write_json
from regard.runs.run import load_run


def bench(median=10.0, *, name="CPU X", threads=2, flops=3_640_000_000, most=32):
    """As `bench_run` writes it, with numbers that are known."""
    row = {"repetitions": 9, "low_ms": median - 1, "median_ms": median, "high_ms": median + 1,
           "least_ms": median - 2, "peak_bytes": 2_500_000}  # fmt: skip
    rows = [
        {**row, "batch": 1, "images_per_second": 1000 / median},
        {**row, "batch": most, "images_per_second": 1234.4},
    ]
    device = {"device": "cpu", "name": name, "threads": threads, "dtype": "float32",
              "refused": [], "batches": rows, "best": most}  # fmt: skip
    return {"checkpoint": "step-1", "views": ["image"], "size": [224, 112], "parameters": 25_557,
            "trainable": 25_557, "weight_bytes": 102_000, "channels_last": True, "flops": flops,
            "uncounted": ["relu", "mean"], "devices": [device], "loading": None,
            "notes": []}  # fmt: skip


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0, "0 B"),
        (999.4, "999 B"),
        (999.6, "1 kB"),
        (102_000, "102 kB"),
        (3_640_000_000, "3.64 GB"),
        (999_999_999, "1 GB"),
        (2e18, "2e+03 PB"),
        (None, "–"),
    ],
)
def test_magnitudes_have_three_digits_and_a_prefix(value, told):
    assert magnitude(value, "B").replace("\xa0", " ") == told


def test_a_run_says_what_it_costs_where_that_was_measured(run_folder):
    assert "Latency" not in see(run_report(run_folder, pictures=0)).text
    write_json(run_folder / "bench.json", bench() | {"notes": ["A remark."]})
    seen = see(run_report(run_folder, pictures=0))
    assert (
        "Latency of one image 10.00 ms quartiles 9.00 to 11.00; CPU X, 2 threads, float32"
        in seen.text
    )
    assert "FLOPs of one image 3.64 GFLOPs of 224 × 112" in seen.text
    assert "Parameters 25,557 102 kB" in seen.text
    assert seen.row("1")[1:4] == ["10.00\xa0ms|9.00 to 11.00", "8.00\xa0ms", "100"]
    assert seen.row("32")[0] == "32|best"
    assert seen.row("32")[3:] == ["1,234", "2.5\xa0MB"]
    assert "Without a count are relu and mean." in seen.text
    assert "A remark." in seen.text


def test_a_real_one_and_a_damaged_one(run_folder):
    values = bench_run(load_run(run_folder), device="cpu", batches=[2], seconds=0.02)
    seen = see(report(run_folder))
    latency = values["devices"][0]["batches"][0]["median_ms"]
    assert seen.row("1")[1].startswith(f"{latency:.2f}")
    assert f"by {values['loading']['batch']} samples of test" in seen.text
    (run_folder / "bench.json").write_text("{")
    assert "Latency" not in see(report(run_folder)).text


def cells(table):
    return [[(cell.text.replace("\xa0", " "), cell.note) for cell in row] for row in table.rows]


def test_runs_side_by_side():
    (table,) = latency_tables({"plain": [bench()], "large": [bench(25, flops=None)]}, "Run")
    assert isinstance(table, Table)
    assert table.caption.endswith("on CPU X, 2 threads, float32: medians with quartiles")
    plain, large = cells(table)
    assert plain[:3] == [("plain", ""), ("10.00 ms", "9.00 to 11.00"), ("1,234", "batch 32")]
    assert large[1] == ("25.00 ms", "24.00 to 26.00")
    assert [row[3][0] for row in (plain, large)] == ["3.64 GFLOPs", "–"]


def test_arms_are_told_over_their_runs():
    own = [bench(10), bench(14, most=64), bench(11)]
    (table,) = latency_tables({"plain": own, "guided": [bench(5), bench(7)]}, "Arm")
    assert "medians with the range over runs" in table.caption
    plain, guided = cells(table)
    assert plain[1:3] == [("11.00 ms", "10.00 to 14.00"), ("1,234", "batch 32, 64")]
    assert guided[1] == ("6.00 ms", "5.00 to 7.00")


def test_only_what_was_measured_alike_is_set_side_by_side():
    assert latency_tables({}, "Run") == []
    assert latency_tables({"a": [bench()], "b": [None]}, "Run") == []
    assert latency_tables({"a": [bench(), None], "b": [bench()]}, "Run") == []
    for other in (bench(threads=4), bench(name="CPU Y")):
        (note,) = latency_tables({"a": [bench()], "b": [other]}, "Run")
        assert isinstance(note, Note)
        assert "different machines" in note.text
    both, gpu = bench(), bench(1, name="GPU Z", threads=None)["devices"]
    both["devices"] += gpu
    found = latency_tables({"a": [both], "b": [both]}, "Run")
    assert [t.caption.partition(" on ")[2].partition(":")[0] for t in found] == [
        "CPU X, 2 threads, float32",
        "GPU Z, float32",
    ]
    (alone,) = latency_tables({"a": [both], "b": [bench(name="GPU Z", threads=None)]}, "Run")
    assert "on GPU Z" in alone.caption


def test_a_comparison_has_them_where_every_run_was_measured(run_folder, tmp_path):
    other = shutil.copytree(run_folder, tmp_path / "other")
    out = tmp_path / "out"
    write_json(run_folder / "bench.json", bench())
    for known in (False, True):
        if known:
            write_json(other / "bench.json", bench(20))
        compare_runs(open_runs([str(run_folder), str(other)], "test"), "test", out)
        seen = see(compare_report(out, pictures=0))
        assert ("Latency of one image" in seen.text) == known
    assert seen.row("other")[1] == "20.00\xa0ms|19.00 to 21.00"
    # A comparison from before has no word of it.
    summary = read_json(out / "summary.json")
    for run in (summary["first"], *summary["others"]):
        del run["bench"]
    write_json(out / "summary.json", summary)
    assert "Latency" not in see(compare_report(out, pictures=0)).text


def test_a_study_has_them_where_every_finished_run_was_measured(study_folder):
    runs = [
        study_folder / f"runs/{arm}-seed{seed}" for arm in ("plain", "guided") for seed in (0, 1)
    ]
    try:
        for number, run in enumerate(runs):
            assert "Latency" not in see(study_report(study_folder, pictures=0)).text
            write_json(run / "bench.json", bench(10 + number))
        seen = see(study_report(study_folder, pictures=0))
    finally:
        for run in runs:
            (run / "bench.json").unlink(missing_ok=True)
    found = [row for row in seen.rows if row and row[0] in ("plain", "guided") and "ms" in row[1]]
    assert [row[1] for row in found] == [
        "10.50\xa0ms|10.00 to 11.00",
        "12.50\xa0ms|12.00 to 13.00",
    ]
