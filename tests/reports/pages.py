"""A page as a test sees it: its tags, its text, its tables."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

HOSTILE = "<img src=x onerror=alert(1)>"
MATHS = '$x$ & "y" style="#44678f"'


@dataclass
class Tag:
    name: str
    attributes: dict[str, str]


@dataclass
class Seen(HTMLParser):
    """Tags with their attributes, visible text, and the cells of tables row by row."""

    tags: list[Tag] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._in_cell = False
        self._hidden = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(Tag(tag, {name: value or "" for name, value in attrs}))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._in_cell = True
        if tag == "small" and self._in_cell:
            self.rows[-1][-1] += "|"
        if tag in ("style", "script"):
            self._hidden = tag

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self._in_cell = False
        if tag == self._hidden:
            self._hidden = ""

    def handle_data(self, data):
        if self._hidden:
            return
        self.words.append(data)
        if self._in_cell:
            self.rows[-1][-1] += data.strip()

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).replace("\N{NO-BREAK SPACE}", " ").split())

    def named(self, name: str) -> list[dict[str, str]]:
        return [tag.attributes for tag in self.tags if tag.name == name]

    def row(self, first: str) -> list[str]:
        return next(row for row in self.rows if row and row[0].split("|")[0] == first)


def see(path: Path) -> Seen:
    seen = Seen()
    seen.feed(path.read_text(encoding="utf-8"))
    return seen
