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
