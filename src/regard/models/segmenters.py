"""Segmenters: an encoder of timm, a decoder, and logits of the classes for every pixel."""

from importlib import import_module
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from regard.errors import MissingExtraError, ModelError, near
from regard.models.encoders import Encoder, known_encoder
from regard.models.inputs import input_spec

# By the name in a spec: the class in segmentation_models_pytorch.
DECODERS = {
    "fpn": "FPN",
    "unet": "Unet",
    "deeplabv3plus": "DeepLabV3Plus",
    "segformer": "Segformer",
    "upernet": "UPerNet",
}


class FPN(nn.Module):
    """Feature pyramid of the street study: laterals, top-down sums, one convolution, logits.

    Maps of strides 4 to 32, each by a 1x1 convolution to `width` channels; from the coarsest to
    the finest each is enlarged and added to the next; a 3x3 convolution and a ReLU at stride 4,
    1x1 to the classes, enlarged to the image. (smp's FPN has further segmentation blocks.)

    Args:
        classes: K.
        encoder: of timm.
        width: channels of the pyramid.
        pretrained: weights of the encoder from the hub.
        options: of the encoder's constructor.

    Shapes: images (B, 3, H, W) to logits (B, K, H, W).

    Reference: Lin et al., Feature pyramid networks, arXiv:1612.03144, section 3.
    """

    def __init__(
        self,
        classes: int,
        *,
        encoder: str | None = None,
        width: int = 256,
        pretrained: bool = False,
        **options: Any,
    ) -> None:
        super().__init__()
        self.encoder_name = known_encoder("regard:fpn", encoder)
        self.encoder = Encoder(self.encoder_name, pretrained=pretrained, **options)
        self.input_spec = self.encoder.input_spec
        self.laterals = nn.ModuleList(nn.Conv2d(c, width, 1) for c in self.encoder.channels)
        self.smooth = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU())
        self.classifier = nn.Conv2d(width, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, K, H, W) of images (B, 3, H, W)."""
        maps = [
            lateral(own) for lateral, own in zip(self.laterals, self.encoder(images), strict=True)
        ]
        found = maps[-1]
        for finer in maps[-2::-1]:
            found = finer + F.interpolate(found, finer.shape[2:], mode="bilinear")
        logits = self.classifier(self.smooth(found))
        return F.interpolate(logits, images.shape[2:], mode="bilinear")


class SmpSegmenter(nn.Module):
    """A segmenter of segmentation_models_pytorch that takes images of any size.

    Its modules go by smp's names, so that a state dict of the one fits the other. Images whose
    sides are no multiples of the encoder's stride are padded to the right and below with zeros
    (the mean colour), and the logits cut back.

    Args:
        net: of smp.
        encoder_name: of timm.

    Shapes: images (B, 3, H, W) to logits (B, K, H, W).
    """

    classifier_name = "segmentation_head.0"

    def __init__(self, net: Any, encoder_name: str) -> None:
        super().__init__()
        self.encoder_name = encoder_name
        self.encoder: Any = net.encoder
        self.decoder: nn.Module = net.decoder
        self.segmentation_head: nn.Module = net.segmentation_head
        self.input_spec = input_spec(net.encoder.model)
        self.stride = int(net.encoder.output_stride)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, K, H, W) of images (B, 3, H, W)."""
        height, width = images.shape[2:]
        rest = -width % self.stride, -height % self.stride
        padded = F.pad(images, (0, rest[0], 0, rest[1])) if any(rest) else images
        logits = self.segmentation_head(self.decoder(self.encoder(padded)))
        return logits[:, :, :height, :width]


def build_smp(
    name: str, classes: int, *, encoder: str | None = None, pretrained: bool = False, **options: Any
) -> SmpSegmenter:
    """A segmenter of segmentation_models_pytorch, `fpn` or `unet`, over an encoder of timm.

    Args:
        name: of the decoder.
        classes: K.
        encoder: of timm.
        pretrained: weights of the encoder from the hub.
        options: of smp's constructor, such as `decoder_dropout`.

    Raises:
        ModelError: an unknown decoder or encoder, or one that smp cannot build on.
        MissingExtraError: smp is not installed.
    """
    spec = f"smp:{name}"
    if name not in DECODERS:
        raise ModelError(
            f"model {spec}",
            expected="a decoder of " + ", ".join(DECODERS),
            found=repr(name),
            remedy=near(name, DECODERS),
        )
    known = known_encoder(spec, encoder)
    try:
        smp = import_module("segmentation_models_pytorch")
    except ImportError as error:
        raise MissingExtraError(f"model {spec}", "seg") from error
    make = getattr(smp, DECODERS[name])
    try:
        net = make(
            f"tu-{known}", encoder_weights=True if pretrained else None, classes=classes, **options
        )
    except (ValueError, RuntimeError, AssertionError) as error:
        raise ModelError(
            f"model {spec}, encoder {known}",
            expected="an encoder with feature maps at strides 4, 8, 16 and 32",
            found=" ".join(str(error).split())[:160],
            remedy="take a ResNet, EfficientNet, ConvNeXt or Swin",
        ) from error
    return SmpSegmenter(net, known)
