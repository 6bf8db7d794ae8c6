"""Who is taken for whom, in a report."""

import numpy as np

from regard.reports.blocks import Table
from regard.reports.confusion import confusion


def test_of_many_classes_only_mistakes_are_listed_as_such():
    counts = np.diag(np.full(17, 5))
    counts[2, 3], counts[4, 0] = 1, 2
    names = [f"class {k}" for k in range(17)]
    table = confusion({"classes": names, "confusion": counts.tolist()})[1]
    assert isinstance(table, Table)
    rows = [[cell.text for cell in row[:3]] for row in table.rows]
    assert rows == [["class 4", "class 0", "2"], ["class 2", "class 3", "1"]]
