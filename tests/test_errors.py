import pickle

import pytest

from regard.errors import (
    ConfigError,
    DataError,
    MissingExtraError,
    ModelError,
    NumericalError,
    RegardError,
    RunError,
    TargetError,
    near,
)


def test_an_error_says_where_what_was_expected_what_was_found_and_what_to_do():
    error = DataError("m.csv, row 3", expected="a path", found="nothing", remedy="fill it")
    assert str(error) == "m.csv, row 3: expected a path, found nothing; fill it"
    assert (error.where, error.remedy) == ("m.csv, row 3", "fill it")


def test_an_error_is_one_line_whatever_it_was_told():
    error = DataError("a\nb", expected="c\td", found="e\r\n\nf", remedy="g  h")
    assert str(error) == "a b: expected c d, found e f; g h"


@pytest.mark.parametrize("kind", [DataError, ConfigError, ModelError, TargetError, RunError])
def test_mistakes_of_users_are_value_errors(kind):
    assert issubclass(kind, RegardError)
    assert issubclass(kind, ValueError)
    with pytest.raises(ValueError, match="expected b, found c; d"):
        raise kind("a", expected="b", found="c", remedy="d")


def test_a_missing_extra_names_the_command_that_installs_it():
    assert "pip install 'regard[seg]'" in str(MissingExtraError("unet", "seg"))


def test_numbers_that_blow_up_are_no_mistake_of_the_user():
    assert issubclass(NumericalError, ArithmeticError)
    assert not issubclass(NumericalError, ValueError)
    assert str(pickle.loads(pickle.dumps(NumericalError("nan")))) == "nan"


def test_near_names_are_offered_closest_first():
    assert near("gradcan", ["rollout", "gradcam", "scorecam"]).startswith("did you mean gradcam")


def test_without_near_names_all_are_listed_while_they_are_few():
    assert near("xyz", ["b", "a"]) == "choose one of: a, b"
    many = near("xyz", [f"name{i}" for i in range(41)])
    assert many == "there are 41, such as name0, name1, name10 and name7, name8, name9"


def test_near_names_are_found_in_any_case():
    assert near("GradCAM", ["gradcam", "rollout"]) == "did you mean gradcam?"
    assert near("lenet", ["LeNet"]) == "did you mean LeNet?"
