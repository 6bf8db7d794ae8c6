"""Every recipe at its smallest scale; at full length as its users run it."""

import os
import sys
from pathlib import Path

import polars as pl
import pytest

from regard.cli.main import main
from regard.studies.read import read_study, recipes
from tinyset import in_this_process, run_regard

HERE = Path(__file__).resolve().parents[2].parent / "shared" / "data"
DIGITS = Path(os.environ.get("REGARD_DATA", HERE)) / "mnist"


def in_a_process(monkeypatch, *words):
    answer = run_regard(*words, timeout=600)
    assert answer.returncode == 0, answer.stderr[-2000:]


def here(monkeypatch, *words):
    """Without the seconds that processes take to start."""
    in_this_process(monkeypatch)
    monkeypatch.setattr(sys, "argv", ["regard", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code


@pytest.mark.parametrize("ran", [here, pytest.param(in_a_process, marks=pytest.mark.torture)])
@pytest.mark.parametrize("name", recipes())
def test_smoke(name, ran, tmp_path, monkeypatch):
    data = []
    if name == "decoy-mnist":
        if not DIGITS.is_dir():
            pytest.skip("data set 'mnist' is absent")
        data = ["--data", DIGITS]
    out = tmp_path / "study"
    ran(monkeypatch, "study", name, "--scale", "smoke", *data, "--out", out, "--workers", "1")
    study = read_study(name, "smoke", data=DIGITS if data else None)
    rows = pl.read_parquet(out / "results.parquet")
    assert rows["status"].to_list() == ["done"] * len(study.arms) * len(study.seeds)
    report = (out / "report.html").read_text(encoding="utf-8")
    assert all(arm in report for arm in study.arms)
