"""Every recipe at its smallest scale; at full length as its users run it."""

import os
import sys
from pathlib import Path

import polars as pl
import pytest
import yaml

import regard
from regard.cli.main import main
from regard.studies.read import read_study, recipes
from tinyset import in_this_process, run_regard

RECIPES = Path(regard.__file__).parent / "studies" / "recipes"
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


# Of those with many arms, quickly: one of each kind.
SOME = {
    "decoy-mnist": ["plain", "energy", "misplaced"],
    "herbarium-crossvit": ["C2", "twin", "twin-power-iou"],
    "imagenet-saliency": ["plain", "magtr-quotient", "scorecam-10"],
    "imbalance-cnn": ["none", "both", "both-augmented"],
    "streets-convnext": ["resnet50", "convnextv2-atto"],
}
# And of those with large nets: small ones of their kind.
LIGHTER = {"resnet50": "test_resnet", "convnextv2-atto": "test_convnext"}


def some_arms(name, folder):
    """The recipe as a file, with some of its arms."""
    values = yaml.safe_load((RECIPES / f"{name}.yaml").read_text())
    values["scales"]["smoke"]["keep"] = SOME[name]
    for arm in LIGHTER.keys() & set(SOME[name]):
        arms = values["scales"]["smoke"].setdefault("arms", {})
        arms[arm] = {"model": {"options": {"encoder": LIGHTER[arm]}}}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


@pytest.mark.parametrize("ran", [here, pytest.param(in_a_process, marks=pytest.mark.torture)])
@pytest.mark.parametrize("name", recipes())
def test_smoke(name, ran, tmp_path, monkeypatch):
    data = []
    if name == "decoy-mnist":
        if not DIGITS.is_dir():
            pytest.skip("data set 'mnist' is absent")
        data = ["--data", DIGITS]
    whole = ran is in_a_process or name not in SOME
    of, out = name if whole else str(some_arms(name, tmp_path)), tmp_path / "study"
    ran(monkeypatch, "study", of, "--scale", "smoke", *data, "--out", out, "--workers", "1")
    study = read_study(of, "smoke", data=DIGITS if data else None)
    assert whole or [*study.arms] == SOME[name]
    rows = pl.read_parquet(out / "results.parquet")
    assert rows["status"].to_list() == ["done"] * len(study.arms) * len(study.seeds)
    report = (out / "report.html").read_text(encoding="utf-8")
    assert all(arm in report for arm in study.arms)
