"""Guidance of nets with activation checkpointing."""

import warnings

import pytest
import timm
import torch
from torch import nn
from torch.nn import functional as F

from regard.guidance import RRR, Energy, Term, guided_forward

NETS = {
    "resnet": lambda: timm.create_model("resnet10t", num_classes=3),
    "vit": lambda: timm.create_model("vit_tiny_patch16_224", num_classes=3, img_size=32, depth=2),
}


def _gradients(net: nn.Module, terms: list[Term]) -> list[torch.Tensor]:
    torch.manual_seed(0)
    net.zero_grad()
    images, targets = torch.rand(2, 3, 32, 32), torch.tensor([0, 2])
    inside = torch.zeros(2, 32, 32)
    inside[:, 4:20, 6:30] = 1
    seen = guided_forward(net, images, targets, inside, terms)
    (F.cross_entropy(seen.logits, targets) + seen.loss()).backward()
    return [p.grad.clone() for p in net.parameters() if p.grad is not None]


@pytest.mark.parametrize(
    ("kind", "terms"),
    [
        ("resnet", [Energy()]),
        ("resnet", [Energy(layer="layer2"), RRR(weight=0.1)]),
        ("vit", [Energy()]),
        ("vit", [Energy(method="rollout")]),
    ],
)
def test_gradients_are_those_without_it(kind: str, terms: list[Term]):
    net = NETS[kind]().eval()
    wanted = _gradients(net, terms)
    net.set_grad_checkpointing(True)
    with pytest.warns(UserWarning, match="without activation checkpointing"):
        found = _gradients(net, terms)
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)
    assert net.grad_checkpointing is True
    _gradients(net, terms)  # said once


def test_a_plain_step_keeps_it(monkeypatch: pytest.MonkeyPatch):
    net, calls = NETS["vit"]().eval(), []
    again = torch.utils.checkpoint.checkpoint
    monkeypatch.setattr(
        torch.utils.checkpoint,
        "checkpoint",
        lambda *args, **options: calls.append(1) or again(*args, **options),
    )
    net.set_grad_checkpointing(True)
    for terms, kept in (([], True), ([Energy(weight=0.0)], False)):
        calls.clear()
        with warnings.catch_warnings(action="ignore"):
            _gradients(net, terms)
        assert bool(calls) == kept
