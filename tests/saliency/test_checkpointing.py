"""Nets that keep few activations and compute the rest again in the backward pass."""

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import regard
from regard.errors import ModelError
from smallnets import ZOO, explain, images_for, pictures, tiny, untouched, zoo_net

OF_MAPS = ["gradcam", "saliency", "guided_backprop", "guided_gradcam"]
OF_ATTENTION = ["gradcam", "rollout", "chefer", "gradient_rollout"]
CASES = [("resnet18", m) for m in OF_MAPS] + [("vit", m) for m in OF_ATTENTION]


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize(("name", "method"), CASES)
def test_checkpointing_changes_no_map(name, method, graph):
    spec, options, _ = ZOO[name]
    plain, images = zoo_net(name), images_for(name, 2)
    net = regard.build_model(spec, 5, **options).eval()
    net.load_state_dict(plain.state_dict())
    net.set_grad_checkpointing(True)
    expected = explain(plain, images, [0, 3], method, create_graph=graph)
    with untouched(net, images):
        found = explain(net, images, [0, 3], method, create_graph=graph)
    assert net.grad_checkpointing
    torch.testing.assert_close(found, expected)
    if graph:
        weight = next(iter(net.parameters()))
        (moved,) = torch.autograd.grad(found.square().sum(), [weight])
        assert bool(moved.any())


class Checkpointed(nn.Module):
    """Has its own way of checkpointing, which nobody can switch off."""

    def __init__(self, reentrant):
        super().__init__()
        self.net, self.reentrant = tiny(between=nn.ReLU()), reentrant

    def forward(self, images):
        return checkpoint(self.net, images, use_reentrant=self.reentrant)


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointing_that_is_in_the_way_is_refused_in_one_line(reentrant):
    net, images = Checkpointed(reentrant).eval(), pictures(2)
    with untouched(net, images), pytest.raises(ModelError, match="checkpointing off") as error:
        regard.explain(net, images, 0, "guided_backprop")
    assert "\n" not in str(error.value)
