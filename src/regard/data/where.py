"""Where the evidence of samples should be, read from files and boxes at the input size."""

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from regard.data.annotation import Annotation, Frame
from regard.data.regions import boxes_to_mask, from_grey
from regard.data.sample import Sample, any_says_where, says_where
from regard.data.some import some_of
from regard.data.transforms import Transform
from regard.errors import DataError
from regard.images.decoding import decode_grey
from regard.images.opening import image_size
from regard.images.size import Size

# Files of areas that several samples share (the corners of a frame), kept at the most.
SHARED = 16


class Where:
    """Reads the regions of samples, their areas to avoid and those to ignore.

    Args:
        transform: fits masks as it fits images.
        annotation: how regions are used; None: each sample's own.
        samples: that it is for; of areas that several of them share the file is read once.

    Attributes:
        kinds: of `attend`, `avoid` and `ignore` those that some sample has.
    """

    def __init__(
        self,
        transform: Transform,
        annotation: Annotation | None = None,
        samples: Sequence[Sample] = (),
    ) -> None:
        self.transform, self.annotation = transform, annotation or Annotation()
        telling = self.annotation.kind != "none" and any_says_where(samples)
        avoid, ignore = (any(getattr(s, name) for s in samples) for name in ("avoid", "ignore"))
        has = {"attend": telling, "avoid": telling and avoid, "ignore": telling and ignore}
        self.kinds = tuple(name for name, there in has.items() if there)
        areas = Counter(path for s in samples for path in (s.avoid, s.ignore) if path)
        self._shared: dict[str, Tensor | None] = {
            path: None for path, times in areas.most_common(SHARED) if times > 1
        }

    def masks(self, sample: Sample) -> dict[str, Tensor]:
        """What there is of `attend`, `avoid` and `ignore`, (H, W) each."""
        if not self.kinds:
            return {}
        masks = {}
        attend = self.region(sample) if sample.told else None
        if attend is not None:
            masks["attend"] = attend
        avoid = self.avoided(sample) if sample.told else None
        if avoid is not None:
            masks["avoid"] = avoid
            # Everything else may be looked at; `Regions.of` takes the avoided part out.
            masks.setdefault("attend", torch.ones_like(avoid))
        if sample.ignore is not None:
            masks["ignore"] = self._area(sample.ignore)
        return masks

    def region(self, sample: Sample) -> Tensor | None:
        """The sample's region at the input size, (H, W), as the annotation is used."""
        region = self._own_region(sample)
        if region is None:
            return None
        return self.annotation.region(region, sample.index, self._frame(sample))

    def avoided(self, sample: Sample) -> Tensor | None:
        """The area to avoid at the input size, (H, W), as the annotation is used."""
        if sample.avoid is None:
            return None
        return self.annotation.avoided(self._area(sample.avoid), sample.index, self._frame(sample))

    def means(self, samples: Sequence[Sample]) -> dict[str, Tensor]:
        """The mean `attend` and `avoid` (H, W) of a thousand samples at most that have them."""
        telling = [sample for sample in samples if says_where(sample)]
        masks = [self.masks(telling[i]) for i in some_of(len(telling))]
        names = [n for n in ("attend", "avoid") if any(n in mask for mask in masks)]
        return {
            name: torch.stack([mask[name] for mask in masks if name in mask]).mean(0)
            for name in names
        }

    def _frame(self, sample: Sample) -> Frame | None:
        """Where the picture lies, of an image that is padded and of a region that is changed."""
        if self.transform.fit != "pad" or not self.annotation.changes:
            return None
        return self.transform.frame(image_size(sample.views[0][1]))

    def _own_region(self, sample: Sample) -> Tensor | None:
        if sample.region is not None:
            own = from_grey(self._grey(sample.region), sample.region_threshold)
            return self.transform.fit_mask(own)
        if sample.boxes is None:
            return None
        size = image_size(sample.views[0][1])
        boxes = torch.tensor(sample.boxes, dtype=torch.float64).view(-1, 4)
        return self.transform.fit_mask(_drawn(boxes, size, self.transform.size))

    def _area(self, path: str) -> Tensor:
        """The mask of a file at the input size, (H, W); decoded once if many samples share it."""
        found = self._shared.get(path)
        if found is None:
            grey = self._grey(path)
            if 0 < grey.max() <= 1:
                raise DataError(
                    path,
                    expected="a grey image that is white, 255, where to avoid or to ignore",
                    found="grey levels of 0 and 1, which look black",
                    remedy="write it as 0 and 255",
                )
            found = self.transform.fit_mask(grey / 255)
            if path in self._shared:
                self._shared[path] = found
        return found

    def _grey(self, path: str) -> Tensor:
        return decode_grey(path, max_pixels=self.transform.max_pixels)


def _drawn(boxes: Tensor, size: Size, wanted: Size) -> Tensor:
    """The boxes as a mask of the image's shape, no finer than twice what is wanted needs."""
    height, width = size
    shrink = max(1, min(height // (2 * wanted[0]), width // (2 * wanted[1])))
    rows, columns = -(-height // shrink), -(-width // shrink)
    scale = torch.tensor([columns / width, rows / height] * 2, dtype=boxes.dtype)
    return boxes_to_mask(boxes * scale, (rows, columns))
