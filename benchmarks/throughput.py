"""Images a second of training, of maps and of Score-CAM, and what share of a peak that is.

    python benchmarks/throughput.py [--device cpu|cuda] [--model timm:resnet50] [--batch 128]
                                    [--rounds 10] [--bf16] [--compile] [--score-cam 16]
                                    [--only training|predictions|scorecam ...]

Random weights and images that lie on the device already: what loading costs is not in it. The
peak is that of a product of two square matrices of bfloat16 (of float32 without `--bf16`), measured
in the same process. A step is the forward pass, the backward pass and AdamW; its operations are
three times those of the forward pass. Score-CAM computes in bfloat16 where the processor does, so
that without `--bf16` it may be above the peak.
"""

import argparse
import statistics
from collections.abc import Callable

import torch
from race import seconds
from torch import Tensor, nn
from torch.nn import functional as F

import regard
from regard.evaluation.cost import flops_of
from regard.guidance import Energy, Term, guided_forward

SIDE, CLASSES = 224, 1000
PARTS = ("training", "predictions", "scorecam")


def peak(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of a product of matrices."""
    side = 8192 if device.type == "cuda" else 2048
    one, other = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    return 2 * side**3 / median(lambda: one @ other, one, 10)


def median(run: Callable[[], object], images: Tensor, rounds: int) -> float:
    """Seconds of a call, after three that are not timed."""
    for _ in range(3):
        run()
    return statistics.median(seconds(lambda *_: run(), images, images) for _ in range(rounds))


def step(
    net: nn.Module, optimiser: torch.optim.Optimizer, terms: list[Term], bf16: bool, images: Tensor
) -> None:
    """One step of training."""
    targets = torch.arange(len(images), device=images.device) % CLASSES
    inside = torch.zeros(len(images), SIDE, SIDE, device=images.device)
    inside[:, 60:160, 60:160] = 1
    optimiser.zero_grad()
    with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
        if terms:
            seen = guided_forward(net, images, targets, inside, terms)
            logits, extra = seen.logits, seen.loss()
        else:
            logits, extra = net(images), 0.0
    (F.cross_entropy(logits.float(), targets) + extra).backward()
    optimiser.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--model", default="timm:resnet50")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--score-cam", type=int, default=16, help="images")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()
    device = torch.device(args.device)
    net = regard.build_model(args.model, CLASSES).to(device, memory_format=torch.channels_last)
    images = torch.randn(args.batch, 3, SIDE, SIDE, device=device)
    images = images.to(memory_format=torch.channels_last)
    cost = flops_of(net.eval(), images[:1]).total
    most = peak(device, torch.bfloat16 if args.bf16 else torch.float32)
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-5, fused=device.type == "cuda")
    run = torch.compile(net) if args.compile else net

    def predict() -> None:
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=args.bf16):
            run(images)

    def maps() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=args.bf16):
            regard.explain(net, images)

    def report(name: str, call: Callable[[], object], passes: float, count: int) -> None:
        took = median(call, images, args.rounds)
        share = passes * cost * count / took / most
        print(f"{name:36}{count / took:12.1f} images/s{share:10.1%} of the peak", flush=True)

    print(
        f"{args.model}, batches of {args.batch}, bf16 {args.bf16}, compiled {args.compile}, ",
        end="",
    )
    print(f"{device}, peak {most / 1e12:.1f} TFLOP/s, {cost / 1e9:.2f} GFLOP an image")
    trained: dict[str, list[Term]] = {"training": [], "training, energy": [Energy()]}
    net.train()
    for name, terms in trained.items() if "training" in args.only else ():
        report(name, lambda t=terms: step(run, optimiser, t, args.bf16, images), 3, args.batch)
    net.eval()
    if "predictions" in args.only:
        report("predictions", predict, 1, args.batch)
        report("predictions and Grad-CAM", maps, 1, args.batch)
    if "scorecam" in args.only:
        few, args.rounds = images[: args.score_cam], 1
        channels = regard.explain(net, few, method="eigencam") is not None and net.num_features
        for options in ({}, {"max_n": 64}):
            n = options.get("max_n", channels)
            name = f"Score-CAM, {n} channels"
            report(
                name,
                lambda o=options: regard.explain(net, few, method="scorecam", **o),
                n,
                len(few),
            )


if __name__ == "__main__":
    main()
