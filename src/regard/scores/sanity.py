"""Does the map change when the net forgets what it learned?"""

import copy
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor, nn

from regard.errors import ConfigError
from regard.saliency.capture import Images, order_of_calls
from regard.saliency.compiled import eager
from regard.saliency.explain import explain
from regard.saliency.layers import name_of
from regard.saliency.resizing import resize
from regard.scores.base import SCORES, Model, Score, one_sign


def sanity(
    maps: Tensor,
    model: Model,
    *,
    method: str = "gradcam",
    stages: int = 4,
    seed: int = 0,
    sign: Literal["positive", "absolute"] = "positive",
    **options: Any,
) -> Tensor:
    """Rank correlation of the map with those of the net as it is randomised; lower is better.

    Cascading randomisation: from the output down, the values of every parameter are shuffled,
    layer by layer in so many stages of equally many layers; after each the method is run again.
    The score is the mean over the stages of Spearman's rank correlation over the pixels, in
    [-1, 1]; a map that has become constant counts as 0. A method whose map hardly changes draws
    the image, not what the net has learned of it.

    Reference: Adebayo et al., Sanity Checks for Saliency Maps, arXiv:1810.03292, section 3.
    The paper re-initialises the weights; here their values are shuffled, and the mean over the
    stages is ours.

    Args:
        maps: (B, H, W), of the method.
        model: the net, images and targets that they are of; a copy of the net is randomised.
        method: of `regard.explain`, that made the maps.
        stages: 1 or more.
        seed: of the shuffling.
        sign: what counts of the other maps, as it did of these.
        options: of `regard.explain`, as for the maps: `layer`, `contrast` and the method's own.

    Raises:
        ConfigError: fewer stages than one.
    """
    if stages < 1:
        raise ConfigError("stages", expected="1 or more", found=str(stages), remedy="try 4")
    size = (maps.shape[1], maps.shape[2])
    own, found = _rows(maps), []
    if isinstance(layer := options.get("layer"), nn.Module):
        options["layer"] = name_of(model.net, layer)  # of the copy it is the one of that name
    with torch.inference_mode(False):  # else the copy's parameters would have no gradient
        for net in randomised(model.net, model.images, stages, seed):
            other = explain(net, model.images, model.targets, method, **options)
            other = _rows(resize(one_sign(other.float(), sign), size))
            found.append([spearman(*pair) for pair in zip(own, other, strict=True)])
    return torch.tensor(np.mean(found, 0), device=maps.device)


def _rows(maps: Tensor) -> np.ndarray:
    return maps.detach().flatten(1).cpu().numpy()


def randomised(net: nn.Module, images: Images, stages: int, seed: int) -> Iterator[nn.Module]:
    """A copy of the net after each stage of shuffling, from the output down; the same object."""
    net = copy.deepcopy(net)
    generator = torch.Generator().manual_seed(seed)
    layers = [
        m for m in _as_called(net, images) if next(m.parameters(recurse=False), None) is not None
    ]
    layers.reverse()
    stages = min(stages, len(layers))
    cuts = [round(stage * len(layers) / stages) for stage in range(stages + 1)]
    for start, end in pairwise(cuts):
        for layer in layers[start:end]:
            for parameter in layer.parameters(recurse=False):
                _shuffle(parameter, generator)
        yield net


def _as_called(net: nn.Module, images: Images) -> list[nn.Module]:
    """The modules in the order in which a pass calls them; one that it does not beside its holder.

    A net's own parameters, such as a class token, thereby come first.
    """
    with eager(net):
        places = order_of_calls(net, images)
    modules = dict(net.named_modules())

    def place(name: str) -> int:
        while name and name not in places:
            name = name.rpartition(".")[0]
        return places.get(name, 0)

    return [modules[name] for name in sorted(modules, key=place)]


@torch.no_grad()
def _shuffle(parameter: Tensor, generator: torch.Generator) -> None:
    order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
    parameter.copy_(parameter.flatten()[order].view(parameter.shape))


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Rank correlation, ties at their mean rank; 0 where one of them is constant.

    Values that differ by less than a hundred thousandth of the largest are equal but for rounding.
    """
    ranks = [rankdata((values / max(values.max(), 1e-30)).round(5)) for values in (a, b)]
    if any(rank.min() == rank.max() for rank in ranks):
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])


SCORES.register("sanity")(Score(sanity, "lower", asks="model", within=(-1.0, 1.0), explains=True))
