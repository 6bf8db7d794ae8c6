"""Areas of COCO. Texts, areas and pictures were made with pycocotools 2.0.11."""

from array import array

import numpy as np
import pytest

from regard.errors import DataError
from regard.importers.run_lengths import counts_of, paint

TRIANGLE = """
#######.
######..
#####...
###.....
##......
#.......
"""
BOW = """
#......#
##....##
###..###
###..###
##....##
#......#
"""
TWO = """
##......
####....
.###....
........
........
........
"""
SQUARE = """
........
..####..
..####..
..####..
........
........
"""
OUTSIDE = "\n####....\n####....\n####....\n####....\n####....\n####....\n"
POLYGONS = [
    ([[2, 1, 6, 1, 6, 4, 2, 4]], "=3300000;", SQUARE),
    # The centres of row 0 and column 1 lie on the edge: it is the later pixel that is inside.
    ([[1.5, 0.5, 5.5, 0.5, 5.5, 3.5, 1.5, 3.5]], "=3300000;", None),
    ([[0, 0, 8, 0, 0, 6]], "0;1I1O100O1O7", TRIANGLE),
    ([[0, 0, 8, 6, 8, 0, 0, 6]], "061N2N=0C2N2", BOW),
    ([[-3, -2, 4, -2, 4, 9, -3, 9]], "0h0h0", OUTSIDE),
    ([[0, 0, 2, 0, 2, 2, 0, 2], [1, 1, 4, 1, 4, 3, 1, 3]], "02410O00g0", TWO),
    ([[1, 1, 1, 1, 5, 1, 5, 5, 5, 5, 1, 5]], "74200000a0", None),
    ([[1, 1, 5, 4, 1, 1]], "`1", "\n" + "........\n" * 6),
]
LEAF = [239.97, 260.24, 222.04, 270.49, 199.84, 253.41, 213.5, 227.79, 259.62, 200.46]
LEAF += [274.13, 202.17, 277.55, 210.71, 249.37, 253.41, 237.41, 264.51, 242.54, 261.95]
LEAF += [228.87, 271.34]
LEAF_TEXT = (
    "ljc22X=3M2N3N2M3M2N3M3M3M3N1N3M3N2O0O2N2O1N101N2N10O010O01O010O010O000YDaNc;_1\\DaNd;_1\\DaNe;"
    "_1ZDbNe;^1[DbNf;^1YDaNh;_1XDaN00f;_1ZDbNh;`1001O00001O001O00001O0O2O0O101N101N100O2O2M2O1N2N"
    "2O1N2O1N3N1N2O1N2O2M4M4K4MWSg4"
)
RING = (
    "]c0g0V28I6J6K4L4L4L4M2N2M4M2N2O0O2N2O0O2O0O_NJ:5C1:OD5:KE7:IE9:GE;:EF;:EF;:EF;:EF;:EF;:FE::GG7"
    ":JF4:MG1:0GL:6HD:=U11N2N3L3N2N3L4L4L4L5J6J7HSa0"
)


def mask(area, size=(6, 8), value=1):
    canvas = np.zeros(size[::-1], dtype=np.uint8)
    paint(canvas, area, value, "a.json, annotation 7")
    return canvas.T


def drawn(area):
    return "\n" + "".join("".join(".#"[v] for v in row) + "\n" for row in mask(area).tolist())


@pytest.mark.parametrize(("polygons", "text", "picture"), POLYGONS)
def test_polygons_are_drawn_as_pycocotools_does(polygons, text, picture):
    assert (mask(polygons) == mask({"size": [6, 8], "counts": text})).all()
    assert picture is None or drawn(polygons) == picture
    packed = [array("d", polygon) for polygon in polygons]
    assert (mask(packed) == mask(polygons)).all()


def test_the_outline_of_a_real_object():
    found = mask([LEAF], (428, 640))
    assert found.sum() == 2760
    assert (found == mask({"size": [428, 640], "counts": LEAF_TEXT}, (428, 640))).all()


def test_run_lengths_as_text_and_as_numbers():
    ring = mask({"size": [97, 61], "counts": RING}, (97, 61), value=200)
    assert (ring == 200).sum() == 2702
    assert sorted(set(ring.flatten().tolist())) == [0, 200]
    assert ((ring[:, 33] > 0).sum(), (ring[45] > 0).sum()) == (50, 32)
    rows, columns = np.nonzero(ring)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (11, 89, 6, 54)
    counts = counts_of(RING)
    assert (sum(counts), sum(counts[1::2])) == (97 * 61, 2702)
    assert (mask({"size": [97, 61], "counts": counts}, (97, 61), value=200) == ring).all()


def test_numbers_count_down_the_columns_from_outside():
    assert mask({"size": [2, 3], "counts": [1, 2, 3]}, (2, 3)).tolist() == [[0, 1, 0], [1, 0, 0]]
    assert mask({"size": [2, 3], "counts": [0, 1, 4, 1]}, (2, 3)).tolist() == [[1, 0, 0], [0, 0, 1]]
    assert counts_of("") == []
    assert counts_of("`1") == [48]


def test_only_the_area_is_painted():
    canvas = np.full((3, 2), 9, dtype=np.uint8)
    paint(canvas, [[0, 0, 1, 0, 1, 1, 0, 1]], 4, "here")
    assert canvas.T.tolist() == [[4, 9, 9], [9, 9, 9]]


@pytest.mark.parametrize(
    ("area", "found"),
    [
        (None, "found none"),
        ([], "found none"),
        ("abc", "found 'abc'"),
        ({"size": [8, 6], "counts": [48]}, "size [8, 6] in an image of [6, 8]"),
        ({"size": [6, 8], "counts": [47]}, "counts of 47 pixels in an image of 48"),
        ({"size": [6, 8], "counts": [-1, 49]}, "no lengths from 0 on"),
        ({"size": [6, 8], "counts": [1.5, 46.5]}, "no lengths from 0 on"),
        ({"size": [6, 8]}, "no lengths from 0 on"),
        ({"size": [6, 8], "counts": "~"}, "counts with '~'"),
        ({"size": [6, 8], "counts": "o" * 99}, "counts with 'o'"),
        ({"size": [6, 8], "counts": "`1o"}, "cut off"),
        ({"size": [6, 8], "counts": "O"}, "no lengths from 0 on"),
        ([[1, 1, 2]], "a polygon [1, 1, 2]"),
        ([[]], "a polygon without points"),
        ([5], "a polygon 5"),
        ([["a", "b"]], "could not convert"),
        ([[None, {}]], "a polygon [None, {}]"),
        ([[10**400, 1]], "a polygon [1000"),
        ([[0, 0, float("nan"), 1]], "a point at nan"),
        ([[0, 0, 1e9, 1, 2, 2]], "a point at 1e+09 in an image of 8 x 6"),
    ],
)
def test_what_is_no_area_is_told_in_one_line(area, found):
    with pytest.raises(DataError) as caught:
        mask(area)
    assert str(caught.value).startswith("a.json, annotation 7: expected a segmentation: ")
    assert found in str(caught.value)
    assert "\n" not in str(caught.value)
