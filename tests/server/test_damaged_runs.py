"""Runs that are damaged, half-deleted or of another version: told as such, and never a 500."""

import shutil

import polars as pl
import pytest
import yaml
from server_tools import one, refusal, serving

from regard.runs.checkpoints import pointed

RUN = "runs/one"
ASKED = {"run": RUN, "split": "test", "index": "37"}
PATHS = ("run", "curves", "gallery", "image", "picture", "region", "map", "background")


def best(run):
    return run / "checkpoints" / str(pointed(run / "checkpoints", "best"))


def edited(path, change):
    values = yaml.safe_load(path.read_text())
    change(values)
    path.write_text(yaml.safe_dump(values))


DAMAGES = {
    "no config": lambda run: (run / "config.yaml").unlink(),
    "half a config": lambda run: (run / "config.yaml").write_text("data: {manifest: [\n"),
    "a config of a list": lambda run: (run / "config.yaml").write_text("- 1\n"),
    "binary config": lambda run: (run / "config.yaml").write_bytes(b"\xff\xfe\x00"),
    "no gaze": lambda run: edited(run / "config.yaml", lambda c: c.pop("gaze")),
    "no training": lambda run: edited(run / "config.yaml", lambda c: c.pop("training")),
    "another key": lambda run: edited(run / "config.yaml", lambda c: c["data"].update(new=1)),
    "a model of words": lambda run: edited(run / "config.yaml", lambda c: c.update(model="x")),
    "a spec of no net": lambda run: edited(
        run / "config.yaml", lambda c: c["model"].update(spec="regard:none")
    ),
    "other classes": lambda run: edited(
        run / "config.yaml", lambda c: c.update(classes=["a", "b", "c"])
    ),
    "no checkpoints": lambda run: shutil.rmtree(run / "checkpoints"),
    "no best": lambda run: (run / "checkpoints/best.json").unlink(),
    "a hostile best": lambda run: (run / "checkpoints/best.json").write_text(
        '{"checkpoint": "../../two/checkpoints/step-3"}'
    ),
    "half the weights": lambda run: (best(run) / "model.safetensors").write_bytes(b"half"),
    "no sums": lambda run: (best(run) / "checksums.json").unlink(),
    "half a table": lambda run: (run / "predictions/test.parquet").write_bytes(b"PAR1half"),
    "an empty table": lambda run: (run / "predictions/test.parquet").write_bytes(b""),
    "another table": lambda run: pl.DataFrame({"a": [1]}).write_parquet(
        run / "predictions/test.parquet"
    ),
    "half the scores": lambda run: (run / "scores/test.parquet").write_bytes(b"PAR1half"),
    "other scores": lambda run: pl.DataFrame({"index": [1]}).write_parquet(
        run / "scores/test.parquet"
    ),
    "half the metrics": lambda run: (run / "metrics/test.json").write_text('{"metrics": {'),
    "metrics of a list": lambda run: (run / "metrics/test.json").write_text("[1]"),
    "another log": lambda run: (run / "log.jsonl").write_bytes(
        b'{"kind": "epoch"}\n{"kind": "epoch", "epoch": [1]}\n\xff "kind": "epoch"\nnone\n'
    ),
    "no log": lambda run: (run / "log.jsonl").unlink(),
    "no manifest": lambda run: (run / "../../tiny/manifest.parquet").resolve().unlink(),
    "half a manifest": lambda run: (run / "../../tiny/manifest.parquet").write_bytes(b"PAR1"),
    "no images": lambda run: shutil.rmtree(run / "../../tiny/images"),
    "half an image": lambda run: (run / "../../tiny/images/test-01.png").write_bytes(b"\x89PNG"),
    "nothing at all": lambda run: shutil.rmtree(run),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_never_brings_the_server_down(own_folder, tmp_path, damage):
    """Asked while it is whole, damaged, and asked again, by the same server and by a fresh one."""
    with serving(own_folder, tmp_path / "cache") as client:
        before = {path: client.get(f"/api/{path}", params=ASKED).status_code for path in PATHS}
        assert set(before.values()) == {200}
        DAMAGES[damage](own_folder / RUN)
        after = {path: client.get(f"/api/{path}", params=ASKED) for path in PATHS}
        lines = {line["id"]: line for line in one(client, path="overview")["runs"]}
    with serving(own_folder, tmp_path / "other cache") as client:
        fresh = {path: client.get(f"/api/{path}", params=ASKED) for path in PATHS}
    for answer in (*after.values(), *fresh.values()):
        assert answer.status_code in (200, 400, 404), answer.text
        if answer.status_code != 200:
            refusal(answer)
    assert lines["runs/two"]["problem"] is None
    if "config" in damage or damage == "a model of words":
        assert lines[RUN]["state"] == "failed"
        assert "config.yaml" in lines[RUN]["problem"]


def test_a_run_that_loses_its_files_while_it_is_read_is_told_as_gone(own_folder, tmp_path):
    with serving(own_folder, tmp_path / "cache") as client:
        assert one(client, path="gallery", run=RUN, split="test")["matched"] == 12
        shutil.rmtree(own_folder / RUN)
        for path in PATHS:
            assert refusal(client.get(f"/api/{path}", params=ASKED))[0] in (400, 404)


def test_a_run_without_its_manifest_still_shows_what_was_predicted(own_folder, tmp_path):
    (own_folder / "tiny/manifest.parquet").unlink()
    with serving(own_folder, tmp_path / "cache") as client:
        told = one(client, path="gallery", run=RUN, split="test")
        assert (told["matched"], told["items"][0]["name"]) == (12, "test-00.png")
        assert [s["images"] for s in one(client, path="run", run=RUN)["splits"]] == [12]


def test_a_new_run_is_listed_before_its_first_checkpoint(own_folder, tmp_path):
    run = own_folder / RUN
    for part in ("checkpoints", "predictions", "scores", "metrics"):
        shutil.rmtree(run / part)
    (run / "log.jsonl").write_text("")
    with serving(own_folder, tmp_path / "cache") as client:
        lines = {line["id"]: line for line in one(client, path="overview")["runs"]}
        assert (lines[RUN]["state"], lines[RUN]["epoch"]) == ("new", None)
        told = one(client, path="run", run=RUN)
        assert told["layers"] == []
        assert "none yet" in told["problem"]
        assert one(client, path="image", **ASKED)["probabilities"] == []
