"""Grad-CAM and Score-CAM beside the plain forward pass and other libraries, in one process.

    python benchmarks/saliency.py [--device cpu|cuda] [--threads 2] [--rounds 10] [--only NAME]

Grad-CAM: ResNet-18 with random weights, 16 images of 224 px. Score-CAM: EfficientNet-lite0 with
ImageNet's weights and a photo (1,280 channels); on a GPU also ResNet-50 (2,048 channels). Ratios
are taken within a round, and their median printed. Maps are compared by correlation at the layer's
resolution (the grad-cam package answers at the image's size, stretched to 0..1: what is compared
has been resized twice).
"""

import argparse
from functools import partial

import numpy as np
import torch
from peers import grad_cam_peers, score_cam_peers
from PIL import Image
from race import Contestant, race, table
from sklearn.datasets import load_sample_images
from torch import Tensor, nn

import regard
from regard.models import input_spec


def forward(net: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """Logits, without gradients."""
    with torch.no_grad():
        return net(images)


def own(net: nn.Module, images: Tensor, targets: Tensor, **options: object) -> Tensor:
    """Regard's maps."""
    return regard.explain(net, images, targets, **options)


def grad_cam(args: argparse.Namespace) -> None:
    """The race of Grad-CAM."""
    net = regard.build_model("timm:resnet18", classes=1000).eval().to(args.device)
    images = torch.randn(args.images, 3, 224, 224, device=args.device)
    runs: dict[str, Contestant] = {
        "forward pass, no gradients": partial(forward, net),
        "regard": partial(own, net),
        "regard, layer4.0 (with a backward pass)": partial(own, net, layer="layer4.0"),
        **grad_cam_peers(net, net.get_submodule("layer4")),
    }
    # The class with the most evidence, whose map is not zero.
    targets = forward(net, images, images).argmax(1)
    results = race(runs, "forward pass, no gradients", images, targets, args.rounds)
    heads = {"ratio": "x forward", "r": "r to regard", "to": "regard"}
    title = f"Grad-CAM of ResNet-18, {args.images} images of 224 px, {args.device}"
    table(title, results, heads)


def score_cam(args: argparse.Namespace, spec: str, layer: str, weights: str | None) -> None:
    """The race of Score-CAM, on one photo."""
    net = regard.build_model(spec, 1000, weights).eval().to(args.device)
    images = photo(net).to(args.device)
    targets = forward(net, images, images).argmax(1)
    exact = "regard, float32"
    score = partial(own, net, method="scorecam", layer=layer)
    runs: dict[str, Contestant] = {
        exact: partial(score, precision="float32"),
        "regard (default)": score,
        "regard, max_n=64": partial(score, max_n=64),
        **score_cam_peers(net, net.get_submodule(layer)),
    }
    results = race(runs, "grad-cam", images, targets, args.score_rounds)
    activations = regard.explain(net, images, targets, "eigencam", layer=layer)
    heads = {"ratio": "x grad-cam", "r": "r to float32", "to": exact}
    grid = "x".join(map(str, activations.shape[1:]))
    title = f"Score-CAM of {spec}, layer {layer} ({grid}), one photo, {args.device}"
    table(title, results, heads)
    base = results["grad-cam"].milliseconds
    for name, result in results.items():
        print(f"{name:42}{base / result.milliseconds:10.2f} times as fast as grad-cam")


def photo(net: nn.Module) -> Tensor:
    """A photo (1, 3, H, W) as the net wants it."""
    spec = input_spec(net)
    pixels = Image.fromarray(load_sample_images().images[0]).resize(spec.size)
    image = torch.from_numpy(np.array(pixels)).permute(2, 0, 1) / 255
    mean, std = (torch.tensor(v)[:, None, None] for v in (spec.mean, spec.std))
    return ((image - mean) / std)[None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--score-rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=["gradcam", "scorecam"])
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    if args.only != "scorecam":
        grad_cam(args)
    if args.only != "gradcam":
        score_cam(args, "timm:tf_efficientnet_lite0", "bn2", "bundled")
        if args.device != "cpu":
            score_cam(args, "timm:resnet50", "layer4", None)


if __name__ == "__main__":
    main()
