"""A screening has the run's own answers, once each, whatever happens on the way."""

import dataclasses
import json
import math
import resource
import shutil
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from forked import Forked
from processes import until
from regard.cli.show_screen import show_screening
from regard.data.manifest import manifest_from_rows
from regard.errors import ConfigError, DataError, RunError
from regard.evaluation.intervals import upper_bound
from regard.files.table_files import read_csv
from regard.runs.files import read_json, write_json, write_table
from regard.runs.run import load_run
from regard.saliency.explain import explain
from regard.screening import maps as maps_module
from regard.screening import pieces as pieces_module
from regard.screening.cutting import Cutting, cutting_of
from regard.screening.maps import chosen
from regard.screening.operator import Operator, operator_of
from regard.screening.parts import part_path, uncertainty
from regard.screening.screen import screen
from regard.screening.sources import open_source
from regard.screening.summary import summarise
from regard.screening.wanted import wanted_of
from regard.training.train import train
from tinyset import (
    REGARD,
    SEGMENTER,
    SETS,
    config_of,
    environment,
    run_regard,
    write_masks,
    write_sets,
)


@pytest.fixture(scope="module")
def run(home):
    return load_run(home / "run")


def rows(out):
    return pl.concat([pl.read_parquet(path) for path in sorted((out / "rows").glob("*.parquet"))])


def shares(table, run):
    return table.select([f"probability:{name}" for name in run.classes]).to_numpy()


def packed(home, folder):
    path = folder / "photos.tar"
    with tarfile.open(path, "w") as tar:
        tar.add(home / "images", arcname="images")
        (folder / "note.txt").write_text("no image")
        tar.add(folder / "note.txt", arcname="note.txt")
    return path


@pytest.mark.parametrize("kind", ["folder", "manifest", "tar"])
def test_the_answers_are_the_run_s_own(home, run, tmp_path, kind):
    sources = {"folder": home / "images", "manifest": home / "manifest.parquet"}
    source = open_source(sources.get(kind) or packed(home, tmp_path))
    told = screen(run, source, tmp_path / "out", part=7, batch=3)
    table = rows(tmp_path / "out")
    names = sorted(path.name for path in (home / "images").iterdir())
    if kind == "manifest":
        names = [
            name.removeprefix("images/")
            for name in pl.read_parquet(home / "manifest.parquet")["image"]
        ]
    assert [name.split("/")[-1] for name in table["image"]] == (
        names if kind != "tar" else [name.split("/")[-1] for name in source.names]
    )
    assert table["row"].to_list() == list(range(len(source.names)))
    wanted = run.predict([str(home / "images" / name.split("/")[-1]) for name in table["image"]])
    np.testing.assert_allclose(shares(table, run), wanted.numpy(), atol=1e-6)
    best = [run.classes[k] for k in wanted.argmax(1)]
    assert table["predicted"].to_list() == best
    assert told["predicted"] == {name: best.count(name) for name in run.classes}
    assert (told["images"], told["pieces"], told["unreadable"]) == (len(table), len(table), 0)
    assert told["learned"] == (None if kind == "tar" else {"train": 24, "val": 12})


def test_what_the_net_has_learned_from_is_told(home, run, tmp_path, capsys):
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("train-00", "val-00", "val-01", "test-00"):
        (photos / f"{name}.png").symlink_to(home / f"images/{name}.png")
    (photos / "other.png").write_bytes((home / "images/test-01.png").read_bytes())
    told = screen(run, open_source(photos), tmp_path / "a")
    assert told["learned"] == {"train": 0, "val": 0}  # other files
    show_screening(told, tmp_path / "a")
    assert "Of these images" not in capsys.readouterr().out
    (tmp_path / "linked").symlink_to(home / "images", target_is_directory=True)
    told = screen(run, open_source(tmp_path / "linked"), tmp_path / "b")
    assert told["learned"] == {"train": 24, "val": 12}
    show_screening(told, tmp_path / "b")
    assert "Of these images 24 in train and 12 in val:" in capsys.readouterr().out


def test_what_crops_were_cut_out_of_was_learned_from_too(home, tmp_path):
    table = pl.read_parquet(home / "manifest.parquet")
    films = pl.int_range(pl.len()) // 6
    name = pl.format("films/{}.png", films)
    (tmp_path / "set/films").mkdir(parents=True)
    table = table.with_columns(group=name, image=pl.format(f"{home}/{{}}", "image"), region=None)
    table.write_parquet(tmp_path / "set/manifest.parquet")
    train(config_of("training.epochs=1"), tmp_path / "set/run", folder=tmp_path / "set")
    for number in range(8):
        shutil.copy(home / "images/test-01.png", tmp_path / f"set/films/{number}.png")
    own = load_run(tmp_path / "set/run")
    told = screen(own, open_source(tmp_path / "set/films"), tmp_path / "out")
    assert told["learned"] == {"train": 4, "val": 2}
    (tmp_path / "set/manifest.parquet").unlink()
    told = screen(
        load_run(tmp_path / "set/run"), open_source(tmp_path / "set/films"), tmp_path / "c"
    )
    assert told["learned"] is None


def test_tiles_cover_an_image_and_are_asked_one_by_one(run, tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (70, 100, 3), dtype=np.uint8)
    (tmp_path / "film").mkdir()
    Image.fromarray(pixels).save(tmp_path / "film/one.png")
    cut = Cutting("grid", side=32, stride=24)
    screen(run, open_source(tmp_path / "film"), tmp_path / "out", cutting=cut, batch=4)
    table = rows(tmp_path / "out")
    seen = np.zeros((70, 100), int)
    for left, top, right, bottom in table["crop"].to_list():
        assert (right - left, bottom - top) == (32, 32)
        seen[top:bottom, left:right] += 1
    assert seen.min() >= 1
    tiles = [Image.fromarray(pixels[t:b, left:r]) for left, t, r, b in table["crop"].to_list()]
    np.testing.assert_allclose(shares(table, run), run.predict(tiles).numpy(), atol=1e-6)
    assert Cutting("grid", 32, 32).crops((20, 40), ()) == [(0, 0, 32, 20), (8, 0, 40, 20)]


def test_boxes_are_cut_out_and_images_without_one_have_no_row(home, run, tmp_path):
    paths = sorted((home / "images").glob("test-*.png"))[:3]
    boxes = [[[4, 4, 12, 20], [10, 10, 10, 30]], [], [[0, 0, 32, 32]]]
    made = [{"image": str(path), "boxes": own} for path, own in zip(paths, boxes, strict=True)]
    manifest_from_rows(made, tmp_path).write(tmp_path / "cells.parquet")
    source = open_source(tmp_path / "cells.parquet")
    cut = cutting_of(None, None, True, 1.5, has_boxes=source.boxes is not None)
    screen(run, source, tmp_path / "out", cutting=cut, part=1)
    table = rows(tmp_path / "out")
    assert table.select("row", "crop").rows() == [(0, [0, 0, 24, 24]), (2, [0, 0, 32, 32])]
    first = Image.open(paths[0]).convert("RGB").crop((0, 0, 24, 24))
    np.testing.assert_allclose(shares(table, run)[:1], run.predict(first).numpy(), atol=1e-6)
    assert len(list((tmp_path / "out/rows").iterdir())) == 3  # the middle part is there, and empty


def test_what_cannot_be_read_is_named_and_the_rest_goes_on(home, run, tmp_path):
    folder = tmp_path / "some"
    shutil.copytree(home / "images", folder)
    (folder / "aaa.jpg").write_bytes(b"no image")
    whole = (folder / "test-03.png").read_bytes()
    (folder / "test-03.png").write_bytes(whole[: len(whole) // 2])
    told = screen(run, open_source(folder), tmp_path / "out", part=10, positive="moss")
    table = rows(tmp_path / "out")
    bad = pl.read_csv(tmp_path / "out/bad_files.csv")
    assert bad["image"].to_list() == ["aaa.jpg", "test-03.png"]
    assert all(bad["error"].str.len_chars() > 10)
    assert told["unreadable"] == 2
    assert told["pieces"] == len(table) - 2
    unread = table.filter(pl.col("error").is_not_null())
    assert unread["predicted"].null_count() == unread["probability:moss"].null_count() == 2
    assert unread["uncertainty"].null_count() == 2
    assert table.filter(pl.col("error").is_null())["predicted"].null_count() == 0


def test_the_positive_and_the_most_uncertain_have_maps(home, run, tmp_path):
    source, out = open_source(home / "manifest.parquet"), tmp_path / "out"
    level = float(np.median(run.predict([str(home / n) for n in source.names])[:, 1]))
    screen(run, source, out, positive="moss", threshold=level, uncertain=0.1, part=20)
    table = rows(out).with_row_index("at")
    positive = table.filter(pl.col("probability:moss") >= level)["row"].to_list()
    count = round(0.1 * len(table))
    doubtful = table.sort("uncertainty", descending=True, maintain_order=True)["row"][:count]
    made = pl.concat([pl.read_parquet(path) for path in sorted(out.glob("maps/*/pieces.parquet"))])
    assert made["row"].to_list() == sorted({*positive, *doubtful.to_list()})
    why = dict(made.select("row", "why").rows())
    assert all(("positive" in why[row]) == (row in positive) for row in why)
    assert all(("uncertain" in why[row]) == (row in doubtful.to_list()) for row in why)
    row = made.filter(pl.col("row") >= 20).row(0, named=True)
    folder = out / "maps/part-000001"
    maps = load_file(folder / "maps.safetensors")
    images = run.transform([str(home / row["image"])])
    wanted = explain(run.net, images, method="gradcam")[0]
    torch.testing.assert_close(maps[f"{row['piece']:06d}"].float(), wanted, rtol=2e-3, atol=1e-4)
    with Image.open(folder / f"{row['piece']:06d}.jpg") as thumbnail:
        assert thumbnail.size == (2 * 192 + 4, 192)
    # Other wishes pick others, and ask the net of nothing again but for their maps.
    before = {path: path.stat().st_mtime_ns for path in out.glob("rows/*")}
    screen(run, source, out, uncertain=0.0, part=20)
    assert not list(out.glob("maps/part-*"))
    assert {path: path.stat().st_mtime_ns for path in out.glob("rows/*")} == before


def test_groups_have_rates_and_a_bound_where_none_was_found(home, run, tmp_path):
    for name in ("Björn Ä", "anna"):
        (tmp_path / "films" / name).mkdir(parents=True)
    photos = sorted((home / "images").glob("train-*.png"))
    photos = [path for path in photos if "region" not in path.name]
    for number, path in enumerate(photos):
        shutil.copy(path, tmp_path / "films" / ("Björn Ä" if number < 5 else "anna") / path.name)
    source = open_source(tmp_path / "films", "folder")
    told = screen(run, source, tmp_path / "out", positive="moss", threshold=1.0)
    written = (tmp_path / "out/groups.csv").read_bytes()
    assert written.startswith(
        "\N{BYTE ORDER MARK}group,pieces".encode()
    )  # or Excel garbles umlauts
    assert "\nBjörn Ä," in written.decode("utf-8")
    table = read_csv(tmp_path / "out/groups.csv")
    table = table.cast({"pieces": int, "positive": int, "upper": float})
    assert table["group"].to_list() == ["Björn Ä", "anna"]
    assert table["pieces"].to_list() == [5, len(photos) - 5]
    assert table["positive"].to_list() == [0, 0]
    assert table["upper"][0] == pytest.approx(1 - 0.05 ** (1 / 5))
    assert told["positive"]["upper"] == pytest.approx(1 - 0.05 ** (1 / len(photos)))
    assert told["groups"] == 2
    assert upper_bound(0, 200_000) == pytest.approx(3 / 200_000, rel=0.01)
    assert upper_bound(7, 7) == 1.0


def test_a_group_that_cannot_be_read_is_in_the_table_of_groups(home, run, tmp_path):
    for name in ("anna", "ben"):
        (tmp_path / "films" / name).mkdir(parents=True)
    for number in range(4):
        shutil.copy(home / f"images/test-0{number}.png", tmp_path / "films/anna")
        (tmp_path / f"films/ben/{number}.png").write_bytes(b"no image")
    source = open_source(tmp_path / "films", "folder")
    told = screen(run, source, tmp_path / "out", positive="moss", threshold=0.0)
    rows = pl.read_csv(tmp_path / "out/groups.csv").to_dicts()
    assert rows == [
        {"group": "anna", "pieces": 4, "positive": 4, "unreadable": 0, "rate": 1.0, "upper": 1.0},
        {"group": "ben", "pieces": 0, "positive": 0, "unreadable": 4, "rate": None, "upper": None},
    ]
    assert (told["groups"], told["unreadable"], told["pieces"]) == (2, 4, 4)


def test_memory_that_runs_out_halves_the_batch(home, run, tmp_path, monkeypatch):
    real, sizes = Operator._asked, []

    def short(self, pixels):
        sizes.append(len(pixels))
        if len(pixels) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, pixels)

    source = open_source(home / "manifest.parquet")
    screen(run, source, tmp_path / "whole", batch=12, uncertain=0)
    monkeypatch.setattr(Operator, "_asked", short)
    screen(run, source, tmp_path / "halves", batch=12, uncertain=0)
    assert {12, 6, 3} <= set(sizes)
    a, b = rows(tmp_path / "whole"), rows(tmp_path / "halves")
    np.testing.assert_allclose(shares(a, run), shares(b, run), atol=1e-6)
    operator = operator_of(run, torch.device("cpu"))
    monkeypatch.setattr(Operator, "_asked", lambda *_: (_ for _ in ()).throw(
        torch.OutOfMemoryError("CUDA out of memory")))  # fmt: skip
    with pytest.raises(RunError, match="memory for one image"):
        operator([torch.zeros(3, 32, 32, dtype=torch.uint8)] * 2)


def test_no_more_is_read_ahead_than_the_threads_may(home, run, tmp_path, monkeypatch):
    read, answered = [], []
    real = pieces_module.of_image

    def counted(source, row, *rest):
        read.append(row)
        ahead.append(len(read) - len(answered))
        return real(source, row, *rest)

    ahead = []
    asked = Operator._asked

    def told(self, pixels):
        answered.extend(pixels)
        return asked(self, pixels)

    monkeypatch.setattr(pieces_module, "of_image", counted)
    monkeypatch.setattr(Operator, "_asked", told)
    names = pl.read_parquet(home / "manifest.parquet")["image"].to_list() * 10
    manifest_from_rows([{"image": str(home / name)} for name in names], tmp_path).write(
        tmp_path / "many.parquet"
    )
    source = open_source(tmp_path / "many.parquet")
    screen(run, source, tmp_path / "out", workers=2, batch=8, part=100, uncertain=0)
    assert len(read) == len(answered) == 480
    assert max(ahead) <= 2 * pieces_module.AHEAD + 8 + 1


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.torture)])
def test_killed_again_and_again_it_has_the_same_rows(home, tmp_path, tally, kills):
    names = pl.read_parquet(home / "manifest.parquet")["image"].to_list() * 40
    manifest_from_rows([{"image": str(home / name)} for name in names], tmp_path).write(
        tmp_path / "many.parquet"
    )
    out, rng = tmp_path / "out", np.random.default_rng(3)
    words = ["screen", str(home / "run"), str(tmp_path / "many.parquet"), "--out", str(out),
             "--part", "64", "--batch", "16", "--positive", "moss"]  # fmt: skip
    for kill in range(kills):
        process = Forked([*REGARD, *words], env=environment(), stderr=subprocess.DEVNULL)
        enough = 2 + 18 * kill // (kills - 1) + int(rng.integers(3))
        until(lambda: len(list(out.glob("rows/part-*"))) >= enough, process)  # noqa: B023
        process.kill()
        assert process.wait() == -9
        assert len(list(out.glob("rows/part-*"))) < 30
    whole = tmp_path / "whole"
    last = [run_regard(*words, "--json")]
    words[words.index(str(out))] = str(whole)
    last.append(run_regard(*words, "--json"))
    assert last[0].stdout == last[1].stdout
    assert json.loads(last[0].stdout)["pieces"] == len(names)
    for path in sorted(whole.rglob("*.parquet")):
        assert pl.read_parquet(path).equals(pl.read_parquet(out / path.relative_to(whole))), path
    assert {p.name for p in (out / "rows").iterdir()} == {
        p.name for p in (whole / "rows").iterdir()
    }
    tally("kill -9: screening", kills, kills)


@pytest.mark.parametrize(("done", "named"), [(14, "rows/part-0000"), (48, "maps/part-0000")])
def test_a_full_disk_is_one_line_and_nothing_is_half_written(home, run, tmp_path, done, named):
    source, out = open_source(home / "manifest.parquet"), tmp_path / "out"
    how = {"part": 7, "batch": 7, "workers": 1, "uncertain": 0.5}
    screen(run, source, tmp_path / "whole", **how)
    own = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(stage, reached, total):
        if stage == "images" and reached >= done:
            resource.setrlimit(resource.RLIMIT_FSIZE, (256, own[1]))

    try:
        with pytest.raises(OSError, match="File too large") as caught:
            screen(run, source, out, progress=fill, **how)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, own)
    assert named in str(caught.value.filename)
    assert not [path for path in out.rglob("*") if "partial" in path.name]
    kept = {path.name for path in (out / "rows").iterdir()}
    assert 1 <= len(kept) <= 7
    screen(run, source, out, **how)
    assert rows(out).equals(rows(tmp_path / "whole"))
    for folder in (tmp_path / "whole" / "maps").iterdir():
        assert (out / "maps" / folder.name / "maps.safetensors").read_bytes() == (
            folder / "maps.safetensors"
        ).read_bytes()


def test_sets_of_labels_are_told_one_by_one(tmp_path):
    write_sets(tmp_path)
    train(config_of("training.epochs=1", base=SETS), tmp_path / "run", folder=tmp_path)
    run = load_run(tmp_path / "run")
    screen(run, open_source(tmp_path / "manifest.parquet"), tmp_path / "out")
    table = rows(tmp_path / "out")
    wanted = run.predict([str(tmp_path / name) for name in table["image"]]).numpy()
    np.testing.assert_allclose(shares(table, run), wanted, atol=1e-6)
    sets = [[run.classes[k] for k in np.flatnonzero(row >= 0.5)] for row in wanted]
    assert table["predicted"].to_list() == sets


def test_uncertainty_is_the_share_of_the_greatest_entropy():
    even, sure = np.full((1, 4), 0.25), np.array([[1.0, 0, 0, 0]])
    assert uncertainty(even, several=False)[0] == pytest.approx(1)
    assert uncertainty(sure, several=False)[0] == 0
    p = np.array([[0.7, 0.2, 0.1]])
    assert uncertainty(p, several=False)[0] == pytest.approx(-(p * np.log(p)).sum() / np.log(3))
    assert uncertainty(np.array([[0.5, 1.0]]), several=True)[0] == pytest.approx(0.5)
    assert np.isnan(uncertainty(np.full((1, 2), np.nan), several=False)[0])


def test_what_does_not_fit_is_one_line(home, run, tmp_path):
    source, out = open_source(home / "manifest.parquet"), tmp_path / "out"
    screen(run, source, out, uncertain=0)
    with pytest.raises(RunError, match="to be gone on with, found one with another source: "):
        screen(run, open_source(home / "images"), out)
    with pytest.raises(RunError, match="found one with another part: 2048"):
        screen(run, source, out, part=5)
    with pytest.raises(RunError, match="expected a new folder, or one of a screening"):
        screen(run, source, home / "run")
    with pytest.raises(ConfigError, match="--positive: expected a class of the run, found 'mos'"):
        screen(run, source, tmp_path / "b", positive="mos")
    with pytest.raises(ConfigError, match="--uncertain: expected 0 to 1, found 2"):
        screen(run, source, tmp_path / "b", uncertain=2)
    with pytest.raises(ConfigError, match="--batch: expected 1 or more, found 0"):
        screen(run, source, tmp_path / "b", batch=0)
    with pytest.raises(ConfigError, match="--grid and --boxes"):
        cutting_of(8, None, True, 1.0, has_boxes=True)
    with pytest.raises(ConfigError, match="--boxes: expected a manifest with a column boxes"):
        cutting_of(None, None, True, 1.0, has_boxes=False)
    with pytest.raises(ConfigError, match="--stride: expected --grid beside it"):
        cutting_of(None, 8, False, 1.0, has_boxes=False)
    with pytest.raises(DataError, match="a folder of images, a manifest"):
        open_source(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="expected images, found none"):
        open_source(tmp_path / "empty")
    with tarfile.open(tmp_path / "small.tar", "w:gz") as tar:
        tar.add(home / "images", arcname="images")
    with pytest.raises(DataError, match="expected an uncompressed tar"):
        open_source(tmp_path / "small.tar")
    assert not (tmp_path / "b").exists()
    assert json.loads((out / "screening.json").read_text())["images"] == 48


def test_a_segmenter_is_refused(tmp_path):
    write_masks(tmp_path)
    train(config_of("training.epochs=1", base=SEGMENTER), tmp_path / "run", folder=tmp_path)
    run = load_run(tmp_path / "run")
    with pytest.raises(RunError, match="expected a classifier of one view, found a segmenter"):
        screen(run, open_source(tmp_path / "manifest.parquet"), tmp_path / "out")


def test_maps_whose_removal_was_broken_off_are_made_again(home, run, tmp_path, monkeypatch):
    source, out = open_source(home / "manifest.parquet"), tmp_path / "out"
    screen(run, source, out, uncertain=0.2, part=20)
    before = {p.relative_to(out): p.read_bytes() for p in out.glob("maps/*/*")}
    remove, removed = shutil.rmtree, []

    class KilledError(BaseException):
        """The process ends here."""

    def broken_off(path, **how):
        if Path(path).is_dir() and "part-" in Path(path).name and not how:
            next(Path(path).glob("*.jpg")).unlink()
            removed.append(path)
            raise KilledError
        return remove(path, **how)

    with monkeypatch.context() as patched:
        patched.setattr(maps_module.shutil, "rmtree", broken_off)
        with pytest.raises(KilledError):
            screen(run, source, out, uncertain=0.1, part=20)
    assert removed
    screen(run, source, out, uncertain=0.2, part=20)
    assert {p.relative_to(out): p.read_bytes() for p in out.glob("maps/*/*")} == before
    assert not list(out.rglob("*.partial"))


def chosen_for(run, folder, **changed):
    """The run with a threshold that was chosen."""
    told = {"threshold": 0.25, "by": "recall", "target": 0.9, "positive": "moss", "split": "val",
            "checkpoint": run.checkpoint, "images": 1, "positives": 1, "metrics": {}}  # fmt: skip
    shutil.copytree(run.folder, folder)
    write_json(folder / "threshold.json", told | changed)
    return load_run(folder)


def test_the_threshold_is_the_run_s_own_and_whence_it_is_is_kept(home, run, tmp_path):
    own, source = chosen_for(run, tmp_path / "own"), open_source(home / "manifest.parquet")
    out = tmp_path / "out"
    told = screen(own, source, out, positive="moss", uncertain=0)
    found = {"class": "moss", "threshold": 0.25, "threshold_from": "threshold.json"}
    assert read_json(out / "screening.json")["positive"] == found
    assert found.items() <= told["positive"].items()
    assert told["positive"]["pieces"] == (rows(out)["probability:moss"] >= 0.25).sum()
    # The rows do not hang on it: another threshold goes on in the same folder.
    told = screen(own, source, out, positive="moss", threshold=0.75, uncertain=0)
    assert told["positive"]["threshold_from"] == "--threshold"
    assert read_json(out / "screening.json")["positive"]["threshold"] == 0.75
    told = screen(own, source, out, positive="fern", uncertain=0)
    assert told["positive"]["threshold"] == 0.5
    assert told["positive"]["threshold_from"] == "default, as threshold.json is of moss"
    assert screen(own, source, out, uncertain=0)["positive"] is None
    assert read_json(out / "screening.json")["positive"] is None


def test_of_more_than_two_classes_the_most_probable_one_counts(home, run, tmp_path):
    three = dataclasses.replace(run, classes=("fern", "moss", "rust"))
    wanted = wanted_of(three, "moss", None)
    assert (wanted.threshold, wanted.whence) == (None, "default")
    assert wanted_of(three, "moss", 0.3).threshold == 0.3
    assert wanted_of(run, "moss", None).threshold == 0.5
    shares = {"probability:moss": [0.4, 0.4, math.nan], "error": [None, None, "gone"]}
    sure = {"uncertainty": [0.9, 0.8, math.nan], "predicted": ["moss", "rust", None]}
    table = pl.DataFrame({"image": ["1", "2", "3"], "group": ["a", "a", "b"]} | sure | shares)
    part_path(tmp_path, 0).parent.mkdir()
    write_table(part_path(tmp_path, 0), table)
    plan = {"run": "r", "checkpoint": "best", "source": "s", "images": 3, "classes": three.classes}
    told = summarise(tmp_path, 1, plan, wanted, 0, None)
    assert (told["positive"]["pieces"], told["positive"]["threshold"]) == (1, None)
    assert read_json(tmp_path / "summary.json") == told
    picked = chosen(tmp_path, 1, wanted, 1.0, 10)[0]
    assert picked["why"].to_list() == ["uncertain, positive", "uncertain"]
    show_screening(told, tmp_path)


def test_a_threshold_of_another_checkpoint_is_not_used(home, run, tmp_path):
    own = chosen_for(run, tmp_path / "own", checkpoint="step-1")
    source = open_source(home / "manifest.parquet")
    told = screen(own, source, tmp_path / "out", positive="moss", uncertain=0)["positive"]
    assert (told["threshold"], told["threshold_from"]) == (
        0.5,
        "default, as threshold.json is of step-1",
    )
    with pytest.raises(ConfigError, match="--threshold: expected --positive CLASS beside it"):
        screen(own, source, tmp_path / "out", threshold=0.7)


def test_maps_are_named_where_there_are_some(capsys):
    values = {"images": 1, "pieces": 1, "unreadable": 0, "predicted": {"fern": 1}, "groups": 0}
    values["learned"] = None
    values["positive"] = {"class": "moss", "threshold": 0.25, "threshold_from": "threshold.json",
                          "pieces": 0, "rate": 0.0, "upper": 0.95, "level": 0.95}  # fmt: skip
    show_screening(values | {"maps": 0}, Path("out"))
    told = capsys.readouterr().out
    assert "moss, 0.25 or more (threshold.json): 0, a rate of 0" in told
    assert "out/maps" not in told
    show_screening(values | {"maps": 2}, Path("out"))
    assert "maps: out/maps" in capsys.readouterr().out


def test_the_share_of_uncertain_maps_is_of_what_could_be_read(home, run, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(40):
        (folder / f"broken-{number}.png").write_text("no image")
    for number, path in enumerate(sorted((home / "images").glob("*.png"))[:10]):
        shutil.copy(path, folder / f"{number}.png")
    told = screen(run, open_source(folder), tmp_path / "out", uncertain=0.1)
    assert (told["pieces"], told["unreadable"], told["maps"]) == (10, 40, 1)
