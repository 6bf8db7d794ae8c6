"""What `regard study` prints, while runs go and at the end."""

import pytest
import yaml

from regard.cli.show_study import show_summary
from regard.cli.study_view import StudyView
from regard.runs.files import read_json
from regard.studies.settings import Study
from tinyset import BASE, in_this_process, write_set

ARMS = {"plain": {}, "guided": {"guidance": {"terms": [{"term": "energy"}]}}}


@pytest.fixture
def study():
    values = {"name": "s", "base": {}, "arms": ARMS, "baseline": "plain", "metrics": ["accuracy"]}
    return Study.model_validate(values)


def summary(**arms):
    row = {"metric": "test.accuracy", "arm": "guided", "against": "plain", "seeds": None}
    row |= {"images": None, "both": None, "folds": None, "p_holm": None, "verdict": "not tested"}
    gaze = {"metric": "test.iou", "arm": "guided", "images": 4, "mean": 0.447, "median": 0.437}
    gaze |= {"sd": 0.102, "uniform": 0.066, "best": None}
    return {"arms": arms, "comparisons": [row], "controls": {}, "gaze": [gaze]}


def number(value):
    return {"value": value, "low": None, "high": None, "n": 1}


def test_what_was_not_computed_is_not_called_no_difference(study, capsys):
    show_summary(study, summary(plain={"test.accuracy": number(0.5)}, guided={}))
    out = capsys.readouterr().out
    assert "not tested" in out
    assert "no difference shown" not in out


def test_an_interval_is_told_as_its_bounds_and_a_dash_stands_for_none(study, capsys):
    few = {"value": 0.133, "low": 0.0, "high": 0.42, "n": 3}
    same = {"value": 0.2, "low": None, "high": None, "n": 3}
    tiny = {"value": 0.00002, "low": 0.0, "high": 0.000041, "n": 3}
    arms = {"plain": {"test.accuracy": few}, "guided": {"test.accuracy": same}}
    told = summary(**arms)
    told["comparisons"][0] |= {
        "seeds": {"difference": tiny, "p_value": 0.2},
        "images": {"difference": {"value": 0.0, "low": -3e-9, "high": 0.00012, "n": 9}},
    }
    show_summary(study, told)
    out = capsys.readouterr().out
    assert "0.133 [0.000, 0.420]" in out
    assert "0.200 [–]" in out
    assert "0.000020 [0.000, 0.000041]" in out
    assert "-3.0e-09 to 0.00012" in out
    assert "±" not in out.split("Of a run")[0]


def test_the_gaze_over_images_stands_beside_its_bounds(study, capsys):
    show_summary(study, summary(plain={}, guided={}))
    out = capsys.readouterr().out
    head = next(line for line in out.splitlines() if "uniform map" in line)
    assert head.split() == ["arm", "mean", "median", "sd", "uniform", "map", "best", "map"]
    row = next(line for line in out.splitlines() if "test.iou" in line)
    assert row.split() == ["test.iou", "guided", "0.447", "0.437", "0.102", "0.066", "–"]


def test_few_seeds_are_warned_of(study, capsys):
    for seeds, text in (((0,), "One seed allows no interval"), ((0, 1), "over 2 seeds are very w")):
        show_summary(study.model_copy(update={"seeds": seeds}), summary(plain={}, guided={}))
        assert text in capsys.readouterr().out
    show_summary(study, summary(plain={}, guided={}))
    assert "--seeds 3" not in capsys.readouterr().out


def test_dead_maps_are_told_where_there_are_any(study, capsys):
    plain, guided = {"test.dead_maps": number(0.0)}, {"test.dead_maps": number(0.125)}
    show_summary(study, summary(plain=plain, guided=guided))
    said = "Dead maps on test (zero everywhere, in no score of the gaze): guided 12.5%. An arm's "
    assert said in capsys.readouterr().out
    show_summary(study, summary(plain=plain, guided=plain))
    assert "Dead maps" not in capsys.readouterr().out


def test_what_others_reported_stands_beside_it(study, capsys):
    values = {"test.accuracy": {"guided": 0.9607, "vgg16": 0.76}}
    published = {"source": "Ross et al.", "values": values, "others": ["vgg16"]}
    told = study.model_dump() | {"published": published}
    show_summary(Study.model_validate(told), summary(plain={}, guided={"test.accuracy": number(1)}))
    out = capsys.readouterr().out
    assert "Beside Ross et al." in out
    line = next(line for line in out.splitlines() if "0.9607" in line)
    assert line.split() == ["test.accuracy", "guided", "0.9607", "1.000"]
    line = next(line for line in out.splitlines() if "vgg16" in line)
    assert line.split() == ["test.accuracy", "vgg16", "0.7600", "–"]


def test_lines_of_runs_name_their_folder_and_no_class_of_errors(study, tmp_path, capsys):
    view = StudyView(study, tmp_path / "studies" / "s")
    row = {"arm": "plain", "run": "runs/plain-seed0"}
    row |= {"status": "done", "test.accuracy": 0.5, "seconds": 2.0}
    view.finished(row)
    folder = tmp_path / "studies" / "s" / "runs" / "plain-seed0"
    assert capsys.readouterr().err == f"{folder}: accuracy test 0.500 (2 s)\n"
    failed = {"status": "failed", "error": "why", "remedy": "do this"}
    failed |= {"arm": "plain", "run": "runs/plain-seed0"}
    view.finished(failed)
    assert capsys.readouterr().err == f"{folder}: why\n"
    assert view.remedies == ["do this"]


def test_a_study_with_an_arm_that_blows_up(regard, tmp_path, monkeypatch):
    in_this_process(monkeypatch)
    write_set(tmp_path, counts={"train": 12, "val": 6, "test": 6})
    broken = {"training": {"optimiser": {"name": "sgd", "lr": 1e30, "momentum": 0.0}}}
    values = {"name": "tiny", "base": BASE, "arms": {"plain": {}, "broken": broken}}
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(values | {"baseline": "plain", "seeds": [0]}, sort_keys=False))
    monkeypatch.chdir(tmp_path)
    answer = regard("study", path, "--workers", 1)
    assert answer.code == 1
    assert "studies/tiny/runs/plain-seed0: accuracy test " in answer.err
    last = answer.err.splitlines()[-1]
    assert last.startswith("regard: 1 run failed; the same command would fail again: ")
    assert "NumericalError" not in answer.err + answer.out
    assert "not tested" in answer.out
    assert "One seed allows no interval" in answer.out
    assert read_json(tmp_path / "studies/tiny/summary.json")["arms"]["plain"]


def test_a_study_that_cannot_run_is_one_line_and_exit_2(regard, tmp_path):
    write_set(tmp_path, counts={"train": 6, "val": 3, "test": 3}, regions=False)
    path = tmp_path / "study.yaml"
    values = {"name": "tiny", "base": BASE, "arms": ARMS, "baseline": "plain"}
    path.write_text(yaml.safe_dump(values))
    answer = regard("study", path, "--out", tmp_path / "out")
    assert answer.code == 2
    assert answer.err.startswith("regard: study tiny, arm guided, guidance.terms: expected samples")
    assert len(answer.err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_that_a_running_study_holds_is_one_line(regard, tmp_path, monkeypatch):
    from regard.runs import folder

    write_set(tmp_path, counts={"train": 6, "val": 3, "test": 3})
    path = tmp_path / "study.yaml"
    values = {"name": "tiny", "base": BASE, "arms": {"plain": {}}, "baseline": "plain"}
    path.write_text(yaml.safe_dump(values))
    monkeypatch.setattr(folder, "PATIENCE", 0.05)
    with folder.locked(tmp_path / "out"):
        answer = regard("study", path, "--out", tmp_path / "out")
    assert answer.code == 2
    (line,) = answer.err.splitlines()
    assert "found one that is locked; wait for it, or choose another --out" in line


def test_costs_of_a_run_are_printed(study, capsys):
    costs = {"seconds": {"mean": 1234.5, "sd": 10.0, "n": 3}, "parameters": {"mean": 5000.0,
             "sd": 0.0, "n": 3}, "latency_ms": {"mean": 1.5, "sd": None, "n": 1}}  # fmt: skip
    show_summary(study, summary(plain={}, guided={}) | {"costs": {"plain": costs, "guided": {}}})
    out = capsys.readouterr().out
    row = next(line for line in out.splitlines() if line.split()[:2] == ["plain", "1,234"])
    assert row.split() == ["plain", "1,234", "±", "10", "5,000", "1.50"]
    assert ["guided", "–", "–", "–"] in [line.split() for line in out.splitlines()]


def test_of_one_seed_the_intervals_are_over_images(study, capsys):
    own = number(0.5) | {"images": {"value": 0.5, "low": 0.4, "high": 0.6}}
    one = study.model_copy(update={"seeds": (0,)})
    show_summary(one, summary(plain={"test.accuracy": own}, guided={}))
    out = capsys.readouterr().out
    assert "Of one training each, with 95% interval over images" in out
    assert "0.500 [0.400, 0.600]" in out
