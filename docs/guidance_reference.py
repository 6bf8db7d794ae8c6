"""Write `docs/guidance.md` from the registry of terms: python docs/guidance_reference.py."""

from collections.abc import Iterator
from pathlib import Path

from regard.docstrings import about
from regard.guidance import TERMS, MapTerm, Term
from regard.saliency import METHODS

PATH = Path(__file__).with_name("guidance.md")
START = """# Guidance

A term is a loss on where the net looks, one number an image with a region. This page is written
by `docs/guidance_reference.py` from the terms themselves; [config.md](config.md) has all their
options.

```yaml
guidance:
  terms:
    - {term: energy, weight: 2.0, contrast: true, warmup_epochs: 1}
    - {term: mangtr, weight: 0.5, contrast: true}
```

```python
terms = [regard.guidance.Energy(weight=2.0, contrast=True)]
output = regard.guidance.guided_forward(net, images, labels, regions, terms)
loss = torch.nn.functional.cross_entropy(output.logits, labels) + output.loss()
```

In the formulas M is the region, 1 inside, L the map of the label's class (where the map comes
from is an option of the term), x the pixels, y the logits and p the probabilities.

## How to begin

- **Take `energy` on Grad-CAM, with `contrast: true`.** It tolerates loose boxes, leaves the net
  free to look at a part, and costs next to nothing.
- **Let it warm up** (`warmup_epochs`) when a pretrained net gets a new classifier. The share of a
  map does not change when the map is scaled, so its gradient is largest while the classifier's
  weights are small, and steers the backbone before the cross-entropy does
  ([findings](findings.md)).
- **Against a small known confounder** (a patch, a stamp) `rrr` and `background_swap` act on every
  pixel of it, where a map of the last layer is coarse.
- **Compare with `masked_input`, with `regions: misplaced` and with weight decay.** A gain that
  these controls reach as well is not due to looking at the right place.
- **Do not take `magtr` or `hagtr` alone.** They ask for evidence inside and say nothing of the
  outside: a map that is high everywhere satisfies them.

## How to choose a weight

Choose it on val, like every setting; use test once, at the end. Take the largest weight that keeps
the accuracy of the plain net there. **Against a confounder that train and val share** the accuracy
on val says nothing: the plain net is best. With `gaze.backgrounds: true` a study also tells
`accuracy_random_class`, the accuracy where the outside of the region (the patch) is taken from an
image drawn at random. A net that reads the confounder falls there, and no clean image is needed to
see it. On decoy digits it ranks plain training, weight decay and the terms as the test set does
([findings](findings.md)).

## Several labels an image

For nets with several labels give pairs of image and class: `rows` names the image of each pair, and
each pair has its own region. The net still runs once.

```python
rows, classes = torch.tensor([0, 0, 3]), torch.tensor([1, 4, 2])  # two classes of the first image
output = regard.guidance.guided_forward(net, images, classes, regions[rows], terms, rows=rows)
loss = torch.nn.functional.binary_cross_entropy_with_logits(output.logits, truth) + output.loss()
```

## Regions: few, loose, or wrong ones

| key of `guidance` | what it does |
|---|---|
| `share` | uses the regions of this share of the annotated train images of each class |
| `dilate` | widens them on each side, to see how loose they may be |
| `regions: misplaced` | a control: each moved away from its place in the same image |
| `regions: mean` | a control: the mean region of the train split, for every image that has one |

An image without a region counts for the cross-entropy alone; a term's mean is over the images
that have one. Areas to `avoid` are outside, areas to `ignore` neither inside nor outside.

## How terms combine

`guidance.combine` is `sum` (weighted, with a weight for the cross-entropy in
`guidance.cross_entropy`), `product` or `quotient` (of each image's cross-entropy and losses, for
terms within 0 and 1), or `uncertainty` (a sum with learned weights). Published comparisons found
the product and the quotient bad and the weighted sum acceptable.

## Two stages

Transfer learning with the cross-entropy first and guided epochs from there: give a run the folder
of another as `model.weights`, or a study a `before`, which is trained once a seed and is where
all arms begin. With `training.keep_epochs: all` every epoch stays as `checkpoints/epoch-N`, epoch
0 among them, and `scores/epochs` keeps the gaze of every measured image.

## What is refused before training

No region in train; a method that cannot be differentiated; a term whose gradient cannot reach what
is trained (`scorecam` or `weights: stop` with a frozen backbone). It is probed with random numbers
on the raw map, so that a term whose loss happens to be 0 is not refused.
"""
OVERVIEW = (
    "| term | in short | made from | beside the plain step | within 0 and 1 |\n"
    "|---|---|---|---|---|"
)


def reference() -> str:
    """The whole page."""
    rows = [OVERVIEW, *(_row(name, kind) for name, kind in TERMS.items())]
    parts = [START, "## The terms", "\n".join(rows), *_methods()]
    for name, kind in TERMS.items():
        parts += _section(name, kind)
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _row(name: str, kind: type[Term]) -> str:
    short = about(kind).splitlines()[0].removesuffix(".")
    cells = f"[`{name}`](#{name})", short, _made_from(kind), _cost(kind), _yes(kind.bounded)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _methods() -> Iterator[str]:
    able = [f"`{name}`" for name in METHODS if METHODS[name].differentiable]
    yield (
        "A map can be made by any method that can be part of a loss: "
        + ", ".join(able)
        + (". (`expected_gradients` from Python alone: its background is a tensor.)")
    )


def _section(name: str, kind: type[Term]) -> Iterator[str]:
    summary, formula, *rest = [text.strip() for text in about(kind).split("\n\n")]
    yield f"### `{name}`"
    yield summary
    yield "```text\n" + formula + "\n```"
    yield from rest


def _made_from(kind: type[Term]) -> str:
    if issubclass(kind, MapTerm):
        return "a saliency map"
    return "other images" if kind.extra_forwards else "the gradient at the pixels"


def _cost(kind: type[Term]) -> str:
    if issubclass(kind, MapTerm):
        return "that of the map's method"
    return "a forward and a backward pass" if kind.extra_forwards else "a backward pass, doubled"


def _yes(told: bool) -> str:
    return "yes" if told else "no"


if __name__ == "__main__":
    PATH.write_text(reference(), encoding="utf-8")
