"""What a net wants to be fed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class InputSpec:
    """Size and normalisation of a net's input; the defaults are ImageNet's.

    Attributes:
        size: (H, W), pixels.
        mean, std: of the channels, for pixels in 0..1.
        interpolation: that the weights were trained with.
    """

    size: tuple[int, int] = (224, 224)
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    interpolation: str = "bilinear"
