"""Batched Grad-CAM beside the plain forward pass and other libraries, in one process.

    python benchmarks/saliency.py [--images 16] [--rounds 10] [--device cpu|cuda]

ResNet-18 with random weights, 224 px. The contestants take turns, so that a slow spell of the
machine hits them all; a ratio is taken within each round, and its median printed. Maps are
compared with Regard's by correlation, at the layer's resolution (grad-cam answers at the image's
size, stretched to 0..1, so that what is compared there has been resized twice).
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

import regard

SIDE = 224
Contestant = Callable[[Tensor, Tensor], Tensor]


def contestants(net: nn.Module) -> dict[str, Contestant]:
    """Functions from images and targets to maps, or to logits for the forward pass."""
    from captum.attr import LayerGradCam
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    from torchcam.methods import GradCAM as TorchCAM

    layer = net.get_submodule("layer4")

    def forward(images: Tensor, targets: Tensor) -> Tensor:
        with torch.no_grad():
            return net(images)

    def own(images: Tensor, targets: Tensor) -> Tensor:
        return regard.explain(net, images, targets)

    def with_backward(images: Tensor, targets: Tensor) -> Tensor:
        return regard.explain(net, images, targets, layer="layer4.0")

    # The peers hook the net when they are made and leave it when they are closed.
    def grad_cam(images: Tensor, targets: Tensor) -> Tensor:
        with GradCAM(net, [layer]) as cam:
            maps = cam(images, [ClassifierOutputTarget(int(target)) for target in targets])
        return torch.from_numpy(maps)

    def torchcam(images: Tensor, targets: Tensor) -> Tensor:
        with TorchCAM(net, layer) as cam:
            (maps,) = cam(targets.tolist(), net(images), normalized=False)
        return maps

    def captum(images: Tensor, targets: Tensor) -> Tensor:
        return LayerGradCam(net, layer).attribute(images, targets, relu_attributions=True)[:, 0]

    return {
        "forward pass, no gradients": forward,
        "regard": own,
        "regard, layer4.0 (with a backward pass)": with_backward,
        "grad-cam": grad_cam,
        "torchcam": torchcam,
        "captum": captum,
    }


def seconds(run: Contestant, images: Tensor, targets: Tensor) -> float:
    """The time of one call."""
    _wait(images)
    begun = time.perf_counter()
    run(images, targets)
    _wait(images)
    return time.perf_counter() - begun


def _wait(images: Tensor) -> None:
    if images.is_cuda:
        torch.cuda.synchronize(images.device)


def correlation(maps: Tensor, own: Tensor) -> float:
    """The median over images of the maps' correlation, at the smaller map's size."""
    maps, own = maps.detach().float().cpu(), own.detach().float().cpu()
    if maps.shape != own.shape:
        maps = nn.functional.interpolate(maps[:, None], own.shape[1:], mode="area")[:, 0]
    pairs = zip(maps.flatten(1), own.flatten(1), strict=True)
    found = [torch.corrcoef(torch.stack(pair))[0, 1].item() for pair in pairs]
    return statistics.median(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    net = regard.build_model("timm:resnet18", classes=1000).eval().to(args.device)
    images = torch.randn(args.images, 3, SIDE, SIDE, device=args.device)
    runs = contestants(net)
    with torch.no_grad():
        # The class with the most evidence, whose map is not zero.
        targets = net(images).argmax(1)
    answers = {name: run(images, targets) for name, run in runs.items()}
    rounds = [
        {name: seconds(run, images, targets) for name, run in runs.items()}
        for _ in range(args.rounds)
    ]
    plain = "forward pass, no gradients"
    print(f"ResNet-18, {args.images} images of {SIDE} px, {args.device}, {args.rounds} rounds")
    print(f"{'':42}{'ms':>9}{'x forward':>11}{'r to regard':>13}")
    for name in runs:
        milliseconds = 1000 * statistics.median(each[name] for each in rounds)
        ratio = statistics.median(each[name] / each[plain] for each in rounds)
        same = "" if name == plain else f"{correlation(answers[name], answers['regard']):.6f}"
        print(f"{name:42}{milliseconds:9.1f}{ratio:11.2f}{same:>13}")


if __name__ == "__main__":
    main()
