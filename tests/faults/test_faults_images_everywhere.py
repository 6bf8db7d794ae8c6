"""Damaged and odd images in every command: the same files are bad, the others have the same pixels.

What the decoder says of a file is the measure: the checks, the loader, evaluation, screening,
explanation and the server have to say the same, name the bad ones once, and use no other in place.
"""

import csv
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hostile_images import corpus
from starlette.testclient import TestClient

from regard.checks.check import check, write_bad_files
from regard.checks.describe import describe
from regard.checks.fingerprints import fingerprint
from regard.checks.measures import measures
from regard.checks.plots import draw
from regard.data.loader import Loader
from regard.data.manifest import manifest_from_rows, read_manifest
from regard.data.sample import Draw, Sample
from regard.data.samples import Samples
from regard.data.transforms import Transform
from regard.errors import DataError
from regard.evaluation.settings import Gaze
from regard.images.decoding import decode, decode_scaled
from regard.runs.evaluate import evaluate_run
from regard.runs.explain import explain_images
from regard.runs.explained import explain_image
from regard.runs.explanations import refuse_unreadable
from regard.runs.run import load_run
from regard.screening.screen import screen
from regard.screening.sources import open_source
from regard.server.app import make_app
from regard.server.limits import Limits
from regard.server.service import Service
from regard.training.train import train
from tinyset import config_of, write_set

UNREADABLE = {"missing", "empty file", "unreadable", "truncated", "too many pixels"}
# The seed is not that of the other attacks, so that the files are others.
SEED = 5


@dataclass
class House:
    """A trained run, whose manifest has all hostile files in its test split.

    Attributes:
        folder: of the manifest and of `run`.
        run: loaded.
        paths: of the hostile files, in the manifest's order.
        bad: of those that cannot be decoded, by path the words.
        first: the manifest's row of the first hostile file.
    """

    folder: Path
    run: object
    paths: list[Path]
    bad: dict[Path, str]
    first: int

    @property
    def good(self):
        return [path for path in self.paths if path not in self.bad]


@pytest.fixture(scope="module", params=[30, pytest.param(1000, marks=pytest.mark.torture)], ids=str)
def house(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("house")
    write_set(folder, counts={"train": 24, "val": 12})
    tiny = pl.read_parquet(folder / "manifest.parquet")
    (folder / "hostile").mkdir()
    paths = []
    for file in corpus(request.param, SEED):
        paths.append(folder / "hostile" / file.name)
        paths[-1].write_bytes(file.data)
    # Their regions are themselves.
    names = [f"hostile/{path.name}" for path in paths]
    rows = [{"image": n, "label": "fern", "split": "test", "region": n} for n in names]
    pl.concat([tiny, pl.DataFrame(rows, schema=tiny.schema)]).write_parquet(
        folder / "manifest.parquet"
    )
    train(config_of("training.epochs=1"), folder / "run", folder=folder)
    bad = {}
    for path in paths:
        try:
            decode(path)
        except DataError as error:
            bad[path] = error.found
    assert 0 < len(bad) < len(paths)
    return House(folder, load_run(folder / "run"), paths, bad, len(tiny))


def told(tally, attack, house, lost):
    for name in lost:
        print(attack, name)
    tally(f"images in {attack}", len(house.paths), len(house.paths) - len({*lost}))


def test_the_checks_name_each_bad_file_once(house, tmp_path, tally, capfd):
    rows = [{"image": str(path), "region": str(path), "label": "x"} for path in house.paths]
    problems = check(manifest_from_rows(rows, house.folder))
    write_bad_files(problems, tmp_path / "bad_files.csv")
    named = {"image": [], "region": []}
    with (tmp_path / "bad_files.csv").open(newline="", encoding="utf-8-sig") as file:
        for row in csv.DictReader(file):
            if row["kind"] in UNREADABLE:
                assert row["detail"]
                named[row["column"]].append(Path(row["file"]))
    assert capfd.readouterr() == ("", "")
    lost = [
        path.name
        for path in house.paths
        for column in named.values()
        if column.count(path) != (path in house.bad)
    ]
    told(tally, "the checks", house, lost)


def test_what_is_told_of_a_set_leaves_out_the_bad_files_alone(house, tmp_path, tally, capfd):
    manifest = read_manifest(house.folder / "manifest.parquet")
    found = describe(manifest)
    if len(house.paths) > 100:  # plots take seconds, however few the images are
        draw(manifest, found, tmp_path / "plots")
    seen = [path for path in house.paths if fingerprint(path) is not None]
    rows = measures(manifest).slice(house.first)
    read = rows["region"].to_list()
    assert capfd.readouterr().err == ""
    lost = [path.name for path in house.paths if (path in seen) == (path in house.bad)]
    lost += [
        path.name
        for path, kind in zip(house.paths, read, strict=True)
        if (kind == "unreadable") != (path in house.bad)
    ]
    told(tally, "a description", house, lost)


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.torture)])
def test_the_loader_has_the_pixels_of_the_decoder_or_names_the_file(house, tally, workers, capfd):
    transform = Transform((32, 40), (0.5,) * 3, (0.5,) * 3, "pad")
    samples = [
        Sample(row, (("image", str(path)),), 0, region=str(path))
        for row, path in enumerate(house.paths)
    ]
    loader = Loader(Samples(samples, transform), 1, workers=workers)
    lost, batches = [], loader.batches([Draw(row) for row in range(len(samples))])
    for path in house.paths:
        try:
            pixels = next(batches).images["image"][0]
            if path in house.bad or not torch.equal(pixels, fitted(transform, path)):
                lost.append(path.name)
        except DataError as error:
            if path not in house.bad or error.where != str(path):
                lost.append(path.name)
    loader.close()
    assert capfd.readouterr().err == ""
    told(tally, f"the loader, {workers} workers", house, lost)


def fitted(transform, path):
    pixels, reach = decode_scaled(path, need=transform.need())
    return transform.fit_image(pixels, reach=reach)


def packed(house, folder):
    path = folder / "hostile.tar"
    with tarfile.open(path, "w") as tar:
        for image in house.paths:
            tar.add(image, arcname=image.name)
    return path


def listed(house, folder):
    rows = [{"image": str(path)} for path in house.paths]
    return manifest_from_rows(rows, folder).write(folder / "hostile.parquet")


@pytest.mark.parametrize("kind", ["folder", "tar", "manifest"])
def test_a_screening_has_a_row_for_each(house, tmp_path, tally, kind, capfd):
    source = {
        "folder": lambda *_: house.folder / "hostile", "tar": packed, "manifest": listed,
    }[kind](house, tmp_path) or tmp_path / "hostile.parquet"  # fmt: skip
    screen(house.run, open_source(source), tmp_path / "out", part=100, most_maps=3)
    assert capfd.readouterr().err == ""
    rows = pl.concat([pl.read_parquet(p) for p in sorted((tmp_path / "out/rows").iterdir())])
    named = [Path(name).name for name in pl.read_csv(tmp_path / "out/bad_files.csv")["image"]]
    shares = {
        Path(name).name: own
        for name, *own in rows.select("image", "probability:fern", "probability:moss").rows()
    }
    expected = dict(zip(house.good, house.run.predict(house.good).numpy(), strict=True))
    assert len(rows) == len(house.paths)
    lost = [path.name for path in house.paths if named.count(path.name) != (path in house.bad)]
    lost += [
        path.name
        for path, own in expected.items()
        if None in shares[path.name] or not np.allclose(shares[path.name], own, atol=1e-6)
    ]
    told(tally, f"a screening of a {kind}", house, lost)


def test_evaluation_stops_at_a_bad_file_and_has_all_others(house, tmp_path, tally):
    with pytest.raises(DataError) as caught:
        evaluate_run(house.run, "test")
    assert Path(caught.value.where) in house.bad
    assert not (house.folder / "run/predictions/test.parquet").exists()
    manifest = read_manifest(house.folder / "manifest.parquet")
    kept = manifest.table["image"].is_in([f"hostile/{path.name}" for path in house.bad]).not_()
    own = shutil.copytree(house.folder, tmp_path / "own")
    pl.read_parquet(own / "manifest.parquet").filter(kept).write_parquet(own / "manifest.parquet")
    evaluate_run(load_run(own / "run"), "test")
    rows = pl.read_parquet(own / "run/predictions/test.parquet")
    assert len(rows) == len(house.good)
    expected = house.run.predict(house.good).numpy()
    shares = rows.select(pl.col("^prob.*$")).to_numpy()
    same = np.isclose(shares.reshape(expected.shape), expected, atol=1e-6).all(1)
    lost = [path.name for path, holds in zip(house.good, same, strict=True) if not holds]
    told(tally, "an evaluation", house, lost)


def test_explanations_are_of_the_files_that_can_be_read(house, tmp_path, tally, capfd):
    run, lost = house.run, []
    gaze = Gaze.model_validate(run.config["gaze"])
    expected = dict(zip(house.good, run.predict(house.good), strict=True))
    for path in house.paths:
        try:
            seen = explain_image(run, str(path), None, {"gradcam": {}}, gaze)
            if path in house.bad or not torch.allclose(seen.shares, expected[path], atol=1e-6):
                lost.append(path.name)
        except DataError as error:
            if path not in house.bad or error.where != str(path):
                lost.append(path.name)
    refuse_unreadable(house.good)
    explain_images(run, [str(path) for path in house.good], ["gradcam"], tmp_path / "out")
    assert len(list((tmp_path / "out/gradcam").iterdir())) == len(house.good)
    assert capfd.readouterr().err == ""
    told(tally, "an explanation", house, lost)


@pytest.fixture(scope="module")
def client(house, tmp_path_factory):
    service = Service.of(house.folder, Limits(), tmp_path_factory.mktemp("cache"))
    app = make_app(service, None)
    with TestClient(app, "http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client


def test_an_upload_is_answered_or_refused_in_a_line(house, client, tally, capfd):
    expected = dict(zip(house.good, house.run.predict(house.good).tolist(), strict=True))
    lost = []
    for path in house.paths:
        headers = {"Content-Type": "image/png"}
        data = path.read_bytes()
        answer = client.post("/api/upload", params={"run": "run"}, content=data, headers=headers)
        told_ = answer.json()
        if path in house.bad:
            holds = answer.status_code in (400, 413) and "\n" not in told_["message"]
        else:
            given = {pair["class"]: pair["value"] for pair in told_.get("probabilities", ())}
            own = [given.get(name, -1) for name in house.run.classes]
            holds = answer.status_code == 200 and np.allclose(own, expected[path], atol=1e-6)
        if not holds:
            lost.append(f"{path.name}: {answer.status_code} {answer.text[:200]}")
    assert capfd.readouterr().err == ""
    told(tally, "an upload", house, lost)


@pytest.mark.parametrize("asked", ["picture", "map", "region", "image"])
def test_an_image_of_the_manifest_is_served_or_refused_in_a_line(
    house, client, tally, asked, capfd
):
    lost = []
    for row, path in enumerate(house.paths, start=house.first):
        where = {"run": "run", "split": "test", "index": row}
        answer = client.get(f"/api/{asked}", params=where)
        holds = answer.status_code == 200
        if path in house.bad:
            # Of an image that is not evaluated the page shows what is known of it.
            holds = answer.status_code in (400, 422) and "\n" not in answer.json()["message"]
        if not holds:
            lost.append(f"{path.name}: {answer.status_code} {answer.text[:200]}")
    assert capfd.readouterr().err == ""
    told(tally, f"a server's {asked}", house, lost)
