import pytest

from regard.errors import DataError
from regard.importers.pairs import import_pairs


def test_pairs_by_name_with_classes_from_folders(tmp_path, picture):
    picture(tmp_path / "raw" / "a" / "1.jpg")
    picture(tmp_path / "cut" / "a" / "1.png")
    manifest = import_pairs(tmp_path, root=tmp_path, raw="raw", segmented="cut")
    assert manifest.table.to_dicts() == [
        {
            "image": "raw/a/1.jpg",
            "segmented": "cut/a/1.png",
            "label": "a",
            "region": "cut/a/1.png",
            "region_threshold": 10,
        }
    ]
    assert manifest.views == ("image", "segmented")


def test_labels_from_a_table(tmp_path, picture):
    for name in ("1", "2"):
        picture(tmp_path / "images" / f"{name}.jpg")
        picture(tmp_path / "segmented" / f"{name}.jpg")
    (tmp_path / "labels.csv").write_text("file,species\n2.jpg,V2\n1.jpg,V1\n")
    manifest = import_pairs(
        tmp_path, root=tmp_path, labels="labels.csv", image="file", label="species"
    )
    assert manifest.table["label"].to_list() == ["V1", "V2"]


def test_without_labels_there_is_no_label_column(tmp_path, picture):
    picture(tmp_path / "images" / "1.jpg")
    picture(tmp_path / "segmented" / "1.jpg")
    assert "label" not in import_pairs(tmp_path, root=tmp_path).table.columns


def test_unmatched_files_are_counted_and_the_first_ones_named(tmp_path, picture):
    for name in "abcde":
        picture(tmp_path / "images" / f"{name}.jpg")
    picture(tmp_path / "segmented" / "a.png")
    picture(tmp_path / "segmented" / "z.png")
    with pytest.raises(DataError) as caught:
        import_pairs(tmp_path, root=tmp_path)
    assert "only in the first, 4: b, c, d, ...; only in the second, 1: z" in str(caught.value)


def test_photos_without_a_row_of_labels_are_refused(tmp_path, picture):
    for name in ("1", "2"):
        picture(tmp_path / "images" / f"{name}.jpg")
        picture(tmp_path / "segmented" / f"{name}.jpg")
    (tmp_path / "labels.csv").write_text("image,label\n1.jpg,V1\n")
    with pytest.raises(DataError, match="only in the first, 1: 2"):
        import_pairs(tmp_path, root=tmp_path, labels="labels.csv")


def test_two_files_of_one_name_and_missing_folders_are_refused(tmp_path, picture):
    with pytest.raises(DataError, match="expected a folder"):
        import_pairs(tmp_path, root=tmp_path)
    picture(tmp_path / "images" / "1.jpg")
    (tmp_path / "segmented").mkdir()
    with pytest.raises(DataError, match="expected images, found none"):
        import_pairs(tmp_path, root=tmp_path)
    picture(tmp_path / "images" / "1.png")
    with pytest.raises(DataError, match=r"1\.jpg and 1\.png"):
        import_pairs(tmp_path, root=tmp_path)


def pairs(folder, picture, text):
    for name in ("1", "2"):
        picture(folder / "images" / f"{name}.jpg")
        picture(folder / "segmented" / f"{name}.jpg")
    (folder / "labels.csv").write_text(text)
    said = []
    manifest = import_pairs(folder, root=folder, labels="labels.csv", say=said.append)
    return manifest.table, said


def test_splits_and_groups_of_the_table_stay(tmp_path, picture):
    text = "image,label,split,group\n1.jpg,a,train,x\n2.jpg,b,test,y\n"
    table, said = pairs(tmp_path, picture, text)
    assert table["split"].to_list() == ["train", "test"]
    assert table["group"].to_list() == ["x", "y"]
    assert said == []


def test_a_photo_with_two_labels_has_both_and_that_is_said(tmp_path, picture):
    table, said = pairs(tmp_path, picture, "image,label\n1.jpg,a\n2.jpg,b\n2.jpg,a\n")
    assert table["labels"].to_list() == [["a"], ["a", "b"]]
    assert said == ["images whose rows name several classes, so that all have sets of them: "
                    "1: 2.jpg"]  # fmt: skip


def test_a_table_without_a_label_is_refused(tmp_path, picture):
    with pytest.raises(DataError, match="expected labels in 'label', found none"):
        pairs(tmp_path, picture, "image,label\n1.jpg,\n2.jpg,\n")
