"""The images that some methods begin from: a sample of what the net was trained on."""

from typing import Any

import torch
from torch import Tensor

from regard.checks.preflight import refuse_files
from regard.data.keys import keyed_generator
from regard.data.source import samples_of
from regard.errors import ConfigError
from regard.runs.run import Run
from regard.saliency.base import METHODS

BACKGROUND = 32


def options_of(run: Run, method: str, images: int = BACKGROUND) -> dict[str, Any]:
    """The options that a method needs of a run: a background, or none.

    Args:
        run: loaded.
        method: a name of `regard.saliency.methods()`.
        images: of the background.

    Raises:
        ConfigError: an unknown method, or less than 1 image.
        DataError: the manifest or an image of train cannot be read.
    """
    return {"background": background_of(run, images)} if METHODS[method].from_background else {}


def background_of(run: Run, images: int = BACKGROUND) -> Tensor:
    """So many images of the train split, drawn without replacement, the same in every call.

    Args:
        run: loaded.
        images: 1 or more; all of train where it has fewer.

    Returns:
        The first view as the net takes it, (images, 3, H, W), where the net is.

    Raises:
        ConfigError: less than 1 image.
        DataError: the manifest or an image of train cannot be read.
    """
    if images < 1:
        raise ConfigError(
            "background",
            expected="1 image or more",
            found=str(images),
            remedy="32 is the default",
        )
    samples = samples_of(run.manifest(), "train", run.classes, run.data)
    order = torch.randperm(len(samples), generator=keyed_generator("background")).tolist()
    chosen = [samples[row] for row in order[:images]]
    refuse_files(chosen, run.transform.max_pixels)
    return run.transform([sample.views[0][1] for sample in chosen]).to(run.device)
