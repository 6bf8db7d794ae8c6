"""Files and folders of strangers: nothing of theirs runs, nothing outside is touched."""

import json
import os
import resource
import shutil
from pathlib import Path

import polars as pl
import pytest
import torch
import yaml
from hostile import of_other_kinds, pickles, safetensors, tars, yamls

import regard as package
from regard.errors import RegardError
from regard.files.atomic import digest
from regard.runs.checkpoints import FILES, SUMS, load
from regard.runs.files import read_json, write_json
from regard.runs.folder import RunFolder
from regard.runs.run import load_run
from regard.training.config import read_config

MEGABYTES = 400


def refusal(call) -> str:
    """The one line that a call is refused with."""
    with pytest.raises(RegardError) as caught:
        call()
    text = str(caught.value)
    assert text.isprintable(), ascii(text)
    assert "expected" in text
    return text


@pytest.fixture
def bounded():
    """Memory that a hostile file may take, of the most that this process has had."""

    def most() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10

    before = most()
    yield
    assert most() - before < MEGABYTES


@pytest.fixture
def state():
    torch.manual_seed(5)
    net = package.build_model("regard:cnn2", 3, width=4)
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def test_weights_of_strangers(state, tmp_path, bounded, tally):
    """As weights to begin with: refused in a line, and nothing of them was run."""
    left = tmp_path / "left"
    tried = 0
    for suffix, files in (
        (".pt", pickles(state, left)),
        (".pt", of_other_kinds(state)),
        (".safetensors", safetensors(state)),
    ):
        for name, data in files.items():
            path = tmp_path / f"w{suffix}"
            path.write_bytes(data)
            refusal(lambda path=path: package.build_model("regard:cnn2", 3, path, width=4))
            assert not left.exists(), name
            tried += 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["w.pt", "w.safetensors"]
    tally("weights of strangers", tried, tried)


def resealed(step: Path) -> None:
    """A stranger's sums fit what a stranger wrote."""
    write_json(step / SUMS, {name: digest(step / name) for name in FILES})
    told = step.parent / "best.json"
    write_json(told, {"checkpoint": step.name, SUMS: digest(step / SUMS)})


def test_checkpoints_of_strangers(trained, tmp_path, bounded, tally):
    """With sums that fit: the net is as it was meant, or there is one line."""
    run, tried = trained.copy(tmp_path / "run"), 0
    step = load(run / "checkpoints").path
    true = load(run / "checkpoints").model
    files = safetensors(true)
    left = tmp_path / "left"
    files["a pickle"] = b"cos\nsystem\n(S'touch %s'\ntR." % str(left).encode()
    for name, data in files.items():
        (step / FILES[0]).write_bytes(data)
        resealed(step)
        refusal(lambda: load_run(run))
        assert not left.exists(), name
        tried += 1
    tally("checkpoints of strangers", tried, tried)


STATES = {
    "a list": [],
    "a number": 7,
    "no aliases": {"step": 6},
    "aliases in a list": {"aliases": ["a"]},
    "an alias of nothing": {"aliases": {"a": "b"}},
    "an alias of a list": {"aliases": {"a": ["b"]}},
    "nothing but aliases": {"aliases": {}},
}


@pytest.mark.parametrize(
    "names",
    [("a list", "nothing but aliases"), pytest.param(tuple(STATES), marks=pytest.mark.torture)],
)
def test_states_of_strangers(names, regard, trained, tmp_path, tally):
    """`train --resume` on a state that is none."""
    for name in names:
        run = trained.copy(tmp_path / "run")
        for step in (run / "checkpoints").glob("step-*"):
            (step / FILES[2]).write_text(json.dumps(STATES[name]))
            resealed(step)
        done = regard("train", run, "--resume")
        assert (done.code, len(done.lines)) == (2, 1), (name, done.err)
        assert "Traceback" not in done.err
    tally("states of strangers", len(names), len(names))


def test_numbers_without_end_in_json(trained, tmp_path, bounded, tally):
    """Nested, long and large: of each reader of JSON one line."""
    files = {
        "lists": "[" * 100_000,
        "objects": '{"a":' * 100_000,
        "digits": '{"checkpoint": ' + "9" * 100_000 + "}",
        "a byte": "\x00",
        "half a letter": '"\udcff"',
        "words": '{"checkpoint": {"a": 1}}',
    }
    run = trained.copy(tmp_path / "run")
    for text in files.values():
        path = tmp_path / "a.json"
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        if not text.endswith("}}"):
            refusal(lambda path=path: read_json(path))
        shutil.copy(path, run / "checkpoints/best.json")
        refusal(lambda: load_run(run))
    with (tmp_path / "a.json").open("wb") as file:
        file.truncate(3 << 30)  # takes no room on the disk
    refusal(lambda: read_json(tmp_path / "a.json"))
    tally("JSON of strangers", len(files) + 1, len(files) + 1)


def test_yaml_of_strangers(trained, tmp_path, bounded, tally):
    """As a config to train with, and as that of a run."""
    left, run = tmp_path / "left", trained.copy(tmp_path / "run")
    texts = yamls(left)
    for name, text in texts.items():
        path = tmp_path / "config.yaml"
        path.write_text(text)
        refusal(lambda path=path: read_config(path))
        shutil.copy(path, run / "config.yaml")
        refusal(lambda: load_run(run))
        assert not left.exists(), name
    tally("YAML of strangers", 2 * len(texts), 2 * len(texts))


NAMES = ("../../other/checkpoints/step-6", "/etc", "step-6/../../../other/checkpoints/step-6",
         "step-6/.", "", ".", "..", "step-²", "step-٦", "step-6\n", "step-6\x00", "x" * 5000,
         "step-" + "9" * 5000, 6, None, ["step-6"], {"a": 1})  # fmt: skip


def test_pointers_that_lead_outside(trained, tmp_path, tally):
    """`best.json` names a checkpoint of this run, or none."""
    run, other = trained.copy(tmp_path / "run"), trained.copy(tmp_path / "other")
    assert load_run(other).checkpoint.startswith("step-")
    for name in NAMES:
        for text in ({"checkpoint": name}, {"checkpoint": name, SUMS: None}):
            (run / "checkpoints/best.json").write_text(json.dumps(text))
            (run / "checkpoints/last.json").write_text(json.dumps(text))
            refusal(lambda: load_run(run))
            if isinstance(name, str) and name not in ("", ".") and "\x00" not in name:
                refusal(lambda name=name: load_run(run, name))
    tally("pointers that lead outside", 2 * len(NAMES), 2 * len(NAMES))


def links(outside: Path) -> dict[str, tuple[str, Path]]:
    """Where in a run's folder there is a link, and to what."""
    return {
        "log": ("log.jsonl", outside / "file"),
        "readings": ("metrics/readings.jsonl", outside / "file"),
        "a new file": ("metrics/readings.jsonl", outside / "new"),
        "predictions": ("predictions", outside / "folder"),
        "explanations": ("explanations", outside / "folder"),
        "checkpoints": ("checkpoints/step-9", outside / "folder"),
        "weights": ("checkpoints/step-3/model.safetensors", outside / "file"),
        "environment": ("environment.json", outside / "file"),
        "by way of the run": ("export", Path("../outside/folder")),
    }


WRITERS = {
    "evaluate": lambda run: ["evaluate", run],
    "explain": lambda run: ["explain", run, "--limit", 1],
    "resume": lambda run: ["train", run, "--resume"],
    "report": lambda run: ["report", run, "--pictures", 0],
    "bench": lambda run: ["bench", run, "--seconds", 0.01, "--batch", 1],
    "export": lambda run: ["export", run, "--format", "torch"],
    "score": lambda run: ["score", run],
}


@pytest.mark.parametrize(
    ("kinds", "commands"),
    [
        (("log", "predictions"), ("resume", "evaluate")),
        pytest.param(None, tuple(WRITERS), marks=pytest.mark.torture),
    ],
)
def test_links_that_lead_outside(kinds, commands, regard, trained, tmp_path, tally):
    """Through a link in a run's folder nothing is read or written outside of it."""
    outside, tried = tmp_path / "outside", 0
    (outside / "folder").mkdir(parents=True)
    (outside / "file").write_text('{"kind": "note", "text": "secret"}\n')
    before = {p: p.stat().st_mtime_ns for p in outside.rglob("*")}
    told = links(outside)
    for kind in kinds or told:
        place, target = told[kind]
        for name in commands:
            run = trained.copy(tmp_path / "run")
            hit = run / place
            shutil.rmtree(hit) if hit.is_dir() else hit.unlink(missing_ok=True)
            hit.parent.mkdir(exist_ok=True)
            hit.symlink_to(target)
            done = regard(*WRITERS[name](run))
            assert (done.code, len(done.lines)) == (2, 1), (kind, name, done.err)
            assert "within the run" in done.lines[0]
            assert "secret" not in done.err + done.out
            assert {p: p.stat().st_mtime_ns for p in outside.rglob("*")} == before
            tried += 1
    tally("links that lead outside", tried, tried)


@pytest.mark.parametrize("place", [".lock", "config.yaml"])
def test_a_lock_or_a_config_that_is_a_link(place, regard, trained, tmp_path, tally):
    """What they point to stays as it is: a lock is opened to be written."""
    run, secret = trained.copy(tmp_path / "run"), tmp_path / "secret"
    secret.write_text("a key\n")
    (run / place).unlink()
    (run / place).symlink_to(secret)
    done = regard("train", run, "--resume")
    assert (done.code, len(done.lines)) == (2, 1), done.err
    assert secret.read_text() == "a key\n"
    tally("locks and configs that are links", 1, 1)


@pytest.mark.parametrize("place", ["config.yaml", "log.jsonl", "checkpoints/best.json"])
def test_a_pipe_in_place_of_a_file(place, regard, trained, tmp_path, tally):
    """Nobody writes into it, so that reading it would not end."""
    run = trained.copy(tmp_path / "run")
    (run / place).unlink()
    os.mkfifo(run / place)
    done = regard("evaluate", run, seconds=60)
    assert (done.code, len(done.lines)) == (2, 1), done.err
    tally("pipes in place of files", 1, 1)


def test_a_link_within_the_run_is_followed(trained, tmp_path):
    run = trained.copy(tmp_path / "run")
    (run / "explanations").mkdir()
    (run / "explanations/newest").symlink_to("../metrics")
    link = tmp_path / "elsewhere"
    link.symlink_to(run)
    assert load_run(link).classes == load_run(trained.run).classes


def test_keys_of_a_config_that_lead_outside(trained, tmp_path, tally):
    """What is no file of a manifest, weights or a net is refused; what is, may be anywhere."""
    run = trained.copy(tmp_path / "run")
    config = RunFolder(run).read_config()
    whole = yaml.safe_dump(config)
    keys = {
        "model.pruned": "/etc/passwd",
        "model.spec": "hf:/etc",
        "data.manifest": "/etc/passwd",
        "data.hierarchy": "/etc/passwd",
    }
    for key, value in keys.items():
        section, name = key.split(".")
        values = yaml.safe_load(whole)
        values[section][name] = value
        (run / "config.yaml").write_text(yaml.safe_dump(values))
        text = refusal(lambda: (found := load_run(run)).manifest() and found.hierarchy())
        assert "root:" not in text
    tally("keys that lead outside", len(keys), len(keys))


@pytest.mark.parametrize("count", [2, pytest.param(100, marks=pytest.mark.torture)])
def test_tars_of_strangers(count, regard, trained, tmp_path, tally):
    """Screened: nothing is unpacked, nothing outside is read, and the end is reached."""
    outside, photo = tmp_path / "outside", trained.folder / "images/test-00.png"
    outside.mkdir()
    shutil.copy(photo, outside / "secret.png")
    files = tars(photo.read_bytes(), outside)
    # Two of the worst in a moment; all of them take longer.
    names = ["a length below zero", "links that lead outside"] if count == 2 else [*files]
    for name in names:
        place = tmp_path / "place"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        (place / "x.tar").write_bytes(files[name])
        done = regard("screen", trained.run, place / "x.tar", "--out", place / "s", seconds=60)
        assert done.code in (0, 2), (name, done.code, done.err)
        assert len(done.lines) == (done.code != 0), (name, done.err)
        if done.code == 0:
            rows = pl.read_parquet(place / "s/rows/part-000000.parquet")
            told = rows.filter(pl.col("error").is_null())["image"].to_list()
            assert not {*told} & {"c.png", "d.png", "e.png", "f.png"}, told
        assert [p.name for p in outside.iterdir()] == ["secret.png"]
        assert not (tmp_path / "a.png").exists()
        assert done.megabytes < 1500, name
    tally("tars of strangers", len(names), len(names))
