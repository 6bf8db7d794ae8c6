import io
import re

import numpy as np
from browser_site import HOSTILE, pixels, unlike
from PIL import Image
from playwright.sync_api import expect

from processes import until

A, B, MASKS = "runs/a", "runs/b", "runs/masks"
PHOTO = ".photos .stack"


def first(api, run=A, **more):
    return api("gallery", run=run, split="test", limit=3, **more)["items"][0]["index"]


def photo_bytes(size=(90, 60)):
    """A red square on noise, as PNG."""
    noise = np.random.default_rng(3).integers(0, 90, (size[1], size[0], 3), dtype=np.uint8)
    noise[20:40, 30:55] = (230, 20, 20)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "PNG")
    return out.getvalue()


def test_bars_are_the_probabilities_and_choose_the_map(web, api):
    index = first(api)
    page = web.open("image", run=A, split="test", index=index, at=0)
    page.locator(".bars button").first.wait_for()
    told = api("image", run=A, split="test", index=index)["probabilities"]
    rows = page.locator(".bars button").all_inner_texts()
    for row, one in zip(rows, told, strict=True):
        assert row.startswith(one["class"])
        assert f"{100 * one['value']:.1f}" in row
    web.maps_shown(PHOTO)
    before = pixels(page.locator(PHOTO))
    page.locator(".bars button").nth(1).click()
    expect(page.locator(".bars button").nth(1)).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".bars button").nth(1)).to_be_focused()
    web.settled()
    until(lambda: unlike(pixels(page.locator(PHOTO)), before) > 1, seconds=60)
    assert "target=" in page.url


def test_arrow_keys_go_through_the_filtered_gallery(web, api):
    items = api("gallery", run=A, split="test", label="moss")["items"]
    page = web.open("image", run=A, split="test", label="moss", index=items[0]["index"], at=0)
    expect(page.locator("h1")).to_have_text(items[0]["name"])
    expect(page.locator(".pager")).to_contain_text("1 of")
    page.keyboard.press("ArrowRight")
    expect(page.locator("h1")).to_have_text(items[1]["name"])
    page.keyboard.press("ArrowLeft")
    expect(page.locator("h1")).to_have_text(items[0]["name"])
    page.go_back()
    expect(page.locator("h1")).to_have_text(items[1]["name"])
    web.settled()


def test_methods_are_side_by_side(web, api):
    page = web.open("image", run=A, split="test", index=first(api), compare="gradcam")
    page.locator(".strip").scroll_into_view_if_needed()
    assert web.maps_shown(".strip") == 1
    page.get_by_role("button", name="Saliency", exact=True).click()
    expect(page.locator(".strip li")).to_have_count(2)
    expect(page.locator(".strip img.map:not([hidden])")).to_have_count(2)
    web.settled()
    assert unlike(*(pixels(page.locator(".strip .stack").nth(k)) for k in (0, 1))) > 1


def test_region_scores_and_the_background_are_told(web, api):
    index = api("gallery", run=A, split="test", region="present")["items"][0]["index"]
    page = web.open("image", run=A, split="test", index=index, other=B)
    expect(page.locator(".photos figure")).to_have_count(2)
    energy = api("image", run=A, split="test", index=index)["scores"]["gradcam"]["energy"]
    expect(page.get_by_role("row", name="Energy").first).to_contain_text(f"{energy:.3f}")
    page.get_by_role("button", name="Exchange the background").click()
    swapped = api("background", run=A, split="test", index=index)["swapped"]
    table = page.locator("section").filter(has_text="Background").last.locator("tbody tr")
    expect(table).to_have_count(1 + len(swapped))
    web.settled()


def test_a_pixel_of_a_segmenter_has_a_map_and_the_mask_is_shown(web, api):
    page = web.open("image", run=MASKS, split="test", index=first(api, MASKS), outlines=0)
    web.maps_shown(PHOTO)
    whole = pixels(page.locator(PHOTO))
    frame = page.locator(PHOTO).bounding_box()
    page.mouse.click(frame["x"] + frame["width"] * 0.5, frame["y"] + frame["height"] * 0.5)
    page.wait_for_url("**pixel=0.5**")
    expect(page.get_by_text("This pixel is taken for")).to_be_visible()
    web.settled()
    until(lambda: unlike(pixels(page.locator(PHOTO)), whole) > 0.5, seconds=60)
    plain = pixels(page.locator(PHOTO))
    page.get_by_label("Predicted mask").check()
    page.locator(f"{PHOTO} img.prediction:not([hidden])").wait_for()
    web.settled()
    until(lambda: unlike(pixels(page.locator(PHOTO)), plain) > 1, seconds=60)
    page.get_by_label("Pixel, % across").fill("25")
    page.get_by_label("% down").focus()
    page.wait_for_url("**pixel=0.25**")
    web.settled()


def test_an_image_of_ones_own_has_a_map_and_leaves_nothing(web, site_folder):
    before = sorted(site_folder.rglob("*"))
    page = web.open("own", run=A)
    expect(page.locator(".zone")).to_contain_text("not stored")
    page.set_input_files(
        "#own-file",
        {"name": f"{HOSTILE}.png", "mimeType": "image/png", "buffer": photo_bytes()},
    )
    page.locator(".result .bars").wait_for()
    expect(page.locator(".result h2").first).to_have_text(f"{HOSTILE}.png")
    expect(page.locator(".result")).to_contain_text("90 × 60 pixels")
    shown = pixels(page.locator(PHOTO))
    page.get_by_label("Map's opacity").fill("0")
    bare = pixels(page.locator(PHOTO))
    assert unlike(shown, bare) > 1
    page.get_by_label("Map's opacity").fill("75")
    page.locator(".bars button").nth(1).click()
    expect(page.locator(".bars button").nth(1)).to_have_attribute("aria-pressed", "true")
    until(lambda: unlike(pixels(page.locator(PHOTO)), shown) > 1, seconds=60)
    assert sorted(site_folder.rglob("*")) == before


def test_an_image_can_be_dropped_or_pasted_and_a_refusal_is_one_line(web):
    page = web.open("own", run=A)
    drop = """([bytes, type, name]) => {
      const data = new DataTransfer();
      data.items.add(new File([new Uint8Array(bytes)], name, { type }));
      document.querySelector("main").dispatchEvent(
        new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
    }"""
    page.evaluate(drop, [list(photo_bytes()), "image/png", "dropped.png"])
    expect(page.locator(".result h2").first).to_have_text("dropped.png")
    page.locator(".result .bars").wait_for()
    paste = drop.replace("DragEvent", "ClipboardEvent").replace('"drop"', '"paste"')
    paste = paste.replace("dataTransfer", "clipboardData")
    page.evaluate(paste, [list(photo_bytes()), "image/png", "pasted.png"])
    expect(page.locator(".result h2").first).to_have_text("pasted.png")
    page.evaluate(drop, [list(b"no picture"), "image/png", "broken.png"])
    expect(page.locator(".result .refused")).to_have_text(
        re.compile("^broken.png: expected .*; choose another$")
    )
    assert all("400" in fault or "415" in fault for fault in web.faults)
    web.faults.clear()


def test_methods_that_the_net_cannot_take_are_told_and_not_to_be_chosen(web, api):
    page = web.open("image", run=MASKS, split="test", index=first(api, MASKS))
    told = api("run", run=MASKS)["methods"]
    unfit = {method["title"]: method["unfit"] for method in told if method["unfit"]}
    assert "CAM" in unfit
    menu = page.get_by_label("Map by")
    shown = menu.locator("optgroup option").all_inner_texts()
    assert sorted(shown) == sorted(f"{title}: {needs}" for title, needs in unfit.items())
    assert menu.locator("optgroup option:not(:disabled)").count() == 0
    assert menu.locator(":scope > option").count() == len(told) - len(unfit)
    chips = page.locator(".chips button").all_inner_texts()
    assert not set(unfit) & {chip.strip() for chip in chips}
    page.get_by_text("Methods that are not for this net").click()
    expect(page.locator(".unfit li").filter(has_text="CAM")).to_contain_text(unfit["CAM"])
    web.settled()


def test_a_segmenters_shares_are_told_as_such_and_its_class_is_outlined(own_site):
    web = own_site
    page = web.open("image", run=MASKS, split="test", index=3, opacity=0)
    expect(page.get_by_text("Shares of the pixels.")).to_be_visible()
    expect(page.get_by_text("Computed now")).to_have_count(0)
    page.locator(f"{PHOTO} img.region:not([hidden])").wait_for()
    web.settled()
    ground = pixels(page.locator(PHOTO))
    page.get_by_label("Map of").select_option("box")
    until(lambda: unlike(pixels(page.locator(PHOTO)), ground) > 0.2, seconds=60)
    web.settled()
    box = pixels(page.locator(PHOTO))
    page.get_by_label("Class's outline").uncheck()
    until(lambda: unlike(pixels(page.locator(PHOTO)), box) > 0.2, seconds=60)
    page = web.open("own", run=MASKS)
    page.set_input_files(
        "#own-file", {"name": "a.png", "mimeType": "image/png", "buffer": photo_bytes()}
    )
    expect(page.locator(".result")).to_contain_text("Shares of the pixels")


def test_a_map_of_ones_own_image_that_is_zero_says_so(web):
    page = web.page

    def without_a_map(route):
        answer = route.fetch()
        route.fulfill(response=answer, json=answer.json() | {"peak": 0.0})

    page.route("**/api/upload*", without_a_map)
    web.open("own", run=MASKS)
    page.set_input_files(
        "#own-file", {"name": "a.png", "mimeType": "image/png", "buffer": photo_bytes()}
    )
    expect(page.locator(".result .flag")).to_have_text("zero map")


def test_scores_stand_by_the_map_that_was_scored(web, api):
    items = api("gallery", run=A, split="test", region="present")["items"]
    item = next(item for item in items if item["right"])
    page = web.open("image", run=A, split="test", index=item["index"], compare="gradcam")
    page.locator(".strip").scroll_into_view_if_needed()
    energy = f"energy {item['scores']['energy']:.3f}"
    expect(page.locator(".strip li")).to_contain_text(energy)
    other = next(name for name in (HOSTILE, "moss") if name != item["label"])
    page.get_by_label("Map of").select_option(other)
    expect(page.locator(".strip li")).not_to_contain_text("energy")
    page.get_by_label("Map of").select_option("label")
    expect(page.locator(".strip li")).to_contain_text(energy)
    web.settled()
