"""Samples that a study makes for itself."""

from pydantic import Field

from regard.settings.base import Settings


class Sheets(Settings):
    """Synthetic herbarium sheets, made into the study's folder.

    Attributes:
        counts: sheets a split.
        size: (height, width), pixels.
        shortcut: probability that the stamp's colour agrees with the class.
        thorn: how clear the thorns are.
        seed: of the drawing.
    """

    counts: dict[str, int]
    size: tuple[int, int] = (288, 216)
    shortcut: float = Field(default=0.95, ge=0.5, le=1)
    thorn: float = 1.0
    seed: int = 42


class Decoys(Settings):
    """Decoy digits, made into the study's folder from IDX files, which `--data` names.

    Attributes:
        source: folder of the IDX files.
        side: of the patch, pixels.
        limit: images of each split; none: all.
        seed: of corners and greys.
    """

    source: str | None = None
    side: int = Field(default=4, gt=0)
    limit: int | None = Field(default=None, gt=0)
    seed: int = 42


class Scenes(Settings):
    """Drawn street scenes with masks of classes, made into the study's folder.

    Attributes:
        counts: scenes a split.
        size: (height, width), pixels.
        seed: of the drawing.
    """

    counts: dict[str, int]
    size: tuple[int, int] = (120, 160)
    seed: int = 42


class Sources(Settings):
    """Where the samples come from, when the study makes them.

    Attributes:
        sheets: synthetic herbarium sheets, in `sheets/manifest.parquet`.
        scenes: drawn street scenes, in `scenes/manifest.parquet`.
        decoys: decoy digits, in `decoys/manifest.parquet`; the same digits without a patch in
            `decoys/clean.parquet`.
    """

    sheets: Sheets | None = None
    scenes: Scenes | None = None
    decoys: Decoys | None = None

    @property
    def made(self) -> str | None:
        """The kind of samples that are made, and the name of their folder."""
        kinds = ("sheets", "scenes", "decoys")
        return next((name for name in kinds if getattr(self, name) is not None), None)

    @property
    def manifest(self) -> str | None:
        """What the arms train on unless they say otherwise, in the study's folder."""
        return None if self.made is None else f"{self.made}/manifest.parquet"
