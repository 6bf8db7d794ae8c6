import fcntl
import json
import re
import shutil

from browser_site import PATIENCE, Site, address
from playwright.sync_api import expect
from server_tools import listening

from regard.runs.files import write_yaml


def test_a_run_that_trains_is_seen_live(chromium, site_folder, tmp_path):
    run = tmp_path / "folder" / "live"
    shutil.copytree(site_folder / "runs" / "b", run)
    log = run / "log.jsonl"
    last = [line for line in log.read_text().splitlines() if '"kind": "epoch"' in line][-1]
    with (run / ".lock").open("w") as lock, listening(run.parent, tmp_path / "cache") as http:
        fcntl.flock(lock, fcntl.LOCK_EX)
        context = chromium.new_context()
        web = Site(context.new_page(), address(http))
        page = web.open()
        card = page.locator(".live .card")
        expect(card).to_contain_text("2\N{NO-BREAK SPACE}of\N{NO-BREAK SPACE}2")
        line = card.locator(".chart").first.locator("polyline").first
        assert len(line.get_attribute("points").split()) == 2
        row = json.loads(last) | {"epoch": 3}
        with log.open("a") as file:
            file.write(json.dumps(row) + "\n")
        points = "() => document.querySelector('.live polyline').points.length === 3"
        page.wait_for_function(points)
        # What is over is no longer training now.
        fcntl.flock(lock, fcntl.LOCK_UN)
        expect(page.locator(".live")).to_be_hidden(timeout=PATIENCE)
        expect(card).to_have_count(0)
        assert web.faults == []
        context.close()


def test_curves_follow_a_run_that_is_gone_on_with(chromium, site_folder, tmp_path):
    run = tmp_path / "folder" / "again"
    shutil.copytree(site_folder / "runs" / "b", run)
    log = run / "log.jsonl"
    rows = [json.loads(line) for line in log.read_text().splitlines() if '"kind": "epoch"' in line]
    with listening(run.parent, tmp_path / "cache") as http:
        context = chromium.new_context()
        web = Site(context.new_page(), address(http))
        page = web.open("run", run="again")
        line = page.locator(".chart polyline").first
        expect(line).to_have_attribute("points", re.compile(r"^\S+ \S+$"))
        # Written anew, and longer at once than what was read.
        more = [rows[0] | {"epoch": epoch, "step": 9 * epoch} for epoch in range(1, 30)]
        log.write_text("".join(json.dumps(row) + "\n" for row in more))
        expect(line).to_have_attribute("points", re.compile(r"^(\S+ ){28}\S+$"), timeout=PATIENCE)
        assert web.faults == []
        context.close()


def test_an_empty_folder_says_how_to_fill_it(chromium, tmp_path):
    (tmp_path / "empty").mkdir()
    with listening(tmp_path / "empty", tmp_path / "cache") as http:
        context = chromium.new_context()
        web = Site(context.new_page(), address(http))
        page = web.open()
        expect(page.locator(".nothing")).to_contain_text("regard train CONFIG --out RUN")
        assert web.faults == []
        context.close()


def test_a_study_that_is_served_itself_has_its_folders_name(chromium, site_folder, tmp_path):
    study = tmp_path / "ferns"
    shutil.copytree(site_folder / "runs" / "b", study / "runs" / "plain-seed3")
    write_yaml(study / "study.yaml", {"arms": {"plain": {}}})
    with listening(study, tmp_path / "cache") as http:
        page = Site(chromium.new_page(), address(http))
        view = page.open("run", run="runs/plain-seed3")
        expect(view.get_by_text("Arm plain, seed 3 of ferns")).to_be_visible()
        view.close()
