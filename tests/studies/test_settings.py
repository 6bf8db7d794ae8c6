"""What a study file may say, and how a mistake in it is told."""

import pytest
import yaml

from regard.errors import ConfigError
from regard.evaluation.label_sets import sets_table
from regard.evaluation.metrics import evaluate
from regard.evaluation.multilabel import evaluate_multilabel
from regard.evaluation.table import predictions_table
from regard.evaluation.thresholds import AT_THRESHOLD
from regard.runs.reliance import GAP, MEASURED
from regard.scores import scores
from regard.studies.pixel_metrics import MEAN_METRICS
from regard.studies.read import read_study, recipes
from regard.studies.set_metrics import SET_METRICS
from regard.studies.settings import METRICS, arm_config
from regard.training.config import changed, read_config
from tinyset import BASE, write_config

STUDY = {
    "name": "tiny",
    "base": BASE,
    "arms": {"plain": {}, "guided": {"guidance": {"terms": [{"term": "energy"}]}}},
    "baseline": "plain",
    "seeds": [0, 1],
    "scales": {"smoke": {"seeds": [0], "base": {"training": {"epochs": 1}}}},
}


def written(folder, *changes):
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(changed(STUDY, changes)))
    return path


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("comparisons=[[guided, plian]]", "unknown arm 'plian'; did you mean plain?"),
        ("baseline=plian", "did you mean plain?"),
        ("seed=[1]", "found 'seed'; did you mean seeds"),
        ("seeds=[]", "seeds"),
        ("seeds=[1, 1]", "found a seed that comes twice; give each once"),
        ("published={source: A, values: {test.acuracy: {plain: 1}}}", "did you mean test.accuracy"),
        ("published={source: A, values: {test.accuracy: {plian: 1}}}", "unknown arm 'plian'"),
        ("metrics=[acuracy]", "unknown metric 'acuracy'; did you mean accuracy"),
        ("arms={}", "arms"),
        ("arms={a b: {}, plain: {}}", "use letters, digits, - and _"),
        ("data={sheets: {counts: {train: 4}, size: 1}}", "data.sheets.size"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, change, text):
    with pytest.raises(ConfigError) as caught:
        read_study(written(tmp_path, change))
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_studies_scales_and_seeds_are_refused(tmp_path):
    path = written(tmp_path)
    with pytest.raises(ConfigError, match="expected a YAML file or a recipe, found neither"):
        read_study("nowhere")
    with pytest.raises(ConfigError, match="expected one of smoke, found 'full'"):
        read_study(path, "full")
    with pytest.raises(ConfigError, match="seeds"):
        read_study(path, seeds=0)


def test_scales_and_seeds_change_what_they_name(tmp_path):
    path = written(tmp_path)
    assert read_study(path).seeds == (0, 1)
    small = read_study(path, "smoke")
    assert (small.seeds, small.base["training"]["epochs"]) == ((0,), 1)
    assert small.base["training"]["batch_size"] == BASE["training"]["batch_size"]
    assert read_study(path, "smoke", seeds=3).seeds == (0, 1, 2)


def test_a_scale_keeps_the_arms_that_it_names_and_what_is_said_of_them(tmp_path):
    changes = (
        "arms.other={}",
        "comparisons=[[guided, plain], [other, plain]]",
        "published={source: A, values: {test.accuracy: {plain: 0.5, other: 0.6}}}",
    )
    path = written(tmp_path, *changes, "scales.smoke.keep=[guided, plain]")
    assert set(read_study(path).arms) == {"plain", "guided", "other"}
    small = read_study(path, "smoke")
    assert set(small.arms) == {"plain", "guided"}
    assert small.comparisons == (("guided", "plain"),)
    # What others reported of an arm that is left out is still told.
    assert small.published.values == {"test.accuracy": {"plain": 0.5, "other": 0.6}}
    assert small.published.others == ("other",)


@pytest.mark.parametrize(
    ("kept", "told"),
    [
        ("[plain, guidet]", "expected arms of the study, found 'guidet'; did you mean guided?"),
        ("[]", "expected arms of the study, found none"),
        ("[guided]", "unknown arm 'plain'"),
    ],
)
def test_a_scale_that_keeps_no_arm_or_not_the_baseline_is_refused(tmp_path, kept, told):
    with pytest.raises(ConfigError) as caught:
        read_study(written(tmp_path, f"scales.smoke.keep={kept}"), "smoke")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_paths_start_from_the_studys_file(tmp_path):
    study = read_study(written(tmp_path, "base.model.weights=net.pt"))
    assert study.base["data"]["manifest"] == str(tmp_path / "manifest.parquet")
    assert study.base["model"]["weights"] == str(tmp_path / "net.pt")
    bundled = read_study(written(tmp_path, "base.model.weights=bundled"))
    assert bundled.base["model"]["weights"] == "bundled"
    none = read_study(written(tmp_path, "base.model.weights=none"))
    assert arm_config(none, "plain", 0, None, 1).model.weights is None


def test_a_runs_config_is_told_from_a_study(tmp_path):
    path = write_config(tmp_path)
    with pytest.raises(ConfigError, match="no arms") as caught:
        read_study(path)
    assert str(caught.value).endswith(f"; use: regard train {path}")
    path = written(tmp_path)
    with pytest.raises(ConfigError, match="it has arms") as caught:
        read_config(path)
    assert str(caught.value).endswith(f"; use: regard study {path}")


def test_an_arms_config_is_the_base_with_what_differs(tmp_path):
    study = read_study(written(tmp_path, "arms.guided.training={epochs: 7}"))
    config = arm_config(study, "guided", 5, None, 2)
    assert (config.training.seed, config.training.threads, config.training.epochs) == (5, 1, 7)
    del study.base["training"]["threads"]
    assert arm_config(study, "guided", 5, None, 2).training.threads == 2
    assert config.training.batch_size == BASE["training"]["batch_size"]
    assert [term.term for term in config.guidance.terms] == ["energy"]
    assert arm_config(study, "plain", 0, "made.parquet", 1).data.manifest == "made.parquet"
    assert study.pairs == (("guided", "plain"),)


def test_a_bad_override_names_the_arm(tmp_path):
    study = read_study(written(tmp_path, "arms.guided.trainin={epochs: 7}"))
    with pytest.raises(ConfigError, match=r"study tiny, arm guided.*did you mean training\?"):
        arm_config(study, "guided", 0, None, 1)


# Recipes whose samples are made from files of the user's.
WITH_DATA = ("decoy-mnist",)
# And those that need a manifest, but at scale smoke.
WITH_MANIFEST = (
    "cells-saliency",
    "imagenet-saliency",
    "imbalance-cnn",
    "products-cvt",
    "streets-convnext",
)


def data_for(name, scale, folder):
    if name in WITH_MANIFEST and scale != "smoke":
        (folder / "m.parquet").touch()
        return folder / "m.parquet"
    return folder if name in WITH_DATA else None


@pytest.mark.parametrize("name", recipes())
def test_data_is_asked_for_where_it_is_needed_and_nowhere_else(name, tmp_path):
    if name in WITH_DATA:
        with pytest.raises(ConfigError, match="add --data FOLDER"):
            read_study(name)
        assert read_study(name, data=tmp_path).data.decoys.source == str(tmp_path)
        return
    manifest = tmp_path / "own.parquet"
    with pytest.raises(ConfigError, match=r"own.parquet, which does not exist; make one: regard"):
        read_study(name, data=manifest)
    with pytest.raises(ConfigError, match="expected a manifest to train on"):
        read_study(name, data=tmp_path)
    table = tmp_path / "own.csv"
    table.touch()
    assert read_study(name, data=table).base["data"]["manifest"] == str(table)
    if name in WITH_MANIFEST:
        with pytest.raises(ConfigError, match="found none; add --data M"):
            read_study(name)
        assert read_study(name, "smoke").data.manifest in (
            "scenes/manifest.parquet",
            "sheets/manifest.parquet",
        )
    manifest.touch()
    study = read_study(name, data=manifest)
    assert study.data.manifest is None
    assert arm_config(study, study.baseline, 0, None, 1).data.manifest == str(manifest)


def test_a_study_that_names_its_manifest_takes_no_other(tmp_path):
    with pytest.raises(ConfigError, match=r"change base.data.manifest"):
        read_study(written(tmp_path), data=tmp_path / "own.parquet")


@pytest.mark.parametrize("name", list(recipes()))
def test_every_recipe_is_sound_at_every_scale(name, tmp_path):
    known = read_study(name, data=data_for(name, None, tmp_path)).scales
    for scale in (None, *known):
        study = read_study(name, scale, data=data_for(name, scale, tmp_path))
        for arm in study.arms:
            assert arm_config(study, arm, study.seeds[0], "m.parquet", 1).model.spec


def test_the_metrics_are_those_of_evaluation_and_all_scores():
    table = predictions_table(
        [0, 1, 2], ["a", "b", "c"], [0, 1, 1], [[0.9, 0.1], [0.4, 0.6], [0.7, 0.3]], ["x", "y"]
    )
    found = {k for k, v in evaluate(table).items() if isinstance(v, dict) and "value" in v}
    own = {"dead_maps", GAP, *MEASURED, *MEAN_METRICS, *AT_THRESHOLD, *SET_METRICS}
    assert set(METRICS) == found | own
    sets = sets_table([0, 1], ["a", "b"], [[1, 0], [0, 1]], [[0.9, 0.1], [0.4, 0.6]], ["x", "y"])
    own = {k for k, v in evaluate_multilabel(sets).items() if isinstance(v, dict) and "value" in v}
    assert own == {"accuracy", *SET_METRICS}
    assert "energy" in scores()


def test_an_unknown_key_of_an_arm_tells_the_arm_the_key_and_near_ones(tmp_path):
    study = read_study(written(tmp_path, "arms.guided.training={epoch: 7}"))
    with pytest.raises(ConfigError) as caught:
        arm_config(study, "guided", 0, None, 1)
    text = str(caught.value)
    assert text.startswith("study tiny, arm guided, training.epoch: ")
    assert "found 'epoch'; did you mean epochs" in text
