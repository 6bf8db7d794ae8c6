"""What a report does in a browser: tables sort, pictures enlarge, nothing needs a mouse.

Skipped where Debian's Chromium or the package playwright is not there.
"""

import pytest

from regard.language import phrase, speaking
from regard.reports.blocks import Card, Cell, Gallery, Matrix, Page, Picture, Section, Span, Table
from regard.reports.languages import language_of
from regard.reports.page import render
from regard.reports.words import decimal, p_value, percent

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright.expect

GREY = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCB"
    "d81ytgAAAABJRU5ErkJggg=="
)
VALUES = (0.5, None, 1234.5, -0.25, 1e-5, 0.5)
NAMES = ("b", "a10", "a2", "c", "missing a value", "d")


def write(folder, code="en"):
    with speaking(language_of(code)):
        rows = [
            [
                Cell(name),
                Cell(decimal(value), note=f"{decimal(9)} to {decimal(10)}"),
                Cell(p_value(value) if value and value > 0 else "–"),
                Cell(percent(value)),
                Cell(span=None if value is None else Span(0, abs(value) / 2000, 1)),
            ]
            for name, value in zip(NAMES, VALUES, strict=True)
        ]
        table = Table(("Energy", "Value#", "p#", "Share#", "drawn"), rows, "a table")
        picture = Picture(GREY, "a photo", 40, 30, GREY, "M0 0L20 20")
        gallery = Gallery("some", "all", [Card([picture, picture], f"card {n}") for n in range(2)])
        page = Page(phrase("Run report"), "r", "", [Section("s", "S", [table, gallery])])
        path = folder / "page.html"
        path.write_text(render(page), encoding="utf-8")
        return path.as_uri()


@pytest.fixture(params=["en", pytest.param("fr", marks=pytest.mark.torture)])
def page(request, chromium, tmp_path):
    opened = chromium.new_page()
    errors = []
    opened.on("pageerror", lambda error: errors.append(error))
    opened.goto(write(tmp_path, request.param))
    yield opened
    opened.close()
    assert errors == []


def order(page) -> list[str]:
    return page.eval_on_selector_all("tbody tr th", "cells => cells.map(c => c.textContent)")


def head(page, place: int):
    return page.locator("thead th").nth(place)


def test_numbers_sort_by_value_with_the_missing_last_and_ties_as_they_were(page):
    button = head(page, 1).locator("button")
    assert head(page, 1).get_attribute("aria-sort") == "none"
    button.click()
    assert order(page) == ["c", "missing a value", "b", "d", "a2", "a10"]
    assert head(page, 1).get_attribute("aria-sort") == "ascending"
    button.click()
    assert order(page) == ["a2", "b", "d", "missing a value", "c", "a10"]
    assert head(page, 1).get_attribute("aria-sort") == "descending"
    button.click()
    assert order(page) == list(NAMES)
    assert head(page, 1).get_attribute("aria-sort") == "none"


def test_words_small_p_values_shares_and_drawn_numbers_sort_too(page):
    head(page, 0).locator("button").click()
    assert order(page) == ["a2", "a10", "b", "c", "d", "missing a value"]
    head(page, 2).locator("button").click()
    assert head(page, 0).get_attribute("aria-sort") == "none"
    assert order(page)[:3] == ["missing a value", "b", "d"]
    head(page, 3).locator("button").click()
    assert order(page) == ["c", "missing a value", "b", "d", "a2", "a10"]
    head(page, 4).locator("button").click()
    assert order(page)[-2:] == ["a2", "a10"]


def test_a_head_sorts_by_keyboard_and_its_link_stays_a_link(page):
    button = head(page, 1).locator("button")
    button.focus()
    page.keyboard.press("Enter")
    assert order(page)[0] == "c"
    page.keyboard.press("Space")
    assert order(page)[0] == "a2"
    assert button.evaluate("b => b === document.activeElement")
    linked = page.locator("thead th").filter(has=page.locator("a"))
    for one in linked.all():
        assert one.locator("button").get_attribute("aria-label")


def test_a_picture_is_enlarged_by_keyboard_and_focus_returns(page):
    stack = page.locator(".gallery .stack").nth(2)
    stack.focus()
    page.keyboard.press("Enter")
    expect(page.locator("dialog[open] .stack img")).to_have_count(2)
    assert page.evaluate("document.querySelector('dialog').contains(document.activeElement)")
    page.keyboard.press("Escape")
    expect(page.locator("dialog[open]")).to_have_count(0)
    expect(stack).to_be_focused()


def test_a_click_or_the_button_closes_an_enlarged_picture(page):
    for where in ("dialog .stack", "dialog .close"):
        page.locator(".gallery .stack").first.click()
        expect(page.locator("dialog[open]")).to_have_count(1)
        page.locator(where).click()
        expect(page.locator("dialog[open]")).to_have_count(0)


def test_the_slider_fades_maps_and_the_switch_hides_outlines_by_keyboard(page):
    page.locator(".opacity").focus()
    before = page.eval_on_selector(".map", "m => Number(getComputedStyle(m).opacity)")
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
    after = page.eval_on_selector(".map", "m => Number(getComputedStyle(m).opacity)")
    assert after == pytest.approx(before - 0.1)
    page.locator(".outlines").focus()
    page.keyboard.press("Space")
    expect(page.locator(".gallery .outline").first).to_be_hidden()
    page.locator(".gallery .stack").first.click()
    expect(page.locator("dialog[open]")).to_have_count(1)
    assert not page.locator("dialog .outline").is_visible()
    page.keyboard.press("Escape")
    expect(page.locator("dialog[open]")).to_have_count(0)
    expect(page.locator(".gallery .stack").first).to_be_focused()  # a task after it is closed
    page.locator(".outlines").focus()
    page.keyboard.press("Space")
    expect(page.locator(".gallery .outline").first).to_be_visible()


def test_print_has_no_navigation_and_no_controls(page):
    assert page.locator("nav").is_visible()
    page.emulate_media(media="print")
    for hidden in ("nav", ".controls"):
        assert not page.locator(hidden).first.is_visible()
    assert page.eval_on_selector(".card", "c => getComputedStyle(c).breakInside") == "avoid"
    sign = "h => getComputedStyle(h, '::after').display"
    assert page.eval_on_selector(".sort", sign) == "none"


def test_the_page_follows_light_and_dark_and_fits_a_telephone(page):
    colours = set()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        colours.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(colours) == 2
    page.set_viewport_size({"width": 400, "height": 800})
    width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(width) <= 0


CONTRASTS = """() => {
  const light = (colour) => {
    const parts = colour.match(/[\\d.]+/g).map(Number).slice(0, 3);
    const linear = parts
      .map((part) => (colour.startsWith("color") ? part : part / 255))
      .map((part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const paper = getComputedStyle(document.body).backgroundColor;
  return [...document.querySelectorAll(".matrix tbody td, td.good, td.bad")].map((cell) => {
    const style = getComputedStyle(cell);
    const behind = cell.closest(".matrix") ? style.backgroundColor : paper;
    const [low, high] = [light(style.color), light(behind)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  });
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_is_coloured_can_be_read(chromium, tmp_path, theme):
    shares = [step / 10 for step in range(11)]
    matrices = [
        Matrix(
            [str(place) for place in range(11)], [[(1, share) for share in shares]] * 11, "m", own
        )
        for own in (True, False)
    ]
    marked = [[Cell("a"), Cell("better", mark="good"), Cell("behind", mark="bad")]]
    blocks = [*matrices, Table(("Arm", "Energy", "Accuracy"), marked)]
    path = tmp_path / "page.html"
    path.write_text(render(Page("Report", "r", "", [Section("s", "S", blocks)])), encoding="utf-8")
    opened = chromium.new_page(color_scheme=theme)
    opened.goto(path.as_uri())
    found = opened.evaluate(CONTRASTS)
    opened.close()
    assert len(found) == 2 * 121 + 2
    assert min(found) >= 4.5
