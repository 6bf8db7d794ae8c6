import re
import shlex

import numpy as np
import pytest
from browser_site import Site, address
from PIL import Image
from playwright.sync_api import expect
from server_tools import listening

from regard.data.manifest import read_manifest

A = "runs/a"


def drag(page, start, end):
    """Draw over the photo from a place to another, in shares of it."""
    frame = page.locator(".paper canvas").bounding_box()
    places = [
        (frame["x"] + x * frame["width"], frame["y"] + y * frame["height"]) for x, y in (start, end)
    ]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1], steps=8)
    page.mouse.up()


def missing(api):
    return api("gallery", run=A, split="test", region="missing")["items"]


def test_a_box_drawn_with_the_mouse_is_a_region_of_the_next_training(web, api, site_folder):
    index = missing(api)[0]["index"]
    page = web.open("correct", run=A, split="test", index=index, region="missing", at=0)
    page.locator(".paper canvas").wait_for()
    web.settled()
    drag(page, (0.25, 0.25), (0.75, 0.5))
    page.get_by_label("Manifest").fill("by-hand")
    page.get_by_role("button", name="Save", exact=True).click()
    line = page.locator(".command code")
    line.wait_for()
    words = shlex.split(line.inner_text())
    assert words[:2] == ["regard", "train"]
    path = next(word.partition("=")[2] for word in words if word.startswith("data.manifest="))
    manifest = read_manifest(path)
    row = manifest.table.row(index, named=True)
    np.testing.assert_allclose(row["boxes"], [[8, 8, 24, 16]], atol=0.3)
    assert api("correction", manifest="by-hand", run=A, split="test", index=index)["boxes"]
    page.reload()
    expect(page.locator(".boxes li")).to_have_count(1)
    assert float(page.get_by_label("Box 1, left").input_value()) == pytest.approx(8, abs=0.3)
    page.get_by_role("button", name="Take the correction back").click()
    expect(page.get_by_text("by-hand corrects 0")).to_be_visible()
    assert not read_manifest(path).table.row(index, named=True)["boxes"]
    web.settled()


def test_brush_and_eraser_make_a_mask(web, api, site_folder):
    index = missing(api)[1]["index"]
    page = web.open("correct", run=A, split="test", index=index, manifest="painted")
    page.locator(".paper canvas").wait_for()
    web.settled()
    drag(page, (0.2, 0.2), (0.8, 0.8))
    page.get_by_role("button", name="Brush").click()
    drag(page, (0.1, 0.95), (0.9, 0.95))
    page.get_by_role("button", name="Eraser").click()
    drag(page, (0.5, 0.3), (0.5, 0.7))
    expect(page.get_by_text("A mask.", exact=True)).to_be_visible()
    page.get_by_role("button", name="Save", exact=True).click()
    page.locator(".command").wait_for()
    manifest = read_manifest(site_folder / "corrections" / "painted" / "painted.parquet")
    row = manifest.table.row(index, named=True)
    assert not row["boxes"]
    mask = np.asarray(Image.open(manifest.resolve(row["region"])).convert("L")) > 127
    height, width = mask.shape

    def inside(x, y):
        return bool(mask[int(y * height), int(x * width)])

    assert inside(0.3, 0.3)
    assert inside(0.5, 0.95)
    assert not inside(0.5, 0.5)
    assert not inside(0.05, 0.05)
    page.reload()
    expect(page.get_by_text("A mask.", exact=True)).to_be_visible()
    web.settled()


def test_the_present_region_is_drawn_on_from(web, api, site_folder):
    shown = api("gallery", run=A, split="test", region="present")["items"]
    index = shown[0]["index"]
    page = web.open("correct", run=A, split="test", index=index, manifest="further")
    page.locator(".paper canvas").wait_for()
    web.settled()
    page.get_by_role("button", name="Draw on from it").click()
    expect(page.get_by_text("A mask.", exact=True)).to_be_visible()
    page.get_by_role("button", name="Save", exact=True).click()
    page.locator(".command").wait_for()
    manifest = read_manifest(site_folder / "corrections" / "further" / "further.parquet")
    own = manifest.table.row(index, named=True)
    before = read_manifest(site_folder / "tiny" / "manifest.parquet")
    kept = before.resolve(before.table.row(index, named=True)["region"])
    new, old = (
        np.asarray(Image.open(path).convert("L")) > 127
        for path in (manifest.resolve(own["region"]), kept)
    )
    assert new.shape == old.shape
    assert (new == old).mean() > 0.99
    web.settled()


def test_a_box_by_keyboard_and_steps_taken_back(web, api):
    index = missing(api)[2]["index"]
    page = web.open("correct", run=A, split="test", index=index, manifest="keys")
    page.locator(".easel").focus()
    page.keyboard.press("n")
    left = page.get_by_label("Box 1, left")
    expect(left).to_have_value("11")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(left).to_have_value("13")
    page.keyboard.press("Shift+ArrowDown")
    expect(page.get_by_label("Box 1, bottom")).to_have_value("22")
    page.keyboard.press("Control+z")
    expect(page.get_by_label("Box 1, bottom")).to_have_value("21")
    page.keyboard.press("Control+Shift+z")
    page.get_by_label("Box 1, right").fill("30")
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Save", exact=True).click()
    page.locator(".command").wait_for()
    saved = api("correction", manifest="keys", run=A, split="test", index=index)
    assert saved["boxes"] == [[13, 11, 30, 22]]
    page.locator(".easel").focus()
    page.keyboard.press("+")
    wide = page.locator(".paper").bounding_box()["width"]
    page.keyboard.press("-")
    assert page.locator(".paper").bounding_box()["width"] == pytest.approx(wide / 1.5, rel=0.02)
    page.get_by_role("button", name="Clear").click()
    expect(page.locator(".boxes li")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".boxes li")).to_have_count(1)
    web.settled()


def test_a_token_is_asked_for_in_one_line(chromium, site_folder, tmp_path):
    with listening(site_folder, tmp_path, token="a long secret") as http:
        context = chromium.new_context()
        web = Site(context.new_page(), address(http))
        web.page.goto(f"{web.base}?token=a%20long%20secret")
        web.page.wait_for_selector("main h1")
        assert "secret" not in web.page.url
        context.clear_cookies()
        web.page.get_by_role("link", name="a", exact=True).click()
        expect(web.page.get_by_role("alert")).to_have_text(re.compile("token.*expected"))
        web.page.get_by_label("Token").fill("a long secret")
        web.page.get_by_role("button", name="Open").click()
        expect(web.page.locator("h1")).to_have_text("a")
        web.page.locator(".chart").first.wait_for()
        assert all("401" in fault for fault in web.faults)
        context.close()
