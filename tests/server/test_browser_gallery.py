import re
import shlex
import shutil

from browser_site import HOSTILE, HOSTILE_FILE, Site, address, pixels, unlike
from playwright.sync_api import expect
from server_tools import listening

from processes import until
from regard.training.train import train
from tinyset import TWIN, config_of, write_pairs

A, B = "runs/a", "runs/b"


def asked(http_get, **query):
    """The names that the API gives."""
    return [item["name"] for item in http_get("gallery", run=A, split="test", **query)["items"]]


def test_overview_lists_runs_and_leads_to_their_galleries(web, api):
    page = web.open()
    rows = page.locator("tbody tr")
    assert rows.count() == 3
    accuracy = next(run for run in api("overview")["runs"] if run["id"] == A)["metrics"]["test"]
    row = rows.filter(has=page.get_by_role("link", name="a", exact=True))
    expect(row).to_contain_text(f"{100 * accuracy['accuracy']:.1f}\N{NO-BREAK SPACE}%")
    row.get_by_role("link").click()
    page.locator(".chart svg").first.wait_for()
    chart = page.locator(".chart").filter(has_text="Loss").first
    assert chart.locator("polyline").count() == 2
    epochs = api("curves", run=A, offset=0)["epochs"]
    assert len(chart.locator("polyline").first.get_attribute("points").split()) == len(epochs)
    assert "Epoch" in chart.inner_text()
    page.get_by_role("link", name="test").first.click()
    assert len(web.tiles()) == 12


OUTSIDE = """async (values) => {
  const { chart } = await import("./static/chart.js");
  const points = values.map((value, place) => [1 + 1999 * place, value]);
  const figure = chart({ title: "Loss", lines: [{ name: "train", tone: "c0", points }] });
  document.querySelector("main").replaceChildren(figure);
  const frame = figure.querySelector("svg").getBoundingClientRect();
  const texts = [...figure.querySelectorAll("svg text")];
  const cut = texts.filter((text) => {
    const box = text.getBoundingClientRect();
    return box.left < frame.left || box.right > frame.right;
  });
  return [cut.length, texts.map((text) => text.textContent)];
}"""


def test_numbers_beside_a_chart_are_not_cut_off_and_written_as_in_its_legend(web):
    page = web.open()
    page.locator("tbody tr").first.wait_for()
    for values, told in (
        ([1_200_000, 1_500_000], "1\N{THIN SPACE}500\N{THIN SPACE}000"),
        ([0.693125, 0.69315], "0.693125"),
        ([1e-7, 3e-7], "3e−7"),
    ):
        cut, texts = page.evaluate(OUTSIDE, values)
        assert cut == 0
        assert told in texts
        assert "2\N{THIN SPACE}000" in texts


def test_filters_show_what_the_api_lets_through(web, api):
    page = web.open("gallery", run=A, split="test")
    every = web.tiles()
    assert len(every) == 12
    page.get_by_label("Class", exact=True).select_option("moss")
    expect(page.locator(".summary")).to_have_text(re.compile("^4 of"))
    assert web.tiles() == asked(api, label="moss")
    page.get_by_label("Class", exact=True).select_option("")
    page.get_by_label("Region", exact=True).select_option("missing")
    expect(page.locator(".summary")).to_have_text(re.compile("^4 of"))
    assert web.tiles() == asked(api, region="missing")
    page.get_by_label("Region", exact=True).select_option("")
    page.get_by_label("Answer").select_option("wrong")
    web.page.wait_for_url("**right=wrong**")
    wrong = asked(api, right="wrong")
    assert web.tiles() == wrong
    assert all("✗" in text for text in page.locator(".tile .answer").all_inner_texts())


def test_scores_are_ranges_and_orders(web, api):
    page = web.open("gallery", run=A, split="test")
    energies = sorted(
        item["scores"]["energy"] or 0 for item in api("gallery", run=A, split="test")["items"]
    )
    middle = round(energies[8], 3)
    page.get_by_label("Score", exact=True).select_option("energy")
    page.get_by_label("From").fill(str(middle))
    page.get_by_label("From").press("Enter")
    page.get_by_label("Sort by").select_option("energy")
    page.get_by_role("button", name="lowest first").click()
    page.wait_for_url("**order=desc**")
    assert web.tiles() == asked(api, score="energy", low=middle, sort="energy", order="desc")
    page.get_by_role("link", name="Reset").click()
    expect(page.locator(".tile")).to_have_count(12)


def test_two_runs_are_side_by_side_with_their_flips(web, api):
    page = web.open("gallery", run=A, split="test")
    page.get_by_label("Side by side with").select_option(B)
    expect(page.locator(".tile .letter")).to_have_count(24)
    items = api("gallery", run=A, split="test", other=B)["items"]
    told = page.locator(".tile").first.locator(".answer .name").all_inner_texts()
    assert told == [items[0]["predicted"], items[0]["other"]["predicted"]]
    web.maps_shown()
    assert page.locator(".tile").first.locator("img.map:not([hidden])").count() == 2
    for outcome in ("gained", "lost", "both_right", "both_wrong"):
        page.get_by_label("A and B").select_option(outcome)
        page.wait_for_url(f"**outcome={outcome}**")
        assert web.tiles() == asked(api, other=B, outcome=outcome)
    page.get_by_label("A and B").select_option("")
    page.get_by_label("Sort by").select_option("energy_change")
    page.wait_for_url("**sort=energy_change**")
    assert web.tiles() == asked(api, other=B, sort="energy_change")
    expect(page.locator(".tile .caption").first).to_contain_text("Energy")


def test_opacity_changes_pixels_and_zero_shows_the_photo(web):
    page = web.open("gallery", run=A, split="test")
    web.maps_shown()
    stack = page.locator(".tile .stack").nth(1)
    some = pixels(stack)
    page.get_by_label("Map's opacity").fill("100")
    full = pixels(stack)
    page.get_by_label("Map's opacity").fill("0")
    page.wait_for_url("**opacity=0**")
    none = pixels(stack)
    assert unlike(full, some) > 1
    assert unlike(full, none) > unlike(some, none) > 1
    page.get_by_label("Region's outline").uncheck()
    until(lambda: unlike(pixels(stack), none) > 0.5, seconds=60)


def test_a_class_and_a_method_change_the_maps(web):
    page = web.open("gallery", run=A, split="test")
    web.maps_shown()
    stack = page.locator(".tile .stack").nth(1)
    first = pixels(stack)
    page.get_by_label("Map by").select_option("saliency")
    page.wait_for_url("**method=saliency**")
    web.settled()
    until(lambda: unlike(pixels(stack), first) > 1, seconds=60)


def test_keys_move_over_the_grid_and_over_pages(web):
    page = web.open("gallery", run=A, split="train")
    assert len(web.tiles()) == 60
    focus = "() => [...document.querySelectorAll('.tile')].indexOf(document.activeElement)"
    page.locator(".tile").first.focus()
    across = page.evaluate(
        "() => { const all = [...document.querySelectorAll('.tile')].map("
        "one => one.getBoundingClientRect().top); return all.filter(y => y === all[0]).length }"
    )
    page.keyboard.press("ArrowRight")
    assert page.evaluate(focus) == 1
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focus) == 1 + across
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Home")
    assert page.evaluate(focus) == 0
    assert page.locator(".tile[tabindex='0']").count() == 1
    page.keyboard.press("End")
    assert page.evaluate(focus) == 59
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**page=2**")
    expect(page.locator(".tile").first).to_be_focused()
    page.keyboard.press("PageDown")
    page.wait_for_url("**page=3**")
    expect(page.locator(".tile")).to_have_count(10)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_url("**/image?**")
    assert web.state()["at"] == "121"
    page.locator("h1.of-file").wait_for()
    web.settled()
    page.keyboard.press("Escape")
    page.wait_for_url("**/gallery?**")
    expect(page.locator(".tile").nth(1)).to_be_focused()
    assert web.state()["page"] == "3"


def test_deep_links_and_back(web, api):
    page = web.open("gallery", run=A, split="test", label="moss", sort="energy", opacity=40)
    assert web.tiles() == asked(api, label="moss", sort="energy")
    expect(page.get_by_label("Class", exact=True)).to_have_value("moss")
    expect(page.get_by_label("Map's opacity")).to_have_value("40")
    page.get_by_label("Class", exact=True).select_option("")
    expect(page.locator(".tile")).to_have_count(12)
    page.locator(".tile").nth(2).click()
    page.locator(".bars").first.wait_for()
    page.go_back()
    expect(page.locator(".tile")).to_have_count(12)
    page.go_back()
    expect(page.locator(".tile")).to_have_count(4)
    expect(page.get_by_label("Class", exact=True)).to_have_value("moss")
    page.go_forward()
    expect(page.locator(".tile")).to_have_count(12)
    web.settled()


def test_hostile_names_are_text(web):
    page = web.open("gallery", run=A, split="test")
    assert HOSTILE_FILE in web.tiles()
    assert HOSTILE in page.locator(".tile").first.inner_text()
    assert HOSTILE in page.get_by_label("Class", exact=True).inner_text()
    page.locator(".tile").filter(has_text=HOSTILE_FILE).click()
    expect(page.locator("h1")).to_have_text(HOSTILE_FILE)
    expect(page.locator(".bars").first).to_contain_text(HOSTILE)
    assert page.locator("main b[onclick], main img[src='x']").count() == 0
    assert page.evaluate("() => window.attacked") is None
    web.settled()


def test_a_split_without_predictions_says_what_to_do(web, site_folder):
    page = web.open("gallery", run=A, split="val")
    told = page.locator(".notice code").inner_text()
    assert told == shlex.join(["regard", "evaluate", str(site_folder / A), "--split", "val"])
    assert len(web.tiles()) == 6
    page.get_by_label("Region", exact=True).select_option("missing")
    page.get_by_label("Class", exact=True).select_option("moss")
    page.wait_for_url("**label=moss**")
    web.settled()


def test_what_to_look_at_first_is_a_click_away(web, api):
    page = web.open("gallery", run=A, split="test")
    page.get_by_role("link", name="gaze least in the region").click()
    page.wait_for_url("**sort=energy**")
    assert web.tiles() == asked(api, sort="energy")
    expect(page.locator(".scores")).to_contain_text("share of the map's sum")
    page.get_by_role("link", name="Show that map").click()
    page.wait_for_url("**target=label**")
    expect(page.locator(".scores")).not_to_contain_text("Show that map")
    page.get_by_label("Side by side with").select_option(B)
    page.get_by_role("link", name="gaze further into the region with B").click()
    assert web.tiles() == asked(api, other=B, sort="energy_change", order="desc")
    page.get_by_role("link", name="A wrong, B right").click()
    assert web.tiles() == asked(api, other=B, outcome="gained")
    web.settled()


def test_a_split_without_predictions_has_nothing_to_look_at_first(web):
    page = web.open("gallery", run=A, split="val")
    expect(page.locator(".tile")).to_have_count(6)
    expect(page.locator(".presets")).to_be_hidden()
    web.settled()


def test_the_skip_link_leads_into_the_view_that_is_shown(web):
    page = web.open("gallery", run=A, split="test", label="moss")
    address = page.url
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    assert page.url == address
    expect(page.locator(".tile")).to_have_count(4)
    web.settled()


def test_a_run_that_was_evaluated_meanwhile_is_seen_as_it_is(own_site, own_folder):
    predictions = own_folder / "runs/one/predictions/test.parquet"
    table = predictions.read_bytes()
    predictions.unlink()
    page = own_site.open("run", run="runs/one")
    door = page.locator(".doors li").filter(has_text="test")
    expect(door).to_contain_text("not evaluated yet")
    page.get_by_role("link", name="Runs", exact=True).click()
    expect(page.get_by_role("link", name="one", exact=True)).to_be_visible()
    predictions.write_bytes(table)
    page.get_by_role("link", name="one", exact=True).click()
    expect(door).to_contain_text("evaluated, gaze by")
    own_site.settled()


def test_an_image_without_labels_says_so(own_site):
    asked = {"run": "runs/sets", "split": "test"}
    items = own_site.http.get("/api/gallery", params=asked).json()["items"]
    page = own_site.open("gallery", **asked)
    answers = page.locator(".tile .answer").all_inner_texts()
    for item, text in zip(items, answers, strict=True):
        assert "%" not in text
        assert (", ".join(item["predicted"]) or "no label") in text
    assert "(empty)" not in page.locator("main").inner_text()
    none = next(item for item in items if item["label"] == [])
    page = own_site.open("image", **asked, index=none["index"])
    expect(page.get_by_text("It has none of the labels.")).to_be_visible()
    some = next(item for item in items if len(item["label"]) == 2)
    page = own_site.open("image", **asked, index=some["index"])
    expect(page.get_by_text(f"The labels are {', '.join(some['label'])}.")).to_be_visible()
    own_site.settled()


def test_a_segmenter_is_not_asked_for_classes_of_images(own_site):
    asked = {"run": "runs/masks", "split": "test"}
    page = own_site.open("gallery", **asked)
    for name in ("Class", "Predicted", "Answer", "Region"):
        expect(page.get_by_label(name, exact=True).and_(page.locator(":visible"))).to_have_count(0)
    expect(page.get_by_label("Sort by").locator("option[value='probability']")).to_have_count(0)
    expect(page.get_by_role("link", name="wrong answers")).to_have_count(0)
    page.get_by_role("link", name="least mean IoU").click()
    page.wait_for_url("**sort=mean_iou**")
    answer = own_site.http.get("/api/gallery", params=asked | {"sort": "mean_iou"}).json()
    assert own_site.tiles() == [item["name"] for item in answer["items"]]


def test_results_of_several_tasks_say_what_they_are(own_site):
    page = own_site.open()
    for name, measure in {"one": "accuracy", "masks": "mean IoU", "sets": "mAP"}.items():
        row = page.locator("tbody tr").filter(has=page.get_by_role("link", name=name, exact=True))
        expect(row.locator("td.n small")).to_have_text(measure)
    own_site.settled()


def test_a_run_of_several_views_is_not_asked_about_a_photo(chromium, own_folder, tmp_path):
    shutil.rmtree(own_folder / "runs")
    write_pairs(own_folder / "pairs")
    train(
        config_of("training.epochs=1", base=TWIN), own_folder / "twin", folder=own_folder / "pairs"
    )
    with listening(own_folder, tmp_path / "browser cache") as http:
        page = chromium.new_page()
        web = Site(page, address(http))
        own = page.get_by_role("link", name="Your own image")
        web.open()
        expect(page.get_by_role("link", name="twin", exact=True)).to_be_visible()
        expect(own).to_have_count(0)
        web.open("run", run="twin")
        expect(page.locator(".doors li").first).to_be_visible()
        expect(own).to_have_count(0)
        web.open("own", run="twin")
        expect(page.get_by_text("several views of a sample")).to_be_visible()
        expect(page.locator("#own-file")).to_have_count(0)
        assert web.faults == []
        page.close()
