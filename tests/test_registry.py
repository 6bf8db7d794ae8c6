import pytest

from regard.errors import ConfigError
from regard.registry import Registry


@pytest.fixture
def methods():
    registry: Registry[int] = Registry("method")
    registry.register("rollout")(2)
    registry.register("gradcam")(1)
    return registry


def test_entries_are_found_by_name_and_listed_in_order(methods):
    assert list(methods) == ["gradcam", "rollout"]
    assert dict(methods) == {"gradcam": 1, "rollout": 2}
    assert len(methods) == 2
    assert "gradcam" in methods
    assert "scorecam" not in methods


def test_registering_hands_back_what_it_was_given():
    registry = Registry("method")

    @registry.register("own")
    def own() -> int:
        return 3

    assert own() == 3
    assert registry["own"] is own


def test_a_second_entry_of_one_name_is_refused_and_the_first_stays(methods):
    with pytest.raises(KeyError, match="method 'gradcam' is registered twice"):
        methods.register("gradcam")(5)
    assert methods["gradcam"] == 1


def test_an_unknown_name_lists_the_near_ones(methods):
    with pytest.raises(ConfigError, match=r"method: .*found 'gradcan'; did you mean gradcam\?"):
        methods["gradcan"]


def test_a_default_stands_for_what_is_not_there(methods):
    assert methods.get("gradcan") is None
    assert methods.get("gradcan", 7) == 7
    assert methods.get("gradcam", 7) == 1
