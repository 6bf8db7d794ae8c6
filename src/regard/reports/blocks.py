"""What a page is built from: sections of text, tables, drawings and galleries; plain values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from markupsafe import Markup


@dataclass(frozen=True)
class Text:
    """Paragraphs, plain text."""

    paragraphs: Sequence[str]
    lead: bool = False
    kind: ClassVar[str] = "text"


@dataclass(frozen=True)
class Note:
    """What is not there, and why; or what a reader should be wary of."""

    text: str
    kind: ClassVar[str] = "note"


@dataclass(frozen=True)
class Heading:
    """A title within a section."""

    text: str
    kind: ClassVar[str] = "heading"


@dataclass(frozen=True)
class Fact:
    """One number worth to stand alone.

    Attributes:
        name: what it is.
        value: the number, as text.
        note: its interval, or what it is to be held against.
    """

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Facts:
    """The numbers that a reader looks for first."""

    facts: Sequence[Fact]
    caption: str = ""
    kind: ClassVar[str] = "facts"


@dataclass(frozen=True)
class Verdict:
    """What was found of two arms.

    Attributes:
        title: which is held against which.
        groups: a word, its mark as of a cell, and the metrics that it holds for: facts with the
            difference as value and its interval, or why there is none, as note.
    """

    title: str
    groups: Sequence[tuple[str, str, Sequence[Fact]]]


@dataclass(frozen=True)
class Verdicts:
    """Verdicts side by side.

    Attributes:
        verdicts: in order.
        folded: under this title, shut until asked for; or empty.
    """

    verdicts: Sequence[Verdict]
    folded: str = ""
    kind: ClassVar[str] = "verdicts"


@dataclass(frozen=True)
class Span:
    """A number with its interval as shares of an axis, 0 to 1, drawn inside of a table's cell.

    Attributes:
        low, value, high: places on the axis.
        marks: further places, such as what chance gets.
    """

    low: float
    value: float
    high: float
    marks: Sequence[float] = ()


@dataclass(frozen=True)
class Cell:
    """A table's cell.

    Attributes:
        text: what it says.
        note: said in a lower voice, beneath or beside.
        href: where it leads, a relative address.
        span: drawn in place of the text.
        above: drawn above it, and paler.
        mark: `good`, `bad` or `quiet`.
        sign: before the text, for those who see; what it means stands in `spoken`.
        spoken: read out in place of the sign.
    """

    text: str = ""
    note: str = ""
    href: str = ""
    span: Span | None = None
    above: Span | None = None
    mark: str = ""
    sign: str = ""
    spoken: str = ""


@dataclass(frozen=True)
class Table:
    """A table with a head.

    Attributes:
        head: names of the columns; those that end in `#` hold numbers.
        rows: cells, the first of a row names it.
        caption: what it shows.
        folded: whether it is shut until asked for.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    folded: bool = False
    kind: ClassVar[str] = "table"


@dataclass(frozen=True)
class Matrix:
    """A confusion matrix: counts, with shares of their rows in [0, 1] as shades.

    Attributes:
        names: of the classes, in order.
        cells: a row a true class, of (count, share of the row).
        caption: what it shows.
        mistakes: whether what lies off the diagonal is wrong.
    """

    names: Sequence[str]
    cells: Sequence[Sequence[tuple[int, float]]]
    caption: str
    mistakes: bool = True
    kind: ClassVar[str] = "matrix"


@dataclass(frozen=True)
class Matrices:
    """Confusion matrices side by side."""

    matrices: Sequence[Matrix]
    kind: ClassVar[str] = "matrices"


@dataclass(frozen=True)
class Key:
    """An entry of a legend.

    Attributes:
        name: of the series.
        tone: number of its colour; -1 is grey.
        shape: `line`, `wide`, `dashed`, `dotted`, `dot` or `area`.
    """

    name: str
    tone: int
    shape: str = "line"


@dataclass(frozen=True)
class Drawing:
    """A figure as inline SVG, with its title and what it says in words."""

    svg: Markup
    title: str
    note: str = ""


@dataclass(frozen=True)
class Drawings:
    """Figures side by side under one legend."""

    drawings: Sequence[Drawing]
    legend: Sequence[Key] = ()
    kind: ClassVar[str] = "drawings"


@dataclass(frozen=True)
class Picture:
    """A photo, and above it a saliency map and the region's outline as layers.

    Attributes:
        photo: address of the picture, `data:`.
        alt: what it shows, in words.
        width, height: pixels, for the shape.
        map: address of the map's layer, or none.
        outline: path of the region's outline in pixels, or none.
        caption: beneath this one picture.
    """

    photo: str
    alt: str
    width: int
    height: int
    map: str = ""
    outline: str = ""
    caption: str = ""


@dataclass(frozen=True)
class Card:
    """Pictures of one sample and what is known of it.

    Attributes:
        pictures: side by side.
        title: the sample's label.
        facts: name and value.
        file: the sample's file.
    """

    pictures: Sequence[Picture]
    title: str
    facts: Sequence[tuple[str, str]] = ()
    file: str = ""


@dataclass(frozen=True)
class Gallery:
    """Cards under a title.

    Attributes:
        title: what is collected.
        about: how the samples were chosen.
        cards: in order.
        wide: cards as wide as their pictures need, which are columns.
        legend: names of the colours, `#rrggbb`, that are laid over photos.
    """

    title: str
    about: str
    cards: Sequence[Card]
    wide: bool = False
    legend: Sequence[tuple[str, str]] = ()
    kind: ClassVar[str] = "gallery"

    @property
    def outlined(self) -> bool:
        """Whether any picture has a region's outline."""
        return any(picture.outline for card in self.cards for picture in card.pictures)

    @property
    def mapped(self) -> bool:
        """Whether any picture has a layer above its photo."""
        return any(picture.map for card in self.cards for picture in card.pictures)

    @property
    def columns(self) -> int:
        """The most pictures of a card."""
        return max((len(card.pictures) for card in self.cards), default=1)


@dataclass(frozen=True)
class Sheet:
    """One picture as large as the page allows, up to its own width.

    Attributes:
        photo: address of the picture, `data:`.
        alt: what it shows, in words.
        width, height: pixels.
    """

    photo: str
    alt: str
    width: int
    height: int
    kind: ClassVar[str] = "sheet"


@dataclass(frozen=True)
class Source:
    """A file's text, shut until asked for."""

    title: str
    text: str
    kind: ClassVar[str] = "source"


Block = (
    Text
    | Note
    | Heading
    | Facts
    | Verdicts
    | Table
    | Matrix
    | Matrices
    | Drawings
    | Gallery
    | Sheet
    | Source
)  # what a template knows to draw


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        anchor: its address in the page.
        title: its name.
        blocks: what is in it.
    """

    anchor: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    """A whole report.

    Attributes:
        kind: what it is, `Study report`.
        title: its name.
        subtitle: one line.
        sections: in order.
        made: what made it, and of what.
    """

    kind: str
    title: str
    subtitle: str
    sections: Sequence[Section]
    made: Sequence[str] = ()
