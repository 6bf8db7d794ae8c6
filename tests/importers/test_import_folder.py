import os
from pathlib import Path

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


MASKS = {
    "{stem}_mask.png": ("a/1_mask.png", "b/2_mask.png", "b/old_mask.png"),
    "masks/{stem}.png": ("a/masks/1.png", "b/masks/2.png", "b/masks/old.png"),
    "../masks/{stem}.png": ("masks/1.png", "masks/2.png", "masks/old.png"),
    "{stem}.png": ("a/1.png", "b/2.png"),
}


@pytest.mark.parametrize("template", MASKS)
def test_masks_beside_photos_are_regions_and_no_photos(tmp_path, picture, template):
    for name in ("a/1.jpg", "b/2.jpg", "b/3.jpg", *MASKS[template]):
        picture(tmp_path / name)
    said = []
    table = import_folder(
        tmp_path, root=tmp_path, region=template, region_threshold=127, say=said.append
    ).table
    assert table.rows() == [
        ("a/1.jpg", "a", MASKS[template][0], 127),
        ("b/2.jpg", "b", MASKS[template][1], 127),
        ("b/3.jpg", "b", None, None),
    ]
    assert table.columns == ["image", "label", "region", "region_threshold"]
    old = [Path(name).name for name in MASKS[template] if "old" in name]
    assert said == [f"masks without a photo, left out: 1: {name}" for name in old]


def test_splits_keep_their_masks(tmp_path, picture):
    for split in ("train", "test"):
        picture(tmp_path / split / "a/1.jpg")
        picture(tmp_path / split / "a/1_mask.png")
    table = import_folder(tmp_path, root=tmp_path, region="{stem}_mask.png").table
    assert sorted(table["region"]) == ["test/a/1_mask.png", "train/a/1_mask.png"]
    assert sorted(table["split"]) == ["test", "train"]


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{stem}_m.png", "--region: expected files where the template says, found none of 2, the"),
        ("mask.png", "--region: expected a template of a mask's path with {stem}"),
        ("{name}_{stem}.png", "found '{name}_{stem}.png'"),
    ],
)
def test_templates_that_name_nothing_are_refused(tmp_path, picture, template, said):
    picture(tmp_path / "a/1.jpg")
    picture(tmp_path / "a/1_mask.png")
    with pytest.raises(DataError) as caught:
        import_folder(tmp_path, root=tmp_path, region=template)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("mask", "template"),
    [
        ("a/1_mask.png", "{stem}_mask.png"),
        ("a/1-Mask.PNG", "{stem}-Mask.PNG"),
        ("a/1_segmentation.png", "{stem}_segmentation.png"),
        ("a/masks/1.png", "masks/{stem}.png"),
        ("a/masks/1_region.png", "masks/{stem}_region.png"),
    ],
)
def test_masks_that_are_taken_for_photos_are_told_with_the_option(
    tmp_path, picture, mask, template
):
    picture(tmp_path / "a/1.jpg")
    picture(tmp_path / mask)
    said = []
    assert len(import_folder(tmp_path, root=tmp_path, say=said.append)) == 2
    (line,) = said
    assert line.startswith("warning: images that are called as masks of others are photos now: 1: ")
    assert line.endswith(f"import with --region '{template}'")


@pytest.mark.parametrize("names", [["a/1.jpg", "a/2_mask.jpg"], ["a/1.jpg", "masks/1.jpg"],
                                   ["a/1.jpg", "a/12.jpg", "a/1_2.jpg"]])  # fmt: skip
def test_other_names_are_photos(tmp_path, picture, names):
    for name in names:
        picture(tmp_path / name)
    said = []
    import_folder(tmp_path, root=tmp_path, say=said.append)
    assert said == []
