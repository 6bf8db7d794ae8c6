"""Every view is clean for axe-core, light and dark, wide and narrow, and fits a telephone."""

from importlib.resources import files
from itertools import product

import pytest
from browser_site import Site, address
from server_tools import listening

AXE = files("axe_playwright_python") / "axe.min.js"
A, B, MASKS = "runs/a", "runs/b", "runs/masks"
VIEWS = {
    "overview": ("overview", {}),
    "run": ("run", {"run": A}),
    "gallery": ("gallery", {"run": A, "split": "test", "score": "energy"}),
    "side by side": ("gallery", {"run": A, "split": "test", "other": B}),
    "nothing": ("gallery", {"run": A, "split": "val", "label": "none"}),
    "image": ("image", {"run": A, "split": "test", "at": "0", "other": B}),
    "segmenter": ("image", {"run": MASKS, "split": "test", "pixel": "0.5,0.5", "mask": "1"}),
    "own": ("own", {"run": A}),
    "correct": ("correct", {"run": A, "split": "test", "at": "0"}),
    "repaint": ("correct", {"run": MASKS, "split": "test", "at": "0"}),
}


@pytest.fixture(scope="module")
def looked_at(chromium, site):
    """A page as wide as a telephone; axe comes in from outside, which the page itself forbids."""
    context = chromium.new_context(viewport={"width": 400, "height": 800}, bypass_csp=True)
    page = Site(context.new_page(), site)
    yield page
    context.close()
    assert page.faults == []


LOOKS = [*product((1280, 400), ("light", "dark"))]


@pytest.mark.parametrize(
    ("name", "looks"),
    [
        *((name, [LOOKS[number % 2 * 3]]) for number, name in enumerate(VIEWS)),
        *(pytest.param(name, LOOKS, marks=pytest.mark.torture) for name in VIEWS),
    ],
)
def test_view_is_for_everyone(looked_at, api, name, looks):
    view, state = VIEWS[name]
    if view in ("image", "correct"):
        first = api("gallery", run=state["run"], split="test", limit=1)["items"][0]
        state = {**state, "index": first["index"]}
    page = looked_at.open(view, **state)
    page.evaluate("() => document.querySelectorAll('details').forEach(one => one.open = true)")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    for width, colours in looks:
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=colours)
        assert grave(page.evaluate("() => axe.run()")) == []
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width


def test_the_token_is_for_everyone(chromium, site_folder, tmp_path):
    with listening(site_folder, tmp_path, token="a long secret") as http:
        context = chromium.new_context(bypass_csp=True)
        page = context.new_page()
        page.goto(f"{address(http)}?token=wrong")
        page.evaluate(AXE.read_text(encoding="utf-8"))
        for width in (1280, 400):
            page.set_viewport_size({"width": width, "height": 800})
            for colours in ("light", "dark"):
                page.emulate_media(color_scheme=colours)
                assert page.evaluate("() => axe.run()")["violations"] == []
            assert page.evaluate("() => document.documentElement.scrollWidth") <= width
        context.close()


def grave(found):
    """What axe-core finds serious or critical, and where."""
    return [
        (one["id"], [node["target"] for node in one["nodes"]])
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]
