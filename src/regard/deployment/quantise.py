"""An ONNX file in 8-bit integers, kept only where it pays and costs little."""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from regard.data.sample import Sample
from regard.deployment.formats import KEY, Opened, extra, open_exported, quiet, session
from regard.deployment.photos import Pixels, batches
from regard.deployment.right import told_of
from regard.errors import RunError
from regard.evaluation.paired import paired_bootstrap
from regard.evaluation.ranges import SHARE, difference_range
from regard.evaluation.timing import seconds_of
from regard.evaluation.units import Units
from regard.runs.grouped import drawn_groups
from regard.runs.run import Run

BATCH, CALIBRATION, ROUNDS = 16, 128, 50
MOST_LOST = 0.01
# Above what shares of samples are apart at, below what any sample changes.
ROUNDING = 1e-9


def quantise(source: Path, target: Path, run: Run, samples: Sequence[Sample]) -> None:
    """Write a file of 8-bit integers: weights by channel, activations by what the samples show.

    Static quantisation of ONNX Runtime (quantise and dequantise nodes; Jacob et al.,
    arXiv:1712.05877): the range of every activation is the least and greatest value that it has
    over the samples.

    Args:
        source: an ONNX file of `write`.
        target: the file to write.
        run: that it is of.
        samples: to calibrate with, of train.

    Raises:
        MissingExtraError: without the extra `export`.
    """
    with extra(), quiet(), _silent():
        import onnx
        from onnxruntime import quantization
        from onnxruntime.quantization.shape_inference import quant_pre_process

        class Reader(quantization.CalibrationDataReader):
            """Hands out the samples as the graph takes them."""

            def __init__(self) -> None:
                self._batches = batches(run, samples, BATCH)

            def get_next(self) -> dict[str, Any]:
                """The next batch by input, an empty one at the end."""
                views = next(self._batches, None)
                return {} if views is None else dict(zip(run.data.views, views[0], strict=True))

        folded = target.with_name(target.name + ".folded")
        try:
            quant_pre_process(source, folded, skip_symbolic_shape=True)
            quantization.quantize_static(
                folded,
                target,
                Reader(),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
            )
        finally:
            folded.unlink(missing_ok=True)
        # What was written into the source is lost on the way.
        model = onnx.load(target)
        about = session(source).get_modelmeta().custom_metadata_map[KEY]
        onnx.helper.set_model_props(model, {KEY: about})
        onnx.save(model, target)


def weigh(
    run: Run,
    before: Path,
    after: Path,
    samples: Sequence[Sample],
    *,
    most_lost: float = MOST_LOST,
) -> dict[str, Any]:
    """What an 8-bit file costs and gains; refused where it is slower or loses too much.

    Both files answer the same samples. Their times at one image are taken in turn, on as many
    threads as torch has; the least of them counts, which other work of the machine touches least.

    Args:
        run: that both are of.
        before: the file in float32.
        after: the file in 8 bits.
        samples: to be told right or wrong on, of val: not those of the calibration.
        most_lost: of the mean share that is right, in [0, 1].

    Returns:
        `metric`, `samples`, `before`, `after`, `difference` with its 95% interval over the samples;
        `bytes` and `latency_ms` of both, `speedup`; of files with the gaze `maps`, the mean
        correlation (Pearson) of their maps, else None.

    Raises:
        RunError: it is not faster, or loses more.
    """
    files = {"before": before, "after": after}
    opened = {end: open_exported(path) for end, path in files.items()}
    maps: dict[str, list[NDArray[np.float32]]] = {end: [] for end in opened}

    def answer(end: str, pixels: Pixels) -> NDArray[np.float32]:
        _, probabilities, *map_ = opened[end].run(pixels)
        maps[end] += map_
        return probabilities

    told = {end: told_of(run, samples, partial(answer, end)) for end in opened}
    groups = drawn_groups(run.manifest(), [sample.index for sample in samples])
    units = Units.grouped_by([groups.get(sample.index) for sample in samples])
    test = paired_bootstrap(
        told["before"].right, told["after"].right, units=units, within=difference_range(SHARE)
    )
    first = next(batches(run, samples[:1], 1))[0]
    times = _in_turns(opened, first)
    found = {
        "metric": told["before"].metric,
        "samples": len(samples),
        "before": float(np.nanmean(told["before"].right)),
        "after": float(np.nanmean(told["after"].right)),
        "difference": test.difference.as_dict(),
        "bytes": {end: path.stat().st_size for end, path in files.items()},
        "latency_ms": {end: 1000 * min(own) for end, own in times.items()},
        "speedup": min(times["before"]) / min(times["after"]),
        "maps": _alike(*maps.values()) if maps["before"] else None,
    }
    lost = found["before"] - found["after"]
    # Shares are rounded; nothing that could be told right or wrong is refused too.
    if not lost <= most_lost + ROUNDING:
        raise _refused(
            run,
            f"no more than {most_lost:g} of {found['metric']} lost",
            f"{lost:.3f} lost on {len(samples)} samples ({found['before']:.3f} to "
            f"{found['after']:.3f})",
            "leave --quantize out, or allow more with --most-lost",
        )
    if found["speedup"] <= 1:
        raise _refused(
            run,
            "8 bits that are faster than float32 here",
            f"{found['speedup']:.2f} times its speed",
            "leave --quantize out: this processor or this net gains nothing by it",
        )
    return found


def _alike(
    before: Sequence[NDArray[np.float32]], after: Sequence[NDArray[np.float32]]
) -> float | None:
    """The mean correlation of an image's two maps; None where none varies in both files."""
    pairs = zip(np.concatenate(before), np.concatenate(after), strict=True)
    found = [
        float(np.corrcoef(one.ravel(), other.ravel())[0, 1])
        for one, other in pairs
        if one.std() > 0 and other.std() > 0
    ]
    return float(np.mean(found)) if found else None


def _in_turns(opened: dict[str, Opened], pixels: Pixels) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {end: [] for end in opened}
    for round_ in range(ROUNDS + 3):
        for end, own in opened.items():
            taken = seconds_of(lambda own=own: own.run(pixels), torch.device("cpu"))
            if round_ >= 3:  # the first ones are slower
                times[end].append(taken)
    return times


def _refused(run: Run, expected: str, found: str, remedy: str) -> RunError:
    return RunError(f"{run.folder}, --quantize int8", expected=expected, found=found, remedy=remedy)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Within, what libraries log is not the user's."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
