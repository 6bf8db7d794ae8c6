"""Names of metrics of splits."""

import pytest

from regard.evaluation.names import split_and_metric


@pytest.mark.parametrize(
    ("split", "metric"),
    [
        ("test", "accuracy"),
        ("test2024.1", "energy"),
        ("v1.rc.2", "iou:vehicle"),
        ("test", "iou:St. John's: no. 7.5"),
        ("a b", "f1_macro"),
    ],
)
def test_the_parts_of_a_name_are_told(split, metric):
    assert split_and_metric(f"{split}.{metric}") == (split, metric)


@pytest.mark.parametrize("name", ["accuracy", ".accuracy", "test."])
def test_what_is_no_metric_of_a_split_is_refused(name):
    with pytest.raises(ValueError, match="no metric of a split"):
        split_and_metric(name)
