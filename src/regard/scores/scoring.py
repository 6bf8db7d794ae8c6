"""`regard.score`: one call for every score, which checks what it is given."""

import inspect
from dataclasses import replace
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from regard.data.regions import Evidence, Regions, as_regions, remedy_by_class, shares_only
from regard.errors import DataError
from regard.saliency.capture import undisturbed
from regard.saliency.options import bare_net, refuse_images, refuse_options
from regard.saliency.outputs import logits_of, precise
from regard.saliency.resizing import resize
from regard.saliency.targets import PixelTarget, Targets, class_indices, classes_of, resolve
from regard.scores.base import (
    SCORES,
    Formula,
    Model,
    binarised,
    defined_rows,
    one_sign,
    peak_normalised,
)


def score(
    maps: Float[Tensor, "B h w"],
    regions: Regions | Tensor | None = None,
    name: str = "energy",
    *,
    net: nn.Module | None = None,
    images: Tensor | None = None,
    targets: Targets = None,
    sign: Literal["positive", "absolute"] = "positive",
    independent: bool = False,
    **options: Any,
) -> Float[Tensor, " B"]:
    """Score each map: against its region, by itself, or by asking the model.

    Maps are resized to the regions', or to the images' size (bilinear, align_corners=False). NaN
    where the score is undefined: a map that is zero everywhere or not finite; for scores that ask
    the model an answer of it that is not finite, or of which no share can be lost; for scores of
    regions no region, an empty one (for a binary score one that is nowhere above one half), and,
    where nothing could be wrong then, one that covers the whole image. The answer for an image
    does not depend on the others of its batch nor on the map's scale, and the maps are left as
    they are. A pooled score is a number of a set (see `tally`): here each image is a set of one.

    Args:
        maps: (B, h, w).
        regions: (B, H, W) in [0, 1], by class (B, K, H, W), or `Regions`; None for scores that
            ask for none.
        name: of `regard.scores.scores()`.
        net: for scores that ask the model.
        images: (B, 3, H, W) as the net takes them, for scores that ask the model.
        targets: class indices (B,), to choose among regions by class, or to ask the model for
            (None: the predicted class); a `PixelTarget` for a segmenter.
        sign: what counts of a signed map: its positive part or its absolute value.
        independent: the net tells of each class by itself whether an image is of it, so that the
            model's probabilities are sigmoids of its logits.
        options: of the score.

    Returns:
        (B,), float32.

    Raises:
        ConfigError: an unknown score or option.
        DataError: no regions, net or images where they are needed, or another number of them
            than maps.
        TargetError: another number of targets than maps, or a class that is none.

    Example:
        >>> import regard, torch
        >>> inside = torch.zeros(1, 4, 4); inside[:, :2] = 1
        >>> regard.score(torch.ones(1, 4, 4), inside, "energy")
        tensor([0.5000])
    """
    given = {"net": net, "images": images, "targets": targets}
    how = {"sign": sign, "independent": independent}
    return SCORES[name].alone(tally(maps, regions, name, **given, **how, **options))


def tally(
    maps: Float[Tensor, "B h w"],
    regions: Regions | Tensor | None = None,
    name: str = "energy",
    *,
    net: nn.Module | None = None,
    images: Tensor | None = None,
    targets: Targets = None,
    sign: Literal["positive", "absolute"] = "positive",
    independent: bool = False,
    **options: Any,
) -> Tensor:
    """What a set's number is made from: as `score`, but of a pooled score its counts (B, R, T).

    `regard.scores.SCORES[name].together` of these, over any number of batches, is the number of
    all images. For other scores they are the numbers (B,) themselves.
    """
    kind = SCORES[name]
    if not isinstance(maps, Tensor) or maps.ndim != 3:
        told = f"shape {tuple(maps.shape)}" if isinstance(maps, Tensor) else type(maps).__name__
        raise DataError(
            f"score {name}",
            expected="maps as a tensor (B, h, w)",
            found=told,
            remedy="pass one map an image, as regard.explain gives them",
        )
    maps = precise(maps)
    # Also where the sign that is not asked for would hide it.
    finite = maps.flatten(1).isfinite().all(1)
    maps = peak_normalised(one_sign(maps, sign)).float()
    if kind.asks == "region":
        evidence = _evidence(maps, regions, name, targets)
        evidence = binarised(evidence) if kind.binary else evidence
        maps = resize(maps, (evidence.inside.shape[1], evidence.inside.shape[2]))
        defined, given = defined_rows(maps, evidence, whole=kind.whole), (maps, evidence)
    elif kind.asks == "model":
        model = replace(_model(maps, net, images, targets, name), independent=independent)
        maps = resize(maps, (model.images.shape[2], model.images.shape[3]))
        defined, given = maps.flatten(1).amax(1) > 0, (maps, model)
    else:
        defined, given = maps.flatten(1).amax(1) > 0, (maps,)
    again = {"sign": sign} if kind.explains else {}
    values = _bound(kind.formula, name, *given, **again, **options)
    defined = (defined & finite).view(-1, *(1 for _ in values.shape[1:]))
    return torch.where(defined, values.float(), torch.nan)


def _bound(formula: Formula, name: str, *given: Any, **options: Any) -> Tensor:
    """The formula's answer; an option that it does not take is a mistake of the caller's."""
    first = [*inspect.signature(formula).parameters][: len(given)]
    refuse_options(f"score {name}", formula, options, first)
    return formula(*given, **options)


def _evidence(
    maps: Tensor, regions: Regions | Tensor | None, name: str, targets: Targets
) -> Evidence:
    if regions is None:
        raise DataError(
            f"score {name}", expected="regions", found="None", remedy="pass regions (B, H, W)"
        )
    regions = shares_only(as_regions(regions))
    if len(maps) != len(regions):
        raise DataError(
            f"score {name}",
            expected=f"{len(regions)} maps (B, h, w), one a region",
            found=f"maps of shape {tuple(maps.shape)}",
            remedy="pass one map an image",
        )
    if targets is None:
        return regions.to(maps.device).of(None)
    classes = regions.attend.shape[1] if regions.attend.ndim == 4 else None
    if isinstance(targets, PixelTarget):
        targets = classes_of(targets, len(maps))
    indices = class_indices(targets, len(maps), None if classes == 1 else classes)
    if classes == 1 and bool(indices.any()):
        raise DataError(
            f"score {name}",
            expected="regions (B, H, W), or of each class (B, K, H, W)",
            found=f"{tuple(regions.attend.shape)}, of class 0 alone",
            remedy=remedy_by_class("", regions.attend),
        )
    return regions.to(maps.device).of(indices.to(maps.device))


def _model(
    maps: Tensor,
    net: nn.Module | None,
    images: Tensor | None,
    targets: Targets,
    name: str,
) -> Model:
    if net is None or images is None or len(images) != len(maps):
        raise DataError(
            f"score {name}",
            expected=f"net= and {len(maps)} images=, one a map",
            found="no net" if net is None else "no images" if images is None else f"{len(images)}",
            remedy="pass the net and the images that the maps are of",
        )
    net = bare_net(net)
    refuse_images(images, least=0)
    if targets is None or isinstance(targets, PixelTarget):
        with torch.no_grad(), undisturbed(net):
            targets = resolve(targets, logits_of(net(images.clone())))
    else:
        targets = class_indices(targets, len(maps))
    return Model(net, images, targets.to(images.device))
