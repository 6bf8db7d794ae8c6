"""Images of another type, device or other channels than the net takes: one line that says so."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import regard
from regard.errors import DataError
from regard.guidance import Energy, guided_forward

IMAGES = torch.rand(2, 3, 96, 96)
MISFITS = {
    "type": (IMAGES.double(), "expected torch.float32, as the net's weights are"),
    "half": (IMAGES.half(), r"found torch.float16; images.to\(torch.float32\)"),
    "grey": (IMAGES[:, :1], "expected 3 channels.*grey images become RGB"),
    "channels": (torch.rand(2, 4, 96, 96), "expected 3 channels.*pass images of as many"),
    "device": (IMAGES.to("meta"), "expected pixels on cpu, where the net is, found on meta"),
}


@pytest.fixture
def net() -> nn.Module:
    return regard.build_model("regard:cnn2", classes=3).eval()


@pytest.mark.parametrize("case", ["type", "half", "grey", "channels"])
@pytest.mark.parametrize("method", ["gradcam", "rise"])
def test_a_map_of_images_that_do_not_fit(net, case, method):
    images, said = MISFITS[case]
    with pytest.raises(DataError, match=said):
        regard.explain(net, images, method=method)


@pytest.mark.parametrize("case", MISFITS)
def test_guidance_by_images_that_do_not_fit(net, case):
    images, said = MISFITS[case]
    with pytest.raises(DataError, match=said):
        guided_forward(net, images, torch.tensor([0, 1]), torch.ones(2, 96, 96), [Energy(1.0)])


class Around(nn.Module):
    """A net to which images are given in another way."""

    def __init__(self, net: nn.Module, given: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.net, self.given = net, given

    def forward(self, images: Tensor) -> Tensor:
        return self.net(self.given(images))


def test_a_net_that_converts_its_images_is_not_refused(net):
    found = regard.explain(Around(net, Tensor.float), IMAGES.half())
    assert torch.equal(found, regard.explain(net, IMAGES.half().float()))


def test_other_faults_of_a_net_are_its_own(net):
    def fail(images: Tensor) -> Tensor:
        raise RuntimeError("of its own")

    with pytest.raises(RuntimeError, match="of its own"):
        regard.explain(Around(net, fail), IMAGES)
