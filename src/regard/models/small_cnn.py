"""The small CNNs of the study of imbalanced classes."""

from typing import Literal

from torch import Tensor, nn

from regard.models.inputs import InputSpec


class SmallCNN(nn.Module):
    """CNN1 (without batch norm) and CNN2 (with it, after the ReLU), for 96 x 96 images.

    Four 3x3 convolutions, each followed by ReLU, the norm and 2x2 max pooling; dropout 0.25
    after the second and the fourth; then, as published (`pool="flatten"`), linear to 256
    units, ReLU, dropout 0.5, linear to the classes. With `pool="avg"` the features are averaged
    over positions and one linear layer gives the classes, so that the class activation map is
    exact and the input may have any size.

    Args:
        classes: number of outputs.
        norm: batch norm after each ReLU.
        size: side of the square input, pixels; fixed for `flatten`.
        width: channels of the first convolution; they double at each of the next three.
        pool: `flatten` as published, or `avg`.
        stem: `pool` as published; `stride`: the first convolution is 5x5 with stride 2 and has
            no pooling after it, at a quarter of its cost.
        dropout: after the second and fourth block; the one before the last layer is twice that.

    Shapes: images (B, 3, size, size) to logits (B, classes).
    """

    def __init__(
        self,
        classes: int,
        *,
        norm: bool = False,
        size: int = 96,
        width: int = 32,
        pool: Literal["flatten", "avg"] = "flatten",
        stem: Literal["pool", "stride"] = "pool",
        dropout: float = 0.25,
    ) -> None:
        super().__init__()
        self.input_spec = InputSpec((size, size), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
        self.features = nn.Sequential()
        channels = 3
        for stage, out in enumerate((width, 2 * width, 4 * width, 8 * width)):
            strided = stem == "stride" and stage == 0
            kernel, stride = (5, 2) if strided else (3, 1)
            self.features.append(nn.Conv2d(channels, out, kernel, stride, kernel // 2))
            self.features.append(nn.ReLU())
            if norm:
                self.features.append(nn.BatchNorm2d(out))
            if not strided:
                self.features.append(nn.MaxPool2d(2))
            if stage % 2:
                self.features.append(nn.Dropout(dropout))
            channels = out
        self.pool: nn.Module = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.hidden: nn.Module = nn.Identity()
        if pool == "flatten":
            self.pool = nn.Flatten()
            # A strided convolution keeps the last row of an odd side, pooling drops it.
            flat = channels * ((size + (stem == "stride")) // 2 // 8) ** 2
            self.hidden = nn.Sequential(nn.Linear(flat, 256), nn.ReLU(), nn.Dropout(2 * dropout))
            channels = 256
        self.classifier = nn.Linear(channels, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, classes) of images (B, 3, size, size)."""
        return self.classifier(self.hidden(self.pool(self.features(images))))
