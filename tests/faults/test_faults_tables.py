"""Tables of strangers are read exactly, or refused in one line that names the cell."""

import csv
import datetime
import decimal
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from answered import attack, is_one_line, regard, steers
from hypothesis import strategies as st
from PIL import Image

from regard.checks.fit import box_fault
from regard.data.columns import COLUMNS
from regard.data.manifest import manifest_from_rows, read_manifest
from regard.data.splits import folds
from regard.errors import ConfigError, DataError
from regard.runs.run import load_run
from tinyset import environment, write_config, write_set

FULL = pytest.mark.torture
# Formulas, markup, steering of terminals, right to left, emoji, ends of lines, names of others.
NASTY = st.sampled_from(
    ["=1+1", "@cmd", "-2", "<script>alert(1)</script>", "<b>", "\x1b[31mred", "\u202egnp.a", "👩‍🌾",
     "שלום", "a b", " a", "a ", "\n", "a\nb", "a\r\nb", "\t", "a\0b", '"', 'a"b', "'", ",", ";",
     "null", "NaN", "nan", "None", "true", "0", "007", "1e5", "\ufeffx", "..", "../..", "/etc",
     "a" * 300, "é", "e\u0301", "\u2028", "$x^2$", "{{7*7}}", "%s", "\\", "train", "\x85", "#"]
)  # fmt: skip
TEXT = NASTY | st.text(max_size=8)
NUMBER = st.floats(-1e6, 1e6)
BOX = st.lists(NUMBER, min_size=4, max_size=4)


def some(values):
    return st.none() | values


PATH = TEXT.filter(lambda text: "\0" not in text)
VALID = {
    "image": PATH.filter(bool),
    "label": some(TEXT),
    "labels": some(st.lists(TEXT.filter(str.strip), max_size=3, unique=True)),
    "group": some(TEXT),
    "boxes": some(st.lists(BOX, max_size=2)),
    "region": some(PATH),
    "region_threshold": some(st.integers(0, 255)),
    "split": some(st.sampled_from(["train", "val", "test", "test shifted", "ütest"])),
    "synthetic": some(st.booleans()),
    "camera": some(TEXT),
}


@st.composite
def tables(draw, columns=VALID):
    """Rows of a sound table, with some of its columns."""
    optional = [name for name in columns if name != "image"]
    names = ["image", *draw(st.lists(st.sampled_from(optional), unique=True))]
    row = st.fixed_dictionaries({name: columns[name] for name in names})
    return draw(st.lists(row, min_size=1, max_size=4))


@pytest.mark.parametrize("times", [40, pytest.param(5000, marks=FULL)])
def test_a_sound_table_is_read_exactly(tmp_path, tally, times):
    def attacked(rows):
        names, kinds = list(rows[0]), {n: COLUMNS[n][0] for n in rows[0] if n in COLUMNS}
        schema = {name: kinds.get(name, pl.String) for name in names}
        pl.DataFrame(rows, schema=schema).write_parquet(tmp_path / "m.parquet")
        # By another hand than polars: the standard library's.
        with (tmp_path / "m.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names, quoting=csv.QUOTE_ALL)
            writer.writeheader()
            writer.writerows([{k: as_text(v) for k, v in row.items()} for row in rows])
        for name in ("m.parquet", "m.csv"):
            read = read_manifest(tmp_path / name)
            expected = [{k: plain(v, k, name) for k, v in row.items()} for row in rows]
            assert read.table.to_dicts() == expected, name
            again = read_manifest(read.write(tmp_path / f"again-{name}"))
            assert again.table.to_dicts() == [
                {k: plain(v, k, name) for k, v in row.items()} for row in expected
            ]

    tally("sound tables of odd texts, csv and parquet", *2 * [attack(tables(), times, attacked)])


def plain(value, column, file):
    """Empty text is missing; in a column of the user's own it is what the file has."""
    if column in COLUMNS:
        return None if value == "" else value
    return value or "" if file.endswith("csv") else value


def as_text(value):
    import json

    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else json.dumps(value) if isinstance(value, list) else str(value)


WILD = st.one_of(
    st.none(), st.booleans(), st.integers(-300, 300), st.integers(-(2**62), 2**62),
    st.floats(), st.just(0.5), st.dates(), st.datetimes(), st.decimals(-99, 99, places=1),
    st.binary(max_size=3), TEXT, st.just(datetime.timedelta(1)),
)  # fmt: skip
ONE_KIND = st.one_of(
    *[st.lists(some(kind), min_size=2, max_size=2) for kind in (
        st.booleans(), st.integers(-300, 300), st.integers(2**53, 2**62), st.floats(), st.dates(),
        st.decimals(-99, 99, places=1), st.binary(max_size=3), TEXT, st.timedeltas(),
        st.lists(TEXT, max_size=2), st.lists(st.integers(-2, 2), max_size=2),
        st.lists(st.floats(), max_size=2), st.lists(st.lists(st.floats(), max_size=5), max_size=2),
        st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=1),
        st.lists(BOX, max_size=2), st.fixed_dictionaries({"a": st.integers(0, 3)}),
    )]
)  # fmt: skip


def read_or_refused(path):
    """The table, or None if it was refused as it should be."""
    try:
        return read_manifest(path).table
    except DataError as error:
        told = error
    assert is_one_line(told)
    return None


def fits(column, value: Any):
    """The value that a cell of another type stands for, by what the columns are said to hold."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    given: Any = value  # which isinstance does not narrow
    if value is None or value == "":
        return None
    if column in ("boxes", "labels") and isinstance(value, str):  # as a CSV has them
        given = json.loads(value)
        if given is None:
            return None
    if column == "synthetic":
        if isinstance(value, bool):
            return value
        if number and value in (0, 1):
            return bool(value)
        words = {"true": True, "false": False, "1": True, "0": False}
        return words[value.lower()] if isinstance(value, str) else refuse()
    if column == "region_threshold":
        value = int(value) if isinstance(value, str) and value.isascii() else value
        number = isinstance(value, int | float | decimal.Decimal) and not isinstance(value, bool)
        return int(value) if number and value == int(value) and 0 <= value <= 255 else refuse()
    if column == "boxes":
        return [[float(x) if type(x) is not bool else refuse() for x in box] for box in given]
    if column == "labels":
        return [str(name) for name in given]
    if isinstance(value, bool):
        return str(value).lower()
    return (
        value if isinstance(value, str) else value.decode() if type(value) is bytes else str(value)
    )


def refuse():
    raise ValueError("not to be read")


@pytest.mark.parametrize("times", [60, pytest.param(5000, marks=FULL)])
def test_other_types_become_the_same_value_or_are_refused(tmp_path, tally, times):
    """Numbers cut off, truths made of a 2, texts made of NaN: none of it in silence."""
    columns = st.sampled_from(["label", "labels", "region_threshold", "synthetic", "boxes"])

    def attacked(example):
        column, values = example
        table = pl.DataFrame({"image": ["a", "b"], column: values}, strict=False)
        given = table[column].to_list()
        table.write_parquet(tmp_path / "m.parquet")
        read = read_or_refused(tmp_path / "m.parquet")
        if read is None:
            return
        name = "labels" if column == "label" and "labels" in read.columns else column
        for was, now in zip(given, read[name].to_list(), strict=True):
            if isinstance(was, datetime.datetime | float) and name == "label":
                assert isinstance(was, datetime.datetime) or float(now) == was
                continue
            if name == "labels" and was and isinstance(was[0], float):  # 1e-8 and 1e-08
                assert [float(label) for label in now] == was
                continue
            assert now == fits(name, was), (column, was, now)

    tally(
        "columns of another type",
        *2 * [attack(st.tuples(columns, ONE_KIND), times, attacked)],
    )


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Pictures with nasty names."""
    folder = tmp_path_factory.mktemp("photos of strangers")
    names = ["a b.png", "new\nline.png", "\x1b[31mred.png", "👩‍🌾.png", "\u202ertl.png", "=cmd.png",
             "<img src=x>.png", "y" * 200 + ".png", *(f"{i}.png" for i in range(8))]  # fmt: skip
    for number, name in enumerate(names):
        pixels = np.random.default_rng(number).integers(0, 255, (12, 10, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    (folder / "deep").mkdir()
    return folder, names


CELL = TEXT | st.integers(-3, 20).map(str) | st.sampled_from(["nan", "inf", "-1e308", "1e-200"])


@pytest.mark.parametrize("times", [8, pytest.param(400, marks=FULL)])
def test_import_check_and_describe_never_end_in_a_traceback(photos, tmp_path, tally, times):
    folder, names = photos
    image = st.sampled_from([*names, "deep/../0.png", "./1.png", "nowhere.png", "", "a\0.png"])
    row = st.tuples(image, CELL, st.sampled_from(["train", "val", "test", "", "../x", " "]),
                    *[CELL] * 4)  # fmt: skip
    box = ["--boxes", "xmin,ymin,xmax,ymax"]
    words = st.sampled_from([[], box, ["--label-separator", ";"], ["--region", "{label}.png"]])
    few = st.tuples(st.lists(row, min_size=1, max_size=12), words)

    def attacked(example):
        rows, options = example
        source, out = folder / "t [1]*.csv", tmp_path / "m.parquet"
        with source.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["image", "label", "split", "xmin", "ymin", "xmax", "ymax"])
            writer.writerows(rows)
        out.unlink(missing_ok=True)
        answers = [regard("data", "import", "csv", source, "--out", out, "--force", *options)]
        if answers[0].code == 0:
            answers.append(regard("data", "check", out))
            answers.append(regard("data", "describe", out, "--out", tmp_path / "seen"))
            described(tmp_path)
        for answer in answers:
            assert answer.code in (0, 2), answer
            assert not steers(answer.out + answer.err), ascii(answer.out + answer.err)
            assert len(answer.err.splitlines()) == (answer.code == 2), answer.err
            assert all(word in answer.err for word in ("expected", "found")) or answer.code == 0

    tally("import, check, describe of hostile CSVs", *2 * [attack(few, times, attacked)])


def described(folder):
    """No cell that a spreadsheet would run, no markup in a drawing."""
    with (folder / "bad_files.csv").open(newline="", encoding="utf-8-sig") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    for drawn in (folder / "seen").glob("*.svg"):
        assert "<script" not in drawn.read_text(encoding="utf-8").lower()
        assert "<b>" not in drawn.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("image,label,label\na,x,y\n", "expected each column once, found 'label' 2 times"),
        ("image,split\na,../../x\n", "row 1, column 'split': expected a name that a file can have"),
        ('image\na\n"b\0"\n', "row 2, column 'image': expected a path that a file can have"),
        ("image,split\na,.\n", "row 1, column 'split'"),
        ("image,split\na," + "x" * 101 + "\n", "row 1, column 'split'"),
        ("image,region_threshold\na,\nb,256\n", "row 2, column 'region_threshold': expected"),
        ("image,region_threshold\na,-1\n", "row 1, column 'region_threshold'"),
        ('image,boxes\na,"[[0,0,1e300,5]]"\n', "row 1, column 'boxes': expected boxes of"),
    ],
)  # fmt: skip
def test_what_would_be_changed_or_escape_is_refused(tmp_path, text, found):
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(DataError) as caught:
        read_manifest(tmp_path / "m.csv")
    assert found in str(caught.value)
    assert is_one_line(caught.value)


def test_a_column_that_stands_twice_is_refused_by_the_import_too(photos, tmp_path):
    folder, _ = photos
    (folder / "twice.csv").write_text("image,label,label\n0.png,a,b\n1.png,b,a\n")
    words = ("data", "import", "csv", folder / "twice.csv", "--out", tmp_path / "m.parquet")
    answer = regard(*words)
    assert answer.code == 2
    assert "expected each column once, found 'label' 2 times" in answer.err


def test_file_names_that_are_no_utf8_are_told(tmp_path):
    source = os.fsencode(tmp_path / "photos")
    for name in (b"a\xff", b"b"):
        os.makedirs(source + b"/" + name)
        Image.new("RGB", (4, 4)).save(os.fsdecode(source + b"/" + name + b"/1.png"))
    answer = regard(
        "data", "import", "folder", tmp_path / "photos", "--out", tmp_path / "m.parquet"
    )
    assert answer.code == 2
    assert "expected names of files and classes in UTF-8, found 'photos/a\\udcff/1.png'" in (
        answer.err
    )


def test_a_single_class_is_an_error_before_training(photos, tmp_path):
    folder, _ = photos
    rows = [{"image": f"{i}.png", "label": "fern", "split": "train"} for i in range(4)]
    path = manifest_from_rows(rows, folder).write(tmp_path / "m.parquet")
    answer = regard("data", "check", path, "--json", "--no-near")
    assert answer.code == 2
    assert "'fern' is the only class to train on" in answer.out


@pytest.mark.parametrize("times", [300, pytest.param(100_000, marks=FULL)])
def test_any_box_has_a_verdict(tally, times):
    """Of sides so short that their product is nothing, too."""
    edge = st.one_of(st.floats(-1e9, 1e9), st.sampled_from([0.0, 1e-200, 5e-324, -0.0, 8.0]))

    def attacked(box):
        fault = box_fault(box, (8, 8))
        if box[2] <= box[0] or box[3] <= box[1]:
            assert fault == ("degenerate box", "has no area", "error")
        elif 0 <= box[0] and box[2] <= 8 and 0 <= box[1] and box[3] <= 8:
            assert fault is None or fault[0] == "degenerate box"
        else:  # but for rounding it reaches out
            assert fault is None or fault[0] in ("box outside", "degenerate box")

    tally("boxes of any four numbers", *2 * [attack(st.lists(edge, min_size=4, max_size=4),
                                                   times, attacked)])  # fmt: skip


def test_more_folds_than_samples_are_refused_at_once():
    rows = [{"image": f"{i}", "label": "ab"[i % 2]} for i in range(9)]
    with pytest.raises(ConfigError, match=r"no more than samples.*found folds=3000000"):
        folds(manifest_from_rows(rows, Path()), 3_000_000, 0)


MEASURED = """
import re, sys, time
import polars as pl
from pathlib import Path
from regard.data.manifest import read_manifest
from regard.data.splits import split
from regard.checks.table_checks import table_problems
folder, rows = Path(sys.argv[1]), int(sys.argv[2])
number = pl.int_range(rows, eager=True)
text = number.cast(pl.String)
corner = "[[" + (number % 100).cast(pl.String)
pl.DataFrame({
    "image": "images/" + text + ".jpg",
    "label": "class " + (number % 1000).cast(pl.String),
    "boxes": corner + ", 1, 200, 90.5]]",
    "group": "g" + (number // 5).cast(pl.String),
}).write_csv(folder / "m.csv")
began = time.process_time()
manifest = read_manifest(folder / "m.csv")
manifest = split(manifest)
table_problems(manifest)
manifest.write(folder / "m.parquet")
read_manifest(folder / "m.parquet")
assert len(manifest) == rows and manifest.table["boxes"][7].to_list() == [[7.0, 1.0, 200.0, 90.5]]
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1e6
print(time.process_time() - began, peak)
"""


@pytest.mark.parametrize("rows", [20_000, pytest.param(1_000_000, marks=FULL)])
def test_a_long_table_takes_bounded_time_and_memory(tmp_path, tally, rows):
    """Read from CSV with boxes, split by groups, checked, written and read again."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(tmp_path), str(rows)],
        env=environment(), capture_output=True, text=True, check=True, timeout=3600,
    )  # fmt: skip
    seconds, peak = map(float, done.stdout.split())
    assert seconds < 10 + rows * 100e-6, seconds
    assert peak < 1 + rows * 2.5e-6, peak
    print(f"{rows:,} rows: {seconds:.1f} s of one core, {peak:.2f} GB")
    tally(f"a table of {rows:,} rows", 1, 1)


LABELS = ["=1+1", "<script>alert(1)</script>", "\x1b[31mred", "a\nb", "@x", "\u202egnp", "{{7*7}}",
          "$x^2$", "../..", "nan", "", "y" * 300]  # fmt: skip


@pytest.mark.parametrize("count", [2, pytest.param(len(LABELS), marks=FULL)])
def test_labels_of_strangers_go_through_a_run_harmlessly(tmp_path, tally, count):
    """Training, evaluation, scores, report and every CSV; nothing is run, nothing is lost."""
    names = [label for label in LABELS[:count] if label]
    write_set(tmp_path, counts={"train": 26, "val": 12, "test": 12}, classes=names[:3])
    table = pl.read_parquet(tmp_path / "manifest.parquet")
    labels = [names[row % len(names)] for row in range(table.height)]
    table.with_columns(label=pl.Series(labels)).write_parquet(tmp_path / "manifest.parquet")
    write_config(tmp_path, "training.epochs=1")
    run = tmp_path / "run"
    words = [["train", tmp_path / "config.yaml", "--out", run], ["evaluate", run], ["report", run]]
    for asked in words if count == 2 else [*words, ["score", run], ["explain", run], words[-1]]:
        answer = regard(*asked)
        assert answer.code == 0, answer.err
        assert not steers(answer.out + answer.err), ascii(answer.out + answer.err)
    assert set(load_run(run).classes) == set(names)
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "49" not in re.findall(r">([^<]{2})<", page) or "{{7*7}}" not in names
    for path in run.rglob("*.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert not [cell for cell in cells if cell.startswith(("=", "@", "\t", "\r"))], path
    tally("labels of strangers, from training to report", len(names), len(names))
