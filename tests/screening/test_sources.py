"""Tars with links, holes and damage; names of any bytes; images with more tiles than memory."""

import io
import os
import shutil
import subprocess
import tarfile

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from regard.errors import ConfigError, DataError, RunError
from regard.runs.run import load_run
from regard.saliency.explain import explain
from regard.screening import maps as making
from regard.screening import pieces as ahead
from regard.screening.cutting import Cutting, cutting_of
from regard.screening.maps import make_maps
from regard.screening.operator import operator_of
from regard.screening.pieces import of_image, pieces
from regard.screening.screen import screen
from regard.screening.sources import open_source
from regard.training.train import train
from tinyset import config_of, run_regard


@pytest.fixture
def run(home):
    return load_run(home / "run")


def rows(out):
    return pl.concat([pl.read_parquet(path) for path in sorted((out / "rows").iterdir())])


def some(home, folder, count=3):
    """So many photos, in a folder of their own."""
    folder.mkdir()
    photos = [p for p in sorted((home / "images").glob("train-*.png")) if "region" not in p.name]
    for number, path in enumerate(photos[:count]):
        (folder / f"{number}.png").write_bytes(path.read_bytes())
    return folder


def test_links_in_a_tar_are_images_as_they_are_in_a_folder(home, run, tmp_path):
    photos = some(home, tmp_path / "photos")
    os.link(photos / "0.png", photos / "3.png")
    (photos / "4.png").symlink_to("1.png")
    (photos / "5.png").symlink_to("4.png")
    subprocess.run(["tar", "-C", tmp_path, "-cf", tmp_path / "a.tar", "./photos"], check=True)
    screen(run, open_source(photos), tmp_path / "of folder")
    screen(run, open_source(tmp_path / "a.tar"), tmp_path / "of tar")
    told = [rows(tmp_path / f"of {kind}").drop("row").sort("image") for kind in ("folder", "tar")]
    bare = told[1].with_columns(pl.col("image").str.replace("./photos/", "", literal=True))
    assert bare.sort("image").equals(told[0])
    assert len(bare) == 6


def test_a_link_to_nothing_is_an_image_that_cannot_be_read(home, run, tmp_path):
    photos = some(home, tmp_path / "photos")
    (photos / "3.png").symlink_to("4.png")
    (photos / "4.png").symlink_to("3.png")
    (photos / "5.png").symlink_to("/etc/hostname")
    subprocess.run(["tar", "-C", photos, "-cf", tmp_path / "a.tar", "."], check=True)
    screen(run, open_source(tmp_path / "a.tar"), tmp_path / "out")
    table = rows(tmp_path / "out").sort("image")
    assert table["error"].null_count() == 3
    assert table["error"].to_list()[3:] == ["a link to nothing in the tar"] * 3


def test_of_equal_names_the_last_one_counts_as_when_unpacked(home, tmp_path):
    photos = some(home, tmp_path / "photos", 2)
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(photos / "0.png", "a.png")
        tar.add(photos / "1.png", "a.png")
    source = open_source(tmp_path / "a.tar")
    assert [*source.names] == ["a.png"]
    assert source.read(0) == (photos / "1.png").read_bytes()


@pytest.mark.parametrize("place", ["header", "within a header", "between", "within a file"])
def test_a_damaged_tar_is_not_taken_for_a_short_one(home, tmp_path, place):
    photos = some(home, tmp_path / "photos")
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for path in sorted(photos.iterdir()):
            tar.add(path, path.name)
    with tarfile.open(tmp_path / "a.tar") as tar:
        second = tar.getmembers()[1]
    content = bytearray((tmp_path / "a.tar").read_bytes())
    if place == "header":
        content[second.offset + 3] ^= 1
    at = {"within a header": second.offset + 100, "between": second.offset,
          "within a file": second.offset_data + 10}.get(place, len(content))  # fmt: skip
    (tmp_path / "a.tar").write_bytes(content[:at])
    with pytest.raises(DataError, match=r"a whole, plain tar, found .*damaged or cut off"):
        open_source(tmp_path / "a.tar")


def test_files_with_holes_are_refused_by_name(home, tmp_path):
    photos = some(home, tmp_path / "photos")
    with (photos / "1.png").open("r+b") as file:
        file.truncate(2**22)
    subprocess.run(["tar", "-C", photos, "-Scf", tmp_path / "a.tar", "."], check=True)
    with pytest.raises(DataError, match=r"found 1\.png, stored with holes; pack without --sparse"):
        open_source(tmp_path / "a.tar")


def test_a_compressed_tar_is_to_be_unpacked(home, tmp_path):
    photos = some(home, tmp_path / "photos")
    subprocess.run(["tar", "-C", photos, "-czf", tmp_path / "a.tar", "."], check=True)
    with pytest.raises(DataError, match="expected an uncompressed tar"):
        open_source(tmp_path / "a.tar")


@pytest.mark.parametrize("kind", ["folder", "tar"])
def test_a_name_that_is_no_utf8_has_its_bytes_escaped(home, run, tmp_path, kind):
    photos = some(home, tmp_path / "photos")
    odd = os.fsdecode(b"caf\xe9")
    (photos / odd).mkdir()
    (photos / "2.png").rename(photos / odd / os.fsdecode(b"\xff\n.png"))
    if kind == "tar":
        subprocess.run(["tar", "-C", photos, "-cf", tmp_path / "a.tar", "."], check=True)
    source = open_source(photos if kind == "folder" else tmp_path / "a.tar", "folder")
    told = screen(run, source, tmp_path / "out")
    table = rows(tmp_path / "out")
    assert told["unreadable"] == 0
    assert any(name.endswith("caf\\xe9/\\xff\n.png") for name in table["image"])
    assert any(group.endswith("caf\\xe9") for group in table["group"])
    done = run_regard("screen", run.folder, photos, "--out", tmp_path / "again", "--json")
    assert done.returncode == 0, done.stderr


def test_images_of_many_tiles_wait_in_bounded_memory(home, run, tmp_path, monkeypatch):
    (tmp_path / "films").mkdir()
    for number in range(12):
        Image.fromarray(np.full((320, 320, 3), number, np.uint8)).save(
            tmp_path / "films" / f"{number:02d}.png"
        )
    tile = 3 * 32 * 32
    begun, taken = [], 0

    def noting(source, row, *rest):
        begun.append(row - taken)
        return of_image(source, row, *rest)

    monkeypatch.setattr(ahead, "of_image", noting)
    cut = Cutting("grid", 32, 32)
    for budget, most in ((2**30, 12), (450 * tile, 4), (tile, 2)):  # 100 tiles an image
        monkeypatch.setattr(ahead, "WAITING", budget)
        begun.clear()
        taken = 0
        source = open_source(tmp_path / "films")
        for row, found in pieces(source, range(12), cut, run.transform, 4):
            assert len(found) == 100
            taken = row + 1
        assert max(begun) <= most
        assert max(begun) >= min(most, 3) - 1


def test_what_a_screening_is_of_cannot_change_on_the_way(home, run, tmp_path):
    photos = some(home, tmp_path / "photos")
    (photos / "deep").mkdir()
    (photos / "0.png").rename(photos / "deep" / "0.png")
    source, out = open_source(photos), tmp_path / "out"
    screen(run, source, out)
    for changed, key in (
        ({"batch": 3}, "batch"),
        ({"part": 7}, "part"),
        ({"compile": True}, "compile"),
    ):
        with pytest.raises(RunError, match=f"found one with another {key}"):
            screen(load_run(home / "run"), source, out, **changed)
    tiles = Cutting("grid", 16, 8)
    with pytest.raises(RunError, match="found one of images as a whole; choose another --out"):
        screen(run, source, out, cutting=tiles)
    screen(run, source, tmp_path / "tiles", cutting=tiles)
    with pytest.raises(RunError, match="found one of tiles of 16 every 8 pixels"):
        screen(run, source, tmp_path / "tiles", cutting=Cutting("boxes", times=1.5))
    assert Cutting("boxes", times=1.5).words == "crops of boxes, 1.5 times as large"
    with pytest.raises(RunError, match=r"found one with other groups \(of: none\); give --group"):
        screen(run, open_source(photos, "folder"), out)
    # The same folder and checkpoint, trained anew.
    other = tmp_path / "run"
    train(config_of("training.epochs=1"), other, folder=home)
    screen(load_run(other), source, tmp_path / "second")
    shutil.rmtree(other)
    train(config_of("training.epochs=1", "training.seed=5"), other, folder=home)
    with pytest.raises(RunError, match="found one of a net with other weights"):
        screen(load_run(other), source, tmp_path / "second")


def test_a_tar_packed_anew_with_the_same_names_is_another_one(home, run, tmp_path):
    photos = some(home, tmp_path / "photos")
    subprocess.run(["tar", "-C", photos, "-cf", tmp_path / "a.tar", "."], check=True)
    screen(run, open_source(tmp_path / "a.tar"), tmp_path / "out")
    larger = io.BytesIO()
    Image.new("RGB", (64, 64)).resize((200, 200)).save(larger, "BMP")
    (photos / "0.png").write_bytes(larger.getvalue())
    subprocess.run(["tar", "-C", photos, "-cf", tmp_path / "a.tar", "."], check=True)
    with pytest.raises(RunError, match="found one of other images, boxes or places"):
        screen(run, open_source(tmp_path / "a.tar"), tmp_path / "out")


def picked_of(out, classes, label):
    """All rows of part 0 with every answer changed to a class."""
    table = rows(out).with_row_index("piece").with_columns(why=pl.lit("uncertain"))
    shares = {f"probability:{name}": pl.lit(float(name == label)) for name in classes}
    return {0: table.with_columns(predicted=pl.lit(label), **shares)}


@pytest.mark.parametrize("short", [False, True])
def test_a_map_is_of_the_class_that_its_row_says(home, run, tmp_path, monkeypatch, short):
    source, out = open_source(some(home, tmp_path / "photos")), tmp_path / "out"
    screen(run, source, out, uncertain=0)
    operator = operator_of(run, torch.device("cpu"))
    images = run.transform([photo for photo in sorted((tmp_path / "photos").iterdir())])
    if short:

        def scarce(net, images, *rest, **how):
            if len(images) > 1:
                raise torch.OutOfMemoryError("no memory")
            return explain(net, images, *rest, **how)

        monkeypatch.setattr(making, "explain", scarce)
    for number, label in enumerate(run.classes):
        make_maps(out, picked_of(out, run.classes, label), source, Cutting(), operator)
        found = load_file(out / "maps/part-000000/maps.safetensors")
        wanted = explain(run.net, images, torch.full((3,), number), method="gradcam")
        for row in range(3):
            torch.testing.assert_close(
                found[f"{row:06d}"].float(), wanted[row], rtol=2e-3, atol=1e-4
            )
    # What a loss of power has cut off is made anew.
    (out / "maps/part-000000/pieces.parquet").write_bytes(b"")
    make_maps(out, picked_of(out, run.classes, run.classes[0]), source, Cutting(), operator)
    assert len(pl.read_parquet(out / "maps/part-000000/pieces.parquet")) == 3


def test_an_image_that_is_in_a_tar_under_two_spellings_is_one(tmp_path):
    """As unpacking leaves it: the last one counts."""
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name in ("d/a.png", "./d/a.png"):
            tar.add(tmp_path / "a.png", name)
    assert [*open_source(tmp_path / "a.tar").names] == ["./d/a.png"]


@pytest.mark.parametrize("part", [1, 100])
def test_what_cannot_be_read_is_counted_alike_in_parts_of_any_size(home, run, tmp_path, part):
    names = [*(str(p) for p in sorted((home / "images").glob("*.png"))[:2]), "none.png", "none.png"]
    table = pl.DataFrame({"image": names, "group": ["a", "b", "a", "b"]})
    table.write_parquet(tmp_path / "m.parquet")
    told = screen(run, open_source(tmp_path / "m.parquet"), tmp_path / "out", part=part)
    assert (told["images"], told["pieces"], told["unreadable"]) == (4, 2, 2)
    bad = (tmp_path / "out" / "bad_files.csv").read_text().splitlines()
    assert len(bad) == 2


def test_boxes_outside_of_an_image_are_no_pieces():
    cutting = cutting_of(None, None, True, 1.0, has_boxes=True)
    boxes = [(50, 50, 60, 60), (-20, 3, -12, 9), (3, 3, 3, 9), (28, 28, 40, 40)]
    assert cutting.crops((32, 32), boxes) == [(20, 20, 32, 32)]


def test_tiles_with_gaps_between_are_refused():
    assert cutting_of(8, 8, False, 1.0, has_boxes=False).stride == 8
    with pytest.raises(ConfigError, match=r"--stride: expected at most --grid, 8 pixels, found 20"):
        cutting_of(8, 20, False, 1.0, has_boxes=False)


def test_links_in_a_tar_are_what_unpacking_leaves(tmp_path):
    folder = tmp_path / "photos"
    (folder / "real").mkdir(parents=True)
    for name, grey in (("a.png", 10), ("real/c.png", 30)):
        Image.new("RGB", (8, 8), (grey,) * 3).save(folder / name)
    (folder / "b.png").hardlink_to(folder / "a.png")
    (folder / "linked").symlink_to("real")
    (folder / "d.png").symlink_to("linked/c.png")
    tar = tmp_path / "a.tar"
    names = ["a.png", "b.png", "d.png", "linked", "real"]
    subprocess.run(["tar", "-C", folder, "-cf", tar, *names], check=True)
    (folder / "a.png").unlink()
    Image.new("RGB", (8, 8), (200,) * 3).save(folder / "a.png")
    subprocess.run(["tar", "-C", folder, "-rf", tar, "a.png"], check=True)
    (tmp_path / "unpacked").mkdir()
    subprocess.run(["tar", "-C", tmp_path / "unpacked", "-xf", tar], check=True)
    source = open_source(tar)
    assert sorted(source.names) == ["a.png", "b.png", "d.png", "real/c.png"]
    for row, name in enumerate(source.names):
        assert source.read(row) == (tmp_path / "unpacked" / name).read_bytes()


def test_hidden_folders_are_hidden_in_a_tar_too(tmp_path):
    for name in ("a.png", ".thumbs/a.png", "__MACOSX/b.png", "c/.d.png"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "photos" / name)
    subprocess.run(["tar", "-C", tmp_path / "photos", "-cf", tmp_path / "a.tar", "."], check=True)
    assert [*open_source(tmp_path / "a.tar").names] == ["./a.png"]
    assert [*open_source(tmp_path / "photos").names] == ["a.png"]


def test_links_are_followed_before_their_folder_is_left(tmp_path):
    tar = tmp_path / "a.tar"
    places = {"x.png": 9, "d/x.png": 2, "d/e/y.png": 3, "../out.png": 4}
    with tarfile.open(tar, "w") as writing:
        for name, grey in places.items():
            held = io.BytesIO()
            Image.new("RGB", (8, 8), (grey,) * 3).save(held, "PNG")
            member = tarfile.TarInfo(name)
            member.size = held.tell()
            held.seek(0)
            writing.addfile(member, held)
        for name, leads_to in {"l": "d/e", "m.png": "l/../x.png", "d/n.png": "../l/y.png",
                               "o.png": "/x.png", "p.png": "p.png"}.items():  # fmt: skip
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, leads_to
            writing.addfile(member)
    source = open_source(tar)
    found = {}
    for row, name in enumerate(source.names):
        if source.places[row] is not None:
            with Image.open(io.BytesIO(source.read(row))) as image:
                found[name] = image.getpixel((0, 0))[0]
    assert found == {**places, "m.png": 2, "d/n.png": 3}
    assert {"o.png", "p.png"} <= set(source.names)
