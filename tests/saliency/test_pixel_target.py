"""Explaining a segmenter: a class over a set of pixels."""

import pytest
import torch

import regard
from regard.errors import TargetError
from regard.saliency import METHODS, PixelTarget
from smallnets import Segmenter, Wrapped, explain, pictures, tiny, untouched

# CAM reads a classifier's head, and others read attention, which this segmenter has not.
READERS = [m for m in METHODS if m != "cam" and "attention" not in METHODS[m].needs]
each_method = pytest.mark.parametrize("method", READERS)
LAYER = "features"


@pytest.fixture
def net():
    torch.manual_seed(4)
    net = Segmenter().eval().double()
    with torch.no_grad():
        net.classifier.bias -= net(pictures(dtype=torch.float64)).mean((0, 2, 3))
    return net


@pytest.fixture
def images():
    return pictures(dtype=torch.float64)


def slow(net, images, class_index, mask):
    """Grad-CAM by hand: the head is one 1x1 convolution, enlarged by repetition."""
    maps = net.features(images)
    weight = net.classifier.weight[class_index, :, 0, 0]
    # Each position of the grid stands for 2 x 2 logits.
    share = mask.double().sum((1, 2)) / maps[0, 0].numel()
    return (share[:, None, None] * torch.einsum("k,bkhw->bhw", weight, maps)).relu().detach()


def test_the_predicted_pixels_are_the_default(net, images):
    won = net(images).argmax(1)
    assert set(won.unique().tolist()) == {0, 1, 2}
    for k in range(3):
        found = regard.explain(net, images, PixelTarget(k), layer=LAYER)
        torch.testing.assert_close(found, slow(net, images, k, won == k))
        given = regard.explain(net, images, PixelTarget(k, won == k), layer=LAYER)
        torch.testing.assert_close(found, given)
    assert float(found.max()) > 0


def test_a_mask_and_a_pixel(net, images):
    mask = torch.zeros(4, 8, 8, dtype=torch.bool)
    mask[:, 2:5, 1:7] = True
    found = regard.explain(net, images, PixelTarget(1, mask), layer=LAYER)
    torch.testing.assert_close(found, slow(net, images, 1, mask))
    one = torch.zeros(4, 8, 8)
    one[:, 6, 3] = 1
    found = regard.explain(net, images, PixelTarget(2, (6, 3)), layer=LAYER)
    torch.testing.assert_close(found, slow(net, images, 2, one))


@each_method
def test_an_empty_set_gives_a_zero_map_for_that_image_alone(method, net, images):
    mask = torch.ones(4, 8, 8)
    mask[2] = 0
    alive = False
    for k in range(3):
        maps = explain(net, images, PixelTarget(k, mask), method, layer=LAYER)
        assert bool((maps[2] == 0).all())
        alive = alive or bool(maps[[0, 1, 3]].any())
    assert alive


@each_method
def test_a_batch_of_segmentations_gives_what_single_ones_give(method, net, images):
    for where in ("predicted", (1, 2)):
        target = PixelTarget(0, where)
        batch = explain(net, images, target, method, layer=LAYER)
        single = [explain(net, image[None], target, method, layer=LAYER) for image in images]
        torch.testing.assert_close(batch, torch.cat(single))


@each_method
def test_a_segmenter_s_maps_can_be_part_of_a_loss(method, net, images):
    target = PixelTarget(1, torch.ones(4, 8, 8))
    with untouched(net, images, target.where):
        maps = sum(
            explain(
                net, images, PixelTarget(k, target.where), method, layer=LAYER, create_graph=True
            ).square()
            for k in range(3)
        )
        weights = [net.features[0].weight, net.classifier.weight]
        gradients = torch.autograd.grad(maps.sum(), weights, allow_unused=True)
    below, above = gradients
    assert float(below.abs().max()) > 0
    assert (above is not None and bool(above.any())) == METHODS[method].reaches_head


@pytest.mark.parametrize(
    ("target", "found"),
    [
        (None, "NoneType"),
        (0, "int"),
        ([0, 1, 2, 0], "list"),
        (PixelTarget(3), "classes 0 to 2, found 3"),
        (PixelTarget(-1), "classes 0 to 2, found -1"),
        (PixelTarget(0, torch.ones(4, 4, 4)), "shape \\(4, 8, 8\\), found \\(4, 4, 4\\)"),
        (PixelTarget(0, torch.ones(1, 8, 8)), "shape \\(4, 8, 8\\), found \\(1, 8, 8\\)"),
        (PixelTarget(0, (8, 0)), "of 8 x 8, found \\(8, 0\\)"),
        (PixelTarget(0, (0, -1)), "of 8 x 8, found \\(0, -1\\)"),
    ],
)
def test_other_targets_are_refused(target, found, net, images):
    with untouched(net, images), pytest.raises(TargetError, match=found):
        regard.explain(net, images, target, layer=LAYER)


def test_a_classifier_takes_no_pixels():
    with pytest.raises(TargetError, match="classes for a classifier"):
        regard.explain(tiny(), pictures(), PixelTarget(0))


def test_a_segmenter_behind_a_wrapper(net, images):
    expected = regard.explain(net, images, PixelTarget(0), layer=LAYER)
    wrapped = Wrapped(net, "module").eval()
    torch.testing.assert_close(
        regard.explain(wrapped, images, PixelTarget(0), layer=LAYER), expected
    )
