"""The most memory that one call has allocated at once, beyond what there was before."""

import json
import tempfile
from pathlib import Path

import torch
from race import Contestant
from torch import Tensor
from torch.profiler import ProfilerActivity, profile


def peak(run: Contestant, images: Tensor, targets: Tensor) -> int:
    """Bytes, of the second call: the first may fill caches."""
    run(images, targets)
    if not images.is_cuda:
        return _of_tensors(run, images, targets)
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run(images, targets)
    return torch.cuda.max_memory_allocated() - before


def _of_tensors(run: Contestant, images: Tensor, targets: Tensor) -> int:
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as events:
        run(images, targets)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trace.json"
        events.export_chrome_trace(str(file))
        trace = json.loads(file.read_text())["traceEvents"]
    changes = [(each["ts"], each["args"]["Bytes"]) for each in trace if each["name"] == "[memory]"]
    total = most = 0
    for _, change in sorted(changes):
        total += change
        most = max(most, total)
    return most
