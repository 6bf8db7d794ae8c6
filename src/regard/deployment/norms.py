"""Batch norms' statistics, taken anew where what comes in has changed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from regard.data.sample import Sample
from regard.deployment.photos import batches
from regard.runs.run import Run

# Small batches have poor statistics; the mean over batches makes up for some of it.
BATCH = 32


@torch.no_grad()
def settle_norms(run: Run, samples: Sequence[Sample]) -> None:
    """Let the batch norms of a run's net count mean and variance again, over these samples.

    After a cut the sums that a layer gets lack some of their parts, and the old statistics are of
    the whole ones (Li et al., EagleEye, arXiv:2007.02491, section 3.3). Statistics are plain means
    over batches; weights stay as they are.

    Args:
        run: whose net is changed, in place.
        samples: of train, two or more, in any order; without augmentation.
    """
    norms = [part for part in run.net.modules() if isinstance(part, _BatchNorm)]
    if not norms:
        return
    with _counting(norms):
        for pixels, rows in batches(run, samples, BATCH):
            if len(rows) < 2:
                continue  # a single image has no variance where the map is one pixel
            views = [run.transform.normalise(torch.from_numpy(view)) for view in pixels]
            run.net(views[0] if len(views) == 1 else dict(zip(run.data.views, views, strict=True)))


@contextmanager
def _counting(norms: Sequence[nn.Module]) -> Iterator[None]:
    """Within, norms are in training mode and average from nothing; afterwards as before."""
    before = [(part, part.momentum) for part in norms if isinstance(part, _BatchNorm)]
    try:
        for part, _ in before:
            part.reset_running_stats()
            part.momentum = None
            part.train()
        yield
    finally:
        for part, momentum in before:
            part.momentum = momentum
            part.eval()
