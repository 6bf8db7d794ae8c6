"""Pictures of what a net was trained on are those that it was trained on."""

import base64
import io
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from regard.data.loader import epoch_order
from regard.data.source import open_manifest
from regard.reports.blocks import Gallery, Note
from regard.reports.contents import read_run
from regard.reports.trained_pictures import SHOWN, _label, trained_on
from regard.training.config import parse_config
from regard.training.prepare import train_samples


@pytest.fixture
def folder(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


def augmented(folder: Path, **how) -> None:
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["data"]["augment"] = config["data"].get("augment", {}) | how
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


def batch_of(run):
    config = parse_config(run.config, "test")
    data = train_samples(config, open_manifest(config.data, run.folder))
    labels = [sample.label for sample in data.samples]
    seed = config.training.seed
    draws = epoch_order(labels, config.training.imbalance, seed=seed, epoch=0)
    return data.batch(draws[:SHOWN])


def pixels(address: str) -> np.ndarray:
    data = base64.b64decode(address.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(float)


def test_they_are_the_first_batch_with_its_regions(folder):
    augmented(folder, flip=0.5, rotate=20)
    run = read_run(folder)
    (gallery,) = trained_on(run)
    assert isinstance(gallery, Gallery)
    batch = batch_of(run)
    assert len(gallery.cards) == len(batch) == SHOWN
    for row, card in enumerate(gallery.cards):
        (picture,) = card.pictures
        seen = batch.images["image"][row].permute(1, 2, 0).numpy().astype(float)
        assert np.abs(pixels(picture.photo) - seen).mean() < 25
        assert card.title == run.classes[int(batch.labels[row])]
        assert picture.outline.startswith("M")
        assert not picture.map


def test_an_empty_set_of_labels_is_said(folder):
    batch = batch_of(read_run(folder))
    batch = replace(batch, sets=torch.tensor([[0, -1], [-1, -1]]))
    told = [_label(batch, row, read_run(folder)) for row in (0, 1)]
    assert told == [read_run(folder).classes[0], "no label"]


def test_mixed_ones_tell_the_shares_of_their_labels(folder):
    augmented(folder, mixup=1.0)
    run = read_run(folder)
    (gallery,) = trained_on(run)
    assert isinstance(gallery, Gallery)
    shares = batch_of(run).shares
    assert shares is not None
    several = [row for row in range(SHOWN) if int((shares[row] > 0).sum()) > 1]
    assert several
    for row in several:
        assert gallery.cards[row].title.count("%") == 2
    assert "Images are mixed of two" in gallery.about


def test_where_the_images_are_gone_that_is_said(folder):
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["data"]["manifest"] = str(folder / "gone.parquet")
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (note,) = trained_on(read_run(folder))
    assert isinstance(note, Note)
    assert note.text.startswith("Pictures of what it was trained on are left out: ")
    assert "gone.parquet" in note.text
    assert str(folder) not in note.text
