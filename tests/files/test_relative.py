"""Relative paths through links to folders."""

import os
from pathlib import Path

import pytest

from regard.data.manifest import read_manifest
from regard.files.relative import beside, known_by, seen_from
from regard.runs.explain import samples_by_path
from regard.runs.run import load_run
from regard.training.train import resume, train
from tinyset import config_of, write_set


@pytest.fixture
def places(tmp_path):
    """A project whose `runs` is a link to a folder that lies deeper, on another disk say."""
    (tmp_path / "disk/deep/runs").mkdir(parents=True)
    (tmp_path / "project").mkdir()
    (tmp_path / "project/runs").symlink_to(tmp_path / "disk/deep/runs")
    (tmp_path / "project/a.txt").write_text("a")
    (tmp_path / "disk/b.txt").write_text("b")
    (tmp_path / "project/c.txt").symlink_to(tmp_path / "disk/b.txt")
    return tmp_path


@pytest.mark.parametrize(
    ("folder", "path", "old", "expected"),
    [
        ("project/runs/one", "a.txt", "project", "../../../../project/a.txt"),
        ("project", "../b.txt", "project/runs/..", "../disk/b.txt"),
        ("project/sub", "c.txt", "project", "../c.txt"),
        ("project", "runs/x", "project", "runs/x"),
        ("disk", "..", "project/runs", "deep"),
    ],
)
def test_paths_lead_to_the_same_file(places, folder, path, old, expected):
    found = seen_from(places / folder, path, places / old)
    assert found == expected
    meant, here = places / old / path, os.path.realpath(places / folder)
    for told in (found, seen_from(places / folder, meant)):
        assert os.path.realpath(os.path.join(here, told)) == os.path.realpath(meant)


def test_paths_from_where_one_is(places, monkeypatch):
    monkeypatch.chdir(places / "project/runs")  # the system is in disk/deep/runs then
    assert seen_from(places / "project", "../../b.txt") == "../disk/b.txt"
    assert seen_from(".", places / "project/a.txt") == "../../../project/a.txt"


def test_one_file_is_known_by_one_path(places):
    through, own = (places / f"{name}/x.png" for name in ("project/runs", "disk/deep/runs"))
    assert known_by(through) == known_by(own) == str(own)
    assert known_by(places / "project/c.txt") != known_by(places / "disk/b.txt")


def test_a_folder_beside_another_has_its_name(places, monkeypatch):
    monkeypatch.chdir(places / "disk/deep")
    assert beside(Path("runs"), "-more") == Path("runs-more")
    assert beside(Path("."), "-more") == places / "disk/deep-more"
    assert beside(Path(".."), "-more") == places / "disk-more"


def test_a_run_in_a_linked_folder_finds_its_manifest_and_its_samples(places):
    write_set(places / "project")
    train(config_of("training.epochs=1"), places / "project/runs/one", folder=places / "project")
    assert resume(places / "project/runs/one").epoch == 1
    run = load_run(places / "project/runs/one")
    known = samples_by_path(run)
    assert known_by(places / "project/images/test-01.png") in known
    (places / "photos").symlink_to(places / "project/images")
    assert known_by(places / "photos/test-01.png") in known


def test_a_manifest_that_is_written_into_a_linked_folder_leads_to_its_images(places):
    write_set(places / "project")
    read_manifest(places / "project/manifest.parquet").write(places / "project/runs/m.parquet")
    written = read_manifest(places / "project/runs/m.parquet")
    assert all(os.path.isfile(written.resolve(path)) for path in written.table["image"])
