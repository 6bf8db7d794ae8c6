"""Overlays and maps of images, written to a folder."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from regard.errors import ConfigError, near
from regard.runs.files import write_atomically, write_json
from regard.runs.run import Run
from regard.saliency.base import METHODS
from regard.saliency.capture import evaluating
from regard.saliency.explain import explain, logits_of


def images_of(run: Run, split: str) -> list[str]:
    """The paths of a split's images."""
    manifest = run.manifest()
    return [manifest.resolve(path) for path in manifest.select(split)["image"].to_list()]


def explain_images(
    run: Run,
    paths: Sequence[str],
    methods: Sequence[str],
    out: Path,
    *,
    target: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[dict[str, Any]]:
    """Write `METHOD/NNNN-NAME.jpg`, `maps.safetensors` and `explanations.json`.

    Args:
        run: loaded.
        paths: of images.
        methods: names.
        out: the folder.
        target: a class; None: the predicted one of each image.
        progress: called with 1 after each image.

    Returns:
        The rows of `explanations.json`: image, method, predicted, probability, target, files.

    Raises:
        ConfigError: an unknown method or class.
        DataError: an image cannot be read.
    """
    if target is not None and target not in run.classes:
        raise ConfigError(
            "target", expected="a class", found=repr(target), remedy=near(target, run.classes)
        )
    for method in methods:
        METHODS[method]  # an unknown one is refused before anything is written
    rows, maps = [], {}
    for number, path in enumerate(paths):
        for row, own in _one(run, path, number, methods, out, target):
            rows.append(row)
            maps[row["map"]] = own
        if progress is not None:
            progress(1)
    write_atomically(out / "maps.safetensors", lambda file: save_file(maps, file))
    write_json(out / "explanations.json", rows)
    return rows


def _one(
    run: Run, path: str, number: int, methods: Sequence[str], out: Path, target: str | None
) -> list[tuple[dict[str, Any], Tensor]]:
    pixels = run.transform.load(path)
    batch = run.transform.normalise(pixels[None]).to(next(run.net.parameters()).device)
    with evaluating(run.net):
        with torch.no_grad():
            probabilities = logits_of(run.net(batch)).float().softmax(1)[0].cpu()
        best = int(probabilities.argmax())
        chosen = best if target is None else run.classes.index(target)
        found = []
        for method in methods:
            own = explain(run.net, batch, [chosen], method, size=run.transform.size)[0].cpu()
            name = f"{method}/{number:05d}-{Path(path).stem}.jpg"
            picture = overlay(pixels, own)
            write_atomically(out / name, lambda p, image=picture: image.save(p, "JPEG", quality=90))
            row = {
                "image": path,
                "method": method,
                "predicted": run.classes[best],
                "probability": float(probabilities[best]),
                "target": run.classes[chosen],
                "target_probability": float(probabilities[chosen]),
                "overlay": name,
                "map": f"{method}/{number:05d}",
            }
            found.append((row, own.contiguous()))
    return found


def overlay(pixels: Tensor, heat: Tensor, opacity: float = 0.6) -> Image.Image:
    """A map (H, W) over its image, uint8 (3, H, W): the stronger, the less transparent."""
    values = heat.clamp_min(0)
    values = (values / values.max().clamp_min(1e-12)).numpy()
    colours = matplotlib.colormaps["inferno"](values)[..., :3] * 255
    alpha = (opacity * np.sqrt(values))[..., None]
    mixed = pixels.permute(1, 2, 0).numpy() * (1 - alpha) + colours * alpha
    return Image.fromarray(mixed.round().astype(np.uint8))
