"""Whether an exported file answers as the net does, on real photos."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from regard.data.sample import Sample
from regard.deployment.deployed import Deployed
from regard.deployment.formats import open_exported
from regard.deployment.photos import batches
from regard.errors import RunError
from regard.runs.run import Run

# The largest difference of any number; of logits and maps relative to the largest of them where
# that is above 1.
TOLERANCE = 1e-4
# A file may have been made for one number of images alone; two of them show that.
BATCHES = (1, 17)


def check_parity(run: Run, net: Deployed, path: Path, samples: Sequence[Sample]) -> dict[str, Any]:
    """Hold a file's answers against the net's, one by one and as a batch of 17.

    Args:
        run: that was exported.
        net: what the file is of.
        path: of the file.
        samples: 17 of them or more, else they are repeated.

    Returns:
        `images`, `batches`, `tolerance`, and by output the largest `difference`.

    Raises:
        RunError: they differ by more, or the file answers in other shapes.
    """
    opened, worst = open_exported(path), dict.fromkeys(net.names, 0.0)
    rows = [samples[i % len(samples)] for i in range(max(BATCHES))]
    for size in BATCHES:
        for pixels, _ in batches(run, rows, size):
            with torch.no_grad():
                wanted = net.eval()(*(torch.from_numpy(view) for view in pixels))
            for name, own, found in zip(net.names, wanted, opened.run(pixels), strict=True):
                worst[name] = max(worst[name], _difference(own.numpy(), found, path))
    far = max(worst, key=lambda name: worst[name])
    if not worst[far] <= TOLERANCE:
        raise RunError(
            str(path),
            expected=f"the net's answers to {TOLERANCE:g} on {len(set(rows))} photos",
            found=f"{far} that differ by {worst[far]:.2g}",
            remedy="no file was kept; use --format torch, or another opset's runtime",
        )
    return {
        "images": len({sample.index for sample in rows}),
        "batches": [*BATCHES],
        "tolerance": TOLERANCE,
        "difference": worst,
    }


def _difference(own: np.ndarray, found: np.ndarray, path: Path) -> float:
    if own.shape != found.shape:
        raise RunError(
            str(path),
            expected=f"answers of shape {own.shape}",
            found=str(found.shape),
            remedy="no file was kept; use --format torch",
        )
    if not (np.isfinite(found).all() and np.isfinite(own).all()):
        return float("inf")
    return float(np.abs(own - found).max() / max(1.0, float(np.abs(own).max())))
