"""A segmenter evaluated in windows, with mirror images, at another size."""

import json
import shutil
from dataclasses import replace

import polars as pl
import pytest
import torch
from PIL import Image, ImageOps
from torch import nn

from regard.errors import ConfigError, RunError
from regard.models.windows import Windows
from regard.runs.evaluate import evaluate_run
from regard.runs.inference import in_words, inferring, told
from regard.runs.run import load_run
from regard.training.train import train
from tinyset import SEGMENTER, config_of, write_masks, write_set

PLAIN = {"size": [40, 60], "window": None, "overlap": None, "flip": False}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    # As large as the photos, so that nothing is resized.
    folder = write_masks(tmp_path_factory.mktemp("masks"))
    # Long enough that some pixels are taken for either class.
    changes = ("data.size=[40, 60]", "training.epochs=8", "training.imbalance=weights")
    train(config_of(*changes, base=SEGMENTER), folder / "run", folder=folder)
    return folder


def counts(home, **how):
    """What was predicted of each image, as its confusion and boundaries."""
    run = load_run(home / "run")
    values = evaluate_run(run, "test", asked=inferring(run, **how))
    return values, pl.read_parquet(home / "run/predictions/test.parquet")


def test_metrics_say_how_the_net_answered(home):
    values, plain = counts(home)
    assert values["inference"] == PLAIN
    values, whole = counts(home, window=60)
    assert values["inference"] == {**PLAIN, "window": [60, 60], "overlap": 0.5}
    assert whole.equals(plain)
    values, cut = counts(home, window=(24, 32), overlap=0.25, flip=True)
    how = {**PLAIN, "window": [24, 32], "overlap": 0.25, "flip": True}
    assert json.loads((home / "run/metrics/test.json").read_text())["inference"] == how
    assert in_words(how) == "40 x 60 in windows of 24 x 32 that overlap by 0.25, mirrored too"
    assert not cut.equals(plain)
    pixels = [sum(map(sum, image)) for image in cut["confusion"].to_list()]
    assert pixels == [40 * 56] * 3
    values, larger = counts(home, size=(80, 120))
    assert values["inference"] == {**PLAIN, "size": [80, 120]}
    assert not larger.equals(plain)


def test_the_numbers_are_those_of_the_windows(home):
    run = load_run(home / "run")
    _, found = counts(home, window=24, flip=True)
    net = Windows(run.net, 24, flip=True).eval()
    for row in found.iter_rows(named=True):
        with torch.no_grad():
            guess = net(run.transform(str(home / row["image"])))[0].argmax(0)
        mask = Image.open(home / row["image"].replace(".png", "-mask.png"))
        true = run.transform.fit_target(torch.tensor(list(mask.get_flattened_data())).view(40, 60))
        for name, ids in (("ground", [1]), ("box", [2, 4])):
            k = run.classes.index(name)
            own = torch.isin(true, torch.tensor(ids))
            assert row["confusion"][k] == [int((own & (guess == g)).sum()) for g in (0, 1)]


@pytest.mark.parametrize("how", [{"flip": True}, {"flip": True, "window": 24}])
def test_a_mirrored_set_gets_the_mirrored_predictions(home, tmp_path, how):
    mirrored = shutil.copytree(home, tmp_path / "mirrored")
    for path in mirrored.glob("*.png"):
        ImageOps.mirror(Image.open(path)).save(path)
    one, other = counts(home, **how), counts(mirrored, **how)
    assert one[1].equals(other[1])
    assert one[0]["metrics"] == other[0]["metrics"]
    run = load_run(home / "run")
    net = inferring(run, **how).net
    for number in (3, 7):
        pair = [run.transform(str(folder / f"{number}.png")) for folder in (home, mirrored)]
        with torch.no_grad():
            here, there = (net(image).argmax(1) for image in pair)
        assert torch.equal(here, there.flip(-1))


def test_nothing_asked_for_leaves_the_run_as_it_is(home):
    run = load_run(home / "run")
    assert inferring(run) is run
    assert told(run) == PLAIN
    changed = inferring(run, flip=True)
    assert not changed.net.training
    assert told(changed) == {**PLAIN, "flip": True}


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"window": 0}, "window: expected a side of 1 pixel or more, found 0 x 0"),
        ({"window": 16, "overlap": 1.0}, "overlap: expected a share of the window's side"),
        ({"window": 16, "overlap": 2.5}, "found 2.5; take 0.5"),
        ({"overlap": 0.25}, "overlap: expected windows that can overlap, found none; set --window"),
        ({"size": (0, 8)}, "size: expected a height and a width of 1 pixel or more, found 0 x 8"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(home, how, said):
    with pytest.raises(ConfigError) as caught:
        inferring(load_run(home / "run"), **how)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_window_that_the_net_cannot_take_is_refused(home):
    class Choosy(nn.Conv2d):
        def forward(self, images):
            assert images.shape[2] % 32 == 0, "multiples of 32"
            return super().forward(images)

    run = replace(load_run(home / "run"), net=Choosy(3, 2, 1))
    with pytest.raises(ConfigError, match=r"takes, found 40 x 60 in windows of 24 x 24 .*of 32"):
        inferring(run, window=24)
    assert inferring(run, window=32).net(torch.zeros(1, 3, 64, 64)).shape == (1, 2, 64, 64)


@pytest.mark.parametrize("how", [{"window": 16}, {"flip": True}, {"size": (32, 32)}])
def test_a_classifier_has_no_windows(tmp_path, how):
    write_set(tmp_path, counts={"train": 6, "val": 3, "test": 3})
    train(config_of("training.epochs=1"), tmp_path / "run", folder=tmp_path)
    with pytest.raises(RunError, match=r"expected a run of a segmenter.*found one of a class") as e:
        inferring(load_run(tmp_path / "run"), **how)
    assert "\n" not in str(e.value)
    assert not (tmp_path / "run/metrics").exists()
