"""Nets small enough to try everything on, and a witness that they were left alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from types import SimpleNamespace

import timm
import torch
from torch import Tensor, nn

import regard
from regard.models import build_model
from regard.models.heads import find_classifiers

SHORT = {"img_size": 64, "depth": 2, "embed_dim": 48}
# Spec, options and the side of a small input. The numbers make the grids 2 x 2 to 6 x 6.
ZOO = {
    "cnn1": ("regard:cnn1", {"width": 8}, 96),
    "cnn2": ("regard:cnn2", {"width": 8}, 96),
    "cnn2-avg": ("regard:cnn2", {"width": 8, "pool": "avg"}, 96),
    "resnet18": ("timm:resnet18", {"channels": (24, 48, 72, 96)}, 64),
    "lite0": ("timm:tf_efficientnet_lite0", {}, 64),
    "convnext": ("timm:convnext_atto", {"dims": (16, 24, 32, 48)}, 64),
    "vgg": ("vgg", {}, 64),
    "densenet": ("timm:densenet121", {"growth_rate": 8}, 64),
    "mobilenetv3": ("timm:mobilenetv3_small_050", {}, 64),
    "resnetv2": ("timm:resnetv2_18", {"channels": (16, 32, 64, 96)}, 64),
    "convnextv2": ("timm:convnextv2_atto", {"dims": (16, 24, 32, 48)}, 64),
    "vit": ("timm:vit_tiny_patch16_224", {**SHORT, "num_heads": 4}, 64),
    "vit-avg": ("timm:vit_tiny_patch16_224", {**SHORT, "num_heads": 4, "global_pool": "avg"}, 64),
    "deit": ("timm:deit_tiny_distilled_patch16_224", {**SHORT, "num_heads": 4}, 64),
    "registers": (
        "timm:vit_small_patch14_reg4_dinov2",
        {**SHORT, "num_heads": 4, "img_size": 56},
        56,
    ),
    "swin": (
        "timm:swin_tiny_patch4_window7_224",
        {"img_size": 64, "embed_dim": 16, "depths": (2, 2), "num_heads": (2, 4), "window_size": 4},
        64,
    ),
    "mixer": ("mixer", {}, 128),
    "crossvit": (
        "timm:crossvit_tiny_240",
        {"img_size": 96, "img_scale": [1.0, 1.0], "depth": [[1, 1, 0]], "embed_dim": [24, 48]},
        96,
    ),
    "hf-vit": (
        "hf:vit",
        {
            "hidden_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 64,
            "image_size": 64,
        },
        64,
    ),
    "hf-cvt": (
        "hf:cvt",
        {"depth": [1, 2, 3], "embed_dim": [16, 32, 48], "num_heads": [1, 2, 3]},
        64,
    ),
    "hf-convnextv2": (
        "hf:convnextv2",
        {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 1]},
        64,
    ),
}
CLASSES = 5


def narrow_vgg() -> nn.Module:
    """timm's VGG of 11 layers with an eighth of its channels, which no option of it makes."""
    cfg = [8, "M", 16, "M", 32, 32, "M", 64, 64, "M", 64, 64, "M"]
    return timm.models.vgg.VGG(cfg, CLASSES, mlp_ratio=1 / 64, norm_layer=nn.BatchNorm2d)


def narrow_mixer() -> nn.Module:
    """timm's mixer of a sixteenth of its width and two of its eight blocks."""
    return timm.models.mlp_mixer.MlpMixer(CLASSES, 128, 3, 32, num_blocks=2, embed_dim=32)


NARROW = {"vgg": narrow_vgg, "mixer": narrow_mixer}


@cache
def zoo_net(name: str) -> nn.Module:
    """A net of the zoo with fixed random weights, in evaluation mode."""
    spec, options, _ = ZOO[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = NARROW.get(spec, partial(build_model, spec, CLASSES, **options))()
        net = made.eval()
        for parameter in net.parameters():
            if parameter.ndim > 1 and not bool(parameter.any()):  # heads and tokens of timm
                nn.init.normal_(parameter, std=0.02)
        for part in find_classifiers(net).values():
            if isinstance(part, nn.Linear):
                # Logits that sum to zero: for every image there is evidence for some class.
                part.weight.data -= part.weight.data.mean(0)
        return net


def images_for(name: str, count: int = 3, seed: int = 1) -> Tensor:
    """Images of a net of the zoo."""
    side = ZOO[name][2]
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def explain(net, images, targets=None, method="gradcam", **options) -> Tensor:
    """Maps of a method with the least work that its options allow, and those that it needs."""
    return regard.explain(net, images, targets, method, **{**least(method, images), **options})


def least(method: str, images) -> dict:
    """Options of a method that keep the number of passes small."""
    first = next(iter(images.values())) if isinstance(images, dict) else images
    side = first.shape[-1]
    generator = torch.Generator().manual_seed(5)
    return {
        "expected_gradients": {
            "background": torch.randn(2, *first.shape[1:], generator=generator),
            "samples": 2,
        },
        "integrated_gradients": {"steps": 2, "tolerance": 0.05, "baseline": 0.3},
        "occlusion": {"window": side // 2, "stride": side // 2},
        "rise": {"masks": 3, "grid": 3},
        # Of wide nets a part of the channels makes the point.
        "scorecam": {"max_n": 24},
        "smoothgrad": {"samples": 2},
    }.get(method, {})


class GeM(nn.Module):
    """Generalised mean pooling."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.clamp_min(1e-6).pow(3).mean((2, 3), keepdim=True).pow(1 / 3)


class Tiny(nn.Module):
    """Two convolutions to a grid of half the input's side, pooling, and a linear classifier.

    Every part between the grid and the logits can be exchanged.
    """

    def __init__(
        self,
        *,
        classes: int = 3,
        channels: int = 6,
        pool: str | nn.Module = "avg",
        between: nn.Module | None = None,
        scale: float = 1.0,
        norm: bool = False,
        after: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(4) if norm else nn.Identity()
        self.last = nn.Conv2d(4, channels, 3, padding=1)
        self.after = nn.ReLU(inplace=True) if after is None else after
        named = {"avg": nn.AdaptiveAvgPool2d(1), "max": nn.AdaptiveMaxPool2d(1), "gem": GeM()}
        self.pool = named[pool] if isinstance(pool, str) else pool
        self.between = nn.Identity() if between is None else between
        self.classifier = nn.Linear(channels, classes)
        self.scale, self.calls = scale, 0

    def features(self, images: Tensor) -> Tensor:
        return self.last(self.norm(self.stem(images)).relu())

    def head(self, maps: Tensor) -> Tensor:
        pooled = self.pool(self.after(maps)).flatten(1)
        return self.scale * self.classifier(self.between(pooled))

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        return self.head(self.features(images))


class Mixing(nn.Module):
    """Self-attention of the positions of a map, with a residual connection."""

    def __init__(self, channels: int, heads: int = 2) -> None:
        super().__init__()
        self.qkv, self.heads = nn.Linear(channels, 3 * channels), heads

    def forward(self, maps: Tensor) -> Tensor:
        tokens = self.qkv(maps.flatten(2).transpose(1, 2)).unflatten(2, (3, self.heads, -1))
        mixed = nn.functional.scaled_dot_product_attention(*tokens.permute(2, 0, 3, 1, 4))
        return maps + mixed.transpose(2, 3).reshape(maps.shape)


class Attending(Tiny):
    """A `Tiny` whose positions attend to each other before the pooling."""

    def __init__(self, *, channels: int = 6, **options) -> None:
        super().__init__(channels=channels, **options)
        self.mix = Mixing(channels)

    def features(self, images: Tensor) -> Tensor:
        return self.mix(super().features(images))


class Segmenter(nn.Module):
    """Images to logits (B, K, H, W)."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 5, 3, stride=2, padding=1), nn.ReLU())
        self.classifier = nn.Conv2d(5, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.interpolate(self.classifier(self.features(images)), scale_factor=2.0)


class Wrapped(nn.Module):
    """A net behind an attribute, as DataParallel (`module`) and torch.compile (`_orig_mod`) do."""

    def __init__(self, net: nn.Module, attribute: str) -> None:
        super().__init__()
        self.add_module(attribute, net)
        self.attribute = attribute

    def forward(self, images: Tensor) -> Tensor:
        return getattr(self, self.attribute)(images)


class WithLogits(nn.Module):
    """A net that answers with an object."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=self.net(images))


class TwoViews(nn.Module):
    """A net of two views, each with its own branch."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.segmented = Tiny(), Tiny()

    def forward(self, views: dict[str, Tensor]) -> Tensor:
        return self.image(views["image"]) + self.segmented(views["segmented"])


def tiny(seed: int = 0, **options) -> Tiny:
    """A `Tiny` with fixed random weights, in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Tiny(**options).eval()


def attending(seed: int = 0, **options) -> Attending:
    """An `Attending` with fixed random weights, in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Attending(**options).eval()


def pictures(count: int = 4, side: int = 8, seed: int = 3, dtype=torch.float32) -> Tensor:
    """Random images."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, side, side, generator=generator).to(dtype)


@contextmanager
def untouched(net: nn.Module, *tensors: Tensor) -> Iterator[None]:
    """Everything that a caller could notice about the net and the tensors stays as it was."""
    first, *others = net.parameters()
    first.grad = torch.full_like(first, 0.25)
    for other in others:
        other.grad = None
    before = _state(net, tensors)
    try:
        yield
    finally:
        after = _state(net, tensors)
        assert before.keys() == after.keys()
        for key, value in before.items():
            same = value.equal(after[key]) if isinstance(value, Tensor) else value == after[key]
            assert same, key
        first.grad = None


def _state(net: nn.Module, tensors: tuple[Tensor, ...]) -> dict:
    kinds = [("parameter", net.named_parameters()), ("buffer", net.named_buffers())]
    named = [(kind, name, t) for kind, found in kinds for name, t in found]
    named += [("given", str(place), t) for place, t in enumerate(tensors)]
    state: dict = {"random": torch.get_rng_state(), "grad mode": torch.is_grad_enabled()}
    for kind, name, tensor in named:
        state[kind, name] = tensor.detach().clone()
        version = 0 if tensor.is_inference() else tensor._version
        state[kind, name, "itself"] = (id(tensor), version, tensor.requires_grad)
        grad = tensor.grad if tensor.is_leaf else None
        state[kind, name, "grad"] = None if grad is None else grad.detach().clone()
    for name, module in net.named_modules():
        hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
        state["module", name] = (module.training, [len(kind) for kind in hooks])
    return state
