"""The small nets of the literature on decoy digits: grey images of 28 x 28 pixels."""

from collections.abc import Sequence

from torch import Tensor, nn

from regard.models.inputs import InputSpec

PIXELS = InputSpec((28, 28), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


class DigitMLP(nn.Module):
    """A perceptron on the pixels' grey: 784, 50, 30 units and the classes.

    Reference: Ross et al., Right for the Right Reasons, arXiv:1703.03717, section 4.

    Args:
        classes: number of outputs.
        size: side of the square input, pixels.
        widths: of the hidden layers, each followed by a ReLU.

    Shapes: images (B, 3, size, size), of which the mean over colours is taken, to logits
    (B, classes).
    """

    def __init__(self, classes: int, *, size: int = 28, widths: Sequence[int] = (50, 30)) -> None:
        super().__init__()
        self.input_spec = InputSpec((size, size), PIXELS.mean, PIXELS.std)
        self.features = nn.Sequential(nn.Flatten())
        inputs = size * size
        for width in widths:
            self.features.extend([nn.Linear(inputs, width), nn.ReLU()])
            inputs = width
        self.classifier = nn.Linear(inputs, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, classes) of images (B, 3, size, size)."""
        return self.classifier(self.features(images.mean(1)))


class DigitCNN(nn.Module):
    """Two 5x5 convolutions of 20 and 50 channels, each with ReLU and 2x2 pooling, 256 units.

    Args:
        classes: number of outputs.
        size: side of the square input, pixels.

    Shapes: as `DigitMLP`.
    """

    def __init__(self, classes: int, *, size: int = 28) -> None:
        super().__init__()
        self.input_spec = InputSpec((size, size), PIXELS.mean, PIXELS.std)
        self.features = nn.Sequential(
            *(nn.Conv2d(1, 20, 5), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(20, 50, 5), nn.ReLU(), nn.MaxPool2d(2)),
        )
        side = ((size - 4) // 2 - 4) // 2
        self.hidden = nn.Sequential(nn.Flatten(), nn.Linear(50 * side * side, 256), nn.ReLU())
        self.classifier = nn.Linear(256, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, classes) of images (B, 3, size, size)."""
        return self.classifier(self.hidden(self.features(images.mean(1, keepdim=True))))
