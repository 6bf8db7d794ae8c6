"""A folder of runs with hostile names, a server for it, and a real browser."""

import io
from urllib.parse import urlsplit

import numpy as np
import polars as pl
import pytest
from PIL import Image
from server_tools import listening

from regard.evaluation.settings import Gaze
from regard.runs.evaluate import evaluate_run
from regard.runs.run import load_run
from regard.training.train import train
from tinyset import SEGMENTER, config_of, write_masks, write_set

HOSTILE = "<img src=x onerror=window.attacked=1>"
HOSTILE_FILE = "<b onclick=alert(1)> & 'moss'.png"
COUNTS = {"train": 130, "val": 6, "test": 12}
# Loads of a busy machine, in milliseconds.
PATIENCE = 60_000


def trained(folder, name, data, *changes, gaze=None, **more):
    out = folder / "runs" / name
    train(config_of("training.epochs=2", *changes, **more), out, folder=data)
    if gaze is None:
        return out
    run = load_run(out)
    own = Gaze.model_validate(run.config["gaze"])
    evaluate_run(run, "test", gaze=[own.model_copy(update={"method": gaze})])
    return out


def rename_first(data, split):
    """Give the first image of a split the hostile file name."""
    table = pl.read_parquet(data / "manifest.parquet")
    old = table.filter(pl.col("split") == split)["image"][0]
    new = f"images/{HOSTILE_FILE}"
    (data / old).rename(data / new)
    images = pl.col("image").replace({old: new})
    table.with_columns(images).write_parquet(data / "manifest.parquet")


@pytest.fixture(scope="session")
def site_folder(tmp_path_factory):
    """Runs `a` and `b` of hostile names, `masks` of a segmenter; val is not evaluated."""
    folder = tmp_path_factory.mktemp("site")
    write_set(folder / "tiny", counts=COUNTS, classes=(HOSTILE, "moss"))
    rename_first(folder / "tiny", "test")
    (folder / "scenes").mkdir()
    write_masks(folder / "scenes")
    trained(folder, "a", folder / "tiny", gaze="gradcam")
    trained(folder, "b", folder / "tiny", "training.seed=1", gaze="gradcam")
    trained(folder, "masks", folder / "scenes", "training.epochs=12", base=SEGMENTER)
    return folder


@pytest.fixture(scope="session")
def served(site_folder, tmp_path_factory):
    with listening(site_folder, tmp_path_factory.mktemp("browser cache")) as http:
        yield http


def address(http):
    return str(http.base_url).rstrip("/") + "/"


@pytest.fixture(scope="session")
def site(served):
    """The address of the page."""
    return address(served)


@pytest.fixture(scope="session")
def api(served):
    """What the API answers, to hold the page against."""

    def get(name, **asked):
        answer = served.get(f"/api/{name}", params=asked)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return get


class Site:
    """A page of the site, whose faults are kept.

    Attributes:
        faults: errors of the console, and requests to other hosts.
    """

    def __init__(self, page, base):
        self.page, self.base, self.faults = page, base, []
        page.set_default_timeout(PATIENCE)
        page.on("console", self._told)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.route("**/*", self._route)

    def _told(self, message):
        if message.type == "error":
            self.faults.append(message.text)

    def _route(self, route):
        if urlsplit(route.request.url).netloc == urlsplit(self.base).netloc:
            return route.continue_()
        self.faults.append(f"a request to {route.request.url}")
        return route.abort()

    def open(self, view="", **state):
        """Open a view by its address."""
        query = "&".join(f"{key}={value}" for key, value in state.items())
        self.page.goto("about:blank")
        self.page.goto(f"{self.base}#/{view}?{query}")
        self.page.wait_for_selector("main h1")
        return self.settled()

    def settled(self):
        """Wait until nothing is loading."""
        busy = "() => !document.querySelector('.waiting, .loading, [aria-busy]')"
        self.page.wait_for_function(busy)
        return self.page

    def tiles(self):
        """The file names of the gallery's images."""
        self.settled()
        return self.page.locator(".tile .file").all_inner_texts()

    def state(self):
        """What the address says."""
        query = urlsplit(self.page.url).fragment.partition("?")[2]
        return dict(pair.split("=") for pair in query.split("&") if pair)

    def maps_shown(self, place="main"):
        """Wait for maps in a part of the page; how many there are."""
        self.page.locator(f"{place} img.map:not([hidden])").first.wait_for()
        self.settled()
        return self.page.locator(f"{place} img.map:not([hidden])").count()


def pixels(locator):
    """What an element looks like."""
    return np.asarray(Image.open(io.BytesIO(locator.screenshot())).convert("RGB")).astype(int)


def unlike(a, b):
    """The mean difference of two pictures, in grey levels; their sizes may differ by a rounding."""
    height, width = (min(sizes) for sizes in zip(a.shape[:2], b.shape[:2], strict=True))
    return float(np.abs(a[:height, :width] - b[:height, :width]).mean())


@pytest.fixture
def web(chromium, site):
    """A page; at the end there must have been no fault."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = Site(context.new_page(), site)
    yield page
    faults = page.faults
    context.close()
    assert faults == []


@pytest.fixture
def own_site(chromium, own_folder, tmp_path):
    """A page of a folder of one's own, which has no faults at the end."""
    with listening(own_folder, tmp_path / "browser cache") as http:
        context = chromium.new_context(viewport={"width": 1280, "height": 900})
        web = Site(context.new_page(), address(http))
        web.http = http
        yield web
        context.close()
        assert web.faults == []
