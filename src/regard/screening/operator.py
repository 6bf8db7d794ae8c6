"""The net as it is used in bulk: pixels in, probabilities out, on whatever device there is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from regard.errors import RunError
from regard.evaluation.answers import probabilities_of
from regard.models.device import put
from regard.models.fitting import fitted
from regard.runs.run import Run
from regard.saliency.outputs import logits_of


@dataclass
class Operator:
    """A run's net on a device.

    Attributes:
        run: whose net it is.
        device: where the net is.
        bf16: compute in bfloat16 where that is safe (autocast).
        net: the run's.
    """

    run: Run
    device: torch.device
    bf16: bool
    net: nn.Module

    def __call__(self, pixels: Sequence[Tensor]) -> Tensor:
        """Probabilities (B, K), float32 on the CPU, of uint8 images (3, H, W).

        What does not fit into memory is done in halves.

        Raises:
            RunError: not even one image fits.
        """
        return in_halves(lambda rows: self._asked(pixels[rows]), len(pixels), self.device)

    def _asked(self, pixels: Sequence[Tensor]) -> Tensor:
        batch = torch.stack(list(pixels))
        if self.device.type == "cuda":
            batch = batch.pin_memory().to(self.device, non_blocking=True)
        images = self.run.transform.normalise(batch).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode(), torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.bf16
        ):  # fmt: skip
            logits = logits_of(self.net(images)).float()
            return probabilities_of(logits, self.run.task).cpu()


def in_halves(ask: Callable[[slice], Tensor], count: int, device: torch.device) -> Tensor:
    """What is asked of so many rows at once, in halves where memory runs out.

    Raises:
        RunError: not even one row fits.
    """
    parts = fitted([range(count)], lambda part: ask(slice(part.start, part.stop)), device)
    return torch.cat([found for _, found in parts])


def operator_of(
    run: Run, device: torch.device, *, bf16: bool = False, compile: bool = False
) -> Operator:
    """The operator of a run.

    Raises:
        RunError: of a segmenter, or of a net of several views.
    """
    if run.segments or len(run.data.views) > 1:
        raise RunError(
            str(run.folder),
            expected="a classifier of one view",
            found="a segmenter" if run.segments else f"views {', '.join(run.data.views)}",
            remedy="use regard evaluate, whose manifest has what such a net needs",
        )
    net = put(run.net.eval(), device, str(run.folder))
    if compile:
        net.compile(dynamic=False)
    return Operator(run, device, bf16, net)
