"""What a net cannot be asked is known before anyone asks."""

import pytest
import torch
from torch import nn

from regard.errors import ModelError
from regard.models.anatomy import possible_layers
from regard.saliency import METHODS
from regard.saliency.capture import trace
from regard.saliency.layers import image_size, readable_layers
from regard.saliency.unfit import unfit_methods
from smallnets import ZOO, Segmenter, Tiny, explain, images_for, tiny, untouched, zoo_net


def refused(net, images):
    """The methods that refuse when they are asked."""
    found = set()
    for method in METHODS:
        try:
            explain(net, images, [0], method)
        except ModelError:
            found.add(method)
    return found


@pytest.mark.parametrize("name", ["cnn2", "cnn2-avg", "resnet18", "vit", "vit-avg", "swin",
                                  "crossvit", "mixer", "hf-vit"])  # fmt: skip
def test_unfit_are_those_that_refuse(name):
    net, images = zoo_net(name), images_for(name, 1)
    with untouched(net, images):
        found = unfit_methods(net, images)
    assert set(found) == refused(net, images)
    assert all(error.expected and "\n" not in str(error) for error in found.values())


def test_of_a_segmenter_nothing_that_needs_a_head_is_left():
    net, images = Segmenter().eval(), torch.rand(1, 3, 16, 16)
    found = unfit_methods(net, images)
    assert {"cam", "rollout", "attention"} <= set(found)
    assert not {"gradcam", "saliency", "rise", "occlusion", "smoothgrad"} & set(found)


class Closed(Tiny):
    """No gradient comes out of its first half."""

    def features(self, images):
        with torch.no_grad():
            return super().features(images)


def test_what_follows_gradients_to_the_pixels_is_unfit_where_there_are_none():
    net, images = Closed().eval(), torch.rand(1, 3, 16, 16)
    found = unfit_methods(net, images)
    to_pixels = {name for name in METHODS if METHODS[name].to_pixels}
    assert to_pixels <= set(found)
    assert not {"gradcam", "eigencam", "rise", "occlusion"} & set(found)


class Unread(nn.Module):
    """A net with a branch that nothing is made of."""

    def __init__(self):
        super().__init__()
        self.net, self.aside = tiny(), nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, images):
        self.aside(images)
        return self.net(images)


def test_layers_that_the_logits_do_not_depend_on_are_left_out():
    net, images = Unread().eval(), torch.rand(1, 3, 16, 16)
    with untouched(net, images):
        layers = readable_layers(net, images)
    assert "aside" in possible_layers(trace(net, images), image_size(images))
    assert "aside" not in layers
    for layer in layers:
        explain(net, images, [0], layer=layer)


@pytest.mark.parametrize("name", ["vit", "resnet18"])
def test_layers_are_listed_once_and_none_gives_a_zero_map(name):
    assert name in ZOO
    net, images = zoo_net(name), images_for(name, 1)
    layers = readable_layers(net, images)
    assert len(layers) == len(set(layers))
    for layer in layers[:3]:
        maps = [explain(net, images, [k], "gradcam", layer=layer, contrast=True) for k in range(5)]
        assert any(bool(own.any()) for own in maps)
