"""Regions: where the evidence should be, as float masks in [0, 1]. Torch only."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regard.errors import DataError, TargetError
from regard.images.size import Size

# Batches of regions, or one; by class they have a class axis before the pixels.
Masks = Float[Tensor, "*batch H W"]


@dataclass(frozen=True)
class Regions:
    """Where to look, where not to, and what not to count, for a batch of images.

    Attributes:
        attend: float (B, H, W) in [0, 1], or (B, K, H, W) for a region by class.
        avoid: areas that must not be looked at (a stamp, a ruler), (B, H, W).
        ignore: pixels that count neither as inside nor as outside, (B, H, W).
        present: bool (B,), or (B, K) by class: whether the sample has a region at all.
            Missing is not the same as empty. None: all have.

    Raises:
        DataError: parts of other images or of another size, or `present` of numbers.
    """

    attend: Float[Tensor, "B H W"] | Float[Tensor, "B K H W"]
    avoid: Float[Tensor, "B H W"] | None = None
    ignore: Float[Tensor, "B H W"] | None = None
    present: Bool[Tensor, " B"] | Bool[Tensor, "B K"] | None = None

    def __post_init__(self) -> None:
        images, pixels = self.attend.shape[:1], self.attend.shape[-2:]
        wanted = {"avoid": images + pixels, "ignore": images + pixels}
        for name, shape in wanted.items():
            part: Tensor | None = getattr(self, name)
            if part is not None and part.shape != shape:
                raise _other_shape(name, shape, part)
        if self.present is not None and self.present.shape not in (images, self.attend.shape[:-2]):
            raise _other_shape("present", images, self.present)
        if self.present is not None and self.present.dtype != torch.bool:
            raise DataError(
                "regions, present",
                expected="whether each has a region, bool",
                found=str(self.present.dtype),
                remedy="pass present.bool()",
            )

    @property
    def size(self) -> Size:
        """(H, W)."""
        return self.attend.shape[-2], self.attend.shape[-1]

    def __len__(self) -> int:
        return self.attend.shape[0]

    def __getitem__(self, rows: slice | Tensor) -> "Regions":
        return self._map(lambda part: part[rows])

    def to(self, device: torch.device | str) -> "Regions":
        """The same on another device."""
        return self._map(lambda part: part.to(device))

    def _map(self, change: Callable[[Tensor], Tensor]) -> "Regions":
        rest = (self.avoid, self.ignore, self.present)
        changed = (None if part is None else change(part) for part in rest)
        return Regions(change(self.attend), *changed)

    def of(self, targets: Tensor | None) -> "Evidence":
        """The region of each image's target, with avoided and ignored areas worked in.

        Args:
            targets: ints (B,) below K, needed when regions come by class.

        Raises:
            DataError: regions by class without targets.
            TargetError: another number of targets than regions, or no integers.
        """
        attend, present = self.attend, self.present
        if attend.ndim == 4:
            if targets is None:
                raise DataError(
                    "regions",
                    expected="targets to choose the class's region",
                    found=f"regions {tuple(attend.shape)}, (B, K, H, W), and no targets",
                    remedy=remedy_by_class("pass targets, ints (B,)", attend),
                )
            if targets.shape != (len(attend),) or targets.is_floating_point():
                raise TargetError(
                    "targets",
                    expected=f"{len(attend)} class indices, one an image",
                    found=f"{targets.dtype} of shape {tuple(targets.shape)}",
                    remedy="pass ints (B,)",
                )
            rows = torch.arange(len(attend), device=attend.device)
            attend = attend[rows, targets]
            if present is not None and present.ndim == 2:
                present = present[rows, targets]
        inside = attend.float()
        if self.avoid is not None:
            inside = inside * (1 - self.avoid.float())
        counted = torch.ones_like(inside) if self.ignore is None else 1 - self.ignore.float()
        if present is None:
            present = torch.ones(len(attend), dtype=torch.bool, device=attend.device)
        return Evidence(inside, counted, present, everywhere=self.ignore is None)


def remedy_by_class(remedy: str, attend: Tensor) -> str:
    """The remedy for regions by class; an axis of one class is more likely one of grey."""
    one = attend.shape[1] == 1
    return "pass (B, H, W): regions.squeeze(1)" if one else remedy


def _other_shape(name: str, shape: tuple[int, ...], part: Tensor) -> DataError:
    return DataError(
        f"regions, {name}",
        expected=f"shape {tuple(shape)}, as attend has it",
        found=str(tuple(part.shape)),
        remedy="give one of each an image, at one size",
    )


@dataclass(frozen=True)
class Evidence:
    """One region an image, ready to be scored against.

    Attributes:
        inside: (B, H, W) in [0, 1], avoided areas taken out.
        counted: (B, H, W) in [0, 1], 0 where pixels are ignored.
        present: bool (B,).
        everywhere: whether it is known that every pixel counts.
    """

    inside: Float[Tensor, "B H W"]
    counted: Float[Tensor, "B H W"]
    present: Bool[Tensor, " B"]
    everywhere: bool = False

    @property
    def area(self) -> Float[Tensor, " B"]:
        """The share of the counted pixels that lie inside."""
        counted = self.counted.sum((1, 2))
        return (self.inside * self.counted).sum((1, 2)) / counted.clamp_min(1e-12)

    @property
    def partial(self) -> Bool[Tensor, " B"]:
        """Whether the region is present, and neither empty nor the whole image."""
        area = self.area
        # A region of everything is 1 but for rounding once it has been resized.
        return self.present & (area > 0) & (area < 1 - 1e-6)


def as_regions(regions: Regions | Tensor) -> Regions:
    """A tensor (B, H, W) or (B, K, H, W), also of booleans, means regions present for all.

    Raises:
        DataError: another number of axes, or numbers that are no shares.
    """
    if isinstance(regions, Regions):
        return regions
    tensor = isinstance(regions, Tensor)
    if not tensor or regions.ndim not in (3, 4):
        raise DataError(
            "regions",
            expected="a tensor (B, H, W) or (B, K, H, W)"
            + ("" if tensor else ", or regard.Regions"),
            found=f"shape {tuple(regions.shape)}" if tensor else type(regions).__name__,
            remedy="add or remove an axis" if tensor else "pass float masks, torch.from_numpy(...)",
        )
    return shares_only(Regions(regions if regions.is_floating_point() else regions.float()))


def shares_only(regions: Regions) -> Regions:
    """The regions, all of whose numbers are shares.

    On a GPU they are not looked at: the processor would wait for it, in every step.

    Raises:
        DataError: masks of 0 to 255, say, with which every number would be wrong.
    """
    for mask in (regions.attend, regions.avoid, regions.ignore):
        if mask is None or not mask.numel() or mask.device.type != "cpu":
            continue
        low, high = mask.aminmax()
        # Written so that nan fails too; resizing rounds.
        if not (low >= -1e-3 and high <= 1 + 1e-3):
            raise DataError(
                "regions",
                expected="shares from 0 to 1",
                found=f"numbers from {float(low):g} to {float(high):g}",
                remedy="divide masks of 0 to 255 by 255",
            )
    return regions


def from_grey(grey: Float[Tensor, "H W"], threshold: int | None) -> Float[Tensor, "H W"]:
    """The region of a grey image.

    Args:
        grey: levels from 0 to 255.
        threshold: the region is 1 above this level, else 0; None: grey / 255.
    """
    return grey / 255 if threshold is None else (grey > threshold).float()


def boxes_to_mask(boxes: Tensor, size: Size) -> Float[Tensor, "H W"]:
    """The union of boxes as a mask; a pixel cut by an edge counts by the share covered.

    Args:
        boxes: (N, 4) of xmin, ymin, xmax, ymax in pixel edges: the first pixel is 0 to 1, so
            an inclusive corner of other formats is one less than ours. Parts outside the image
            are cut off; boxes without area cover nothing.
        size: (H, W) of the mask.
    """
    height, width = size
    mask = torch.zeros(height, width)
    for xmin, ymin, xmax, ymax in boxes.double().tolist():
        columns, across = _coverage(xmin, xmax, width)
        rows, down = _coverage(ymin, ymax, height)
        inside = mask[rows, columns]
        torch.maximum(inside, down[:, None] * across[None, :], out=inside)
    return mask


def _coverage(low: float, high: float, length: int) -> tuple[slice, Tensor]:
    """The pixels that low..high touches along one side, and the share it covers of each."""
    low, high = max(low, 0.0), min(high, float(length))
    if low >= high:
        return slice(0, 0), torch.zeros(0)
    first, last = math.floor(low), math.ceil(high)
    edges = torch.arange(first, last + 1, dtype=torch.float32)
    return slice(first, last), edges[1:].clamp(max=high) - edges[:-1].clamp(min=low)


def misplace(region: Float[Tensor, "H W"], generator: torch.Generator) -> Float[Tensor, "H W"]:
    """The region moved elsewhere in its image: the control that guidance must beat.

    The move is drawn from the tenth of all moves, by whole pixels and without leaving the
    frame, that overlap the original least, and from what ties with them. A region too large to
    move clear of itself keeps an overlap: measure it with `overlap` and report it. A region that
    spans the frame in both directions cannot move and is wrapped around instead.
    """
    rows = (region > 0).any(1).nonzero().flatten()
    columns = (region > 0).any(0).nonzero().flatten()
    if len(rows) == 0:
        return region.clone()
    height, width = region.shape
    # Overlap of the region with itself for every cyclic shift, by the correlation theorem.
    spectrum = torch.fft.rfft2(region.float())
    overlaps = torch.fft.irfft2(spectrum.conj() * spectrum, s=(height, width))
    down = torch.arange(-int(rows[0]), height - int(rows[-1]))
    right = torch.arange(-int(columns[0]), width - int(columns[-1]))
    if len(down) * len(right) == 1:
        down, right = torch.arange(height), torch.arange(width)
    allowed = overlaps[down % height][:, right % width].flatten()
    tenth = allowed.kthvalue(max(1, len(allowed) // 10)).values
    # Rounding differs by machine; within it, overlaps are equal.
    rounding = 1e-5 * overlaps[0, 0]
    candidates = (allowed <= tenth + rounding).nonzero().flatten()
    chosen = int(candidates[torch.randint(len(candidates), (1,), generator=generator)])
    shift = int(down[chosen // len(right)]), int(right[chosen % len(right)])
    return region.roll(shift, (0, 1))


def overlap(region: Masks, other: Masks) -> Tensor:
    """The share of `region` that `other` covers, in [0, 1]; NaN for an empty region."""
    return (region * other).sum((-2, -1)) / region.sum((-2, -1))
