import codecs
import csv
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from regard.checks.check import check, place_of_bad_files, write_bad_files
from regard.checks.problems import Problem
from regard.data.manifest import manifest_from_rows
from regard.errors import DataError
from regard.importers import IMPORTERS

DATA = Path(
    os.environ.get("REGARD_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data")
)


@pytest.fixture
def shared():
    def find(name):
        if not (DATA / name).is_dir():
            pytest.skip(f"data set {name!r} is absent")
        return DATA / name

    return find


def noise(height=30, width=40, channels=3, seed=0):
    values = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    return Image.fromarray(values[..., 0] if channels == 1 else values)


def grey(path, values):
    Image.fromarray(np.asarray(values, dtype=np.uint8)).save(path)


def found(rows, root, **options):
    problems = check(manifest_from_rows(rows, root), **options)
    return [(p.row, p.column, p.kind, p.severity) for p in problems]


def of_files(rows, root, **options):
    """Problems of files, where the table itself has no label."""
    rows = [
        {"label": f"c{i % 2}", **row} for i, row in enumerate(rows * (2 if len(rows) < 2 else 1))
    ]
    return [p for p in found(rows, root, **options) if p[2] not in ("listed twice", "rare class")]


# Masks of classes -------------------------------------------------------------------------


def test_masks_of_classes(tmp_path):
    noise(4, 4).save(tmp_path / "a.png")
    told = ["sky", "road", None]
    masks = {
        "sound": [[0, 1, 255, 0]] * 4,
        "unknown": [[0, 1, 2, 9]] * 4,
        "small": [[0, 1]] * 2,
        "coloured": np.zeros((4, 4, 3)),
    }
    for name, values in masks.items():
        grey(tmp_path / f"{name}.png", values)
    rows = [{"image": "a.png", "mask": f"{name}.png", "mask_classes": told} for name in masks]
    problems = [p for p in check(manifest_from_rows(rows, tmp_path)) if p.column == "mask"]
    assert [(p.row, p.kind, p.severity) for p in problems] == [
        (2, "unknown id", "error"),
        (3, "other size", "error"),
        (4, "unreadable", "error"),
    ]
    assert problems[0].detail == "2 ids, such as 2, of which mask_classes says nothing"
    assert problems[2].detail == "3 channels (RGB)"


def test_masks_without_classes_are_told_with_what_to_do(tmp_path):
    noise(4, 4).save(tmp_path / "a.png")
    grey(tmp_path / "ids.png", [[0, 1, 1, 0]] * 4)
    problems = check(manifest_from_rows([{"image": "a.png", "mask": "ids.png"}], tmp_path))
    (told,) = [p for p in problems if p.kind == "mask classes"]
    assert (told.column, told.severity) == ("mask_classes", "error")
    assert told.detail.startswith("no 'mask_classes': import with: ")


# Sound images ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.bmp", "a.gif", "a.webp"])
def test_sound_files_of_every_format_have_no_problem(tmp_path, name):
    noise().save(tmp_path / name)
    noise().save(tmp_path / ("b" + name))
    rows = [{"image": name, "label": "x"}, {"image": "b" + name, "label": "x"}]
    assert found(rows, tmp_path) == []


@pytest.mark.parametrize("mode", ["CMYK", "L", "P", "RGBA", "LA", "1"])
def test_unusual_modes_have_no_problem(tmp_path, mode):
    name = "a.jpg" if mode in ("CMYK", "L") else "a.png"
    noise().convert(mode).save(tmp_path / name)
    assert of_files([{"image": name}], tmp_path) == []


# Broken files ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.bmp"])
def test_truncated_files(tmp_path, name):
    noise(200, 300).save(tmp_path / name)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    noise().save(tmp_path / "sound.png")
    rows = [{"image": "sound.png", "label": "x"}, {"image": name, "label": "x"}]
    assert found(rows, tmp_path) == [(2, "image", "truncated", "error")]


def test_missing_empty_text_and_folder(tmp_path):
    (tmp_path / "zero.jpg").touch()
    (tmp_path / "text.jpg").write_text("this is not an image")
    (tmp_path / "folder.jpg").mkdir()
    names = ["gone.jpg", "zero.jpg", "text.jpg", "folder.jpg"]
    rows = [{"image": name, "label": "x"} for name in names]
    assert found(rows, tmp_path) == [
        (1, "image", "missing", "error"),
        (2, "image", "empty file", "error"),
        (3, "image", "unreadable", "error"),
        (4, "image", "missing", "error"),
    ]


def test_every_path_column_is_opened(tmp_path):
    noise().save(tmp_path / "a.png")
    columns = ("segmented", "mask", "region", "avoid", "ignore")
    row = {"image": "a.png"} | {name: f"{name}.png" for name in columns}
    problems = [p for p in of_files([row], tmp_path) if p[0] == 1]
    assert problems == [(1, name, "missing", "error") for name in columns]


def test_too_many_pixels_are_told_from_the_header(tmp_path):
    # A header alone: decoding it would say that the file is truncated.
    noise(300, 400).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[:60])
    rows = [{"image": "a.png"}]
    assert {p[2] for p in of_files(rows, tmp_path, max_pixels=119_999)} == {"too many pixels"}
    assert {p[2] for p in of_files(rows, tmp_path, max_pixels=120_000)} == {"truncated"}


# Regions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("inside", "told"), [(0.9, True), (0.7, False)])
def test_masks_that_are_the_wrong_way_round_are_told_of(tmp_path, inside, told):
    rows = []
    for number, share in enumerate((inside, inside, 0.2)):
        noise().save(tmp_path / f"{number}.png")
        values = np.zeros((30, 40))
        values[:, : round(40 * share)] = 255
        grey(tmp_path / f"r{number}.png", values)
        rows.append({"image": f"{number}.png", "region": f"r{number}.png", "label": "a"})
    problems = check(manifest_from_rows(rows, tmp_path))
    details = [p.detail for p in problems if p.kind == "large regions"]
    assert len(details) == told
    assert all("cover 90% of the image or more" in detail for detail in details)


def test_where_boxes_alone_are_labelled_nothing_is_wrong(tmp_path):
    noise().save(tmp_path / "a.png")
    row = {"image": "a.png", "boxes": [[0.0, 0.0, 9.0, 9.0]], "box_labels": ["a"]}
    (problem,) = [p for p in check(manifest_from_rows([row], tmp_path)) if p.kind == "no label"]
    assert (problem.severity, "import crops" in problem.detail) == ("warning", True)


@pytest.mark.parametrize(
    ("levels", "threshold", "kind"),
    [
        ((0, 255), None, None),
        ((0, 200), 127, None),
        ((0, 0), None, "empty region"),
        ((0, 100), 127, "empty region"),
        ((255, 255), None, "full region"),
        ((20, 30), 10, "full region"),
        ((0, 1), None, "faint region"),
        ((0, 1), 0, None),
    ],
)
def test_what_a_region_covers(tmp_path, levels, threshold, kind):
    noise().save(tmp_path / "a.png")
    values = np.full((30, 40), levels[0])
    values[:10] = levels[1]
    grey(tmp_path / "r.png", values)
    rows = [{"image": "a.png", "region": "r.png", "region_threshold": threshold}]
    expected = [] if kind is None else [(1, "region", kind, "warning")]
    assert of_files(rows, tmp_path)[:1] == expected


@pytest.mark.parametrize("column", ["avoid", "ignore"])
@pytest.mark.parametrize(
    ("white", "severity"), [(255, None), (200, None), (100, "warning"), (1, "error")]
)
def test_areas_whose_white_is_not_white(tmp_path, column, white, severity):
    """Of 0 and 1 in place of 0 and 255 next to nothing would be avoided, unseen."""
    noise().save(tmp_path / "a.png")
    values = np.zeros((30, 40))
    values[:10] = white
    grey(tmp_path / "area.png", values)
    expected = [] if severity is None else [(1, column, "faint area", severity)]
    assert of_files([{"image": "a.png", column: "area.png"}], tmp_path)[:1] == expected


def test_a_region_of_next_to_nothing(tmp_path):
    noise(100, 100).save(tmp_path / "a.png")
    for name, pixels in (("tiny.png", 49), ("small.png", 51)):
        values = np.zeros((100, 100))
        values.flat[:pixels] = 255
        grey(tmp_path / name, values)
    rows = [{"image": "a.png", "region": name} for name in ("tiny.png", "small.png")]
    assert of_files(rows, tmp_path) == [(1, "region", "tiny region", "warning")]


@pytest.mark.parametrize("column", ["segmented", "mask", "region", "avoid", "ignore"])
@pytest.mark.parametrize(
    ("size", "severity"), [((30, 40), None), ((15, 20), "warning"), ((40, 30), "error")]
)
def test_views_and_masks_of_another_size(tmp_path, column, size, severity):
    if column != "segmented" and severity:
        severity = "error"
    noise(30, 40).save(tmp_path / "a.png")
    values = np.zeros(size)
    values[:10] = 255
    grey(tmp_path / "m.png", values)
    expected = [] if severity is None else [(1, column, "other size", severity)]
    problems = of_files([{"image": "a.png", column: "m.png"}], tmp_path)
    assert [p for p in problems if p[1] == column][:1] == expected


# Boxes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([0, 0, 40, 30], ("full region", "warning")),
        ([5, 5, 25, 25], None),
        ([5, 5, 5, 25], ("degenerate box", "error")),
        ([25, 5, 5, 25], ("degenerate box", "error")),
        ([5, 5, 6, 25], ("degenerate box", "warning")),
        ([40, 0, 50, 10], ("box outside", "error")),
        ([-9, 0, 0, 10], ("box outside", "error")),
        ([30, 0, 41, 10], ("box outside", "warning")),
        ([5, -1, 20, 10], ("box outside", "warning")),
    ],
)
def test_boxes_against_the_image(tmp_path, box, expected):
    noise(30, 40).save(tmp_path / "a.png")
    first = of_files([{"image": "a.png", "boxes": [box]}], tmp_path)[:1]
    assert first == ([] if expected is None else [(1, "boxes", *expected)])


def test_boxes_count_in_the_upright_image(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    noise(30, 40).save(tmp_path / "turned.jpg", exif=exif)
    rows = [
        {"image": "turned.jpg", "boxes": [[5, 30, 25, 40]]},
        {"image": "turned.jpg", "boxes": [[30, 5, 40, 25]]},
    ]
    problems = of_files(rows, tmp_path)
    assert (2, "boxes", "box outside", "error") in problems
    assert not [p for p in problems if p[0] == 1]


# The table ---------------------------------------------------------------------------------


@pytest.fixture
def images(tmp_path):
    for i in range(6):
        noise(seed=i).save(tmp_path / f"{i}.png")
    return tmp_path


def rows_of(labels, splits):
    return [
        {"image": f"{i}.png", "label": label, "split": split}
        for i, (label, split) in enumerate(zip(labels, splits, strict=True))
    ]


def test_labels_and_splits_that_are_sound(images):
    assert found(rows_of("ababab", ["train"] * 2 + ["val"] * 2 + ["test"] * 2), images) == []


def test_missing_labels_count_only_in_splits(images):
    rows = rows_of(["a", "b", None, " ", "a", None], ["train", "train", "val", "val", "test", None])
    assert [p for p in found(rows, images) if p[2] == "no label"] == [
        (3, "label", "no label", "error"),
        (4, "label", "no label", "error"),
    ]
    assert (None, "split", "no split", "warning") in found(rows, images)


def test_no_labels_at_all(images):
    assert found([{"image": "0.png"}], images) == [(None, "label", "no label", "error")]


@pytest.mark.parametrize(
    ("splits", "expected"),
    [
        (["val", "test"], ("empty split", "error")),
        (["train", "test"], ("empty split", "warning")),
    ],
)
def test_an_empty_split(images, splits, expected):
    problems = found(rows_of("aabbaa", splits * 3), images)
    assert problems == [(None, "split", *expected)]


def test_classes_absent_from_splits(images):
    rows = rows_of("aabbac", ["train", "train", "train", "val", "test", "test"])
    problems = check(manifest_from_rows(rows, images))
    details = {(p.kind, p.severity): p.detail for p in problems}
    assert details["class not in train", "error"] == "class 'c' of test never occurs in train"
    assert Counter(p.kind for p in problems)["class not in split"] == 2
    assert [(p.row, p.severity) for p in problems if p.kind == "rare class"] == [(6, "warning")]


def test_samples_of_several_classes_count_for_each(images):
    rows = [
        {"image": f"{i}.png", "labels": labels, "split": split, "label": label}
        for i, (labels, split, label) in enumerate(
            [(["a", "b"], "train", None), (["b"], "val", "b"), (["a", "b"], "test", None)]
        )
    ]
    assert found(rows, images) == [(None, "label", "class not in split", "warning")]


def test_an_image_listed_twice_is_an_error_across_splits(images):
    rows = rows_of("ababab", ["train", "train", "val", "val", "test", "test"])
    rows[1]["image"] = rows[0]["image"]
    assert found(rows, images) == [(2, "image", "listed twice", "warning")]
    rows[2]["image"] = rows[0]["image"]
    assert found(rows, images) == [(2, "image", "listed twice", "error")]


# The report --------------------------------------------------------------------------------


def test_progress_counts_every_sample_and_rows_come_in_order(images):
    seen = []
    rows = [{"image": f"gone{i}.png", "label": "x"} for i in range(50)]
    problems = check(manifest_from_rows(rows, images), progress=lambda *steps: seen.append(steps))
    assert seen == [(i, 50) for i in range(1, 51)]
    assert [p.row for p in problems] == list(range(1, 51))


def test_bad_files_are_harmless_to_spreadsheets(tmp_path):
    problems = [
        Problem(3, "image", "=HYPERLINK(1)", "missing", '@x, "y"\nz'),
        Problem(None, "label", None, "no label", "-1+2", "warning"),
        Problem(4, "image", "a,b.png", "missing", "+x"),
    ]
    path = write_bad_files(problems, tmp_path / "new" / "bad_files.csv", "=m.parquet")
    assert path.read_bytes().startswith(codecs.BOM_UTF8)  # or Excel garbles umlauts
    with path.open(newline="", encoding="utf-8-sig") as file:
        assert list(csv.reader(file)) == [
            ["row", "column", "file", "kind", "detail", "manifest"],
            ["3", "image", "'=HYPERLINK(1)", "missing", '\'@x, "y"\nz', "'=m.parquet"],
            ["", "label", "", "no label", "'-1+2", "'=m.parquet"],
            ["4", "image", "a,b.png", "missing", "'+x", "'=m.parquet"],
        ]
    assert os.listdir(path.parent) == ["bad_files.csv"]


def test_what_another_manifest_s_check_found_is_not_erased(tmp_path):
    one, other = tmp_path / "a.parquet", tmp_path / "b.parquet"
    wrong = [Problem(3, "image", "a.png", "missing", "no such file")]
    assert place_of_bad_files(one) == tmp_path / "bad_files.csv"
    write_bad_files(wrong, place_of_bad_files(one), one.name)
    assert place_of_bad_files(one) == tmp_path / "bad_files.csv"  # its own is written anew
    assert place_of_bad_files(other) == tmp_path / "b-bad_files.csv"
    write_bad_files(wrong, place_of_bad_files(other), other.name)
    write_bad_files([], place_of_bad_files(one), one.name)
    # What tells nothing may be replaced, but nobody is to look for b's in two places.
    assert place_of_bad_files(tmp_path / "c.parquet") == tmp_path / "bad_files.csv"
    assert place_of_bad_files(other) == tmp_path / "b-bad_files.csv"


@pytest.mark.parametrize("label", ["NaN", "nan", "NA", "n/a", "null", "None", "<NA>", " - "])
def test_a_label_that_looks_like_a_missing_value_is_told(tmp_path, label):
    noise().save(tmp_path / "a.png")
    rows = [{"image": "a.png", "label": own} for own in ("fern", label, "moss", label)]
    problems = check(manifest_from_rows(rows, tmp_path))
    (told,) = [p for p in problems if p.kind == "label like none"]
    assert (told.row, told.severity) == (2, "warning")
    assert told.detail.startswith(f"{label!r} of 2 samples is a class by that name")


def test_classes_that_differ_in_case_or_blanks_alone_are_told(tmp_path):
    noise().save(tmp_path / "a.png")
    labels = ["fern", "Fern", "fern ", "moss", "sea  weed", "sea weed", "ferns", "gr\u00fcn"]
    labels += ["gru\u0308n"]
    rows = [{"image": "a.png", "label": label} for label in labels]
    problems = [p for p in check(manifest_from_rows(rows, tmp_path)) if p.kind == "classes alike"]
    assert [(p.row, p.severity) for p in problems] == [
        (2, "warning"),
        (6, "warning"),
        (9, "warning"),
    ]
    assert "'fern' (1), 'Fern' (1), 'fern ' (1);" in problems[0].detail


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize(
    ("bits", "times"), [(8, 257), (10, 64), (12, 16), (14, 4), (15, None), (16, None)]
)
def test_few_bits_in_an_image_of_sixteen_are_told(tmp_path, suffix, bits, times):
    values = np.linspace(0, 2**bits - 1, 400).round().astype(np.uint16).reshape(20, 20)
    Image.fromarray(values).save(tmp_path / f"a.{suffix}")
    noise(20, 20).save(tmp_path / "b.png")
    Image.new("RGB", (20, 20), (9, 9, 9)).save(tmp_path / "dark.png")  # dark, and of 8 bits
    names = (f"a.{suffix}", "b.png", "dark.png", "b.png")
    rows = [{"image": name, "label": f"c{i % 2}"} for i, name in enumerate(names)]
    problems = [p for p in check(manifest_from_rows(rows, tmp_path)) if p.kind == "dark 16 bits"]
    assert [(p.row, p.severity) for p in problems] == ([] if times is None else [(1, "warning")])
    if problems:
        assert f"its brightest value is {2**bits - 1:,} of 65,535" in problems[0].detail
        assert problems[0].detail.endswith(f"alike, by {times} say")


# Real data ---------------------------------------------------------------------------------


def test_cells_have_two_boxes_of_one_pixel(shared):
    src = shared("cells")
    problems = check(IMPORTERS["voc"](src, root=src))
    assert [(p.kind, Path(str(p.file)).stem[-3:]) for p in problems] == [
        ("degenerate box", "338"),
        ("degenerate box", "343"),
    ]


def test_herbarium_has_five_poor_masks(shared):
    src = shared("herbarium")
    manifest = IMPORTERS["pairs"](src, root=src, labels="labels.csv", label="species")
    assert Counter(p.kind for p in check(manifest)) == {"tiny region": 5}


def test_imagenet14_has_seven_degenerate_boxes(shared):
    src = shared("imagenet14")
    manifest = IMPORTERS["csv"](
        src / "boxes.csv", root=src, image="{split}/{wnid}/{image}", label="wnid",
        boxes="xmin,ymin,xmax,ymax", inclusive=True,
    )  # fmt: skip
    kinds = Counter(p.kind for p in check(manifest))
    assert kinds["degenerate box"] == 7
    assert kinds["full region"] == 86


def test_errors_of_the_decoder_are_one_line(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(100))
    problems = check(manifest_from_rows([{"image": "a.jpg", "label": "x"}], tmp_path))
    assert {p.kind for p in problems if p.severity == "error"} == {"unreadable"}
    assert not any("\n" in p.detail for p in problems)
    with pytest.raises(DataError):
        manifest_from_rows([], tmp_path)


@pytest.mark.parametrize(
    ("splits", "told"),
    [
        (["train", "val"], ["the 2 samples of group 'p' lie in train and val"]),
        (["val", "test"], ["the 2 samples of group 'p' lie in test and val"]),
        (["test", "test_shifted"], []),
        (["train", "train"], []),
    ],
)
def test_a_group_that_is_learned_from_lies_in_one_split(tmp_path, splits, told):
    rows = [{"image": f"{i}.png", "label": "a", "group": "p", "split": name}
            for i, name in enumerate(splits)]  # fmt: skip
    problems = check(manifest_from_rows(rows, tmp_path))
    found = [p for p in problems if p.kind == "group in several splits"]
    assert [p.detail for p in found] == told
    assert all(p.severity == "error" for p in found)


@pytest.mark.parametrize(
    ("groups", "told"),
    [
        (["a"] * 8, "the 8 samples are of 1 group"),
        (list("aabbccddee"), "the 10 samples are of 5 groups"),
        (["a"] * 20 + list("bcdefgh"), "the 27 samples are of 8 groups, worth 1.8 of one size"),
        (list("aabbccddeeff"), None),
        (list("abcd"), None),
        ([None] * 4, None),
    ],
)
def test_few_groups_to_judge_by_are_told(tmp_path, groups, told):
    rows = [{"image": f"{split}-{i}.png", "label": "a", "group": group and split + group,
             "split": split}
            for split in ("train", "val", "test") for i, group in enumerate(groups)]  # fmt: skip
    problems = check(manifest_from_rows(rows, tmp_path))
    found = [p for p in problems if p.kind.startswith("few groups")]
    ends = {"val": "the best epoch and the threshold are chosen on them, and may fit no others",
            "test": "what is found tells little of others"}  # fmt: skip
    details = [(f"few groups in {name}", f"{told}: {end}") for name, end in ends.items() if told]
    assert [(p.kind, p.detail) for p in found] == details
    assert {p.severity for p in found} <= {"warning"}


def test_what_lies_beside_the_label_is_not_learned(tmp_path):
    """As of COCO: one label an image, and all classes that are in it."""

    def kinds(rows):
        rows = [{"image": f"{i}.png", "label": label, "labels": labels, "split": split}
                for i, (label, labels, split) in enumerate(rows)]  # fmt: skip
        return {p.detail for p in check(manifest_from_rows(rows, tmp_path))
                if p.kind == "class not in train"}  # fmt: skip

    beside = [("a", ["a"], "train"), ("c", ["c"], "train"), ("a", ["a", "b"], "val")]
    assert kinds(beside) == set()
    learned = [("a", ["a", "b"], "train"), ("c", ["c"], "train"), ("b", ["b"], "val")]
    assert kinds(learned) == {"class 'b' of val never occurs in train"}


def test_too_few_classes_of_masks_are_a_problem_like_others(tmp_path):
    noise().save(tmp_path / "a.png")
    Image.new("L", (40, 30)).save(tmp_path / "ids.png")
    row = {"image": "a.png", "mask": "ids.png", "mask_classes": ["leaf"]}
    kinds = {p.kind: p.detail for p in check(manifest_from_rows([row, row], tmp_path))}
    assert "mask classes" in kinds
    assert "\n" not in kinds["mask classes"]


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (["fern, moss", "moss, berry", "fern, berry", "fern"], "3 classes such as 'fern, moss'"),
        (["fern;moss", "moss;fern", "fern"], "--label-separator ';'"),
        (["red, round", "red, long", "blue, round", "blue, long"], None),
        (["x,", "y,", "x", "y"], None),
        (["Viola odorata, L.", "Viola hirta, L.", "fern"], None),
        (["a, b", "c"], None),
    ],
)
def test_labels_that_look_like_lists_are_told_of(tmp_path, labels, told):
    rows = [{"image": f"{k}.png", "label": label} for k, label in enumerate(labels)]
    problems = check(manifest_from_rows(rows, tmp_path))
    found = [p.detail for p in problems if p.kind == "label lists"]
    assert len(found) == (told is not None)
    assert told is None or told in found[0]
