import os

import pytest

from regard.data.manifest import read_manifest
from regard.errors import ConfigError, DataError
from regard.importers import IMPORTERS
from regard.importers.folder import import_folder


def test_a_folder_a_class_in_natural_order(tmp_path, picture):
    for name in ("10/a.PNG", "9/b.jpg", "9/deep/er/c.tif", "9/.hidden.jpg", "9/.git/d.jpg"):
        picture(tmp_path / "src" / name)
    (tmp_path / "src" / "9" / "notes.txt").write_text("no image")
    manifest = import_folder(tmp_path / "src", root=tmp_path)
    assert manifest.table.rows() == [
        ("src/9/b.jpg", "9"),
        ("src/9/deep/er/c.tif", "9"),
        ("src/10/a.PNG", "10"),
    ]
    assert manifest.table.columns == ["image", "label"]


def test_the_manifest_reads_back_and_its_images_exist(tmp_path, picture):
    picture(tmp_path / "src" / "ca ts" / "ä b.webp")
    picture(tmp_path / "src" / "dogs" / "x.GIF")
    manifest = import_folder(tmp_path / "src", root=tmp_path)
    back = read_manifest(manifest.write(tmp_path / "m.csv"))
    assert back.table.equals(manifest.table)
    assert all(os.path.isfile(back.resolve(path)) for path in back.table["image"])


def test_paths_outside_of_the_root_are_absolute(tmp_path, picture):
    path = picture(tmp_path / "src" / "a" / "1.png")
    manifest = import_folder(tmp_path / "src", root=tmp_path / "elsewhere")
    assert manifest.table["image"].to_list() == [path.as_posix()]
    assert manifest.resolve(manifest.table["image"][0]) == str(path)


def test_split_folders_are_kept_under_our_names(tmp_path, picture):
    for name in ("Train/a/1.png", "train2/x", "valid/a/2.png", "test/b/3.png"):
        if name != "train2/x":
            picture(tmp_path / name)
    rows = import_folder(tmp_path, root=tmp_path).table.sort("image").rows()
    assert rows == [
        ("Train/a/1.png", "a", "train"),
        ("test/b/3.png", "b", "test"),
        ("valid/a/2.png", "a", "val"),
    ]


def test_a_class_called_train_is_a_class(tmp_path, picture):
    picture(tmp_path / "train" / "1.png")
    picture(tmp_path / "car" / "1.png")
    manifest = import_folder(tmp_path, root=tmp_path)
    assert manifest.classes == ("car", "train")
    assert "split" not in manifest.table.columns


def test_a_link_to_a_class_is_followed_and_a_circle_ends(tmp_path, picture):
    picture(tmp_path / "real" / "1.png")
    picture(tmp_path / "src" / "own" / "2.png")
    (tmp_path / "src" / "linked").symlink_to(tmp_path / "real")
    (tmp_path / "src" / "own" / "loop").symlink_to(tmp_path / "src" / "own")
    manifest = import_folder(tmp_path / "src", root=tmp_path / "src")
    assert manifest.table["image"].to_list() == ["linked/1.png", "own/2.png"]


@pytest.mark.parametrize(
    ("made", "found"),
    [
        ([], "no folders and no images"),
        (["a/1.png", "b/notes.txt"], "found none"),
        (["a/1.png", "stray.png"], "1: stray.png"),
        (["train/1.png", "test/2.png"], "1: 2.png"),
    ],
)
def test_what_is_no_folder_a_class_is_refused_in_one_line(tmp_path, picture, made, found):
    for name in made:
        path = tmp_path / name
        if path.suffix == ".png":
            picture(path)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("text")
    with pytest.raises(DataError) as caught:
        import_folder(tmp_path, root=tmp_path)
    assert found in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_folder_and_a_file_are_refused(tmp_path, picture):
    with pytest.raises(DataError, match="nothing there"):
        import_folder(tmp_path / "absent", root=tmp_path)
    with pytest.raises(DataError, match="found a file"):
        import_folder(picture(tmp_path / "1.png"), root=tmp_path)


def test_the_table_names_all_formats_and_the_near_one():
    assert {"csv", "folder", "pairs", "voc"} <= set(IMPORTERS)
    with pytest.raises(ConfigError, match="folder"):
        IMPORTERS["foldr"]
