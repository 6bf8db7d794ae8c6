import io
import re
import shlex

import numpy as np
import pytest
from browser_site import Site, address
from PIL import Image
from playwright.sync_api import expect
from server_tools import listening

from regard.data.manifest import read_manifest
from regard.data.source import mask_classes
from regard.training.train import train
from tinyset import COLOURS, SETS, config_of, write_sets

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


def drawn(page):
    """What the page says of the drawing, as told to a screen reader, too."""
    return page.get_by_role("heading", name="What you draw").locator("..").get_by_role("status")


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


def test_boxes_of_classes_keep_their_classes(chromium, tmp_path):
    write_sets(tmp_path / "tags")
    train(config_of(base=SETS), tmp_path / "runs/sets", folder=tmp_path / "tags")
    with listening(tmp_path, tmp_path / "cache") as http:
        asked = {"run": "runs/sets", "split": "test"}
        items = http.get("/api/gallery", params=asked).json()["items"]
        found = [
            http.get("/api/image", params=asked | {"index": item["index"]}).json() for item in items
        ]
        image = next(one for one in found if len(one["region"]["boxes"]) == 2)
        page = chromium.new_page()
        web = Site(page, address(http))
        web.open("correct", **asked, index=image["index"])
        first, second = page.get_by_label("Box 1, class"), page.get_by_label("Box 2, class")
        labels = image["region"]["box_labels"]
        expect(first).to_have_value(labels[0])
        expect(second).to_have_value(labels[1])
        page.get_by_label("Box 1, left").fill("1")
        other = next(name for name in COLOURS if name not in labels)
        second.select_option(other)
        page.get_by_role("button", name="Add a box").click()
        expect(page.get_by_label("Box 3, class")).to_have_value(other)
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_text("corrects 1 image")).to_be_visible()
        params = asked | {"manifest": "corrected", "index": image["index"]}
        saved = http.get("/api/correction", params=params).json()
        assert saved["box_labels"] == [labels[0], other, other]
        assert saved["boxes"][0][0] == 1
        page.reload()
        expect(page.get_by_label("Box 3, class")).to_have_value(other)
        page.screenshot(path=tmp_path / "classes.png")
        assert web.faults == []
        page.close()


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
    expect(drawn(page)).to_have_text("A mask.")
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
    expect(drawn(page)).to_have_text("A mask.")
    web.settled()


def test_the_present_region_is_drawn_on_from(web, api, site_folder):
    shown = api("gallery", run=A, split="test", region="present")["items"]
    index = shown[0]["index"]
    page = web.open("correct", run=A, split="test", index=index, manifest="further")
    page.locator(".paper canvas").wait_for()
    web.settled()
    page.get_by_role("button", name="Draw on from it").click()
    expect(drawn(page)).to_have_text("A mask.")
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


def opened(web, index, **more):
    page = web.open("correct", run=A, split="test", index=index, **more)
    page.locator(".paper canvas").wait_for()
    web.settled()
    return page


def post(served, **asked):
    answer = served.post("/api/correction", json={"run": A, "split": "test"} | asked)
    assert answer.status_code == 200, answer.text


def test_a_region_that_is_nowhere_stays_nowhere(web, served, api):
    index = api("gallery", run=A, split="test", region="present")["items"][1]["index"]
    post(served, manifest="nowhere", index=index, boxes=[])
    page = opened(web, index, manifest="nowhere")
    expect(drawn(page)).to_contain_text("Saved without a region.")
    expect(page.locator(".boxes li")).to_have_count(0)
    page.get_by_role("button", name="Take the correction back").click()
    expect(page.get_by_text("nowhere corrects 0")).to_be_visible()
    expect(page.get_by_role("button", name="Take the correction back")).to_be_hidden()
    web.settled()


def test_another_manifest_shows_what_is_saved_there(web, served, api, site_folder):
    index = missing(api)[3]["index"]
    post(served, manifest="first", index=index, boxes=[[1, 1, 9, 9]])
    post(served, manifest="second", index=index, boxes=[[2, 2, 8, 8], [3, 3, 30, 30]])
    page = opened(web, index, manifest="first")
    name, boxes = page.get_by_label("Manifest"), page.locator(".boxes li")
    back = page.get_by_role("button", name="Take the correction back")
    expect(boxes).to_have_count(1)
    name.fill("second")
    name.press("Tab")
    expect(boxes).to_have_count(2)
    name.fill("third")
    name.press("Tab")
    expect(boxes).to_have_count(0)
    expect(back).to_be_hidden()
    assert web.state()["manifest"] == "third"
    # What is drawn and not saved yet stays under another name.
    page.locator(".easel").focus()
    page.keyboard.press("n")
    name.fill("first")
    name.press("Tab")
    expect(back).to_be_visible()
    expect(page.get_by_text("first has a correction of this image")).to_be_visible()
    expect(boxes).to_have_count(1)
    expect(page.get_by_label("Box 1, left")).to_have_value("11")
    assert not (site_folder / "corrections/third").exists()
    page.get_by_role("button", name="Save", exact=True).click()
    page.locator(".command").wait_for()
    assert api("correction", manifest="first", run=A, split="test", index=index)["boxes"] == [
        [11, 11, 21, 21]
    ]


def test_what_is_not_saved_is_not_lost_without_a_word(web, api):
    index = missing(api)[0]["index"]
    page = web.open("image", run=A, split="test", index=index, at=0)
    page.get_by_role("link", name="Draw a region").click()
    page.locator(".paper canvas").wait_for()
    web.settled()
    address = page.url
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Draw a region").wait_for()
    page.go_back()
    page.locator(".paper canvas").wait_for()
    web.settled()
    page.locator(".easel").focus()
    page.keyboard.press("n")
    expect(page.locator(".boxes li")).to_have_count(1)
    question = page.get_by_role("dialog")
    for leave in (
        lambda: page.keyboard.press("Escape"),
        lambda: page.get_by_role("link", name="Runs", exact=True).click(),
        lambda: page.evaluate("() => history.back()"),
    ):
        leave()
        expect(question).to_contain_text("What you drew is not saved.")
        page.get_by_role("button", name="Stay").click()
        expect(question).to_have_count(0)
        assert page.url == address
        expect(page.locator(".boxes li")).to_have_count(1)
    # To the next image, which is no less looked after.
    for _ in range(2):
        page.get_by_role("link", name="Next ›").click()
        page.get_by_role("button", name="Leave without it").click()
        expect(question).to_have_count(0)
        web.settled()
        page.locator(".easel").focus()
        page.keyboard.press("n")
    told = []
    page.once("dialog", lambda dialog: (told.append(dialog.type), dialog.accept()))
    page.reload()
    assert told == ["beforeunload"]
    page.locator(".easel").focus()
    page.keyboard.press("n")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Leave without it").click()
    page.wait_for_url("**/image?**")
    web.settled()


def test_saving_takes_something_drawn_and_nowhere_a_button_of_its_own(web, api, site_folder):
    index = api("gallery", run=A, split="test", region="present")["items"][2]["index"]
    page = opened(web, index, manifest="by-enter")
    save = page.get_by_role("button", name="Save", exact=True)
    nowhere = page.get_by_role("button", name="Save without a region")
    expect(save).to_be_disabled()
    colour = "one => getComputedStyle(one).backgroundColor"
    off = save.evaluate(colour)
    page.get_by_label("Manifest").press("Enter")
    page.locator(".easel").focus()
    page.keyboard.press("n")
    expect(save).to_be_enabled()
    expect(nowhere).to_be_hidden()
    assert save.evaluate(colour) != off
    page.get_by_role("button", name="Undo").click()
    expect(save).to_be_disabled()
    assert not (site_folder / "corrections/by-enter").exists()
    nowhere.click()
    expect(drawn(page)).to_contain_text("Saved without a region.")
    expect(nowhere).to_be_hidden()
    saved = api("correction", manifest="by-enter", run=A, split="test", index=index)
    assert saved["boxes"] == []
    web.settled()


def test_corrections_of_another_run_are_not_proposed(chromium, own_folder, tmp_path):
    with listening(own_folder, tmp_path / "cache") as http:
        box = {"boxes": [[1, 1, 9, 9]], "split": "test", "index": 36}
        of_sets = box | {"run": "runs/sets", "box_labels": [COLOURS[0]], "manifest": "corrected"}
        assert http.post("/api/correction", json=of_sets).status_code == 200
        web = Site(chromium.new_page(), address(http))
        page = web.open("correct", run="runs/one", split="test", index=36)
        expect(page.get_by_label("Manifest")).to_have_value("corrected-2")
        expect(page.locator(".boxes li")).to_have_count(0)
        # The other one can be named, and is left alone.
        page = web.open("correct", run="runs/one", split="test", index=36, manifest="corrected")
        expect(page.get_by_label("Manifest")).to_have_value("corrected")
        expect(page.locator(".boxes li")).to_have_count(0)
        assert web.faults == []
        page.close()


MASKS = "runs/masks"
COLOUR = """([x, y]) => {
  const own = document.querySelector(".paper canvas");
  return [...own.getContext("2d").getImageData(x, y, 1, 1).data];
}"""


def at(page, x, y):
    """The pixel of the mask at a place, as page and screen have it."""
    frame = page.locator(".paper canvas").bounding_box()
    return frame["x"] + x / 60 * frame["width"], frame["y"] + y / 40 * frame["height"]


def stroke(page, *places):
    page.mouse.move(*at(page, *places[0]))
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*at(page, *place), steps=12)
    page.mouse.up()


def test_a_mask_that_is_painted_is_the_mask_of_the_next_training(web, api, served, site_folder):
    index = api("gallery", run=MASKS, split="test", limit=1)["items"][0]["index"]
    page = web.open("image", run=MASKS, split="test", index=index, at=0, manifest="repainted")
    page.get_by_role("link", name="Correct the mask").click()
    page.locator(".palette").wait_for()
    web.settled()
    asked = {"run": MASKS, "split": "test", "index": index}
    png = served.get("/api/mask", params=asked).content
    own = np.asarray(Image.open(io.BytesIO(png)))
    assert own.shape == (40, 60)
    save = page.get_by_role("button", name="Save", exact=True)
    expect(save).to_be_disabled()
    wanted = own.copy()
    # A box of the second class: pixels whose centres lie inside.
    page.get_by_role("button", name="box").last.click()
    page.get_by_role("button", name="Box", exact=True).first.click()
    stroke(page, (10.1, 5.1), (20.9, 12.9))
    wanted[5:13, 10:21] = 1
    # One of void over its corner, and the eraser gives the run's own back.
    page.get_by_role("button", name="void").click()
    stroke(page, (18.1, 10.1), (29.9, 15.9))
    wanted[10:16, 18:30] = 255
    page.get_by_role("slider", name="Brush").fill("3")
    page.get_by_role("button", name="Eraser").click()
    stroke(page, (24.5, 8.5), (24.5, 18.5))
    wanted[10:16, 23:26] = own[10:16, 23:26]
    changed = int((wanted != own).sum())
    expect(page.get_by_text(f"{changed} of 2")).to_be_visible()
    # Taken back and done again it is the same.
    page.keyboard.press("Control+z")
    expect(page.get_by_text(f"{changed} of 2")).not_to_be_visible()
    page.keyboard.press("Control+Shift+z")
    expect(page.get_by_text(f"{changed} of 2")).to_be_visible()
    save.click()
    page.locator(".command").wait_for()
    manifest = read_manifest(site_folder / "corrections/repainted/repainted.parquet")
    path = manifest.resolve(manifest.table["mask"][index])
    assert mask_classes(manifest).read(path, (40, 60)).tolist() == wanted.tolist()
    page.reload()
    expect(page.get_by_text(f"{changed} of 2")).to_be_visible()
    page.get_by_role("button", name="Take the correction back").click()
    expect(page.get_by_text("repainted corrects 0")).to_be_visible()
    expect(page.get_by_text("Nothing yet")).to_be_visible()
    web.settled()


def test_a_mask_is_painted_by_keys(web, api, site_folder):
    index = api("gallery", run=MASKS, split="test", limit=1)["items"][0]["index"]
    page = web.open("correct", run=MASKS, split="test", index=index, manifest="by-keys")
    page.locator(".palette").wait_for()
    page.locator(".easel").focus()
    for _ in range(6):
        page.keyboard.press("[")
    assert page.get_by_role("slider", name="Brush").input_value() == "1"
    page.keyboard.press("0")
    page.keyboard.press("Space")
    page.keyboard.press("Shift+ArrowRight")
    assert page.evaluate(COLOUR, [30, 20])[3] == 0  # void: the photo shows
    assert page.evaluate(COLOUR, [31, 20])[3] == 0
    expect(page.get_by_text("2 of 2")).to_be_visible()
    colours = api("run", run=MASKS)["colours"]
    for key in (1, 2):
        page.keyboard.press(str(key))
        page.keyboard.press("Space")
        red, green, blue, alpha = page.evaluate(COLOUR, [31, 20])
        assert (f"#{red:02x}{green:02x}{blue:02x}", alpha) == (colours[key - 1], 255)
    expect(page.get_by_role("button", name="box").last).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("i")
    expect(page.get_by_role("button", name="Pick")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="As the run has it").click()
    expect(page.get_by_text("Nothing yet")).to_be_visible()
    page.keyboard.press("Control+z")
    expect(page.get_by_text("differ from")).to_be_visible()


def test_steps_are_not_taken_back_in_the_middle_of_a_stroke(web, api):
    index = api("gallery", run=MASKS, split="test", limit=1)["items"][0]["index"]
    page = web.open("correct", run=MASKS, split="test", index=index, manifest="strokes")
    page.locator(".palette").wait_for()
    web.settled()
    page.get_by_role("button", name="void").click()
    page.get_by_role("slider", name="Brush").fill("3")
    stroke(page, (5.5, 5.5), (15.5, 5.5))
    first = page.get_by_text("differ from").inner_text()
    page.mouse.move(*at(page, 5.5, 30.5))
    page.mouse.down()
    page.mouse.move(*at(page, 25.5, 30.5), steps=5)
    page.keyboard.press("Control+z")
    page.mouse.move(*at(page, 45.5, 30.5), steps=5)
    page.mouse.up()
    both = page.get_by_text("differ from").inner_text()
    assert both != first
    page.keyboard.press("Control+z")
    expect(page.get_by_text(first)).to_be_visible()
    page.keyboard.press("Control+z")
    expect(page.get_by_text("Nothing yet")).to_be_visible()
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()
    for text in (first, both):
        page.keyboard.press("Control+Shift+z")
        expect(page.get_by_text(text)).to_be_visible()


def test_a_browser_without_the_token_is_asked_for_it(chromium, site_folder, tmp_path):
    with listening(site_folder, tmp_path, token="a long secret") as http:
        context = chromium.new_context()
        web = Site(context.new_page(), address(http))
        page = web.page
        page.goto(f"{web.base}#/run?run={A}")
        expect(page.get_by_label("Token")).to_be_focused()
        page.keyboard.type("another")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text("This is not the token.")
        expect(page.get_by_label("Token")).to_be_focused()
        page.keyboard.type("a long secret")
        page.keyboard.press("Enter")
        # Where the address led to, and without the token in it.
        expect(page.locator("h1")).to_have_text("a")
        assert page.url == f"{web.base}#/run?run={A}"
        page.locator(".chart").first.wait_for()
        assert all("401" in fault for fault in web.faults)
        context.close()


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
