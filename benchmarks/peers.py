"""The same maps by other libraries."""

import torch
from captum.attr import LayerGradCam
from pytorch_grad_cam import GradCAM, ScoreCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from race import Contestant
from torch import Tensor, nn
from torchcam.methods import GradCAM as TorchGradCAM
from torchcam.methods import ScoreCAM as TorchScoreCAM


def grad_cam_peers(net: nn.Module, layer: nn.Module) -> dict[str, Contestant]:
    """Grad-CAM of a layer. The peers hook the net when made, and leave it when closed."""

    def grad_cam(images: Tensor, targets: Tensor) -> Tensor:
        with GradCAM(net, [layer]) as cam:
            return torch.from_numpy(cam(images, _targets(targets)))

    def torchcam(images: Tensor, targets: Tensor) -> Tensor:
        with TorchGradCAM(net, layer) as cam:
            return cam(targets.tolist(), net(images), normalized=False)[0]

    def captum(images: Tensor, targets: Tensor) -> Tensor:
        return LayerGradCam(net, layer).attribute(images, targets, relu_attributions=True)[:, 0]

    return {"grad-cam": grad_cam, "torchcam": torchcam, "captum": captum}


def score_cam_peers(net: nn.Module, layer: nn.Module) -> dict[str, Contestant]:
    """Score-CAM of a layer; captum has none."""

    def grad_cam(images: Tensor, targets: Tensor) -> Tensor:
        with ScoreCAM(net, [layer]) as cam:
            return torch.from_numpy(cam(images, _targets(targets)))

    def torchcam(images: Tensor, targets: Tensor) -> Tensor:
        with torch.no_grad(), TorchScoreCAM(net, layer) as cam:
            return cam(targets.tolist(), net(images), normalized=False)[0]

    return {"grad-cam": grad_cam, "torchcam": torchcam}


def _targets(targets: Tensor) -> list[ClassifierOutputTarget]:
    return [ClassifierOutputTarget(int(target)) for target in targets]
