"""The pages that are written from the source are up to date, and the README's files are sound."""

import doctest
import importlib
import importlib.util
import inspect
import re
from pathlib import Path

import pytest
import torch
import yaml

import regard
from regard.guidance import TERMS, guided_forward
from regard.saliency import METHODS
from regard.scores.base import SCORES
from regard.studies.read import read_study
from regard.studies.settings import arm_config
from regard.studies.tuning_read import read_tuning
from regard.studies.tuning_space import space_of
from regard.training.config import Config, parse_config

HERE = Path(__file__).resolve().parents[1]
DOCS = HERE / "docs"


def script(name="config_reference"):
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def readme_files():
    return re.findall(r"```yaml\n(.*?)```", (HERE / "README.md").read_text(), re.DOTALL)


def test_the_reference_of_configs_is_up_to_date():
    assert (DOCS / "config.md").read_text() == script().reference(), (
        "run: python docs/config_reference.py"
    )


def test_the_reference_has_every_key_with_its_meaning():
    text = (DOCS / "config.md").read_text()
    for name in Config.model_fields:
        assert f"| `{name}` |" in text
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) > 70
    for row in rows:
        key, what, _, meaning = (cell.strip() for cell in row.strip("|").split(" | "))
        assert what, key
        assert len(meaning) > 4, key
    assert "docs/config.md" in (HERE / "README.md").read_text()


def test_the_reference_of_methods_is_up_to_date():
    assert (DOCS / "methods.md").read_text() == script("methods_reference").reference(), (
        "run: python docs/methods_reference.py"
    )
    assert "docs/methods.md" in (HERE / "README.md").read_text()


def test_the_reference_of_commands_is_up_to_date():
    text = script("commands_reference").reference()
    assert (DOCS / "commands.md").read_text() == text, "run: python docs/commands_reference.py"
    assert "### regard data import csv" in text
    assert "| `--resume` | Go on with a run that was stopped. |" in text


def test_the_reference_of_terms_is_up_to_date():
    text = script("guidance_reference").reference()
    assert (DOCS / "guidance.md").read_text() == text, "run: python docs/guidance_reference.py"
    assert "docs/guidance.md" in (HERE / "README.md").read_text()
    for name, kind in TERMS.items():
        section = text.split(f"\n### `{name}`\n")[1].split("\n### ")[0]
        formula = section.split("```text\n")[1].split("\n```")[0]
        assert len(formula) > 10
        assert formula in inspect.getdoc(kind)


@pytest.mark.parametrize("name", METHODS)
def test_the_reference_of_methods_tells_all_of_each(name):
    kind = METHODS[name]
    text = (DOCS / "methods.md").read_text()
    (overview,) = [line for line in text.splitlines() if line.startswith(f"| [`{name}`](#{name})")]
    assert len(re.split(r"(?<!\\)\|", overview)) == 7
    section = text.split(f"\n### `{name}`\n")[1].split("\n#")[0]
    for told in (kind.formula, kind.passes, kind.blind_to, kind.nets, kind.reference):
        assert told in section
    formula = section.split("```text\n")[1].split("\n```")[0]
    assert len(formula) > 10
    assert formula in inspect.getdoc(kind)
    options = re.findall(
        r"^\| `(\w+)` \|.*\| ([^|]+) \|$", section.replace("\\|", ""), re.MULTILINE
    )
    assert [option for option, _ in options] == list(inspect.signature(kind).parameters)
    assert all(len(meaning) > 4 and "eference:" not in meaning for _, meaning in options)


def test_all_scores_are_defined():
    text = (DOCS / "evaluation.md").read_text().split("\n## ")[1]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| `")
    ]
    asked = {"region": "region", "model": "model", "map": "nothing"}
    told = {name: (asked[score.asks], score.better) for name, score in SCORES.items()}
    assert {row[0].strip("`"): (row[2], row[3]) for row in rows} == told
    assert all(len(row) == 6 for row in rows)
    assert all(len(row[1]) >= 10 for row in rows)


def test_the_config_of_the_readme_is_sound():
    config = parse_config(yaml.safe_load(readme_files()[0]), "README")
    assert [term.term for term in config.guidance.terms] == ["energy"]


def test_the_study_of_the_readme_is_sound(tmp_path):
    path = tmp_path / "my-study.yaml"
    path.write_text(readme_files()[1])
    study = read_study(path)
    assert list(study.arms) == ["plain", "guided", "misplaced"]
    assert study.pairs == (("guided", "plain"), ("guided", "misplaced"))
    configs = {arm: arm_config(study, arm, 0, None, 1) for arm in study.arms}
    assert [len(config.guidance.terms) for config in configs.values()] == [0, 1, 1]
    assert configs["misplaced"].guidance.regions == "misplaced"
    assert configs["guided"].guidance.terms == configs["misplaced"].guidance.terms


@pytest.mark.parametrize("source", ["docs/tuning.md", "examples/imagenet14-tuning.yaml"])
def test_the_tunings_that_are_shown_are_sound(tmp_path, source):
    text = (HERE / source).read_text()
    path = tmp_path / "tuning.yaml"
    path.write_text(re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)[0] if "```" in text else text)
    tuning = read_tuning(path)
    space = space_of(tuning)
    assert [own.key for own in space] == list(tuning.search)
    assert len(space) == 5


def test_the_examples_of_guidance_run():
    examples = re.findall(r"```python\n(.*?)```", (DOCS / "guidance.md").read_text(), re.DOTALL)
    assert len(examples) == 2
    inside = torch.zeros(4, 96, 96)
    inside[:, 30:60, 30:60] = 1
    for example in examples:
        names = {
            "regard": regard,
            "torch": torch,
            "net": regard.build_model("regard:cnn2", classes=5),
            "images": torch.rand(4, 3, 96, 96),
            "labels": torch.tensor([0, 1, 2, 3]),
            "regions": inside,
            "truth": torch.eye(5)[:4],
            "terms": [regard.guidance.Energy()],
        }
        exec(example, names)
        names["loss"].backward()
        assert names["output"].losses["energy"].shape in ((4,), (3,))


def test_the_page_on_two_branches_holds_what_it_shows():
    text = (DOCS / "branches.md").read_text()
    (config,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    parsed = parse_config(yaml.safe_load(config), "branches.md")
    assert parsed.model.patch_weights.kind == "power"
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    found = {"regard": regard, "torch": torch}
    exec(code, found)
    assert found["maps"].shape == (1, 20, 20)
    assert float(found["maps"].max()) > 0


EXAMPLES = sorted(
    path.relative_to(HERE / "src").with_suffix("").as_posix().replace("/", ".")
    for path in (HERE / "src").rglob("*.py")
    if ">>> " in path.read_text("utf-8")
)


@pytest.mark.parametrize("module", EXAMPLES)
def test_examples_give_what_they_say(module):
    """With what an example itself imports, and a module's own names where it imports nothing."""
    found = doctest.testmod(importlib.import_module(module))
    assert found.attempted > 0
    assert found.failed == 0


def test_examples_of_the_public_surface_can_be_pasted():
    for function in (regard.explain, regard.score, regard.build_model, guided_forward):
        (test,) = doctest.DocTestFinder(recurse=False).find(function, "example", globs={})
        assert test.examples
        assert doctest.DocTestRunner(verbose=False).run(test).failed == 0
