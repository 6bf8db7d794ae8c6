import numpy as np
import pytest
from PIL import Image

from regard.data.manifest import manifest_from_rows
from regard.errors import ConfigError, DataError
from regard.images.decoding import decode, decode_grey
from regard.importers.crops import frame, import_crops

BOXES = [[20.0, 30.0, 40.0, 40.0], [36.0, 30.0, 60.0, 50.0], [5.0, 5.0, 5.0, 9.0]]


@pytest.fixture
def smears(tmp_path):
    """Two images of 100 x 80 with a bright box on grey, and two other boxes."""
    rows = []
    for name, split in (("a", "train"), ("b", "test")):
        pixels = np.full((80, 100, 3), 100, np.uint8)
        pixels[30:40, 20:40] = 250
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
        rows.append(
            {"image": f"{name}.png", "boxes": BOXES, "box_labels": ["rbc", "wbc", "rbc"]}
            | {"split": split}
        )
    return manifest_from_rows(rows, tmp_path).write(tmp_path / "smears.parquet")


def test_the_region_is_the_box_and_neighbours_are_ignored(smears, tmp_path):
    said = []
    table = import_crops(smears, root=tmp_path, jitter=0.3, say=said.append).table
    assert table["label"].to_list() == ["rbc", "wbc"] * 2
    assert table["split"].to_list() == ["train"] * 2 + ["test"] * 2
    assert table["group"].to_list() == ["a.png"] * 2 + ["b.png"] * 2
    assert said == ["boxes without an area, left out: 2"]
    first = table.row(0, named=True)
    pixels = decode(tmp_path / first["image"])
    assert tuple(pixels.shape[1:]) == (40, 40)
    left, top, right, bottom = map(round, first["boxes"][0])
    inside = pixels[:, top:bottom, left:right].float()
    assert (right - left, bottom - top) == (20, 10)
    assert inside.mean() > 245
    ignored = decode_grey(tmp_path / first["ignore"]) > 127
    # The neighbour begins 16 pixels right of the box's left edge, and the box itself counts.
    assert not ignored[top:bottom, left:right].any()
    assert ignored[top:bottom, right : left + 40].all()
    assert not ignored[:, : left + 16].any()


def test_boxes_stay_whole_wherever_the_crop_is_put():
    generator = np.random.default_rng(0)
    for _ in range(500):
        x, y = generator.uniform(0, 90, 2)
        w, h = generator.uniform(1, 60, 2)
        box = (x, y, min(x + w, 120), min(y + h, 100))
        shift = tuple(generator.uniform(-0.5, 0.5, 2))
        left, top, right, bottom = frame(box, 2.0, shift, (100, 120))
        assert 0 <= left <= box[0] + 0.51
        assert 0 <= top <= box[1] + 0.51
        assert 120 >= right >= box[2] - 0.51
        assert 100 >= bottom >= box[3] - 0.51


def test_what_is_drawn_does_not_hang_on_the_rest(smears, tmp_path):
    some = import_crops(smears, root=tmp_path, files=tmp_path / "one", most=1).table
    assert sorted(some["label"]) == ["rbc", "wbc"]
    again = import_crops(smears, root=tmp_path, files=tmp_path / "one", most=1).table
    assert some.equals(again)


def test_copies_are_placed_anew_and_sizes_are_bounded(smears, tmp_path):
    table = import_crops(smears, root=tmp_path, copies=3, size=16).table
    assert len(table) == 12
    assert len(set(map(str, table["boxes"][:3]))) == 3
    sizes = {tuple(decode(tmp_path / name).shape) for name in table["image"]}
    assert sizes == {(3, 16, 16)}
    box = table["boxes"][0][0]
    assert box[2] - box[0] == pytest.approx(8)


def test_mistakes_are_told_in_one_line(smears, tmp_path):
    with pytest.raises(ConfigError, match=r"--jitter: expected 0 to 0.5"):
        import_crops(smears, root=tmp_path, jitter=0.6)
    with pytest.raises(ConfigError, match=r"--times: expected a number of 1 or more"):
        import_crops(smears, root=tmp_path, times=0.5)
    bare = manifest_from_rows([{"image": "a.png"}], tmp_path).write(tmp_path / "bare.parquet")
    with pytest.raises(DataError, match="box_labels"):
        import_crops(bare, root=tmp_path)


@pytest.mark.parametrize(("option", "value"), [("size", -5), ("most", -1), ("copies", 0)])
def test_numbers_that_are_none_are_refused(smears, tmp_path, option, value):
    with pytest.raises(ConfigError, match=f"--{option}: expected a whole number"):
        import_crops(smears, root=tmp_path, **{option: value})


def test_most_counts_boxes_not_their_copies(smears, tmp_path):
    table = import_crops(smears, root=tmp_path, most=1, copies=3).table
    assert sorted(table["label"].to_list()) == ["rbc"] * 3 + ["wbc"] * 3
    assert len({tuple(row) for row in table.select("group", "label").rows()}) == 2


def test_boxes_without_a_label_are_left_out_and_said(tmp_path):
    Image.new("RGB", (100, 80)).save(tmp_path / "a.png")
    row = {"image": "a.png", "boxes": BOXES, "box_labels": ["rbc", None, "rbc"]}
    manifest = manifest_from_rows([row], tmp_path).write(tmp_path / "m.parquet")
    said = []
    assert import_crops(manifest, root=tmp_path, say=said.append).table["label"].to_list() == [
        "rbc"
    ]
    assert said == ["boxes without an area, left out: 1", "boxes without a label, left out: 1"]
    nothing = manifest_from_rows([row | {"box_labels": [None] * 3}], tmp_path)
    with pytest.raises(DataError, match="expected boxes with an area and a label"):
        import_crops(nothing.write(tmp_path / "n.parquet"), root=tmp_path)


def test_a_row_without_labels_of_boxes_is_one_of_boxes_without_a_label(tmp_path):
    Image.new("RGB", (100, 80)).save(tmp_path / "a.png")
    rows = [{"image": "a.png", "boxes": BOXES[:2]}]
    rows.append(rows[0] | {"box_labels": ["rbc", "wbc"]})
    said = []
    manifest = manifest_from_rows(rows, tmp_path).write(tmp_path / "m.parquet")
    assert len(import_crops(manifest, root=tmp_path, say=said.append)) == 2
    assert said == ["boxes without a label, left out: 2"]
