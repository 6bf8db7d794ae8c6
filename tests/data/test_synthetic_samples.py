"""Synthetic samples are trained on and never tested on, whatever the splits come from."""

from pathlib import Path

import polars as pl
import pytest

from regard.checks.describe import describe
from regard.checks.table_checks import table_problems
from regard.cli.show_data import imported
from regard.data.manifest import Manifest
from regard.data.settings import Data
from regard.data.source import open_manifest
from regard.data.splits import carve_val, split
from regard.data.synthetic_samples import by_split, in_train_alone, withheld
from regard.errors import DataError
from regard.importers.csv import import_csv
from regard.reports.contents import read_run
from regard.reports.samples_section import samples_section
from regard.training.train import train
from tinyset import config_of, log_lines, write_set


def manifest(synthetic, splits, groups=None, labels=None):
    columns = {
        "image": [f"{i}.png" for i in range(len(splits))],
        "label": labels or [("a", "b")[i % 2] for i in range(len(splits))],
        "split": pl.Series(splits, dtype=pl.String),
        "synthetic": pl.Series(synthetic, dtype=pl.Boolean),
    }
    columns |= {} if groups is None else {"group": pl.Series(groups, dtype=pl.String)}
    return Manifest(pl.DataFrame(columns), Path("."))


@pytest.mark.parametrize("name", ["val", "test", "later"])
def test_one_that_stands_outside_of_train_is_refused_in_one_line(name):
    data = manifest([False, None, True, True], ["test", "train", name, name])
    with pytest.raises(DataError) as caught:
        in_train_alone(data)
    said = "row 3, column 'split': expected train for a synthetic sample, which no result may rest"
    assert said in str(caught.value)
    assert f"found '{name}', and 1 more" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_one_whose_group_is_elsewhere_is_left_out_and_counted():
    synthetic = [False, False, False, False, True, True, True, True, True]
    splits = ["train", "val", "test", None, "train", "train", "train", "train", None]
    groups = ["g", "h", "i", "j", "g", "h", "i", "j", "h"]
    found = in_train_alone(manifest(synthetic, splits, groups)).table
    expected = ["train", "val", "test", None, "train", None, None, "train", None]
    assert found["split"].to_list() == expected
    assert withheld(found) == 3
    assert by_split(found) == {"train": 2, "left out": 3}
    again = in_train_alone(Manifest(found, Path("."))).table
    assert again.equals(found)


def test_one_without_a_group_stays_where_it_is():
    data = manifest([False, True], ["test", "train"], [None, None])
    assert in_train_alone(data) is data
    assert withheld(data.table) == 0


def test_a_set_that_is_synthetic_throughout_is_like_any_other():
    data = manifest([True] * 3, ["train", "val", "test"], ["g", "g", "g"])
    assert in_train_alone(data) is data
    assert by_split(data.table) == {}


def test_a_table_without_the_column_stays_as_it_is():
    data = manifest([False, False], ["train", "val"])
    bare = Manifest(data.table.drop("synthetic"), Path("."))
    assert in_train_alone(bare) is bare
    assert by_split(bare.table.drop("split")) == {}


def test_no_val_is_carved_from_synthetic_samples_alone():
    data = manifest([True] * 6 + [False], ["train"] * 6 + ["test"])
    with pytest.raises(DataError, match="expected photographs in train to take val from"):
        carve_val(data, 0.5)


@pytest.mark.parametrize("how", [{"split": "60/20/20"}, {"folds": 4}, {"val_from_train": 0.3}])
def test_however_it_is_split_none_is_in_val_or_test_and_no_group_in_two_parts(tmp_path, how):
    count = 60
    synthetic = [i % 3 == 2 for i in range(count)]
    groups = [f"g{i // 3}" for i in range(count)]
    splits = ["train" if i % 3 == 2 else ("train", "test")[i // 3 % 2] for i in range(count)]
    labels = [("a", "b")[i // 6 % 2] for i in range(count)]
    manifest(synthetic, splits, groups, labels).write(tmp_path / "m.parquet")
    table = open_manifest(Data(manifest="m.parquet", **how), tmp_path).table
    used = table.filter(pl.col("split").is_not_null())
    assert set(used.filter("synthetic")["split"]) == {"train"}
    assert used.group_by("group").agg(pl.col("split").n_unique())["split"].max() == 1
    assert set(used["split"]) == {"train", "val", "test"}
    assert withheld(table) == table["split"].null_count() > 0


def test_the_checks_name_each_of_them():
    data = manifest([False, True, False, True], ["train", "val", "val", "train"])
    found = [p for p in table_problems(data) if p.kind == "synthetic outside train"]
    assert [(p.row, p.file, p.severity) for p in found] == [(2, "1.png", "error")]
    assert found[0].detail == "synthetic samples belong in train, not in val"


def test_they_are_counted(tmp_path):
    write_set(tmp_path, counts={"train": 6, "test": 3})
    table = pl.read_parquet(tmp_path / "manifest.parquet")
    made = pl.Series("synthetic", [True, True] + [False] * 7)
    data = Manifest(table.with_columns(made), tmp_path)
    assert describe(data).synthetic == {"train": 2}
    assert describe(data).as_dict()["synthetic"] == {"train": 2}
    assert "; 2 synthetic" in imported(data)


CSV = "image,label,made\na.png,x,yes\nb.png,y,\nc.png,x,0\n"


@pytest.fixture
def source(tmp_path):
    from PIL import Image

    for name in "abc":
        Image.new("RGB", (8, 8)).save(tmp_path / f"{name}.png")

    def write(text):
        (tmp_path / "t.csv").write_text(text)
        return tmp_path / "t.csv"

    return write


def test_a_csv_says_which_are_synthetic(source, tmp_path):
    found = import_csv(source(CSV), root=tmp_path, synthetic="made").table
    assert found["synthetic"].to_list() == [True, False, False]
    named = import_csv(source(CSV.replace("made", "synthetic")), root=tmp_path).table
    assert named["synthetic"].to_list() == [True, False, False]
    assert "synthetic" not in import_csv(source(CSV), root=tmp_path).table.columns
    divided = split(Manifest(found.drop("label"), tmp_path), "50/50").table["split"]
    assert sorted(divided) == ["test", "train", "train"]
    assert divided[0] == "train"


def test_a_cell_that_says_neither_is_refused(source, tmp_path):
    src = source(CSV.replace("b.png,y,", "b.png,y,maybe"))
    with pytest.raises(DataError, match=r"row 2, --synthetic: expected true, false, 1.*'maybe'"):
        import_csv(src, root=tmp_path, synthetic="made")


def test_a_training_and_its_report_say_how_many(tmp_path):
    write_set(tmp_path)
    table = pl.read_parquet(tmp_path / "manifest.parquet").with_row_index("row")
    made = (pl.col("row") % 4 == 0) & (pl.col("split") == "train")
    # Each fourth picture of train is drawn after another one, the first of them after one of val.
    group = pl.when(pl.col("row") == 0).then(pl.lit("g24")).otherwise("g" + pl.col("row").cast(str))
    table.with_columns(made.alias("synthetic"), group.alias("group")).drop("row").write_parquet(
        tmp_path / "manifest.parquet"
    )
    train(config_of("training.epochs=1"), tmp_path / "run", folder=tmp_path)
    notes = [line["text"] for line in log_lines(tmp_path / "run") if line["kind"] == "note"]
    said = "5 of 23 samples of train are synthetic; 1 more is left out, as its group is in "
    assert notes[0] == said + "another split"
    (words, *_) = samples_section(read_run(tmp_path / "run")).blocks
    assert "Of the 23 samples in train 5 are synthetic." in words.paragraphs[0]
    assert "1 more is left out, as its group is in another split." in words.paragraphs[0]
