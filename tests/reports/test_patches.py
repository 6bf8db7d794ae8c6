"""The section of a run whose patches are weighted."""

import pytest
import torch
from pages import see

from regard.data.patch_weights import KINDS
from regard.reports import report
from regard.reports.album import Album
from regard.reports.blocks import Gallery
from regard.reports.contents import read_run
from regard.reports.galleries import run_galleries
from regard.reports.patches import patches_section
from regard.runs.evaluate import evaluate_run
from regard.runs.run import load_run
from regard.training.train import train
from tinyset import TWIN, config_of, write_pairs


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weighted")
    write_pairs(folder)
    changes = ("training.epochs=1", "model.patch_weights={kind: power, eps: 0.2, loss: false}")
    train(config_of(*changes, base=TWIN), folder / "run", folder=folder)
    evaluate_run(load_run(folder / "run"), "test")
    return folder / "run"


def test_the_five_functions_stand_beside_each_other_with_their_ranges(run):
    (section,) = patches_section(read_run(run))
    (gallery,) = section.blocks
    assert "evidence in the view segmented" in gallery.about
    assert "This run has power, for tokens alone." in gallery.about
    assert len(gallery.cards) == 3
    contents = read_run(run)
    table = contents.split("test").predictions
    album = Album(run, table, "test", 10_000)
    for row, card in zip(table.iter_rows(named=True), gallery.cards, strict=False):
        cut = album.given(row["index"])["segmented"]
        spec = album.run.net.patch_weighting.spec
        grey = (cut * torch.tensor(spec.std).view(3, 1, 1) + torch.tensor(spec.mean).view(3, 1, 1))[
            0
        ]
        weights = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
        shares = ((grey * weights).sum(0) > 10 / 255).float().unfold(0, 8, 8).unfold(1, 8, 8)
        shares = shares.mean((2, 3))
        power = (0.2 + shares) ** 0.5
        told = f"power (this run), {power.min():.2f} to {power.max():.2f}"
        captions = [picture.caption for picture in card.pictures]
        assert told in captions
        assert [c.split(",")[0].split(" ")[0] for c in captions] == list(KINDS)
        assert len({picture.map for picture in card.pictures}) > 1


def test_the_page_shows_them_and_a_run_without_weights_has_none(run):
    seen = see(report(run, pictures=1))
    assert "What patches weigh" in seen.text
    contents = read_run(run)
    contents.config["model"].pop("patch_weights")
    assert patches_section(contents) == []


def test_a_map_that_is_the_same_for_every_class_is_shown_once_and_then_the_other_views(run):
    contents = read_run(run)
    blocks = run_galleries(contents, contents.split("test"), 2, 1, None)
    cards = [card for block in blocks if isinstance(block, Gallery) for card in block.cards]
    assert cards
    for card in cards:
        sheet, mapped, cut = card.pictures
        assert [p.caption for p in card.pictures] == ["image", "map", "segmented"]
        assert sheet.photo == mapped.photo != cut.photo
        assert mapped.map
        assert not cut.map
