"""What is remembered of a net's modules."""

import gc
from collections.abc import Callable
from weakref import ref

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

import regard
from regard.saliency.compiled import is_compiled
from regard.saliency.modules import modules_of
from smallnets import tiny


def _net() -> nn.Module:
    return tiny(norm=True, pool=nn.Sequential(nn.AdaptiveAvgPool2d(1)))


CHANGES: dict[str, Callable[[nn.Module], object]] = {
    "exchanged": lambda net: setattr(net, "classifier", nn.Linear(6, 3)),
    "exchanged within": lambda net: net.pool.__setitem__(0, nn.AdaptiveMaxPool2d(1)),
    "added to a leaf": lambda net: net.stem.add_module("more", nn.Identity()),
    "wrapped": lambda net: weight_norm(net.classifier),
    "taken out": lambda net: net.pool.__delitem__(0),
    "set to nothing": lambda net: setattr(net, "norm", None),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen(change: str):
    net = _net()
    before = modules_of(net)
    assert modules_of(net) is before
    CHANGES[change](net)
    after = modules_of(net)
    assert after is not before
    assert modules_of(net) is after
    assert (after.structure == before.structure) == (change == "exchanged")


def test_modes_and_parameters_are_no_other_modules():
    net = _net().train()
    before = modules_of(net)
    told = before.modes(net)
    net.norm.eval()
    assert before.modes(net) != told
    net.double().eval()
    assert modules_of(net) is before
    assert set(before.modes(net)) == {False}


def test_what_is_compiled_in_place_is_seen():
    net = _net()
    assert not is_compiled(net)
    net.pool.compile(backend="eager")
    assert is_compiled(net)
    assert is_compiled(torch.compile(_net(), backend="eager"))


def test_nets_are_not_held():
    net = _net()
    regard.explain(net, torch.rand(2, 3, 32, 32))
    found = ref(net)
    del net
    gc.collect()
    assert found() is None
