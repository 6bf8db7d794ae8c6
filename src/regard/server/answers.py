"""What requests are answered with, as models: the API's document is made of them."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from regard.data.settings import Task
from regard.server.finding import Kind

State = Literal["done", "training", "stopped", "failed", "new"]
Numbers = dict[str, float | None]
# A class, or the classes of an image that has a set of them.
Named = str | list[str]


class Mistake(BaseModel):
    """What is wrong with a request, in parts."""

    expected: str
    found: str
    remedy: str
    where: str


class Refused(BaseModel):
    """Why there is no answer."""

    error: Mistake
    message: str


class RunLine(BaseModel):
    """A run, a study or a tuning in the list of them.

    `problem` says in a line why it cannot be used, where that is so; of a study or a tuning `epoch`
    and `epochs` are null. `views` is how many views of a sample the net takes.
    """

    id: str
    name: str
    kind: Kind
    state: State
    task: Task | None
    spec: str | None
    study: str | None
    arm: str | None
    seed: int | None
    fold: int | None
    epoch: int | None
    epochs: int | None
    views: int | None
    metrics: dict[str, Numbers]
    updated: str | None
    report: bool
    problem: str | None


class Bounds(BaseModel):
    """What an upload may be."""

    upload_bytes: int
    pixels: int


class Overview(BaseModel):
    """The folder that is served."""

    name: str
    version: str
    runs: list[RunLine]
    limits: Bounds


class SplitLine(BaseModel):
    """A split of a run: whether it was predicted, which methods were scored, any regions.

    `evaluate` is the command that predicts it, for a shell.
    """

    name: str
    images: int
    predicted: bool
    evaluate: str
    scored: list[str]
    regions: bool


class MethodLine(BaseModel):
    """A saliency method; a dear one runs the net many times an image.

    `unfit` says in words what it needs that this run's net has not; null where it can be asked.
    """

    name: str
    title: str
    cost: Literal["cheap", "dear"]
    about: str
    unfit: str | None


class RunAnswer(BaseModel):
    """All that there is to choose from in a run; `problem` says why its net cannot be used."""

    id: str
    name: str
    task: Task
    views: int
    classes: list[str]
    colours: list[str]
    spec: str
    state: State
    splits: list[SplitLine]
    methods: list[MethodLine]
    method: str
    layers: list[str]
    layer: str | None
    metrics: dict[str, dict[str, Any]]
    config: dict[str, Any]
    problem: str | None


class Epoch(BaseModel):
    """What was measured after an epoch."""

    epoch: int
    step: int
    train: Numbers
    val: Numbers


class Curves(BaseModel):
    """Epochs since the offset; `restarted` if the log is another now and is told from its start.

    `mark` is what stands before the new offset, to be sent back with it.
    """

    epochs: list[Epoch]
    offset: int
    mark: str
    state: State
    restarted: bool


class Other(BaseModel):
    """What the other run says of the same image."""

    predicted: Named | None
    probability: float | None
    right: bool | None
    scores: Numbers


class Item(BaseModel):
    """An image of a gallery."""

    index: int
    name: str
    label: Named | None
    predicted: Named | None
    probability: float | None
    right: bool | None
    region: bool
    scores: Numbers
    other: Other | None


class LabelLine(BaseModel):
    """A label, and how many images have it."""

    name: str
    images: int


class ScoreLine(BaseModel):
    """A score by image, what it is in a line, and its range."""

    name: str
    title: str
    about: str
    low: float | None
    high: float | None
    method: str


class Gallery(BaseModel):
    """The images that a filter lets through."""

    images: int
    matched: int
    offset: int
    items: list[Item]
    labels: list[LabelLine]
    scores: list[ScoreLine]


class Probability(BaseModel):
    """A class; of a segmenter its value is the share of the pixels where it is predicted."""

    name: str = Field(serialization_alias="class")
    value: float | None


class RegionAnswer(BaseModel):
    """Where the evidence of an image is: boxes in pixels of the upright photo, or a mask.

    `box_labels` has the class of each box where boxes are of classes.
    """

    present: bool
    boxes: list[list[float]]
    box_labels: list[str] | None
    mask: bool
    ignore: bool
    avoid: bool


class ImageAnswer(BaseModel):
    """An image of a split, with all that is known of it.

    `scores` are by method; where maps are of classes, those of an image are means over its own,
    and `class_scores` are by method and class.
    """

    index: int
    name: str
    width: int
    height: int
    label: Named | None
    probabilities: list[Probability]
    live: bool
    region: RegionAnswer
    scores: dict[str, Numbers]
    class_scores: dict[str, dict[str, Numbers]]


class Swapped(BaseModel):
    """What the net says with another background."""

    how: str
    probability: float | None
    predicted: str


class Background(BaseModel):
    """The background-swap check of an image: its label's probability, its own and swapped."""

    label: str
    probability: float | None
    predicted: str
    swapped: list[Swapped]


class Uploaded(BaseModel):
    """What a net says of an image that was sent; nothing of it is stored."""

    width: int
    height: int
    predicted: Named | None
    target: str
    probabilities: list[Probability]
    picture: str
    map: str
    peak: float
    seconds: float


class ManifestLine(BaseModel):
    """A manifest of corrections."""

    name: str
    images: int
    corrected: int


class CorrectionsAnswer(BaseModel):
    """Manifests of corrections; `free` is a name that none has yet."""

    manifests: list[ManifestLine]
    free: str


class Corrected(BaseModel):
    """What is saved of an image: no boxes where that is nowhere, nulls where nothing is saved."""

    boxes: list[list[float]] | None
    box_labels: list[str] | None
    mask: str | None
    classes: str | None


class Saved(BaseModel):
    """A correction is saved: the manifest, how many images it corrects, how to train with it."""

    manifest: str
    corrected: int
    command: str
