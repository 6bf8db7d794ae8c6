"""Contestants that take turns in one process, so that a slow spell of the machine hits them all."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Contestant = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Result:
    """What a contestant needed and answered.

    Attributes:
        milliseconds: median of the rounds.
        ratio: to the contestant that all are compared with, taken within each round; its median.
        answer: of the first call, which is not timed.
    """

    milliseconds: float
    ratio: float
    answer: Tensor


def race(
    runs: Mapping[str, Contestant], base: str, images: Tensor, targets: Tensor, rounds: int
) -> dict[str, Result]:
    """Each contestant's result.

    Args:
        runs: functions from images and targets to maps, or to logits.
        base: the one that ratios are to.
        images, targets: of the batch.
        rounds: of one call each.
    """
    answers = {name: run(images, targets).detach().float().cpu() for name, run in runs.items()}
    times = [
        {name: seconds(run, images, targets) for name, run in runs.items()} for _ in range(rounds)
    ]
    return {
        name: Result(
            1000 * statistics.median(each[name] for each in times),
            statistics.median(each[name] / each[base] for each in times),
            answers[name],
        )
        for name in runs
    }


def seconds(run: Contestant, images: Tensor, targets: Tensor) -> float:
    """The time of one call."""
    _wait(images)
    begun = time.perf_counter()
    run(images, targets)
    _wait(images)
    return time.perf_counter() - begun


def _wait(images: Tensor) -> None:
    if images.is_cuda:
        torch.cuda.synchronize(images.device)


def correlation(maps: Tensor, own: Tensor) -> float:
    """The median over images of the maps' correlation, at the smaller map's size."""
    if maps.shape != own.shape:
        maps = nn.functional.interpolate(maps[:, None], own.shape[1:], mode="area")[:, 0]
    pairs = zip(maps.flatten(1), own.flatten(1), strict=True)
    found = [torch.corrcoef(torch.stack(pair))[0, 1].item() for pair in pairs]
    return statistics.median(found)


def table(title: str, results: Mapping[str, Result], columns: Mapping[str, str]) -> None:
    """Print a table.

    Args:
        title: above it.
        results: by contestant.
        columns: heads of the ratio (`ratio`) and of the correlation (`r`), and the contestant
            that maps are compared with (`to`).
    """
    own = results[columns["to"]].answer
    print(f"\n{title}")
    print(f"{'':42}{'ms':>10}{columns['ratio']:>14}{columns['r']:>16}")
    for name, result in results.items():
        alike = result.answer.ndim == 3 and f"{correlation(result.answer, own):.6f}"
        print(f"{name:42}{result.milliseconds:10.1f}{result.ratio:14.2f}{alike or '':>16}")
