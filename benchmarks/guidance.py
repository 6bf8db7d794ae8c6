"""A training step with each guidance term beside the plain step, in one process.

    python benchmarks/guidance.py [--device cpu|cuda] [--threads 2] [--rounds 5] [--terms NAME ...]
                                  [--only time|memory] [--bf16] [--compile] [--twin]

ResNet-18 with random weights, 16 images of 224 px, training mode. A step is the forward pass, the
cross-entropy and the term, the backward pass and a step of SGD. Ratios are taken within a round,
and their median printed. Memory is the highest sum of what one step allocates: on a CPU of tensors
(the profiler's events; the scratch memory of kernels is not among them), on CUDA all that the
allocator gave out. A net that is compiled runs in eager mode where a term needs a second graph.

`--twin` takes the twin CrossViT in place of it, a photo for each branch, Adam, and the IoU of the
joint rollout.
"""

import argparse
from functools import partial

import torch
from race import Contestant, race
from torch import Tensor, nn
from torch.nn import functional as F

import regard
from regard.evaluation.cost import peak_bytes
from regard.guidance import TERMS, Energy, Term, guided_forward

PLAIN = "plain step"
VIEWS = ("image", "segmented")
EARLIER = "layer3"


def contestants(names: list[str] | None) -> dict[str, list[Term]]:
    """The terms of each step, by what it is called."""
    found: dict[str, list[Term]] = {
        "energy": [Energy()],
        f"energy, at {EARLIER}": [Energy(layer=EARLIER)],
        f"energy, at {EARLIER}, weights: stop": [Energy(layer=EARLIER, weights="stop")],
        "energy, weights: stop": [Energy(weights="stop")],
        **{name: [TERMS[name](weight=1e-3)] for name in TERMS if name != "energy"},
    }
    chosen = {k: v for k, v in found.items() if names is None or k.split(",")[0] in names}
    return {PLAIN: [], **chosen}


TWIN = {PLAIN: [], "iou of the joint rollout": [TERMS["iou"](method="rollout")]}


def subject(twin: bool, device: torch.device) -> tuple[nn.Module, torch.optim.Optimizer]:
    """What is trained, and how."""
    if twin:
        inputs = dict(zip(("first", "second"), VIEWS, strict=True))
        net = regard.build_model("regard:twin_crossvit", classes=2, inputs=inputs)
        net = net.train().to(device)
        return net, torch.optim.Adam(net.parameters(), lr=5e-5)
    net = regard.build_model("timm:resnet18", classes=2).train().to(device)
    return net, torch.optim.SGD(net.parameters(), lr=1e-4)


def step(
    net: nn.Module,
    optimiser: torch.optim.Optimizer,
    terms: list[Term],
    bf16: bool,
    twin: bool,
    images: Tensor,
    targets: Tensor,
) -> Tensor:
    """One step of training; its loss."""
    optimiser.zero_grad()
    inside = torch.zeros(len(images), *images.shape[2:], device=images.device)
    inside[:, 60:160, 60:160] = 1
    given = dict.fromkeys(VIEWS, images) if twin else images
    with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
        if terms:
            seen = guided_forward(net, given, targets, inside, terms)
            loss = F.cross_entropy(seen.logits.float(), targets) + seen.loss()
        else:  # the net alone, with nothing of ours around it
            loss = F.cross_entropy(net(given).float(), targets)
    loss.backward()
    optimiser.step()
    return loss.detach()


def table(title: str, rows: dict[str, tuple[float, float]], unit: str) -> None:
    """Print values and their ratios to the plain step."""
    print(f"\n{title}\n{'':42}{unit:>10}{'x plain step':>14}")
    for name, (value, ratio) in rows.items():
        print(f"{name:42}{value:10.1f}{ratio:14.3f}")


def times(runs: dict[str, Contestant], images: Tensor, targets: Tensor, rounds: int) -> None:
    """The race."""
    results = race(runs, PLAIN, images, targets, rounds)
    rows = {name: (result.milliseconds, result.ratio) for name, result in results.items()}
    table(f"Time of a training step, {len(images)} images of 224 px", rows, "ms")


def memory(runs: dict[str, Contestant], images: Tensor, targets: Tensor) -> None:
    """The most that a step allocates."""
    device = images.device
    peaks = {n: peak_bytes(partial(run, images, targets), device) for n, run in runs.items()}
    rows = {name: (value / 2**20, value / peaks[PLAIN]) for name, value in peaks.items()}
    what = "allocator, torch.cuda" if images.is_cuda else "tensors, profiler's events"
    table(f"Peak of what the step allocates ({what})", rows, "MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=["time", "memory"])
    parser.add_argument("--terms", nargs="+", choices=list(TERMS), metavar="NAME")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--twin", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    net, optimiser = subject(args.twin, torch.device(args.device))
    images = torch.randn(args.images, 3, 224, 224, device=args.device)
    targets = torch.randint(0, 2, (args.images,), device=args.device)
    run = torch.compile(net) if args.compile else net
    runs: dict[str, Contestant] = {
        name: partial(step, run, optimiser, terms, args.bf16, args.twin)
        for name, terms in (TWIN if args.twin else contestants(args.terms)).items()
    }
    if args.only != "memory":
        times(runs, images, targets, args.rounds)
    if args.only != "time":
        memory(runs, images, targets)


if __name__ == "__main__":
    main()
