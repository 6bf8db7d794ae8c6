"""Seg-Grad-CAM of real segmenters: against a loop over the formula, and against grad-cam."""

import warnings

import pytest
import torch

import regard
from regard.saliency import PixelTarget
from regard.saliency.layers import find_layer

SPECS = {
    "regard:fpn": {"encoder": "test_efficientnet", "width": 16},
    "smp:fpn": {"encoder": "resnet18"},
    "smp:unet": {"encoder": "test_efficientnet"},
}
each_net = pytest.mark.parametrize(
    "spec", ["regard:fpn", "smp:unet", pytest.param("smp:fpn", marks=pytest.mark.torture)]
)


def segmenter(spec):
    torch.manual_seed(2)
    return regard.build_model(spec, classes=4, **SPECS[spec]).eval().double()


def pictures():
    return torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(3)).double()


def slow(net, layer, images, class_index, mask):
    """Vinogradova et al., arXiv:2002.11434, equation 2, an image and a channel at a time."""
    kept = []
    handle = layer.register_forward_hook(lambda *args: kept.append(args[2]))
    maps = []
    for image, own in zip(images, mask, strict=True):
        kept.clear()
        logits = net(image[None])
        activations = kept[0]
        total = sum(logits[0, class_index, row, column] for row, column in own.nonzero().tolist())
        (gradient,) = torch.autograd.grad(total, activations)
        found = torch.zeros(activations.shape[2:], dtype=images.dtype)
        for k in range(activations.shape[1]):
            found += gradient[0, k].mean() * activations[0, k].detach()
        maps.append(found.relu())
    handle.remove()
    return torch.stack(maps)


def by_grad_cam(net, layer, images, class_index, mask):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pytorch_grad_cam import GradCAM
        from pytorch_grad_cam.utils.model_targets import SemanticSegmentationTarget
    wanted = [SemanticSegmentationTarget(class_index, own.numpy()) for own in mask]
    for target in wanted:  # it is moved to the first device of the machine otherwise
        target.mask = target.mask.cpu()
    with GradCAM(net, [layer]) as cam:
        cam(images, wanted)
        activations = cam.activations_and_grads.activations[0].numpy()
        gradients = cam.activations_and_grads.gradients[0].numpy()
        found = cam.get_cam_image(images, layer, wanted, activations, gradients)
    net.zero_grad(set_to_none=True)
    return torch.from_numpy(found).clamp_min(0)


@each_net
@pytest.mark.parametrize("oracle", [slow, by_grad_cam])
def test_seg_gradcam_agrees(oracle, spec):
    net, images = segmenter(spec), pictures()
    layer = find_layer(net, images).module
    mask = torch.zeros(2, 64, 96)
    mask[0, 5:17, 40:60] = 1
    mask[1, 33:50, 3:30] = 1
    told = 0
    for k in range(4):
        found = regard.explain(net, images, PixelTarget(k, mask))
        expected = oracle(net, layer, images, k, mask)
        assert found.shape == expected.shape
        torch.testing.assert_close(found, expected.to(found), rtol=1e-6, atol=1e-6 * float(
            expected.max()) + 1e-12)  # fmt: skip
        told += int(expected.any())
    assert told >= 2


@each_net
def test_each_image_can_have_its_own_class(spec):
    net, images = segmenter(spec), pictures()
    for where in ("predicted", torch.ones(2, 64, 96), (3, 4)):
        own = regard.explain(net, images, PixelTarget(torch.tensor([3, 1]), where))
        for row, k in enumerate((3, 1)):
            alone = regard.explain(net, images, PixelTarget(k, where))
            torch.testing.assert_close(own[row], alone[row])
