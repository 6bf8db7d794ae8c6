import json
import os
from pathlib import Path

import polars as pl
import pytest

from regard.data.casting import BOXES, STRINGS
from regard.data.columns import COLUMNS, checked
from regard.data.manifest import Manifest, manifest_from_rows, natural, read_manifest
from regard.errors import DataError

ROWS = [
    {
        "image": "Bilder/Käfer 1, links.jpg",
        "segmented": "cut/1.png",
        "label": "007",
        "labels": ["a|b", 'quote " and , comma'],
        "hierarchy": ["Plantæ", "Viola"],
        "boxes": [[0.5, 1.0, 2.25, 1e6], [-3.0, 0.0, 0.0, 1e-7]],
        "box_labels": ["flower", "叶"],
        "region": "masks/1.png",
        "region_threshold": 127,
        "split": "train",
        "group": "plant 9",
        "synthetic": True,
    },
    {"image": "/absolute/b.png", "label": "1e5", "boxes": [], "box_labels": [], "synthetic": False},
    {"image": "c.jpg", "labels": []},
]


def csv(folder, text, name="m.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_what_was_written_is_read_again(tmp_path, suffix):
    manifest = manifest_from_rows(ROWS, tmp_path)
    again = read_manifest(manifest.write(tmp_path / f"m.{suffix}"))
    assert again.table.equals(manifest.table)
    assert again.table.schema == {name: COLUMNS[name][0] for name in manifest.table.columns}
    assert again.table["boxes"].to_list() == [ROWS[0]["boxes"], [], None]
    assert again.root == tmp_path


def test_parquet_to_csv_to_parquet_changes_nothing(tmp_path):
    first = read_manifest(manifest_from_rows(ROWS, tmp_path).write(tmp_path / "a.parquet"))
    second = read_manifest(first.write(tmp_path / "b.csv"))
    third = read_manifest(second.write(tmp_path / "c.parquet"))
    assert third.table.equals(first.table)


def test_columns_of_the_user_are_kept(tmp_path):
    path = csv(tmp_path, "image,camera,index\na.jpg,0042,7\nb.jpg,,8\n")
    manifest = read_manifest(path)
    again = read_manifest(manifest.write(tmp_path / "m.parquet"))
    assert again.table["camera"].to_list() == ["0042", None]
    assert again.table["index"].to_list() == ["7", "8"]


def test_a_nested_column_of_the_user_goes_to_csv_as_json(tmp_path):
    table = pl.DataFrame({"image": ["a.jpg"], "camera": [{"make": "X", "lenses": [1, 2]}]})
    again = read_manifest(Manifest(table, tmp_path).write(tmp_path / "m.csv"))
    assert json.loads(again.table["camera"][0]) == {"make": "X", "lenses": [1, 2]}


def test_labels_of_digits_stay_as_they_are_written(tmp_path):
    table = read_manifest(csv(tmp_path, "image,label\na,007\nb,1.50\nc,1e5\nd,true\n")).table
    assert table["label"].to_list() == ["007", "1.50", "1e5", "true"]


def test_labels_that_are_numbers_in_parquet_become_text(tmp_path):
    pl.DataFrame({"image": ["a", "b"], "label": [3, 10]}).write_parquet(tmp_path / "m.parquet")
    assert read_manifest(tmp_path / "m.parquet").classes == ("3", "10")


def test_boxes_of_whole_numbers_become_floats():
    table = pl.DataFrame({"image": ["a"], "boxes": [[[1, 2, 3, 4]]]})
    assert checked(table, "m").schema["boxes"] == BOXES
    assert checked(table, "m")["boxes"].to_list() == [[[1.0, 2.0, 3.0, 4.0]]]


def test_empty_cells_are_missing_whether_quoted_or_not(tmp_path):
    text = 'image,label,region_threshold,boxes,labels,synthetic\na,"","","","",""\nb,,,,,\n'
    table = read_manifest(csv(tmp_path, text)).table
    assert table.drop("image").null_count().row(0) == (2, 2, 2, 2, 2)
    assert table.schema["labels"] == STRINGS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty CSV"),
        ("image,label\n", "expected at least one sample, found no rows"),
        ("path,label\na,b\n", "column 'image', found columns path, label"),
        ("image,label\na,b,c\n", "readable csv table"),
        ("image,label\na,x\n,y\n", "row 2, column 'image': expected a path, found an empty cell"),
        ('image,label\na,x\n"",y\n', "row 2, column 'image'"),
        ("image,region_threshold\na,1\nb,12\nc,x\n", "row 3, column 'region_threshold'.*'x'"),
        ("image,region_threshold\na,1.5\n", "row 1, column 'region_threshold'.*'1.5'"),
        ("image,synthetic\na,true\nb,perhaps\n", "row 2, column 'synthetic': expected true or fal"),
        ("image,labels\na,plain\n", "row 1, column 'labels': expected a JSON list.*'plain'"),
        ('image,labels\na,"""abc"""\n', "row 1, column 'labels': expected a JSON list"),
        (
            'image,labels\na,"[1, 2]"\n',
            r"row 1, column 'labels': expected a JSON list like \[\"a\"",
        ),
        ('image,boxes\na,\nb,"[1,2,3,4]"\n', r"row 2, column 'boxes': expected.* \[\[10, 20"),
        ('image,boxes\na,\nb,"[[1,2,3]]"\n', "row 2, column 'boxes': expected boxes of 4 finite"),
        ('image,boxes\na,"[[1,2,3,4],[1,2,3,4,5]]"\n', "row 1, column 'boxes'"),
        ('image,boxes\na,"[[1,2,NaN,4]]"\n', "row 1, column 'boxes'.*4 finite numbers.*nan"),
        ('image,boxes\na,"[[1,2,Infinity,4]]"\n', "row 1, column 'boxes'.*inf"),
        ('image,boxes\na,"[[1,2,null,4]]"\n', "row 1, column 'boxes'.*None"),
        ('image,boxes\na,"[null]"\n', "row 1, column 'boxes'"),
        ('image,boxes\na,"[[1,2,3"\n', "row 1, column 'boxes': expected a JSON list"),
        ('image,boxes\na,"[[1,2,3,1' + "0" * 400 + ']]"\n', "row 1, column 'boxes'"),
        ("image,labels\na," + "[" * 100_000 + "\n", "row 1, column 'labels'"),
        (
            'image,boxes,box_labels\na,"[[1,2,3,4]]","[""x"", ""y""]"\n',
            "row 1, column 'box_labels': expected a label a box",
        ),
    ],
)
def test_a_fault_in_the_table_is_named_with_row_and_column(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_manifest(csv(tmp_path, text))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.parquet", b"PAR1 and no more", "readable parquet table"),
        ("m.parquet", b"", "readable parquet table"),
        ("m.csv", b"image\n\xe9.jpg\n", "readable csv table"),
        ("m.xlsx", b"PK", "a .parquet or .csv file, found suffix '.xlsx'"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_manifest(tmp_path / name)


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path):
    with pytest.raises(DataError, match="found no such file"):
        read_manifest(tmp_path / "none.csv")
    with pytest.raises(DataError, match="found a folder"):
        read_manifest(tmp_path)


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
    (tmp_path / "m.csv").write_bytes(b"\xef\xbb\xbfimage,label\na.jpg,x\n")
    assert read_manifest(tmp_path / "m.csv").table.columns == ["image", "label"]


@pytest.mark.parametrize("name", ["set [1].csv", "ü*?.csv", "set [1].parquet"])
def test_a_file_name_is_no_pattern(tmp_path, name):
    path = manifest_from_rows([{"image": "a.jpg"}], tmp_path).write(tmp_path / name)
    assert read_manifest(path).table["image"].to_list() == ["a.jpg"]


def test_classes_stand_in_natural_order_without_missing_ones():
    labels = ["b", "10", None, "9", "-1", "2.5", "a", "10"]
    table = pl.DataFrame({"image": list("abcdefgh"), "label": labels})
    assert Manifest(table, Path()).classes == ("-1", "2.5", "9", "10", "a", "b")


def test_classes_named_nan_or_inf_are_words_and_leave_the_order_alone():
    words = ["3", "nan", "1", "inf", "x", "2"]
    expected = ["1", "2", "3", "inf", "nan", "x"]
    assert sorted(words, key=natural) == expected
    assert sorted(words[::-1], key=natural) == expected


def test_paths_start_from_the_manifest_and_absolute_ones_stay(tmp_path):
    manifest = read_manifest(csv(tmp_path, "image\nsub/ä b.jpg\n/data/c.jpg\n"))
    assert manifest.resolve("sub/ä b.jpg") == str(tmp_path / "sub" / "ä b.jpg")
    assert manifest.resolve("/data/c.jpg") == "/data/c.jpg"


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_written_to_another_folder_the_paths_lead_to_the_same_files(tmp_path, suffix):
    rows = [{"image": "in/a.jpg", "region": "../r.png"}, {"image": "/data/b.jpg"}]
    manifest = manifest_from_rows(rows, tmp_path / "src")
    moved = read_manifest(manifest.write(tmp_path / "out" / "deep" / f"m.{suffix}"))
    assert moved.table["image"].to_list() == ["../../src/in/a.jpg", "/data/b.jpg"]
    found = [os.path.realpath(moved.resolve(p)) for p in moved.table["image"]]
    assert found == [str(tmp_path / "src" / "in" / "a.jpg"), "/data/b.jpg"]
    assert os.path.realpath(moved.resolve(moved.table["region"][0])) == str(tmp_path / "r.png")


def test_written_to_its_own_folder_the_paths_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    manifest = read_manifest(csv(tmp_path, "image\na.jpg\n"))
    (tmp_path / "link").symlink_to(tmp_path)
    for path in ("m.parquet", "link/m.parquet"):
        assert read_manifest(manifest.write(path)).table["image"].to_list() == ["a.jpg"]


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path, monkeypatch):
    manifest = manifest_from_rows([{"image": "a.jpg"}], tmp_path)
    path = manifest.write(tmp_path / "m.parquet")

    def full(self, data):
        self.write_text("half")
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="no space"):
        manifest_from_rows([{"image": "b.jpg"}], tmp_path).write(path)
    assert read_manifest(path).table["image"].to_list() == ["a.jpg"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_manifest_is_not_written_where_it_could_not_be_read(tmp_path):
    with pytest.raises(DataError, match=r"a \.parquet or \.csv file"):
        manifest_from_rows([{"image": "a.jpg"}], tmp_path).write(tmp_path / "m.txt")


def test_a_split_is_selected_with_row_numbers_of_the_manifest(tmp_path):
    text = "image,split,index\na,train,x\nb,test,y\nc,train,z\n"
    rows = read_manifest(csv(tmp_path, text)).select("train")
    assert rows["image"].to_list() == ["a", "c"]
    assert rows["index"].to_list() == [0, 2]


def test_an_unknown_split_lists_the_near_ones(tmp_path):
    manifest = read_manifest(csv(tmp_path, "image,split\na,train\n"))
    with pytest.raises(DataError, match=r"samples in split 'trian'.* did you mean train\?"):
        manifest.select("trian")
    with pytest.raises(DataError, match="a column 'split', found columns image"):
        read_manifest(csv(tmp_path, "image\na\n")).select("train")


def test_regions_are_there_if_any_sample_has_one():
    assert not manifest_from_rows([{"image": "a"}], Path()).has_regions
    table = pl.DataFrame({"image": ["a", "b"], "region": [None, None]})
    assert not Manifest(checked(table, "m"), Path()).has_regions
    assert manifest_from_rows([{"image": "a"}, {"image": "b", "boxes": []}], Path()).has_regions
    assert manifest_from_rows([{"image": "a", "avoid": "s.png"}], Path()).has_regions
