"""What requests ask, as models: they check the queries, and the API's document is made of them."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from regard.server.limits import Limits

RUN = Annotated[str, Field(max_length=1000, description="A run's ID, as /api/overview has it.")]
Name = Annotated[str, Field(max_length=1000)]
Width = Annotated[int, Field(ge=64, le=2048, description="Pixels, at the most.")]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Box = Annotated[list[Finite], Field(min_length=4, max_length=4)]
# Of a saved manifest: its folder under FOLDER/corrections.
MANIFEST = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
ManifestName = Annotated[str, Field(pattern=MANIFEST)]


class Question(BaseModel):
    """A query; parameters that are not known are left alone."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Nothing(Question):
    """No parameters."""


class OfRun(Question):
    """A run."""

    run: RUN


class OfCurves(OfRun):
    """The log of a run from a byte on."""

    offset: int = Field(default=0, ge=0, lt=2**53)
    mark: str | None = Field(
        default=None, max_length=20, description="What came with the offset: is the log the same?"
    )


class OfGallery(OfRun):
    """Which images of a split, in which order."""

    split: Name
    other: RUN | None = None
    label: Name | None = None
    predicted: Name | None = None
    right: Literal["any", "right", "wrong"] = "any"
    outcome: Literal["any", "both_right", "gained", "lost", "both_wrong"] = "any"
    score: Name | None = None
    low: float | None = Field(default=None, allow_inf_nan=False)
    high: float | None = Field(default=None, allow_inf_nan=False)
    region: Literal["any", "present", "missing"] = "any"
    sort: Name = "index"
    order: Literal["asc", "desc"] = "asc"
    offset: int = Field(default=0, ge=0, lt=2**31)
    limit: int = Field(default=60, ge=1, le=200)


class OfImage(OfRun):
    """An image: a row of the run's manifest."""

    split: Name
    index: int = Field(ge=0, lt=2**31)


class OfPicture(OfImage):
    """An image at a width."""

    width: Width = 512


class OfRegion(OfPicture):
    """Where the evidence of an image is."""

    filled: bool = Field(default=False, description="White on black, in place of the outline.")
    target: Name | None = Field(
        default=None,
        description="Of a segmenter: the class, from the image's mask; the first. Of sets of "
        "labels: a class, `predicted` or `label`; all of them.",
    )


class OfMap(OfPicture):
    """Where the net looks for a target."""

    method: Name | None = None
    layer: Name | None = None
    target: Name = Field(default="predicted", description="A class, `predicted` or `label`.")


class OfPixel(OfPicture):
    """What a segmenter's answer at a place of the photo hangs on."""

    x: float = Field(ge=0, le=1, allow_inf_nan=False)
    y: float = Field(ge=0, le=1, allow_inf_nan=False)
    method: Name | None = None
    layer: Name | None = None


class OfUpload(OfRun):
    """What to do with an image of one's own."""

    method: Name | None = None
    target: Name = "predicted"


class OfCorrections(Question):
    """Which manifests of corrections."""

    run: RUN | None = None


class OfCorrection(OfImage):
    """What is saved of an image in a manifest of corrections."""

    manifest: ManifestName


class Correction(BaseModel):
    """Where the evidence of an image is: boxes, a mask, nowhere ([]), or as the run has it.

    Of a segmenter: the classes of its pixels, or as the run has them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    manifest: ManifestName
    run: RUN
    split: Name
    index: int = Field(ge=0, lt=2**31)
    boxes: list[Box] | None = Field(
        default=None, max_length=1000, description="In pixels of the upright photo."
    )
    box_labels: list[Name] | None = Field(
        default=None, max_length=1000, description="The class of each box, where boxes have one."
    )
    mask: str | None = Field(
        default=None,
        max_length=Limits.correction_bytes,
        description="A data URL of a PNG, white inside, of the photo's proportions.",
    )
    classes: str | None = Field(
        default=None,
        max_length=Limits.correction_bytes,
        description="Of a segmenter: a data URL of a grey PNG as large as the photo. A pixel's "
        "value is its class's place in what /api/run lists, from 0 on, or 255 where nobody says.",
    )
