"""Shapes of functions are checked in every fourth test; torch stays within its share of cores."""

import gc
import os
import shutil
import zlib
from pathlib import Path

import pytest
import torch
from jaxtyping import config, install_import_hook

ROOMS = ("data.regions", "models", "saliency", "scores", "guidance")
install_import_hook([f"regard.{room}" for room in ROOMS], "shapes.checked")

# Tests run in several processes; more threads than cores only get in each other's way.
THREADS = int(os.environ.get("REGARD_TEST_THREADS", "1"))
torch.set_num_threads(THREADS)


def pytest_collection_finish() -> None:
    """What is loaded is nobody's garbage: to look through it takes half a second each time."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _alike(request: pytest.FixtureRequest) -> None:
    """Nets draw the same first weights and sums the same threads in whatever order tests run."""
    torch.manual_seed(0)
    torch.set_num_threads(THREADS)
    # To check shapes takes as long as a small net; every function is called in many tests.
    config.update("jaxtyping_disable", zlib.crc32(request.node.nodeid.encode()) % 4 > 0)


@pytest.fixture
def unchecked():
    """What users call has no checks of types: a mistake reaches the code itself."""
    config.update("jaxtyping_disable", True)


@pytest.fixture(scope="session")
def chromium():
    """Debian's browser, one a process: playwright starts no second one beside it."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with driver.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def tally(request):
    """Tell how many of an attack's tries were survived; all must be.

    The end of the output has a table of all attacks.
    """

    def tell(attack: str, tried: int, survived: int) -> None:
        request.node.user_properties.append(("tally", (attack, tried, survived)))
        assert survived == tried, f"{attack}: {tried - survived} of {tried} lost"

    return tell


def pytest_terminal_summary(terminalreporter) -> None:
    """How often each attack was tried, and what was lost."""
    totals: dict[str, list[int]] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) != "call":
                continue
            for name, value in report.user_properties:
                if name == "tally":
                    attack, tried, survived = value
                    total = totals.setdefault(attack, [0, 0])
                    total[0] += tried
                    total[1] += survived
    if totals:
        terminalreporter.section("attacks: tried, survived, lost")
        for attack, (tried, survived) in sorted(totals.items()):
            terminalreporter.line(f"{attack}: {tried}, {survived}, {tried - survived}")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small set of pictures, not to be changed."""
    from tinyset import write_set  # after the import hook

    folder = tmp_path_factory.mktemp("tiny set")
    write_set(folder)
    return folder
