"""Tables that write the names of files otherwise than the disk."""

import os
from unicodedata import normalize

import pytest

from regard.errors import DataError
from regard.importers.csv import import_csv
from regard.importers.on_disk import Spellings


def made(picture, *paths):
    for path in paths:
        picture(path)


def test_backslashes_are_slashes_where_the_file_is_there(tmp_path, picture):
    made(picture, tmp_path / "bilder/Müller/zelle.png", tmp_path / "masken/zelle.png")
    src = tmp_path / "t.csv"
    src.write_text(
        "image,label,region\nbilder\\Müller\\zelle.png,a,masken\\zelle.png\nbilder\\fehlt.png,b,\n"
    )
    table = import_csv(src, root=tmp_path).table
    assert table["image"].to_list() == ["bilder/Müller/zelle.png", "bilder\\fehlt.png"]
    assert table["region"][0] == "masken/zelle.png"
    templated = import_csv(src, root=tmp_path, region="masken/{stem}.png").table
    assert templated["region"].to_list() == ["masken/zelle.png", None]


@pytest.mark.skipif(os.sep != "/", reason="a backslash is no part of a name there")
def test_a_name_with_a_backslash_is_taken_as_it_is_written(tmp_path, picture):
    made(picture, tmp_path / "a\\b.png", tmp_path / "a/b.png")
    (tmp_path / "t.csv").write_text("image,label\na\\b.png,x\n")
    found = Spellings().find(tmp_path, "a\\b.png")
    assert found == tmp_path / "a\\b.png"
    assert import_csv(tmp_path / "t.csv", root=tmp_path).table["image"].to_list() == ["a\\b.png"]


@pytest.mark.parametrize(("written", "stored"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_umlauts_of_either_form_are_found_as_they_are_stored(tmp_path, picture, written, stored):
    own = normalize(stored, "bilder/Müller/Größe.png")
    made(picture, tmp_path / own, tmp_path / normalize(stored, "masken/Größe.png"))
    if (tmp_path / normalize(written, own)).exists():
        pytest.skip("this file system takes both forms for one")
    src = tmp_path / "t.csv"
    src.write_text(normalize(written, "image,label\nMüller\\Größe.png,x\nMüller/Ähre.png,y\n"),
                   encoding="utf-8")  # fmt: skip
    table = import_csv(
        src, root=tmp_path, images="bilder", region=normalize(written, "masken/{stem}.png")
    ).table
    absent = "bilder/" + normalize(written, "Müller/Ähre.png")
    assert table["image"].to_list() == [own, absent]
    assert table["region"].to_list() == [normalize(stored, "masken/Größe.png"), None]


def test_a_folder_of_images_of_the_other_form(tmp_path, picture):
    made(picture, tmp_path / normalize("NFD", "Prüfung/a.png"))
    (tmp_path / "t.csv").write_text("image,label\na.png,x\n")
    table = import_csv(tmp_path / "t.csv", root=tmp_path, images=normalize("NFC", "Prüfung")).table
    assert table["image"].to_list() == [normalize("NFD", "Prüfung/a.png")]


def test_a_table_of_which_nothing_is_there_is_refused(tmp_path):
    (tmp_path / "t.csv").write_text("image,label\nC:\\bilder\\Ähre.png,x\n")
    with pytest.raises(DataError, match="none of 1, the first being"):
        import_csv(tmp_path / "t.csv", root=tmp_path)
