"""From a page's blocks to one HTML file that asks for nothing."""

import base64
import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from regard.files.atomic import write_atomically
from regard.language import phrase, spoken
from regard.reports.blocks import Page
from regard.reports.glossary import Glossary
from regard.reports.layers import scale_css
from regard.reports.words import percent, whole

_TEMPLATES = Path(__file__).parent / "templates"


def render(page: Page) -> str:
    """The page as HTML. What comes from files is escaped, and no script but ours may run."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    glossary = Glossary()
    environment.filters["linked"] = glossary.linked
    # A share in a cell breaks where it likes: cells are narrow.
    environment.globals.update(
        language=spoken().code,
        phrase=phrase,
        whole=whole,
        share_of=percent,
    )
    script = _own_file("page.js")
    digest = hashlib.sha256(script.encode()).digest()
    return environment.get_template("page.html.j2").render(
        page=page,
        glossary=glossary,
        css=Markup(_own_file("page.css")),
        script=Markup(script),
        script_hash=Markup(base64.b64encode(digest).decode()),
        scale=Markup(scale_css()),
    )


def write_page(page: Page, out: Path) -> Path:
    """Write the page in one atomic step."""
    html = render(page)
    return write_atomically(out, lambda path: path.write_text(html, encoding="utf-8"))


def _own_file(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")
