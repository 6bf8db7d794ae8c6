"""How a segmenter is run when it is evaluated: whole or in windows, mirrored too, at which size."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from regard.errors import ConfigError, RegardError, RunError
from regard.images.size import Size
from regard.language import numeral, phrase
from regard.models.windows import OVERLAP, Windows
from regard.runs.run import Run
from regard.saliency.capture import evaluating


def inferring(
    run: Run,
    *,
    window: int | Size | None = None,
    overlap: float = OVERLAP,
    flip: bool = False,
    size: Size | None = None,
) -> Run:
    """The run with a net that answers in another way; left as it is unless something is asked for.

    Args:
        run: of a segmenter.
        window: height and width of windows, or the side of a square, pixels of the input.
        overlap: least share that a window has in common with the next, in [0, 1).
        flip: average with the mirrored image.
        size: (H, W) of the input in place of `data.size`.

    Raises:
        RunError: something is asked for, and the run is a classifier's.
        ConfigError: a window or a size of no pixels, an overlap outside [0, 1) or without windows,
            or a size that the net cannot take.
    """
    if window is None and size is None and overlap == OVERLAP and not flip:
        return run
    _refuse_classifier(run)
    net = Windows(run.net, window, overlap, flip).eval()
    _refuse_options(window, overlap, size)
    transform = replace(run.transform, size=size or run.transform.size)
    changed = replace(run, net=net, transform=transform)
    _refuse_size(changed, net)
    return changed


def told(run: Run) -> dict[str, Any]:
    """How a run's net answers, for a file: size of the input, window, overlap, flip."""
    size = list(run.transform.size)
    if not isinstance(run.net, Windows):
        return {"size": size, "window": None, "overlap": None, "flip": False}
    window = run.net.size
    return {
        "size": size,
        "window": None if window is None else list(window),
        "overlap": None if window is None else run.net.overlap,
        "flip": run.net.flip,
    }


def as_told(run: Run, how: Mapping[str, Any] | None) -> Run:
    """The run with a net that answers as `told` tells; None: as it is."""
    if how is None or how == told(run):
        return run
    window, overlap = how["window"], how["overlap"]
    return inferring(
        run,
        window=None if window is None else (window[0], window[1]),
        overlap=OVERLAP if overlap is None else overlap,
        flip=how["flip"],
        size=(how["size"][0], how["size"][1]),
    )


def in_words(how: Mapping[str, Any]) -> str:
    """What `told` tells, as a reader wants it."""
    text = "{} x {}".format(*how["size"])
    if how["window"] is not None:
        text = phrase(
            "{size} in windows of {window} that overlap by {overlap}",
            size=text,
            window="{} x {}".format(*how["window"]),
            overlap=numeral(f"{how['overlap']:g}"),
        )
    return phrase("{size}, mirrored too", size=text) if how["flip"] else text


def _refuse_classifier(run: Run) -> None:
    if not run.segments:
        raise RunError(
            str(run.folder),
            expected="a run of a segmenter, for windows, mirror images or another size",
            found="one of a classifier",
            remedy="leave --window, --flip and --size out",
        )


def _refuse_options(window: int | Size | None, overlap: float, size: Size | None) -> None:
    if window is None and overlap != OVERLAP:
        raise ConfigError(
            "overlap",
            expected="windows that can overlap",
            found="none",
            remedy="set --window, or leave --overlap out",
        )
    if size is not None and min(size) < 1:
        raise ConfigError(
            "size",
            expected="a height and a width of 1 pixel or more",
            found=f"{size[0]} x {size[1]}",
            remedy="leave it out for the size of the training",
        )


def _refuse_size(run: Run, net: Windows) -> None:
    """The net answers to images of that size, or to windows of it."""
    device = next(net.parameters()).device
    blank = torch.zeros(1, 3, *run.transform.size, device=device)
    try:
        with evaluating(net), torch.no_grad():
            net(blank)
    except RegardError:
        raise
    except Exception as error:  # whatever a foreign net raises at inputs that it cannot take
        raise ConfigError(
            "window and size",
            expected=f"what {run.config['model']['spec']} takes",
            found=f"{in_words(told(run))} ({str(error)[:120]})",
            remedy="take sides as in training, or multiples of 32",
        ) from error
