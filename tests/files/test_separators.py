"""What stands between the columns of a CSV is counted, or said by the file."""

import pytest

from regard.data.hierarchy import read_hierarchy
from regard.errors import DataError
from regard.files.separators import layout_in
from regard.files.table_files import read_csv


@pytest.mark.parametrize(
    ("lines", "between"),
    [
        (["image,label", "a.png,x"], ","),
        (["image;label", "a.png;1,5"], ";"),
        (["image;label;Größe, mm", "a.png;x;3,5", "b.png;y;4,5"], ";"),
        (["image;label;Größe, mm", "a.png;x;3", "b.png;y;4"], ";"),
        (["image;label;Größe, mm", "a.png;x;3,5", "b.png;y;4,5;", "c.png;y;1,0"], ";"),
        (["image;Größe, mm", "a.png;3,5"], ";"),
        (["image\tsize, mm", "a.png\t3,5"], "\t"),
        (["image,tags (a;b)", "a.png,x;y", "b.png,x"], ","),
        (["image,label,tags (a;b)", "a.png,u,x;y", "b.png,u,x;y"], ","),
        (['image,"a;b;c;d"', "a.png,x"], ","),
        (["image", "a, b.png", "c;d.png"], ","),
        (["image;label"], ";"),
        ([""], ","),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_what_splits_all_rows_alike_is_the_separator(lines, between, end):
    assert layout_in(end.join(lines)) == (between, 0)
    assert layout_in(end.join([*lines, ""])) == (between, 0)


def test_a_row_that_is_cut_off_does_not_count():
    rows = "image;label;a, b\n" + "a.png;x;1,5\n" * 10_000
    assert layout_in(rows) == (";", 0)


@pytest.mark.parametrize("said", ["sep=;", "SEP=;", '"sep=;"', "sep=;;;"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_first_line_as_excel_writes_it(tmp_path, said, end):
    path = tmp_path / "t.csv"
    path.write_bytes(("\ufeff" + said + end + "image;a, b" + end + "x.png;1,5").encode())
    assert read_csv(path).to_dicts() == [{"image": "x.png", "a, b": "1,5"}]
    path.write_bytes((said + end + "image;a" + end + "x.png;1;2").encode())
    with pytest.raises(DataError, match="found 3 cells in row 1, and 2 columns"):
        read_csv(path)
    path.write_bytes((said + end + "image;a;a" + end + "x.png;1;2").encode())
    with pytest.raises(DataError, match="expected each column once, found 'a' 2 times"):
        read_csv(path)


def test_a_column_called_sep_is_a_column(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("sep=,image\n1,a.png\n")
    assert read_csv(path).columns == ["sep=", "image"]


def test_a_tree_of_classes_may_say_its_separator(tmp_path):
    (tmp_path / "tree.csv").write_text("sep=;\nchild;parent\na;x\nb;x\nc;all\nx;all\n")
    assert read_hierarchy(tmp_path / "tree.csv", ["a", "b", "c"]).parents["a"] == "x"
