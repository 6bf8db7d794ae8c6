"""Configs, studies, tunings of any content are read, or refused in one line before work begins."""

import copy
import time

import pytest
import yaml
from answered import attack, is_one_line, regard
from hypothesis import strategies as st

from regard.errors import ConfigError, NumericalError, RegardError
from regard.studies.read import read_study
from regard.studies.settings import arm_config
from regard.studies.tuning_read import read_tuning
from regard.training.config import changed, read_config, read_mapping
from regard.training.train import train
from tinyset import BASE, config_of, write_config, write_set

FULL = pytest.mark.torture
CONFIG = BASE | {
    "guidance": {"terms": [{"term": "energy", "weight": 1.0}], "share": 0.5},
    "gaze": {"scores": ["energy"]},
    "evaluate": {"target_recall": 0.9},
}
STUDY = {
    "name": "s", "base": CONFIG, "arms": {"plain": {"guidance": {"terms": []}}, "b": {}},
    "baseline": "plain", "seeds": [0, 1], "splits": ["test"], "metrics": ["accuracy"],
    "comparisons": [["b", "plain"]],
    "scales": {"small": {"seeds": [0], "keep": ["plain", "b"], "base": {"training": {}}}},
}  # fmt: skip
TUNING = {
    "name": "t", "base": BASE, "trials": 2, "objective": "val.loss", "pruning": "median",
    "search": {"training.optimiser.lr": {"low": 1e-4, "high": 0.1, "log": True},
               "training.batch_size": [4, 8]},
}  # fmt: skip
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 40), st.integers(-(2**80), 2**80), st.floats(),
    st.text(max_size=6), st.dates(), st.datetimes(), st.binary(max_size=4),
    st.sampled_from(["=1+1", "../..", "a\0b", "\x1b[31m", "\u202e", "1e-3", "nan", "inf", "none",
                     "val.loss", "regard:cnn2", "energy", "auto", "last", 1e308, 5e-324, -0.0]),
)  # fmt: skip
KEYS = st.one_of(
    st.text(max_size=4), st.integers(), st.booleans(), st.none(), st.dates(),
    st.sampled_from(["data", "term", "weight", "epochs", "<<", "a.b", "__class__", "\x1b[0m"]),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS | st.sets(st.integers(0, 9), max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
HOSTILE = [
    "x: !!python/object/apply:os.system ['true']", "x: !foo bar", "x: !!int foo", "x: !!float foo",
    "x: !!bool foo", "x: !!timestamp foo", "x: 2020-13-45", "x: 0b_", "x: 0x_", "x: 99:99:99",
    "x: " + "9" * 5000, "x: 0x" + "f" * 5000, "x: &a [*a]", "x: &a {y: *a}", "x: *nothing",
    "x: " + "[" * 3000, "x: " + "{a: " * 900 + "1" + "}" * 900, "? [1, 2]\n: 3", "? {a: 1}\n: 3",
    "<<: 5", "<<: [1, 2]", "x: !!set {a, b}", "x: !!omap [a: 1]", "x: !!binary '%'", "\tx: 1",
    "---\nx: 1", "...", "%YAML 9.9", "x: 'abc", "x: \0", "x: \x85", "\ufeffx: 1", "data: {}",
    "&a x: *a", "x: |", "- 1", "x", ": : :", "!!map x: 1", "x: 1e999", "x: .inf", "x: 1_000",
    "b0: &b0 [x, x]\n" + "\n".join(
        f"b{n}: &b{n} [{', '.join([f'*b{n - 1}'] * 9)}]" for n in range(1, 12)),
]  # fmt: skip


def places(value, above=()):
    """All keys and indices inside of a value."""
    pairs = value.items() if isinstance(value, dict) else ()
    for key, inner in enumerate(value) if isinstance(value, list) else pairs:
        yield (*above, key)
        yield from places(inner, (*above, key))


@st.composite
def mutated(draw, base):
    """A sound file with one to three places of another kind, or with a hostile line."""
    value = copy.deepcopy(base)
    for _ in range(draw(st.integers(1, 3))):
        where = draw(st.sampled_from(list(places(value)) or [()]))
        if not where:
            break
        inner = value
        for key in where[:-1]:
            inner = inner[key]
        if isinstance(inner, dict) and draw(st.booleans()):
            inner[draw(KEYS)] = draw(VALUES)
        else:
            inner[where[-1]] = draw(VALUES)
    text = yaml.dump(value, Dumper=yaml.SafeDumper, allow_unicode=draw(st.booleans()))
    if draw(st.booleans()):
        lines = text.splitlines()
        lines.insert(draw(st.sampled_from([0, len(lines)])), draw(st.sampled_from(HOSTILE)))
        text = "\n".join(lines)
    return text


def arms(path):
    for scale in ("small", None):
        study = read_study(path, scale)
    for arm in study.arms:
        arm_config(study, arm, 0, None, 1)


READERS = {"config": (read_config, CONFIG), "study": (arms, STUDY), "tuning": (read_tuning, TUNING)}


def read_or_refused(read, path):
    """Whether it was read; what is refused is told in one line, and at once."""
    began = time.process_time()
    try:
        read(path)
    except RegardError as error:
        told = error
    else:
        return True
    assert is_one_line(told)
    assert len(str(told)) < 2000
    assert time.process_time() - began < 5
    return False


@pytest.mark.parametrize("what", READERS)
@pytest.mark.parametrize("times", [40, pytest.param(3000, marks=FULL)])
def test_files_with_anything_in_them_are_read_or_refused(tmp_path, tally, what, times):
    read, base = READERS[what]
    path = tmp_path / "c.yaml"

    def attacked(text):
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        read_or_refused(read, path)

    path.write_text(yaml.safe_dump(base))
    assert read_or_refused(read, path)
    tally(f"files of a {what}, mutated", *2 * [attack(mutated(base), times, attacked)])


@pytest.mark.parametrize("times", [60, pytest.param(5000, marks=FULL)])
def test_bytes_that_are_no_config(tmp_path, tally, times):
    path = tmp_path / "c.yaml"
    whole = yaml.safe_dump(CONFIG).encode()
    torn = st.tuples(st.integers(0, len(whole)), st.binary(max_size=12)).map(
        lambda cut: whole[: cut[0]] + cut[1] + whole[cut[0] + len(cut[1]) :]
    )

    def attacked(content):
        path.write_bytes(content)
        read_or_refused(read_mapping, path)
        read_or_refused(read_config, path)

    tally("configs of any bytes", *2 * [attack(st.binary(max_size=40) | torn, times, attacked)])


@pytest.mark.parametrize("line", HOSTILE)
def test_a_hostile_line_is_told_with_its_file(tmp_path, line):
    path = tmp_path / "c.yaml"
    for text in (line + "\n" + yaml.safe_dump(CONFIG), yaml.safe_dump(CONFIG) + line):
        path.write_text(text, encoding="utf-8")
        read_or_refused(read_config, path)


@pytest.mark.parametrize("times", [60, pytest.param(5000, marks=FULL)])
def test_settings_on_the_command_line(tally, times):
    values = changed(CONFIG, [])
    keys = st.sampled_from([".".join(map(str, place)) for place in places(values)])
    word = st.text(max_size=10) | st.sampled_from(HOSTILE) | SCALARS.map(str)
    setting = st.tuples(keys | st.text(max_size=5), word).map(lambda two: f"{two[0]}={two[1]}")

    def attacked(setting):
        read_or_refused(lambda given: config_of(given, base=CONFIG), setting)

    tally("--set of anything", *2 * [attack(setting, times, attacked)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("config")
    write_set(folder, counts={"train": 9, "val": 4, "test": 3})
    write_config(folder)
    return folder


WISHES = {
    "data.size": ["1", "2", "7", "33", "[16, 40]", "100000", "[1, 100000]"],
    "data.fit": ["stretch", "pad", "crop"],
    "data.mean": ["[0, 0, 0]", "[1, 1, 1]", "[2, 0, 0]", "[-1, 0, 0]"],
    "data.std": ["[1, 1, 1]", "[1e-300, 1, 1]", "[1e30, 1, 1]"],
    "data.split": ["80/20", "50/25/25", "0/0/100"],
    "data.folds": ["3", "9", "3000000"],
    "data.val_from_train": ["0.5", "0.999", "1e-9"],
    "data.max_pixels": ["1", "1024"],
    "data.workers": ["100000", "0"],
    "data.cache_mb": ["0", "9223372036854775807"],
    "data.augment": ["{mixup: 1e300}", "{zoom: 0.9999999, translate: 0.999}", "{crop: 1}",
                     "{crop: 20, flip: 1}", "{cutmix: 1, mix_probability: 1e-9}"],
    "training.batch_size": ["1", "8", "9", "9223372036854775807"],
    "training.accumulate": ["3", "9223372036854775807"],
    "training.optimiser": ["{lr: 1e308}", "{lr: 5.0e-324}", "{name: sgd, momentum: 0.999999}",
                           "{weight_decay: 1e308}"],
    "training.schedule": ["{name: cosine, warmup_epochs: 1e308}", "{name: plateau}"],
    "training.best": ["last", "val.energy", "train.accuracy", "val.nothing", "test.loss"],
    "training.imbalance": ["weights", "oversample", "both"],
    "training.threads": ["9223372036854775807", "1"],
    "training.seed": ["9223372036854775807", "18446744073709551616", "-1"],
    "training.device": ["meta", "banana", "cuda:99", "cpu:7"],
    "training.clip": ["5.0e-324", "1e308"],
    "training.bf16": ["true"],
    "model.spec": ["timm:resnet10t", "regard:cnn3", "regard:cnn2", "timm:nothing", "banana"],
    "model.options": ["{}", "{width: -1}", "{width: 1000000000}", "{dropout: 5}", "{width: 0.5}",
                      "{pool: [1]}"],
    "model.head": ["{kind: mlp, width: 1}", "{kind: mlp, width: 9223372036854775807}"],
    "model.freeze": ["backbone", "1", "9223372036854775807"],
    "model.freeze_bn": ["true"],
    "guidance.terms": ["[{term: energy}]", "[{term: energy, weight: 1e308}]",
                       "[{term: magtr}, {term: energy}]", "[{term: energy, layer: nowhere}]"],
    "guidance.combine": ["product", "quotient", "uncertainty"],
    "guidance.dilate": ["1"],
    "guidance.share": ["1e-300"],
    "gaze": ["{scores: []}", "{scores: [deletion]}", "{method: rollout}", "{layer: nowhere}"],
    "evaluate": ["{positive: nobody}", "{target_recall: 1e-300}"],
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize("times", [6, pytest.param(600, marks=FULL)])
def test_a_config_that_is_not_refused_trains(folder, tmp_path, tally, times):
    """Or tells that its numbers blow up; it never ends in the middle in another way."""
    wish = st.sampled_from(sorted(WISHES)).flatmap(
        lambda key: st.sampled_from(WISHES[key]).map(lambda value: f"{key}={value}")
    )
    wishes = st.lists(wish, min_size=1, max_size=3, unique_by=lambda w: w.partition("=")[0])
    runs = iter(range(10**6))

    def attacked(wishes):
        out = tmp_path / f"run-{next(runs)}"
        try:
            train(config_of("training.epochs=1", *wishes), out, folder=folder)
        except RegardError as error:
            told = error
        except NumericalError as error:
            assert str(error).startswith("not finite: ")  # noqa: PT017
            return
        else:
            assert (out / "checkpoints" / "last.json").is_file()
            return
        assert is_one_line(told)
        assert not (out / "checkpoints").exists()

    tally("configs that pass the check train", *2 * [attack(wishes, times, attacked)])


@pytest.mark.parametrize(
    ("setting", "found"),
    [
        ("data.size=100000", "found 100000 x 100000"),
        ("data.mean=[2, 0, 0]", "data.mean.0: expected from 0 to 1, found 2"),
        ("data.folds=3000000", "expected from 3 to 1000, found 3000000"),
        ("data.folds=999", "no more than samples"),
        ("data.workers=100000", "found 100000"),
        ("training.threads=9223372036854775807", "found 9223372036854775807"),
        ("training.device=meta", "expected a device of this machine, found 'meta'"),
        ("model.options.width=-1", "expected options that its constructor takes"),
        ("model.options.width=1000000000000", "expected options that its constructor takes"),
        ("model.options.dropout=5", "expected options that its constructor takes"),
        ("model.head={kind: mlp, width: 9223372036854775807}", "found 9223372036854775807"),
        ("training.optimiser.lr=.inf", "expected a number, found inf"),
        ("guidance.terms=[{term: energy, weight: .nan}]", "expected a number, found nan"),
        ("data.manifest=" + "a" * 5000 + ".parquet", "expected a manifest file, found no such"),
    ],
)
def test_what_was_found_by_these_attacks_is_told(folder, tmp_path, setting, found):
    answer = regard("train", folder / "config.yaml", "--out", tmp_path / "run", "--set", setting)
    assert answer.code == 2
    (line,) = answer.err.splitlines()
    assert found in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"metrics": []}, "metrics: expected a list of 1 or more"),
        ({"splits": ["../../x"]}, "write a name without /"),
        ({"name": "a\0b"}, "write a name without /"),
        ({"folds": 10**6}, "expected from 3 to 1000"),
        ({"comparisons": [["b", "b"]]}, "compared with itself"),
        ({3: 4}, "expected keys that are text, found 3; put it in quotes"),
    ],
)
def test_what_was_found_of_studies_is_told(tmp_path, changes, found):
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(STUDY | changes))
    with pytest.raises(ConfigError) as caught:
        read_study(tmp_path / "s.yaml")
    assert found in str(caught.value)
    assert is_one_line(caught.value)


@pytest.mark.parametrize("keep", [5, "plain", [[], "b"], [None], {"plain": 1}])
def test_a_scale_keeps_arms_by_their_names(tmp_path, keep):
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(STUDY | {"scales": {"small": {"keep": keep}}}))
    with pytest.raises(ConfigError, match="scale small, keep: expected a list of arms") as caught:
        read_study(tmp_path / "s.yaml", "small")
    assert is_one_line(caught.value)
