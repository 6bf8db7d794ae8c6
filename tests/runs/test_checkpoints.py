"""Checkpoints give back what was saved, whole or not at all."""

import json

import pytest
import torch
from torch import nn

from regard.errors import RunError
from regard.runs.checkpoints import (
    checkpoints,
    flatten_optimiser,
    load,
    point,
    pointed,
    prune,
    save,
    unflatten_optimiser,
)
from regard.training.optimisers import restore_formats
from tinyset import same_tensors


def tensors():
    generator = torch.Generator().manual_seed(0)
    dense = torch.randn(4, 3, 5, 5, generator=generator)
    return {
        "plain": dense,
        "channels_last": dense.clone().to(memory_format=torch.channels_last),
        "turned": dense[0, 0].t(),
        "part": dense[1:3],
        "stepped": dense[:, :, ::2, 1],
        "empty": torch.zeros(0, 3),
        "other empty": torch.zeros(3, 0),
        "half": dense.bfloat16(),
        "scalar": torch.tensor(7),
        "mask": dense > 0,
        "odd": torch.tensor([float("nan"), float("inf"), -0.0]),
    }


def simple(folder, *steps, best=None):
    for step in steps:
        save(folder, step, {"w": torch.full((2,), float(step))}, {}, {})
    if best is not None:
        point(folder, "best", f"step-{best}")


def test_every_kind_of_tensor_comes_back_bit_for_bit(tmp_path):
    values = tensors()
    path = save(tmp_path, 3, values, {"0.m": values["channels_last"]}, {"a": 1})
    found = load(tmp_path)
    assert (found.path, found.damaged) == (path, ())
    assert same_tensors(found.model, values)
    assert same_tensors(found.optimiser, {"0.m": values["channels_last"]})
    assert (found.state["a"], found.state["step"]) == (1, 3)


def test_tied_weights_are_saved_once_and_come_back_under_both_names(tmp_path):
    net = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
    net[2].weight = net[0].weight
    path = save(tmp_path, 0, net.state_dict(), {}, {})
    assert json.loads((path / "state.json").read_text())["aliases"] == {"2.weight": "0.weight"}
    size = (path / "model.safetensors").stat().st_size
    assert size < 4 * (64 + 16) + 500
    assert same_tensors(load(tmp_path).model, dict(net.state_dict()))


def test_views_of_one_storage_that_differ_are_both_saved(tmp_path):
    whole = torch.arange(12.0).view(3, 4)
    values = {"whole": whole, "flat": whole.view(-1), "first": whole[0]}
    save(tmp_path, 0, values, {}, {})
    assert same_tensors(load(tmp_path).model, values)


def test_numbers_that_are_not_finite_survive_in_the_state(tmp_path):
    from regard.runs.files import number

    save(tmp_path, 0, {}, {}, {"best": float("inf"), "sums": {"a": float("nan")}})
    state = load(tmp_path).state
    assert number(state["best"]) == float("inf")
    assert state["sums"]["a"] == "NaN"


def test_the_newest_the_one_before_and_the_best_are_kept(tmp_path):
    simple(tmp_path, 0, 2, 10, 9, 100, best=2)
    (tmp_path / ".step-5.1.partial").mkdir()
    (tmp_path / ".step-5.1.replaced").mkdir()
    prune(tmp_path)
    assert [p.name for p in checkpoints(tmp_path)] == ["step-100", "step-10", "step-2"]
    assert not list(tmp_path.glob(".*"))
    assert load(tmp_path, "best").model["w"].tolist() == [2, 2]
    assert load(tmp_path, "step-10").model["w"].tolist() == [10, 10]
    assert pointed(tmp_path, "last") == "step-100"


def test_saving_a_step_again_replaces_it(tmp_path):
    simple(tmp_path, 4)
    save(tmp_path, 4, {"w": torch.ones(3)}, {}, {})
    assert load(tmp_path).model["w"].tolist() == [1, 1, 1]
    prune(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["last.json", "step-4"]


def test_a_damaged_newest_one_falls_back_and_says_so(tmp_path):
    simple(tmp_path, 1, 2, 3)
    (tmp_path / "step-3" / "optimiser.safetensors").write_bytes(b"")
    (tmp_path / "step-2" / "state.json").unlink()
    found = load(tmp_path)
    assert found.path.name == "step-1"
    assert found.damaged[0] == "step-3: optimiser.safetensors is not what was written"
    assert found.damaged[1].startswith("step-2: ")


@pytest.mark.parametrize("which", ["best", "step-2", "step-9"])
def test_one_that_was_asked_for_has_no_substitute(tmp_path, which):
    simple(tmp_path, 1, 2, best=2)
    (tmp_path / "step-2" / "model.safetensors").write_bytes(b"")
    with pytest.raises(RunError, match="expected a whole checkpoint"):
        load(tmp_path, which)


def test_without_a_best_one_there_is_an_error(tmp_path):
    simple(tmp_path, 1)
    with pytest.raises(RunError, match=r"best: expected a whole checkpoint, found no such"):
        load(tmp_path, "best")


@pytest.mark.parametrize("kind", ["sgd", "adam", "adamw"])
def test_an_optimisers_state_comes_back_in_its_layout(tmp_path, kind):
    def fresh():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(36, 2))
        net = net.to(memory_format=torch.channels_last)
        kinds = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
        options = {"momentum": 0.9} if kind == "sgd" else {}
        return net, kinds[kind](net.parameters(), lr=0.1, weight_decay=0.1, **options)

    def step(net, optimiser):
        images = torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(1))
        net(images.to(memory_format=torch.channels_last)).square().sum().backward()
        optimiser.step()
        optimiser.zero_grad()

    net, optimiser = fresh()
    step(net, optimiser)
    flat, rest = flatten_optimiser(optimiser.state_dict())
    save(tmp_path, 1, net.state_dict(), flat, {"optimiser": rest})
    saved, (other, again) = load(tmp_path), fresh()
    other.load_state_dict(saved.model)
    again.load_state_dict(unflatten_optimiser(saved.optimiser, saved.state["optimiser"]))
    restore_formats(again)
    name = "momentum_buffer" if kind == "sgd" else "exp_avg"
    assert again.state[other[0].weight][name].stride() == other[0].weight.stride()
    assert again.param_groups[0].keys() == optimiser.param_groups[0].keys()
    step(net, optimiser)
    step(other, again)
    assert same_tensors(dict(net.state_dict()), dict(other.state_dict()))
