import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from scipy.ndimage import gaussian_filter

from regard.checks.duplicates import Duplicates, duplicates
from regard.checks.fingerprints import fingerprint, look_alikes, perceptual_hash
from regard.data.manifest import manifest_from_rows
from regard.data.splits import split
from regard.importers import IMPORTERS

DATA = Path(
    os.environ.get("REGARD_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data")
)


def scene(seed, height=180, width=240):
    """A smooth picture with edges, as photos have them."""
    values = np.random.default_rng(seed).normal(size=(height, width, 3))
    smooth = gaussian_filter(values, (12, 12, 0))
    smooth = (smooth - smooth.min()) / np.ptp(smooth)
    return Image.fromarray((np.round(smooth * 5) / 5 * 255).astype(np.uint8))


def groups(manifest):
    return [(group.rows, group.exact) for group in duplicates(manifest)]


def manifest_of(folder, images, **columns):
    rows = []
    for i, image in enumerate(images):
        if isinstance(image, bytes):
            (folder / f"{i}.jpg").write_bytes(image)
        else:
            image.save(folder / f"{i}.png")
        name = f"{i}.jpg" if isinstance(image, bytes) else f"{i}.png"
        rows.append({"image": name} | {key: values[i] for key, values in columns.items()})
    return manifest_from_rows(rows, folder)


def jpeg(image, quality):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def test_the_same_bytes_across_splits_and_labels(tmp_path):
    one, other = scene(0), scene(1)
    manifest = manifest_of(
        tmp_path, [one, other, one, one], split=["train", "train", "test", "train"], label="abba"
    )
    (group,) = duplicates(manifest)
    assert (group.rows, group.exact) == ((1, 3, 4), True)
    assert group.splits == ("train", "test")
    assert group.leak
    assert group.labels == ("a", "b")
    assert group.files == ("0.png", "2.png", "3.png")


def test_within_one_split_there_is_no_leak(tmp_path):
    one = scene(0)
    (group,) = duplicates(manifest_of(tmp_path, [one, one], split=["val", "val"]))
    assert not group.leak


@pytest.mark.parametrize(
    "change",
    [
        lambda image: jpeg(image, 30),
        lambda image: image.resize((image.width // 2, image.height // 2), Image.Resampling.BICUBIC),
        lambda image: ImageEnhance.Brightness(image).enhance(0.85),
        lambda image: image.crop((2, 2, image.width - 2, image.height - 2)),
    ],
    ids=["quality 30", "half", "darker", "cut by 1%"],
)
@pytest.mark.parametrize("seed", range(4))
def test_changed_copies_are_near(tmp_path, change, seed):
    image = scene(seed)
    manifest = manifest_of(tmp_path, [scene(90), image, scene(91), change(image)])
    assert groups(manifest) == [((2, 4), False)]


def test_a_turned_copy_is_the_same_picture_upright(tmp_path):
    image, exif = scene(3), Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "plain.png")
    turned = image.transpose(Image.Transpose.ROTATE_90)
    turned.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    rows = [{"image": "plain.png"}, {"image": "turned.jpg"}]
    assert groups(manifest_from_rows(rows, tmp_path)) == [((1, 2), False)]


def test_the_same_sheet_with_another_plant_is_not_near(tmp_path):
    sheets = []
    for seed in range(6):
        sheet = Image.new("RGB", (240, 320), "ivory")
        sheet.paste((20, 20, 20), (0, 0, 240, 12))
        sheet.paste((190, 190, 200), (150, 250, 230, 310))
        own = scene(seed, 120, 120)
        sheet.paste(own, (60, 80))
        sheets.append(sheet)
    assert groups(manifest_of(tmp_path, sheets)) == []


def test_the_same_product_in_another_colour_is_not_near(tmp_path):
    def mug(colour):
        image = Image.new("RGB", (200, 200), "white")
        image.paste(colour, (50, 40, 130, 170))
        image.paste("black", (140, 70, 160, 140))
        return image

    assert groups(manifest_of(tmp_path, [mug("crimson"), mug("navy")])) == []


def test_flat_images_are_near_nothing_but_may_be_exact(tmp_path):
    flat = [Image.new("RGB", (50, 50), colour) for colour in ("white", "ivory", "white", "black")]
    assert groups(manifest_of(tmp_path, flat)) == [((1, 3), True)]


def test_unreadable_files_are_passed_over(tmp_path):
    manifest = manifest_of(tmp_path, [scene(0), b"text", b"text", scene(0)])
    assert groups(manifest) == [((1, 4), True)]
    assert fingerprint(tmp_path / "gone.png") is None


def test_a_group_joins_copies_and_copies_of_copies(tmp_path):
    image = scene(5)
    manifest = manifest_of(tmp_path, [image, jpeg(image, 60), image, jpeg(image, 40), scene(6)])
    assert groups(manifest) == [((1, 2, 3, 4), False)]


def test_hashes_across_tiles_are_compared_as_by_hand(monkeypatch):
    monkeypatch.setattr("regard.checks.fingerprints.TILE", 7)
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (12, 3, 32, 32)).astype(np.uint8)
    thumbnails = np.concatenate([pictures, pictures[[3, 8]], pictures[[3]]])
    bits = np.array([perceptual_hash(t.mean(0, dtype=np.float32)) for t in thumbnails], np.uint64)
    assert sorted(look_alikes(bits, thumbnails)) == [(3, 12), (3, 14), (8, 13), (12, 14)]


@pytest.mark.parametrize(
    ("name", "near", "exact"),
    [("products", [(198, 224)], 6), ("herbarium", [(238, 241)], 0), ("cells", [(36, 37)], 0),
     ("skin", [], 0)],
)  # fmt: skip
def test_real_sets_have_just_the_pairs_that_a_look_confirms(name, near, exact):
    src = DATA / name
    if not src.is_dir():
        pytest.skip(f"data set {name!r} is absent")
    images = sorted(path.name for path in (src / "images").iterdir())
    if (src / "labels.csv").is_file():
        manifest = IMPORTERS["csv"](src / "labels.csv", root=src, images="images")
    else:
        manifest = manifest_from_rows([{"image": f"images/{i}"} for i in images], src)
    found = duplicates(split(manifest))
    assert [group.rows for group in found if not group.exact] == near
    assert sum(group.exact for group in found) == exact


def test_duplicates_are_listed_like_what_the_checks_find():
    files = tuple(f"{name}.png" for name in "abcde")
    told = Duplicates((2, 5, 7, 9, 11), files, True, ("test", "train"), ("fern",)).problem()
    assert (told.row, told.column, told.file, told.severity) == (2, "image", "a.png", "warning")
    assert told.kind == "exact duplicates"
    assert told.detail.startswith(
        "the picture of row 5 (b.png), row 7 (c.png), row 9 (d.png) and 1"
    )
    assert ", in test and train; give them one group" in told.detail
    told = Duplicates((1, 2), files[:2], False, ("train",), ()).problem()
    assert told.kind == "near duplicates"
    assert told.detail == "the picture of row 2 (b.png); give them one group"
