import json
import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import polars as pl
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image

from regard.checks import contact_sheet
from regard.checks.contact_sheet import _tile, chosen
from regard.checks.describe import describe
from regard.checks.measures import file_format, measures
from regard.checks.plots import _reach, draw
from regard.data.manifest import manifest_from_rows
from regard.images.mask_colours import class_colours
from regard.images.plotting import BOX, style

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def manifest(tmp_path):
    rng = np.random.default_rng(0)
    rows = []
    for i in range(12):
        name = f"{i}.{'jpg' if i % 3 else 'png'}"
        size = (20, 30) if i < 8 else (40, 40)
        Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(tmp_path / name)
        rows.append({"image": name, "label": "$a_b$<c>" if i % 2 else "d", "group": f"g{i // 4}"})
        rows[-1]["split"] = ["train", "val", None][i // 4]
    grey = np.zeros((20, 30), np.uint8)
    grey[:5] = 200
    Image.fromarray(grey).save(tmp_path / "r.png")
    rows[0] |= {"region": "r.png", "region_threshold": 127}
    rows[1] |= {"boxes": [[0, 0, 15, 20]]}
    rows[2] |= {"boxes": [[0, 0, 15, 10], [0, 0, 15, 20]]}
    rows[3] |= {"avoid": "r.png"}
    return manifest_from_rows(rows, tmp_path)


def test_counts(manifest):
    found = describe(manifest)
    assert found.samples == 12
    assert found.splits == {"train": 4, "val": 4, "no split": 4}
    assert found.classes["d"] == {"train": 2, "val": 2, "no split": 2}
    assert list(found.classes) == ["$a_b$<c>", "d"]
    assert found.formats == {"JPEG": 8, "PNG": 4}
    assert found.groups == {"groups": 3, "largest": 4}
    assert found.regions == {"none": 8, "boxes": 2, "avoid": 1, "image": 1}
    assert found.boxes["min"] == 1
    assert found.boxes["max"] == 2
    assert (found.sizes["width"]["median"], found.sizes["height"]["max"]) == (30, 40)
    assert found.unreadable == 0


def test_coverage_of_each_kind_of_region(manifest):
    found = describe(manifest)
    expected = [0.25, 0.5, 0.5, 1 - 0.25 * 200 / 255]
    assert found.measures["coverage"][:4].to_list() == pytest.approx(expected, abs=1e-6)
    assert found.coverage.keys() == {"train"}
    assert found.coverage["train"]["median"] == pytest.approx(0.5)


def test_boxes_of_other_classes_do_not_count(manifest):
    table = manifest.table.clone()
    rows = table.to_dicts()
    rows[2]["box_labels"] = ["d", "other"]
    found = describe(manifest_from_rows(rows, manifest.root))
    assert found.measures["coverage"][2] == pytest.approx(0.25)


def test_it_is_ready_for_json(manifest):
    found = describe(manifest)
    back = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert back["classes"] == found.classes
    assert "measures" not in back


def test_several_classes_a_sample_count_for_each(manifest):
    rows = manifest.table.drop("label").to_dicts()
    for row in rows:
        row["labels"] = ["x", "y"] if row["split"] == "train" else ["10"]
    assert describe(manifest_from_rows(rows, manifest.root)).classes == {
        "10": {"train": 0, "val": 4, "no split": 4},
        "x": {"train": 4, "val": 0, "no split": 0},
        "y": {"train": 4, "val": 0, "no split": 0},
    }


def test_unreadable_images_are_counted_and_drawn_around(manifest, tmp_path):
    (tmp_path / "0.png").write_bytes(b"text")
    (tmp_path / "r.png").unlink()
    data = (tmp_path / "1.jpg").read_bytes()
    (tmp_path / "1.jpg").write_bytes(data[:-200])
    found = describe(manifest)
    assert found.unreadable == 1
    assert found.regions == {"none": 8, "boxes": 2, "missing": 2}
    assert found.measures["coverage"].null_count() == 10
    assert 0 not in chosen(manifest, found, 24)
    assert draw(manifest, found, tmp_path / "out")[-1].name == "samples.png"


def test_a_regions_file_is_looked_at_even_if_its_image_cannot_be_read(manifest, tmp_path):
    (tmp_path / "0.png").write_bytes(b"text")
    assert describe(manifest).regions == {"none": 8, "boxes": 2, "avoid": 1, "image": 1}
    (tmp_path / "r.png").write_bytes(b"text")
    assert describe(manifest).regions == {"none": 8, "boxes": 2, "unreadable": 2}


def test_nothing_but_paths_can_be_described_and_drawn(tmp_path):
    manifest = manifest_from_rows([{"image": "gone.png"}], tmp_path)
    found = describe(manifest)
    assert (found.unreadable, found.classes, found.sizes["width"]) == (1, {}, {})
    assert [path.name for path in draw(manifest, found, tmp_path / "out")] == ["samples.png"]


def test_drawings_are_whole_and_the_same_every_time_and_labels_stay_text(manifest, tmp_path):
    before = dict(matplotlib.rcParams)
    paths = draw(manifest, describe(manifest), tmp_path / "out")
    names = ["classes.svg", "sizes.svg", "coverage.svg", "samples.png"]
    assert [path.name for path in paths] == names
    for path in paths[:3]:
        tree = ET.parse(path).getroot()
        assert tree.tag == SVG + "svg"
        assert len(tree.findall(f".//{SVG}path")) > 10
    # Drawn as it is, and neither as a formula nor as markup: as a comment beside its glyphs.
    assert "$a_b$&lt;c&gt;" in paths[0].read_text() or "$a_b$<c>" in paths[0].read_text()
    assert dict(matplotlib.rcParams) == before
    for one, two in zip(paths, draw(manifest, describe(manifest), tmp_path / "two"), strict=True):
        assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize(
    ("sides", "ends"),
    [
        ([761, 767, 769], (745.62, 784.38)),  # 2 % of the largest around
        ([800, 1000], (750, 1050)),  # a quarter of their range
        ([300, 1000], (0, 1120)),
    ],
)
def test_nearly_equal_sizes_fill_their_figure(sides, ends):
    assert _reach(pl.Series(sides)) == pytest.approx(ends)


def test_a_tile_says_class_and_file(tmp_path):
    Image.new("RGB", (30, 20)).save(tmp_path / "a-very-long-name-of-a-photo-0042.png")
    with style():
        figure = Figure(figsize=(2, 2))
        axes = figure.add_subplot()
        row = {"image": "a-very-long-name-of-a-photo-0042.png", "label": "fern"}
        manifest = manifest_from_rows([row], tmp_path)
        _tile(axes, manifest, manifest.table.row(0, named=True), {})
        label, name = (text.get_text() for text in axes.texts)
        assert (label, len(name), name[0]) == ("fern", 30, "…")
        assert row["image"].endswith(name[1:])


def sheet(rows, folder, monkeypatch):
    """The figure of the sheet of these samples, of one grey image."""
    Image.new("RGB", (60, 40), "gray").save(folder / "a.png")
    manifest, kept = manifest_from_rows([{"image": "a.png"} | row for row in rows], folder), []
    monkeypatch.setattr(contact_sheet, "save", lambda drawn, path: kept.append(drawn) or path)
    draw(manifest, describe(manifest), folder / "out")
    return kept[0]


def said(drawn):
    """Of the legend each text with its colour."""
    own = drawn.legends[0]
    signs = [h.get_facecolor() if isinstance(h, Patch) else h.get_color()
             for h in own.legend_handles]  # fmt: skip
    return {t.get_text(): to_hex(s) for t, s in zip(own.get_texts(), signs, strict=True)}


def test_a_sample_without_a_label_says_so(tmp_path, monkeypatch):
    rows = [{"labels": ["b", "a"]}, {"labels": []}, {"labels": None}]
    titles = [axes.texts[0].get_text() for axes in sheet(rows, tmp_path, monkeypatch).axes]
    assert sorted(titles) == ["b, a", "no label", "no label"]
    titles = [a.texts[0].get_text() for a in sheet([{"split": "val"}], tmp_path, monkeypatch).axes]
    assert titles == [""]


def test_boxes_have_the_colours_of_their_classes(tmp_path, monkeypatch):
    boxes = [[0, 0, 20, 20], [20, 0, 40, 20], [5, 5, 30, 30]]
    rows = [{"labels": ["x", "y"], "boxes": boxes, "box_labels": ["y", "x", "y"]},
            {"labels": ["z"], "boxes": boxes[:1], "box_labels": ["z"]}]  # fmt: skip
    drawn = sheet(rows, tmp_path, monkeypatch)
    colours = dict(zip("xyz", class_colours(["x", "y", "z"]), strict=True))
    assert said(drawn) == colours
    first = next(axes for axes in drawn.axes if axes.texts[0].get_text() == "x, y")
    edges = [to_hex(patch.get_edgecolor()) for patch in first.patches[:3]]
    assert edges == [colours["y"], colours["x"], colours["y"]]
    alone = sheet([{"label": "x", "boxes": boxes}], tmp_path, monkeypatch)
    assert said(alone) == {"boxes": BOX}


@pytest.mark.parametrize("count", [1, 24])
def test_a_long_legend_lies_below_the_tiles_and_within_the_sheet(tmp_path, monkeypatch, count):
    names = [f"a class of things {k:02d}" for k in range(30)]
    row = {"labels": names, "boxes": [[0, 0, 9, 9]] * 30, "box_labels": names}
    drawn = sheet([row] * count, tmp_path, monkeypatch)
    drawn.draw_without_rendering()
    box = drawn.legends[0].get_window_extent()
    assert box.y1 <= min(axes.get_window_extent().y0 for axes in drawn.axes)
    assert box.y0 >= 0
    assert box.x0 >= 0
    assert box.x1 <= drawn.bbox.width
    tile = drawn.axes[0].get_window_extent()
    assert tile.width / tile.height == pytest.approx(1.5, rel=0.02)
    assert tile.width / drawn.dpi == pytest.approx(contact_sheet.TILE, rel=0.02)
    # Rows are read first.
    across = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert sorted(across) == sorted(names)
    if count == 1:
        assert across == names


def test_region_and_boxes_are_drawn_where_they_are(tmp_path):
    def coloured(rows):
        manifest = manifest_from_rows(rows, tmp_path)
        path = draw(manifest, describe(manifest), tmp_path / "out")[-1]
        pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
        red, green, blue = np.moveaxis(pixels, 2, 0)
        pink = (red > 200) & (green < 150) & (blue < 200) & (blue > 90)
        yellow = (red > 200) & (green > 160) & (blue < 120)
        return pink.sum(), yellow.sum()

    Image.new("RGB", (60, 60), "gray").save(tmp_path / "a.png")
    grey = np.zeros((60, 60), np.uint8)
    grey[20:40, 20:40] = 255
    Image.fromarray(grey).save(tmp_path / "r.png")
    assert coloured([{"image": "a.png"}]) == (0, 0)
    pink, none = coloured([{"image": "a.png", "region": "r.png"}])
    assert (pink > 100, none) == (True, 0)
    none, yellow = coloured([{"image": "a.png", "boxes": [[10, 10, 50, 50]]}])
    assert (none, yellow > 100) == (0, True)


def test_hundreds_of_classes_and_any_script(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    rows = [{"image": "a.png", "label": f"種{i}", "split": "fold"} for i in range(70)]
    manifest = manifest_from_rows(rows, tmp_path)
    found = describe(manifest)
    names = [path.name for path in draw(manifest, found, tmp_path / "out")]
    assert names == ["classes.svg", "samples.png"]
    assert len(chosen(manifest, found, 24)) == 24


def test_the_sheet_takes_classes_in_turn(manifest):
    rows = chosen(manifest, describe(manifest), 4)
    labels = [manifest.table["label"][row] for row in rows]
    assert labels == ["$a_b$<c>", "$a_b$<c>", "d", "d"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.gif", "GIF"),
        ("a.bmp", "BMP"),
        ("a.tif", "TIFF"),
        ("a.webp", "WEBP"),
        ("a.avif", "AVIF"),
        ("a.jp2", "JPEG2000"),
        ("a.j2k", "JPEG2000"),
        ("a.ppm", "PPM"),
    ],
)
def test_formats_by_content(tmp_path, name, expected):
    Image.new("RGB", (8, 8)).save(tmp_path / name)
    (tmp_path / name).rename(tmp_path / "a.jpg")
    assert file_format(str(tmp_path / "a.jpg")) == expected
    (tmp_path / "a.jpg").write_text("text")
    assert file_format(str(tmp_path / "a.jpg")) == "other"


def test_boxes_of_other_classes_alone_are_no_region(tmp_path):
    """As a training has it: they do not say where the sample's own class is."""
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    box, own = [[0.0, 0.0, 4.0, 4.0]], {"image": "a.png", "split": "train"}
    rows = [
        own | {"label": "cat", "boxes": box, "box_labels": ["dog"]},
        own | {"label": "dog", "boxes": box, "box_labels": ["dog"]},
        own | {"label": "cat", "boxes": box, "box_labels": ["ear"]},
    ]
    table = measures(manifest_from_rows(rows, tmp_path))
    assert table["region"].to_list() == ["none", "boxes", "boxes"]
    assert table["coverage"].to_list() == [None, 0.25, 0.25]
