"""Every kind of wrong value in a config, told in plain words and blamed on who wrote it."""

from typing import Any, get_args

import pytest
from pydantic import BaseModel

from regard.errors import ConfigError
from regard.settings.expected import Wanted
from regard.settings.mistakes import SettingError, parse
from regard.studies.settings import Study
from regard.training.config import Config, changed, read_config
from tinyset import BASE, write_config

TERMS = {"guidance": {"terms": [{"term": "energy"}]}, "distil": {"teacher": "run"}}
STUDY = {
    "name": "s",
    "base": {},
    "arms": {"a": {}},
    "baseline": "a",
    "data": {"sheets": {"counts": {"train": 1}}, "scenes": {"counts": {"train": 1}}},
    "published": {"source": "A", "values": {}},
}
WRONG = (
    "words", -1_000_000_007, 1_000_000_007.5, 0, True, None, [], [-5], ["a", None, {}], {"a": []},
    {"a": "b", "b": None}, [1] * 9, -0.5, float("nan"),
)  # fmt: skip
LEAKS = (
    "Input", "constrained", "should be", "validation", "literal[", "tuple[", "dict[", "function",
    "parse", "instance of", "NoneType", "Error", "__init__", "True", "greater", "less than",
)  # fmt: skip


def fields(kind: type[BaseModel], above=()):
    """The keys of every field of a model and of the models in it, with what is wanted there."""
    for name, field in kind.model_fields.items():
        wanted = Wanted.of_field(field)
        yield (*above, name), wanted
        for inner in [wanted.type, *get_args(wanted.type)]:
            if isinstance(inner, type) and issubclass(inner, BaseModel) and "terms" not in name:
                yield from fields(inner, (*above, name))


def said(kind, base, keys, value):
    """The error of a value at a place of a sound config; None if the value will do."""
    values = changed(base, [])
    place: Any = values
    for key in keys[:-1]:
        place = place.setdefault(key, {})
    place[keys[-1]] = value
    try:
        parse(kind, values, "c.yaml")
    except SettingError as error:
        return error
    return None


@pytest.mark.parametrize(("kind", "base"), [(Config, BASE | TERMS), (Study, STUDY)])
def test_no_wrong_value_of_any_field_is_told_in_another_programs_words(kind, base):
    told, places = 0, list(fields(kind))
    for keys, _ in places:
        for value in WRONG:
            error = said(kind, base, keys, value)
            if error is None:
                continue
            told += 1
            text = str(error)
            assert text.startswith("c.yaml, " + (".".join(map(str, error.keys)) or "top level"))
            assert all(a == b for a, b in zip(error.keys, keys, strict=False)), text
            assert all(leak not in text for leak in LEAKS), text
            assert "\n" not in text
            assert error.expected
            assert error.remedy
    assert told > 4 * len(places)
    assert len(places) > (45 if kind is Config else 15)


@pytest.mark.parametrize(
    ("keys", "value", "text"),
    [
        ("training.epochs", "ten",
         "expected a whole number, found 'ten'; correct it, or leave it out for 10"),
        ("training.epochs", 1.5, "expected a whole number, found 1.5; "),
        ("training.epochs", True, "expected a whole number, found true; "),
        ("training.clip", False, "expected a number or null, found false; "),
        ("data.size", True, "or null, found true; "),
        ("guidance.terms", [{"term": "energy", "weight": True}],
         "c.yaml, guidance.terms.0.weight: expected a number, found true; "),
        ("data.fold", 2, "expected a valid value, found fold 2 and no folds; set folds, or leave"),
        ("training.epochs", -1, "expected 1 or more, found -1; "),
        ("training.epochs", None, "expected a whole number, found null; "),
        ("training.seed", -1, "expected 0 or more, found -1; "),
        ("training.bf16", "maybe", "expected true or false, found 'maybe'; "),
        ("training.optimiser.lr", 0, "expected above 0, found 0; "),
        ("training.optimiser.lr", "fast", "expected a number, found 'fast'; "),
        ("training.optimiser.momentum", 1, "expected 0 or more and below 1, found 1; "),
        ("training.optimiser.name", "sgdd",
         "expected one of sgd, adam, adamw, found 'sgdd'; did you mean sgd?"),
        ("training.patience", 0, "expected 1 or more, found 0; correct it, or leave it out"),
        ("training", None, "expected a section of keys and values, found null; "),
        ("data.augment.rotate", 181, "expected from 0 to 180, found 181; "),
        ("data.augment.hue", 0.6, "expected from 0 to 0.5, found 0.6; "),
        ("data.val_from_train", 1, "expected above 0 and below 1, found 1; "),
        ("data.manifest", 5, "expected text, found 5; put it in quotes: '5'"),
        ("data.std", [1, 2], "expected a list of 3 numbers above 0 or null, found [1, 2]; "),
        ("data.std", [1, 2, 3, 4], "a list of 3 numbers above 0 or null, found [1, 2, 3, 4]; "),
        ("data.mean", [0, 0.5, 2], "data.mean.2: expected from 0 to 1, found 2; "),
        ("data.views", "image", "expected a list of 1 or more texts, found 'image'; write [image]"),
        ("data.views", [], "expected a list of 1 or more texts, found []; "),
        ("data.size", "big", "expected a whole number of 1 or more, a list of 2 whole numbers of 1 "
         "or more, or null, found 'big'; "),
        ("data.size", -1, "or null, found -1; "),
        ("data.size", [32], "or null, found [32]; "),
        ("data.folds", {"k": 3}, "expected a whole number or null, found {'k': 3}; "),
        ("model.freeze", "bakbone",
         "expected one of none, backbone, or a whole number, found 'bakbone'; did you mean back"),
        ("model.options", 5, "expected names and values, found 5; "),
        ("guidance.terms", [{}], "c.yaml, guidance.terms.0.term: expected text, found nothing; "),
        ("guidance.terms", [{"term": "energy", "weight": "five"}],
         "c.yaml, guidance.terms.0.weight: expected a number, found 'five'; "),
        ("guidance.terms", [{"term": "energy", "weigth": 5}],
         "c.yaml, guidance.terms.0.weigth: expected a known key, found 'weigth'; did you mean w"),
    ],
)  # fmt: skip
def test_each_kind_of_mistake(keys, value, text):
    assert text in str(said(Config, BASE, keys.split("."), value))


def test_what_is_missing_is_named():
    with pytest.raises(SettingError, match=r"c, model: expected a section .*, found nothing; w"):
        parse(Config, {"data": {"manifest": "m"}}, "c")
    with pytest.raises(SettingError, match=r"c, data\.manifest: expected text, found nothing; w"):
        parse(Config, BASE | {"data": {}}, "c")


@pytest.mark.parametrize(
    ("change", "start"),
    [
        ("data.size=big", "--set data.size=big: expected a whole number"),
        ("data={manifest: 5}", "--set data={manifest: 5}, data.manifest: expected text"),
        ("training.optimizer.lr=1", "--set training.optimizer.lr=1, training.optimizer: expected"),
        ("guidance.terms.0.weight=much", "--set guidance.terms.0.weight=much: expected a number"),
        ("data.folds=5", "--set data.folds=5, data: expected a valid value, found both folds and"),
    ],
)
def test_a_value_of_set_is_blamed_on_set(tmp_path, change, start):
    path = write_config(tmp_path, base=BASE | TERMS | {"data": {**BASE["data"], "split": "80/20"}})
    with pytest.raises(ConfigError) as caught:
        read_config(path, ["training.seed=3", change, "training.epochs=4"])
    assert str(caught.value).startswith(start)


def test_what_set_puts_in_quotes_stays_text(tmp_path):
    path = write_config(tmp_path, base=BASE)
    for text in ("'1'", '"1"', "'1e-3'", "'2024'"):
        assert read_config(path, [f"data.manifest={text}"]).data.manifest == text[1:-1]
    assert read_config(path, ["training.optimiser.lr=1e-3"]).training.optimiser.lr == 0.001
    with pytest.raises(ConfigError, match="put it in quotes: '2024'"):
        read_config(path, ["data.manifest=2024"])
    with pytest.raises(ConfigError, match="put it in quotes as it was written: 'yes', 'no'"):
        read_config(path, ["data.manifest=no"])


def test_a_mistake_of_the_file_is_blamed_on_the_file(tmp_path):
    path = write_config(tmp_path, "training.epochs=ten")
    with pytest.raises(ConfigError) as caught:
        read_config(path, ["training.batch_size=4"])
    assert str(caught.value).startswith(f"{path}, training.epochs: expected a whole number")
    assert read_config(path, ["training.epochs=10"]).training.epochs == 10
    with pytest.raises(ConfigError, match=r"^--set training\.epochs=eleven: expected"):
        read_config(path, ["training.epochs=eleven"])


def test_set_reaches_into_lists(tmp_path):
    terms = {"guidance": {"terms": [{"term": "energy"}, {"term": "energy", "name": "two"}]}}
    path = write_config(tmp_path, base=BASE | terms)
    config = read_config(path, ["guidance.terms.1.weight=5", "guidance.terms.0={term: energy}"])
    assert [term.build().weight for term in config.guidance.terms] == [1.0, 5.0]
    before = {"a": [{"b": 1}, 2]}
    assert changed(before, ["a.0.b=3", "a.1=4"]) == {"a": [{"b": 3}, 4]}
    assert before == {"a": [{"b": 1}, 2]}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("guidance.terms.2.weight=5", "expected an index from 0 to 0 in guidance.terms, found 2"),
        ("guidance.terms.-1.weight=5", "an index from 0 to 0 in guidance.terms, found -1"),
        ("guidance.terms.first.weight=5", "found first; correct it, or set the whole list"),
        ("guidance.terms.1=5", "expected an index from 0 to 0 in guidance.terms, found 1"),
        ("gaze.scores.0=iou", "expected a list at gaze.scores, found none in the file; set the"),
        ("training.0=iou", "expected a list at training, found keys and values; set the whole"),
    ],
)
def test_an_index_that_is_not_there_is_refused(tmp_path, change, text):
    path = write_config(tmp_path, base=BASE | TERMS)
    with pytest.raises(ConfigError) as caught:
        read_config(path, [change])
    assert str(caught.value).startswith(f"--set {change}: expected ")
    assert text in str(caught.value)
