"""One sheet of a set: drawn from the set's settings and its place in it, and saved."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regard.images.pictures import save_image
from regard.synthetic.composing import Sheet, draw_sheet
from regard.synthetic.stamp import Ink

SPLITS = ("train", "val", "test", "test_shifted")
SHIFTED = "test_shifted"
LABELS = ("smooth", "thorny")
INKS: tuple[Ink, Ink] = ("blue", "red")
SUFFIXES = {"image": "jpg", "segmented": "jpg", "region": "png", "avoid": "png"}
PLACES = {"image": "images", "segmented": "segmented", "region": "masks", "avoid": "stamps"}
Place = tuple[int, str, int]


@dataclass(frozen=True)
class Drawer:
    """Draws and saves the sheets of a set; it goes to other processes.

    Attributes:
        out: the set's folder, with its subfolders.
        shortcut, size, thorn, seed: as for `write_sheets`.
    """

    out: Path
    shortcut: float
    size: tuple[int, int]
    thorn: float
    seed: int

    def __call__(self, place: Place) -> dict[str, str]:
        """Draw and save the sheet of that number in the set, split and index in the split.

        Returns:
            Its row of the manifest.
        """
        number, split, index = place
        label, sheet = self._drawn(split, index)
        return {**self._save(number, sheet), "label": label, "split": split}

    def _drawn(self, split: str, index: int) -> tuple[str, Sheet]:
        """The label and the drawing; classes take turns, so that they balance."""
        rng = np.random.default_rng([self.seed, SPLITS.index(split), index])
        thorny = index % 2 == 1
        agrees = rng.random() < (0.5 if split == SHIFTED else self.shortcut)
        ink = INKS[thorny == agrees]
        sheet = draw_sheet(rng, self.size, thorny=thorny, ink=ink, thorn=self.thorn)
        return LABELS[thorny], sheet

    def _save(self, number: int, sheet: Sheet) -> dict[str, str]:
        """Write a sheet's four files; their paths relative to `out`, by column."""
        pictures: dict[str, NDArray[np.uint8]] = {
            "image": sheet.image,
            "segmented": sheet.segmented,
            "region": sheet.region * np.uint8(255),
            "avoid": sheet.avoid * np.uint8(255),
        }
        paths = {name: f"{PLACES[name]}/{number:05d}.{SUFFIXES[name]}" for name in pictures}
        for name, pixels in pictures.items():
            picture = Image.fromarray(pixels)
            if SUFFIXES[name] == "jpg":
                # Full chroma resolution: a thorn is thinner than the 2 x 2 pixels JPEG would merge.
                save_image(picture, self.out / paths[name], "JPEG", quality=92, subsampling=0)
            else:
                save_image(picture, self.out / paths[name], "PNG", compress_level=3)
        return paths
