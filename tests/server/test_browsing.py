"""The lists that the page is made of, against the files that they are read from."""

import json
import math
import shlex
import shutil

import polars as pl
import pytest
from server_tools import one, refusal, serving

from regard.runs.files import read_json, write_yaml
from regard.runs.folder import locked

RUN = "runs/one"
FERN = pl.col("label") == "fern"


def test_the_overview_lists_every_run_with_what_it_measured(client, whole_folder):
    told = one(client, path="overview")
    lines = {line["id"]: line for line in told["runs"]}
    assert set(lines) == {"runs/masks", "runs/one", "runs/sets", "runs/two"}
    metrics = read_json(whole_folder / RUN / "metrics" / "test.json")["metrics"]
    line = lines[RUN]
    assert line["metrics"]["test"]["accuracy"] == metrics["accuracy"]["value"]
    assert (line["state"], line["epoch"], line["epochs"]) == ("done", 4, 4)
    assert line["views"] == 1
    assert (line["task"], line["spec"], line["problem"]) == ("classification", "regard:cnn2", None)
    assert lines["runs/masks"]["task"] == "segmentation"
    assert told["limits"]["pixels"] == client.service.limits.pixels


def test_a_run_tells_its_splits_layers_and_metrics_with_intervals(client):
    told = one(client, path="run", run=RUN)
    splits = {split["name"]: split for split in told["splits"]}
    assert {name: split["images"] for name, split in splits.items()} == {
        "train": 24, "val": 12, "test": 12
    }  # fmt: skip
    words = ["regard", "evaluate", str(client.service.folder.root / RUN), "--split", "test"]
    assert shlex.split(splits["test"].pop("evaluate")) == words
    assert told["views"] == 1
    assert splits["test"] == {
        "name": "test", "images": 12, "predicted": True, "scored": ["gradcam", "layercam"],
        "regions": True,
    }  # fmt: skip
    assert not splits["val"]["predicted"]
    assert told["layer"] in told["layers"]
    assert {"low", "high"} <= set(told["metrics"]["test"]["metrics"]["accuracy"])
    costs = {method["name"]: method["cost"] for method in told["methods"]}
    assert (costs["gradcam"], costs["scorecam"]) == ("cheap", "dear")
    assert one(client, path="run", run="runs/masks")["colours"][0].startswith("#")


def test_a_gallery_is_the_predictions_table(client, whole_folder):
    table = pl.read_parquet(whole_folder / RUN / "predictions" / "test.parquet")
    told = one(client, path="gallery", run=RUN, split="test")
    assert (told["images"], told["matched"]) == (12, 12)
    assert [item["index"] for item in told["items"]] == table["index"].to_list()
    for name in ("label", "predicted"):
        assert [item[name] for item in told["items"]] == table[name].to_list()
    assert [item["right"] for item in told["items"]] == table["correct"].to_list()
    surest = table.select(pl.max_horizontal("^probability:.*$")).to_series().to_list()
    assert [item["probability"] for item in told["items"]] == surest
    assert {line["name"]: line["images"] for line in told["labels"]} == {"fern": 8, "moss": 4}


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ({"label": "fern"}, FERN),
        ({"predicted": "moss"}, pl.col("predicted") == "moss"),
        ({"right": "wrong"}, ~pl.col("correct")),
        ({"region": "missing"}, pl.col("area").is_nan()),
        ({"region": "present", "label": "fern"}, ~pl.col("area").is_nan() & FERN),
        ({"score": "energy", "low": 0.2}, ~pl.col("energy").is_nan() & (pl.col("energy") >= 0.2)),
        ({"score": "energy", "high": 0.2}, pl.col("energy") <= 0.2),
    ],
)  # fmt: skip
def test_a_filter_lets_the_same_images_through_as_the_table(client, whole_folder, asked, kept):
    table = pl.read_parquet(whole_folder / RUN / "scores" / "test.parquet")
    expected = table.filter(pl.col("method") == "gradcam").filter(kept)["index"].to_list()
    told = one(client, path="gallery", run=RUN, split="test", **asked)
    assert [item["index"] for item in told["items"]] == expected
    assert told["matched"] == len(expected)


def test_pages_and_orders_leave_nothing_out(client):
    asked = {"path": "gallery", "run": RUN, "split": "test", "sort": "energy", "order": "desc"}
    pages = [one(client, **asked, offset=start, limit=5)["items"] for start in (0, 5, 10)]
    items = [item for page in pages for item in page]
    assert [len(page) for page in pages] == [5, 5, 2]
    assert sorted(item["index"] for item in items) == list(range(36, 48))
    known = [item["scores"]["energy"] for item in items if item["scores"]["energy"] is not None]
    assert known == sorted(known, reverse=True)
    # Those without the score come last, whichever way the others are ordered.
    assert all(item["scores"]["energy"] is None for item in items[len(known) :])
    assert 0 < len(known) < 12


def test_two_runs_are_compared_image_by_image(client, whole_folder):
    both = [pl.read_parquet(whole_folder / r / "predictions" / "test.parquet")
            for r in (RUN, "runs/two")]  # fmt: skip
    before, after = (table["correct"].to_list() for table in both)
    wanted = {"both_right": (True, True), "gained": (False, True), "lost": (True, False),
              "both_wrong": (False, False)}  # fmt: skip
    asked = {"path": "gallery", "run": RUN, "split": "test", "other": "runs/two"}
    for outcome, pair in wanted.items():
        told = one(client, **asked, outcome=outcome)
        assert told["matched"] == sum(p == pair for p in zip(before, after, strict=True))
    told = one(client, **asked, sort="energy_change")
    assert [i["other"]["right"] for i in sorted(told["items"], key=lambda i: i["index"])] == after
    changes = [i["other"]["scores"]["energy"] - i["scores"]["energy"] for i in told["items"]
               if i["scores"]["energy"] is not None]  # fmt: skip
    assert changes == sorted(changes)


def test_runs_on_other_images_are_not_compared(client):
    asked = {"run": RUN, "split": "test", "other": "runs/sets"}
    status, message = refusal(client.get("/api/gallery", params=asked))
    assert (status, "same images" in message) == (400, True)


def test_sets_of_labels_and_masks_have_galleries_too(client, whole_folder):
    told = one(client, path="gallery", run="runs/sets", split="test", label="berry")
    table = pl.read_parquet(whole_folder / "runs/sets/predictions/test.parquet")
    own = table.filter(pl.col("labels").list.contains("berry"))
    assert [item["index"] for item in told["items"]] == own["index"].to_list()
    told = one(client, path="gallery", run="runs/masks", split="test", sort="mean_iou")
    values = [item["scores"]["mean_iou"] for item in told["items"]]
    assert values == sorted(values)
    assert all(0 <= value <= 1 for value in values)


def test_labels_with_commas_in_them_stay_whole(whole_folder, tmp_path):
    """Of `red, round` neither half is a label."""
    folder = shutil.copytree(whole_folder, tmp_path / "commas")
    rename = {"berry": "red, round"}
    for path, names in {
        "tags/manifest.parquet": ("labels", "box_labels"),
        "runs/sets/predictions/test.parquet": ("labels", "predicted"),
    }.items():
        renamed = pl.col(names).list.eval(pl.element().replace(rename))
        pl.read_parquet(folder / path).with_columns(renamed).write_parquet(folder / path)
    config = folder / "runs/sets/config.yaml"
    config.write_text(config.read_text().replace("- berry", "- red, round"))
    asked = {"run": "runs/sets", "split": "test"}
    table = pl.read_parquet(folder / "runs/sets/predictions/test.parquet")
    with serving(folder, tmp_path / "cache") as client:
        told = one(client, path="gallery", **asked)
        assert {line["name"] for line in told["labels"]} == {"fern", "red, round", "sky"}
        for name in ("label", "predicted"):
            column = table["labels" if name == "label" else name]
            assert [item[name] for item in told["items"]] == column.to_list()
            for wanted in ("red, round", "red", "fern"):
                found = one(client, path="gallery", **asked, **{name: wanted})["items"]
                own = table.filter(column.list.contains(wanted))["index"].to_list()
                assert [item["index"] for item in found] == own
        assert told["items"][0]["label"] == []
        assert one(client, path="image", **asked, index=36)["label"] == []
        assert one(client, path="image", **asked, index=37)["label"] == ["red, round"]
        other = one(client, path="gallery", **asked, other="runs/sets")
        assert [i["other"]["predicted"] for i in other["items"]] == table["predicted"].to_list()


def test_a_mask_that_is_void_everywhere_has_no_scores(own):
    path = own.folder / "runs/masks/predictions/test.parquet"
    table = pl.read_parquet(path)
    void = table["confusion"].to_list()
    void[0] = [[0] * len(row) for row in void[0]]
    kind = table.schema["confusion"]
    table.with_columns(confusion=pl.Series(void, dtype=kind)).write_parquet(path)
    asked = {"path": "gallery", "run": "runs/masks", "split": "test"}
    for name in ("mean_iou", "accuracy"):
        for order in ("asc", "desc"):
            last = one(own, **asked, sort=name, order=order)["items"][-1]
            assert (last["index"], last["scores"][name]) == (table["index"][0], None)
        for low in (0, 0.5):
            found = one(own, **asked, score=name, low=low)["items"]
            assert table["index"][0] not in [item["index"] for item in found]
        line = next(s for s in one(own, **asked)["scores"] if s["name"] == name)
        assert 0 <= line["low"] <= line["high"] <= 1


def test_a_split_that_was_not_evaluated_lists_its_images(client):
    told = one(client, path="gallery", run=RUN, split="val")
    assert told["matched"] == 12
    assert {item["predicted"] for item in told["items"]} == {None}
    assert told["scores"] == []


def test_a_score_that_is_not_there_is_refused_with_those_that_are(client):
    status, message = refusal(
        client.get("/api/gallery", params={"run": RUN, "split": "test", "sort": "energi"})
    )
    assert status == 404
    assert "did you mean energy" in message


def test_curves_go_on_from_a_byte_and_leave_a_line_that_is_being_written(own):
    log = own.folder / RUN / "log.jsonl"
    first = one(own, path="curves", run=RUN)
    assert [epoch["epoch"] for epoch in first["epochs"]] == [1, 2, 3, 4]
    assert first["offset"] == log.stat().st_size
    record = {"kind": "epoch", "epoch": 2, "step": 6, "train": {"loss": math.inf}, "val": {"a": 1}}
    line = json.dumps(record | {"train": {"loss": "Infinity"}}) + "\n"
    with log.open("a") as file:
        file.write(line[:30])
    asked = {"path": "curves", "run": RUN}
    assert one(own, **asked, offset=first["offset"]) == first | {"epochs": []}
    with log.open("a") as file:
        file.write(line[30:])
    second = one(own, **asked, offset=first["offset"])
    assert second["epochs"] == [{"epoch": 2, "step": 6, "train": {"loss": None}, "val": {"a": 1.0}}]
    assert second["offset"] == log.stat().st_size
    # One that was written anew is, too, however long it is by now.
    log.write_text(log.read_text().replace('"epoch": 1,', '"epoch": 7,'))
    assert not one(own, **asked, offset=second["offset"])["restarted"]
    log.write_text(log.read_text().replace(line, line.replace('"epoch": 2,', '"epoch": 3,')))
    anew = one(own, **asked, offset=second["offset"], mark=second["mark"])
    assert (anew["restarted"], [e["epoch"] for e in anew["epochs"]]) == (True, [7, 2, 3, 4, 3])
    # A log that was cut back is told from its start.
    log.write_text(line)
    again = one(own, **asked, offset=second["offset"])
    assert (again["restarted"], [e["epoch"] for e in again["epochs"]]) == (True, [2])


def test_a_run_that_is_being_trained_says_so(own):
    line = "runs/one"
    states = lambda: {r["id"]: r["state"] for r in one(own, path="overview")["runs"]}  # noqa: E731
    assert states()[line] == "done"
    with locked(own.folder / RUN):
        assert states()[line] == "training"
        assert one(own, path="curves", run=RUN)["state"] == "training"
    assert states()[line] == "done"


def test_runs_of_a_study_know_their_arm_and_seed(whole_folder, tmp_path):
    study = tmp_path / "folder" / "study"
    shutil.copytree(whole_folder / RUN, study / "runs" / "plain-seed3-fold1")
    write_yaml(study / "study.yaml", {"arms": {"plain": {}}})
    pl.DataFrame({"run": ["runs/plain-seed3-fold1"], "status": ["failed"]}).write_parquet(
        study / "results.parquet"
    )
    with serving(tmp_path / "folder", tmp_path / "cache") as client:
        first, second = one(client, path="overview")["runs"]
    assert (first["kind"], first["id"]) == ("study", "study")
    told = {name: second[name] for name in ("study", "arm", "seed", "fold")}
    assert told == {"study": "study", "arm": "plain", "seed": 3, "fold": 1}


def test_tables_are_read_again_only_when_they_have_changed(own):
    asked = {"path": "gallery", "run": RUN, "split": "test"}
    kept = own.service.shelves.rows_kept
    for label in ("fern", "moss", "fern"):
        one(own, **asked, label=label)
    assert kept.made == 1
    path = own.folder / RUN / "predictions" / "test.parquet"
    pl.read_parquet(path).with_columns(predicted=pl.lit("moss")).write_parquet(path)
    assert {item["predicted"] for item in one(own, **asked)["items"]} == {"moss"}
    assert kept.made == 2
