"""Background reliance: what the net still knows when the outside of the region is exchanged.

It needs no map at all, so it is a witness that is independent of every saliency method.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from regard.data.keys import keyed_generator
from regard.data.regions import Regions, as_regions
from regard.errors import DataError
from regard.images.backgrounds import blurred, emptied, mean_outside
from regard.saliency.capture import Images, at_rows, copied, evaluating, undisturbed
from regard.saliency.options import refuse_one_logit
from regard.saliency.outputs import logits_of

KINDS = ("original", "mean", "blur", "same_class", "random_class")
# Kinds whose outside is another image's.
PAIRED = ("same_class", "random_class")


@dataclass(frozen=True)
class Backgrounds:
    """Whether the net is right (B,) with each background; NaN without region or partner.

    Attributes:
        original: as the image is.
        mean: the outside at its mean colour.
        blur: the outside blurred.
        same_class: the outside of another image of the same class.
        random_class: the outside of an image of any class.
    """

    original: Tensor
    mean: Tensor
    blur: Tensor
    same_class: Tensor
    random_class: Tensor

    @property
    def gap(self) -> Tensor:
        """`bg_gap` (B,): same_class less random_class; its mean is the reliance."""
        return self.same_class - self.random_class

    def means(self) -> dict[str, float]:
        """The accuracies and `bg_gap`, see `paired_means`."""
        return paired_means(asdict(self) | {"bg_gap": self.gap})


def paired_means(columns: Mapping[str, Tensor]) -> dict[str, float]:
    """The mean of each column; NaN where no image defines it.

    Of `same_class`, `random_class` and their gap over the images that have both partners, so that
    the gap is the difference of the two; of the others over all that have an outside.

    Args:
        columns: (N,) each, by the names of `Backgrounds`, and `bg_gap`; NaN where undefined.
    """
    paired = columns["bg_gap"].isfinite()
    return {
        name: float((values[paired] if name in PAIRED else values).nanmean())
        for name, values in columns.items()
    }


def background_reliance(
    net: nn.Module,
    images: Images,
    regions: Regions | Tensor,
    labels: Tensor,
    *,
    seed: int = 0,
    chunk: int = 32,
) -> Backgrounds:
    """Ask the net about images whose outside of the region was exchanged.

    The outside comes from another image by the same mask: what lay at the same place there is
    laid under this image's region, its own subject taken out first (its mean outside colour
    fills the hole), so that no second subject appears. Soft edges blend.

    Reference: Xiao et al., Noise or Signal, ImageNet-9, arXiv:2006.09994, section 3 (there with
    the gap MIXED-SAME less MIXED-RAND).

    Args:
        net: classifier; asked in evaluation mode and left as it was.
        images: (B, 3, H, W) as the net takes them, or a dict of them for several views, whose
            outsides are exchanged together.
        regions: (B, H, W) of the subjects.
        labels: (B,) class indices.
        seed: of the partners.
        chunk: images in one forward pass.

    Raises:
        DataError: another number of regions or labels than images, or of another size.
    """
    views = images if isinstance(images, Mapping) else {"image": images}
    first = next(iter(views.values()))
    regions = as_regions(regions).to(first.device)
    for view in views.values():
        _check(view, regions, labels)
    evidence = regions.of(labels)
    inside = evidence.inside[:, None].to(first)
    same, anyone = partners(labels, evidence.partial.cpu(), seed)
    known = {"same_class": same >= 0, "random_class": anyone >= 0}
    everyone = torch.ones(len(first), dtype=torch.bool)
    answers = {}
    for name in KINDS:
        laid = {
            view: inside * pixels + (1 - inside) * _around(name, pixels, inside, same, anyone)
            for view, pixels in views.items()
        }
        given = laid if isinstance(images, Mapping) else laid["image"]
        defined = evidence.partial.cpu() & known.get(name, everyone)
        answers[name] = torch.where(defined, _right(net, given, labels, chunk), torch.nan)
    return Backgrounds(**answers)


def _around(name: str, images: Tensor, inside: Tensor, same: Tensor, anyone: Tensor) -> Tensor:
    """What is laid around the regions (B, 1, H, W) of images (B, 3, H, W)."""
    if name == "original":
        return images
    if name == "mean":
        return mean_outside(images, inside)
    background = emptied(images, inside)
    if name == "blur":
        return blurred(background)
    return background[(same if name == "same_class" else anyone).clamp_min(0)]


def partners(labels: Tensor, usable: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """For each image one of its class, and one of any class (B,), never itself; -1: none.

    Args:
        labels: (B,).
        usable: bool (B,), whether an image has an outside to lend.
        seed: of the draws, each keyed by the image's place.
    """
    labels, able = labels.cpu(), usable.nonzero().flatten().cpu()
    same, anyone = [], []
    for row, label in enumerate(labels):
        generator = keyed_generator(seed, "background", row)
        others = able[able != row]
        same.append(_drawn(others[labels[others] == label], generator))
        anyone.append(_drawn(others, generator))
    return torch.tensor(same), torch.tensor(anyone)


def _drawn(rows: Tensor, generator: torch.Generator) -> int:
    return int(rows[torch.randint(len(rows), (), generator=generator)]) if len(rows) else -1


def _right(net: nn.Module, images: Images, labels: Tensor, chunk: int) -> Tensor:
    """Whether the net is right, as 0 or 1 (B,), on the CPU."""
    with torch.no_grad(), undisturbed(net), evaluating(net):
        found = [
            logits_of(net(copied(at_rows(images, slice(at, at + chunk)))))
            for at in range(0, len(labels), chunk)
        ]
    for logits in found:
        refuse_one_logit(logits, "a predicted class")
    return (torch.cat([logits.argmax(1).cpu() for logits in found]) == labels.cpu()).float()


def _check(images: Tensor, regions: Regions, labels: Tensor) -> None:
    if len(images) == len(regions) == len(labels) and tuple(images.shape[2:]) == regions.size:
        return
    raise DataError(
        "background_reliance",
        expected=f"{len(images)} regions and labels, the regions {tuple(images.shape[2:])}",
        found=f"{len(regions)} regions of {regions.size} and {len(labels)} labels",
        remedy="pass one of each an image, at the images' size",
    )
