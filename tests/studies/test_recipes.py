"""Every recipe as its users run it, at its smallest scale."""

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from regard.studies.read import read_study, recipes

HERE = Path(__file__).resolve().parents[2].parent / "shared" / "data"
DIGITS = Path(os.environ.get("REGARD_DATA", HERE)) / "mnist"


@pytest.mark.parametrize("name", recipes())
def test_smoke(name: str, tmp_path: Path):
    data = []
    if name == "decoy-mnist":
        if not DIGITS.is_dir():
            pytest.skip("data set 'mnist' is absent")
        data = ["--data", str(DIGITS)]
    command = [sys.executable, "-m", "regard", "study", name, "--scale", "smoke", *data]
    answer = subprocess.run(
        [*command, "--out", str(tmp_path / "study"), "--workers", "1"],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert answer.returncode == 0, answer.stderr[-2000:]
    study = read_study(name, "smoke", data=DIGITS if data else None)
    rows = pl.read_parquet(tmp_path / "study" / "results.parquet")
    assert rows["status"].to_list() == ["done"] * len(study.arms) * len(study.seeds)
    report = (tmp_path / "study" / "report.html").read_text(encoding="utf-8")
    assert all(arm in report for arm in study.arms)
