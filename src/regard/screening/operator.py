"""The net as it is used in bulk: pixels in, probabilities out, on whatever device there is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from regard.errors import RunError
from regard.evaluation.answers import probabilities_of
from regard.models.device import out_of_memory
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
        return in_halves(lambda rows: self._asked(pixels[rows]), len(pixels), self)

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


def in_halves(ask: Callable[[slice], Tensor], count: int, operator: Operator) -> Tensor:
    """What is asked of so many rows at once, in halves where memory runs out.

    Raises:
        RunError: not even one row fits.
    """

    def asked(rows: slice) -> Tensor:
        try:
            return ask(rows)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            if rows.stop - rows.start == 1:
                raise RunError(
                    str(operator.run.folder),
                    expected="memory for one image",
                    found=f"none on {operator.device}",
                    remedy="free it, or screen on another device",
                ) from error
        if operator.device.type == "cuda":
            torch.cuda.empty_cache()
        middle = (rows.start + rows.stop) // 2
        return torch.cat([asked(slice(rows.start, middle)), asked(slice(middle, rows.stop))])

    return asked(slice(0, count))


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
    net = run.net.eval().to(device)
    if compile:
        net.compile(dynamic=False)
    return Operator(run, device, bf16, net)
