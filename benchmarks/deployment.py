"""What a net costs and still knows in each precision, pruned and distilled, as a Markdown table.

    python benchmarks/deployment.py RUN [--pruned RUN] [--distilled RUN] [--split val]
                                    [--rounds 20] [--batches 1 16] [--threads N] [--limit N]

Each run is asked as ONNX in float32 and in int8 (static quantisation, calibrated on train) and as
torch in bfloat16, all on the same CPU threads. Right answers and the gaze are of `--split`: choose
on val, and ask test once, at the end. Times are taken in turns in this process, and what counts are
the ratios to the first run in float32 within a round; other work moves the milliseconds.
A row that is slower than its own run in float32 (a pruned or distilled run than the full one), or
loses more than `--most-lost`, is marked: do not use it.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from race import Result, race

import regard
from regard.data.annotation import Annotation
from regard.data.loader import Loader
from regard.data.sample import Sample
from regard.data.samples import Batch, Samples
from regard.data.source import mask_classes
from regard.deployment.deployed import Deployed
from regard.deployment.export import export_run
from regard.deployment.formats import open_exported
from regard.deployment.photos import Pixels, some_samples
from regard.deployment.quantise import CALIBRATION, MOST_LOST, quantise
from regard.deployment.right import right_of
from regard.errors import RunError
from regard.evaluation.answers import probabilities_of
from regard.evaluation.cost import weight_bytes
from regard.evaluation.pixels import pixel_confusion
from regard.evaluation.segmentation import pooled_metrics
from regard.runs.run import Run, load_run
from regard.saliency.outputs import logits_of

SCORES = ("energy", "pointing")
KINDS = ("float32", "int8", "bf16")
# Probabilities, and maps of the predicted class where there are some.
Answer = Callable[[Pixels], tuple[NDArray[np.float32], NDArray[np.float32] | None]]


@dataclass(frozen=True)
class Contestant:
    """A net in one precision.

    Attributes:
        run: that it is of.
        kind: `float32`, `int8` or `bf16`.
        answer: uint8 pixels of each view to probabilities and maps.
        bytes: of its file; of torch those of its weights.
    """

    run: Run
    kind: str
    answer: Answer
    bytes: int


def contestants(run: Run, folder: Path) -> list[Contestant]:
    """The net in every precision; files go into the folder."""
    gaze = has_closed_form(run)
    whole, small = folder / "model.onnx", folder / "model-int8.onnx"
    export_run(run, whole, gaze=gaze)
    quantise(whole, small, run, some_samples(run, ("train",), CALIBRATION))
    half = deepcopy(run.net).bfloat16()
    answers = (of_file(whole), of_file(small), of_torch(run, half, gaze))
    sizes = (whole.stat().st_size, small.stat().st_size, weight_bytes(half))
    return [Contestant(run, *each) for each in zip(KINDS, answers, sizes, strict=True)]


def has_closed_form(run: Run) -> bool:
    """Whether a file can give the gaze, too."""
    try:
        Deployed(run, gaze=True)
    except RunError:
        return False
    return True


def of_file(path: Path) -> Answer:
    opened = open_exported(path)

    def answer(pixels: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        found = opened.run(pixels)
        return found[1], found[2] if len(found) > 2 else None

    return answer


def of_torch(run: Run, net: torch.nn.Module, gaze: bool) -> Answer:
    contrast = run.config["gaze"]["contrast"]

    def answer(pixels: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        views = [run.transform.normalise(torch.from_numpy(view)).bfloat16() for view in pixels]
        images = views[0] if len(views) == 1 else dict(zip(run.data.views, views, strict=True))
        if gaze:
            maps = regard.explain(net, images, contrast=contrast).detach().float().numpy()
        with torch.no_grad():
            logits = logits_of(net(images)).float()
        return probabilities_of(logits, run.task).numpy(), maps if gaze else None

    return answer


def measured(one: Contestant, samples: Sequence[Sample]) -> dict[str, float]:
    """What is right over the samples, and where it looks; NaN where that cannot be told."""
    run = one.run
    classes = mask_classes(run.manifest(), run.data.void) if run.segments else None
    kind = Annotation("none" if run.segments else "own")
    data = Samples(samples, run.transform, annotation=kind, classes=classes)
    right, gaze = [], {name: [] for name in SCORES}
    counts = np.zeros((len(run.classes),) * 2, np.int64)
    done = 0
    for batch in Loader(data, 16).batches():
        probabilities, maps = one.answer(pixels_of(run, batch))
        told = right_of(run, samples[done : done + len(batch)], probabilities)
        right.append(told.right)
        done += len(batch)
        if run.segments:
            assert batch.target is not None
            for guess, true in zip(probabilities.argmax(1), batch.target.numpy(), strict=True):
                counts += pixel_confusion(guess, true, len(run.classes))
        if maps is not None and batch.regions is not None:
            for name in SCORES:
                gaze[name].append(regard.score(torch.from_numpy(maps), batch.regions, name))
    values = {told.metric: float(np.nanmean(np.concatenate(right)))}
    if run.segments:
        values["mean IoU"] = float(pooled_metrics(counts)["mean_iou"])
    return values | {name: mean(rows) for name, rows in gaze.items()}


def mean(rows: list[torch.Tensor]) -> float:
    return float(torch.cat(rows).nanmean()) if rows else float("nan")


def pixels_of(run: Run, batch: Batch) -> Pixels:
    return [batch.images[view].numpy() for view in run.data.views]


def times(
    found: dict[str, Contestant], samples: Sequence[Sample], sizes: Sequence[int], rounds: int
) -> dict[int, dict[str, Result]]:
    """By batch size; every contestant in every round, the first is what ratios are to."""
    results = {}
    for size in sizes:
        ready = {}
        for name, one in found.items():
            rows = [samples[row % len(samples)] for row in range(size)]
            data = Samples(rows, one.run.transform, annotation=Annotation("none"))
            ready[name] = pixels_of(one.run, next(iter(Loader(data, size).batches())))

        def run(name: str, ready: dict[str, Pixels] = ready) -> Callable:
            return lambda *_: torch.from_numpy(found[name].answer(ready[name])[0])

        nothing = torch.zeros(0)
        raced = {name: run(name) for name in found}
        results[size] = race(raced, next(iter(found)), nothing, nothing, rounds)
    return results


def verdict(
    name: str,
    told: dict[str, dict[str, float]],
    taken: dict[int, dict[str, Result]],
    most_lost: float,
) -> str:
    """What speaks against a row: of a run in other precisions against its own float32.

    Pruned and distilled runs in float32 are held against the full one.
    """
    title, kind = name.rsplit(" ", 1)
    own = f"{title if kind != KINDS[0] else 'full'} {KINDS[0]}"
    if name == own:
        return ""
    metric = next(iter(told[name]))
    lost = told[own][metric] - told[name][metric]
    slower = [
        f"slower at {size}"
        for size, results in taken.items()
        if results[name].ratio >= results[own].ratio
    ]
    return ", ".join(([f"worse by {lost:.3f}"] if lost > most_lost else []) + slower)


def table(
    found: dict[str, Contestant],
    told: dict[str, dict[str, float]],
    taken: dict[int, dict[str, Result]],
    most_lost: float,
) -> str:
    """Markdown, a row a contestant."""
    metrics = list(next(iter(told.values())))
    heads = ["", *metrics, "MB"]
    for size in taken:
        heads += [f"ms, batch {size}", "x"]
    rows = [[*heads, "do not use"], ["---"] * (len(heads) + 1)]
    for name, one in found.items():
        cells = [
            name,
            *(number(told[name][metric]) for metric in metrics),
            f"{one.bytes / 1e6:.2f}",
        ]
        for results in taken.values():
            cells += [f"{results[name].milliseconds:.1f}", f"{results[name].ratio:.2f}"]
        rows.append([*cells, verdict(name, told, taken, most_lost)])
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)


def number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--pruned", type=Path)
    parser.add_argument("--distilled", type=Path)
    parser.add_argument("--split", default="val")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--threads", type=int)
    parser.add_argument("--limit", type=int, help="samples of the split, spread evenly")
    parser.add_argument("--most-lost", type=float, default=MOST_LOST)
    args = parser.parse_args()
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    named = {"full": args.run, "pruned": args.pruned, "distilled": args.distilled}
    found, samples = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for title, path in named.items():
            if path is not None:
                run = load_run(path)
                (Path(folder) / title).mkdir()
                for one in contestants(run, Path(folder) / title):
                    found[f"{title} {one.kind}"] = one
                    samples[f"{title} {one.kind}"] = some_samples(run, (args.split,), args.limit)
        told = {name: measured(one, samples[name]) for name, one in found.items()}
        first = next(iter(found))
        taken = times(found, samples[first], args.batches, args.rounds)
    spec, threads = found[first].run.config["model"]["spec"], torch.get_num_threads()
    print(
        f"{spec}, {len(samples[first])} samples of {args.split}, {threads} threads, "
        f"{args.rounds} rounds; x: times as long as {first}\n"
    )
    print(table(found, told, taken, args.most_lost))


if __name__ == "__main__":
    main()
