"""Where a segmenter looks: scored by class, averaged, drawn, and guided."""

import json
import shutil
from copy import deepcopy
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

import regard
from regard.data.annotation import Annotation
from regard.data.loader import Loader
from regard.data.mask_classes import VOID
from regard.data.pixel_regions import present_classes, regions_of, turns
from regard.data.regions import overlap
from regard.data.samples import Batch, Samples
from regard.data.source import mask_classes, samples_of
from regard.errors import ConfigError, DataError, RegardError
from regard.evaluation.gaze import by_image
from regard.evaluation.pixels import pixel_confusion
from regard.evaluation.settings import Gaze
from regard.guidance import Combination, Energy
from regard.reports import report
from regard.runs.averages import average_maps
from regard.runs.evaluate import evaluate_run
from regard.runs.evaluate_masks import masks_of
from regard.runs.explain import explain_images, images_of
from regard.runs.inference import as_told, inferring
from regard.runs.run import load_run
from regard.saliency import PixelTarget
from regard.studies.arm import evaluated
from regard.training.objective import OfMasks
from regard.training.train import train
from tinyset import SEGMENTER, config_of, killed_and_resumed, same_tensors, write_masks

# The last layer of so small an encoder has but six positions.
LAYER = "encoder.model.blocks.2"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return write_masks(tmp_path_factory.mktemp("masks"))


@pytest.fixture(scope="module")
def run(home):
    changes = (
        "training.epochs=8",
        "training.best=last",
        "data.size=[64,96]",
        f"gaze.layer={LAYER}",
    )
    train(config_of(*changes, base=SEGMENTER), home / "run", folder=home)
    return load_run(home / "run")


def first_batch(run, split="test"):
    manifest = run.manifest()
    samples = samples_of(manifest, split, run.classes, run.data)
    data = Samples(samples, run.transform, classes=mask_classes(manifest))
    return next(iter(Loader(data, 8).batches()))


def test_turns_ask_about_each_class_of_each_image_once():
    present = torch.tensor([[1, 0, 1, 1], [0, 0, 0, 0], [0, 1, 0, 0]]).bool()
    found = turns(present)
    asked = [list(zip(rows.tolist(), own.tolist(), strict=True)) for rows, own in found]
    assert asked == [[(0, 0), (2, 1)], [(0, 2)], [(0, 3)]]


def test_the_region_of_a_class_is_its_pixels_and_void_is_ignored():
    target = torch.tensor([[[0, 1, VOID]], [[1, 1, 1]]], dtype=torch.uint8)
    assert present_classes(target, 3).tolist() == [[True, True, False], [False, True, False]]
    regions = regions_of(target, torch.tensor([1, 0]))
    assert regions.attend.tolist() == [[[0, 1, 0]], [[0, 0, 0]]]
    assert regions.ignore.tolist() == [[[0, 0, 1]], [[0, 0, 0]]]
    assert regions.present.tolist() == [True, False]


def test_scores_are_those_of_each_class_against_its_own_pixels(run):
    gaze = Gaze(scores=("energy", "iou", "deletion", "sparseness"), layer=LAYER)
    values = evaluate_run(run, "test", gaze=[gaze])
    table = pl.read_parquet(run.files.scores("test"))
    assert table.columns[:7] == ["index", "image", "label", "share", "method", "area", "dead"]
    batch = first_batch(run)
    images = run.transform.normalise(batch.images["image"])
    for row in table.iter_rows(named=True):
        place, k = batch.index.tolist().index(row["index"]), run.classes.index(row["label"])
        one, truth = images[place][None], batch.target[place]
        with torch.no_grad():
            won = run.net(one).argmax(1) == k
        assert row["share"] == pytest.approx(float(won.float().mean()))
        region = (truth == k).float()
        assert row["area"] == pytest.approx(float(region.sum() / (truth != VOID).sum()))
        maps = regard.explain(run.net, one, PixelTarget(k), layer=LAYER)
        assert row["dead"] == (not bool(maps.any()))
        ignore = (truth == VOID).float()
        told = regard.Regions(region[None], ignore=ignore[None])
        expected = float(regard.score(maps, told, "energy"))
        assert row["energy"] == pytest.approx(expected, rel=1e-4, nan_ok=True)
        # Pixels equal but for rounding may go in either order: the same batch rounds alike.
        every = PixelTarget(k)
        maps = regard.explain(run.net, images, every, layer=LAYER)
        asked = {"net": run.net, "images": images, "targets": every}
        expected = float(regard.score(maps, None, "deletion", **asked)[place])
        assert row["deletion"] == pytest.approx(expected, rel=1e-4, nan_ok=True)
        assert np.isnan(row["deletion"]) or 0 <= row["deletion"] <= 1
    assert table["energy"].is_not_nan().sum() >= 3
    found = values["gaze"]["gradcam"]
    assert set(found["per_class"]) == {"ground", "box"}
    of_box = table.filter(label="box", dead=False)["energy"].to_numpy()
    of_class = found["per_class"]["box"]["scores"]["energy"]["value"]
    assert of_class == pytest.approx(np.nanmean(of_box))
    # Over all classes an image counts once, whatever it holds.
    parts = [own["energy"].drop_nans() for _, own in table.group_by("index")]
    each = [own.mean() for own in parts if len(own)]
    assert found["scores"]["energy"]["value"] == pytest.approx(np.mean(each))
    assert found["scores"]["energy"]["n"] == len(each)
    assert len(by_image(table)) == 3


def test_what_was_scored_before_stays(run):
    evaluate_run(run, "test", gaze=[Gaze(scores=("energy",), layer=LAYER)])
    values = evaluate_run(run, "test", gaze=[Gaze(method="saliency", scores=("energy",))])
    values = evaluate_run(run, "test", gaze=[Gaze(method="saliency", scores=("pointing",))])
    assert set(values["gaze"]) == {"gradcam", "saliency"}
    assert set(values["gaze"]["saliency"]["scores"]) == {"energy", "pointing"}
    table = pl.read_parquet(run.files.scores("test"))
    assert len(table) == 2 * len(table.filter(method="gradcam"))


def test_explanations_are_of_a_class_and_need_one(run, tmp_path):
    paths = images_of(run, "test")
    with pytest.raises(ConfigError, match="found none; name one of: ground, box"):
        explain_images(run, paths, ["gradcam"], tmp_path)
    rows = explain_images(run, paths, ["gradcam", "saliency"], tmp_path, target="box")
    assert len(rows) == 6
    with torch.no_grad():
        won = run.net(run.transform(paths[0])).argmax(1) == 1
    assert rows[0]["target"] == "box"
    assert rows[0]["share"] == pytest.approx(float(won.float().mean()))
    assert "predicted" not in rows[0]
    with Image.open(tmp_path / rows[0]["overlay"]) as picture:
        assert picture.width > 2 * 300


def test_mean_maps_are_by_class(run, tmp_path):
    values = average_maps(run, "test", "gradcam", tmp_path)
    rows = {row["class"]: row for row in values["rows"]}
    assert set(rows) == {None, "ground", "box"}
    assert rows["box"]["images"] == rows["ground"]["images"] == 3
    assert rows[None]["images"] == 6
    assert rows["box"]["area"] == pytest.approx(20 * 20 / (40 * 56), rel=0.1)
    assert (tmp_path / "classes.png").is_file()


# Guidance ---------------------------------------------------------------------------------


TERMS = (Energy(),)


def guided(part, objective, net, transform, step=0, terms=TERMS):
    targets, regions = objective.asked(part, step)
    images = transform.normalise(part.images["image"])
    return regard.guidance.guided_forward(net, images, targets, regions, terms)


def test_the_class_that_is_asked_about_is_drawn_by_step_and_image_alone(run):
    batch, objective = first_batch(run, "train"), OfMasks(seed=3)
    seen = set()
    for step in range(20):
        target, regions = objective.asked(batch, step)
        again, _ = objective.asked(batch[2:5], step)
        assert torch.equal(target.class_index[2:5], again.class_index)
        for k, own, truth in zip(target.class_index, regions.attend, batch.target, strict=True):
            assert torch.equal(own, (truth == k).float())
            assert bool(own.any())
        assert torch.equal(target.where, regions.attend)
        seen |= set(target.class_index.tolist())
    assert seen == {0, 1}


def test_an_image_without_a_class_is_not_valid(run):
    batch = first_batch(run, "train")
    target = batch.target.clone()
    target[1] = VOID
    empty = Batch(batch.images, batch.labels, batch.index, None, target)
    out = guided(empty, OfMasks(), run.net, run.transform)
    assert out.valid["energy"].tolist() == [i != 1 for i in range(len(batch))]
    assert OfMasks().divisors(empty, [Energy()], 0).terms["energy"] == len(batch) - 1


def test_micro_batches_give_the_gradient_of_the_whole(run):
    batch, objective, net = first_batch(run, "train"), OfMasks(), deepcopy(run.net).double()
    combination, terms = Combination("sum", [Energy(weight=3.0)]), [Energy(weight=3.0)]

    def gradients(parts):
        net.zero_grad()
        by = objective.divisors(batch, terms, 5)
        for part in parts:
            targets, regions = objective.asked(part, 5)
            images = run.transform.normalise(part.images["image"]).double()
            out = regard.guidance.guided_forward(net, images, targets, regions, terms)
            for name, (weight, own) in objective.others(out.logits, part).items():
                out.losses[name], out.weights[name] = own, weight
            combination(objective.entropies(out.logits, part), out, by)[0].backward()
        return [p.grad.clone() for p in net.parameters()]

    whole = gradients([batch])
    split = gradients([batch[:3], batch[3:4], batch[4:]])
    for a, b in zip(whole, split, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    assert any(bool(g.any()) for g in whole)


def test_the_control_moves_the_region_and_asks_about_the_same_pixels(run):
    batch = first_batch(run, "train")
    own_target, own = OfMasks().asked(batch, 1)
    target, moved = OfMasks(annotation=Annotation("misplaced")).asked(batch, 1)
    assert torch.equal(target.where, own_target.where)
    boxes = own_target.class_index == 1
    assert bool((overlap(own.attend, moved.attend)[boxes] < 0.2).all())
    assert int(boxes.sum()) > 0


def test_guidance_moves_the_gaze_of_a_segmenter(home):
    found = {}
    layer = "encoder.model.blocks.3"  # of earlier ones the maps lie on the box by themselves
    for weight in (0, 3):
        changes = ["training.epochs=15", "training.best=last", "data.size=[64,96]"]
        if weight:
            term = f"{{term: energy, weight: {weight}, layer: {layer}}}"
            changes.append(f"guidance.terms=[{term}]")
        train(config_of(*changes, base=SEGMENTER), home / f"weight{weight}", folder=home)
        how = Gaze(scores=("energy",), layer=layer)
        values = evaluate_run(load_run(home / f"weight{weight}"), "test", gaze=[how])
        found[weight] = values["gaze"]["gradcam"]["per_class"]["box"]["scores"]["energy"]["value"]
    print(found)
    assert found[3] > found[0] + 0.2
    lines = [json.loads(line) for line in (home / "weight3/log.jsonl").read_text().splitlines()]
    epochs = [line for line in lines if line["kind"] == "epoch"]
    assert epochs[-1]["train"]["loss.energy"] < epochs[0]["train"]["loss.energy"]


def test_a_killed_guided_run_ends_with_the_same_bits(home):
    changes = (f"guidance.terms=[{{term: energy, weight: 2, layer: {LAYER}}}]", "training.epochs=2")
    config = config_of(*changes, base=SEGMENTER)
    train(config, home / "uninterrupted", folder=home)
    whole = load_run(home / "uninterrupted", "last")
    killed = killed_and_resumed(config, home / "killed-guided", home, step=3)
    assert same_tensors(whole.net.state_dict(), killed.net.state_dict())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (("guidance.terms=[{term: rrr}]",), "a term on maps or activations for a segmenter"),
        (("guidance.terms=[{term: masked_input}]",), "found masked_input, on the logits"),
        (("guidance.terms=[{term: energy}]", "guidance.regions=mean"), "own or misplaced regions"),
        (("guidance.terms=[{term: energy}]", "guidance.share=0.5"), "all masks"),
        (("gaze.backgrounds=true",), "gaze.backgrounds"),
        (("guidance.terms=[{term: energy, name: dice}]",), "found 'dice'; give the term another"),
    ],
)  # fmt: skip
def test_what_a_segmenter_cannot_be_guided_by_is_refused(home, tmp_path, changes, said):
    with pytest.raises(ConfigError, match=said) as caught:
        train(config_of(*changes, base=SEGMENTER), tmp_path / "run", folder=home)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change", ["gaze.layer=nonsense", "gaze.method=attention"])
def test_a_gaze_that_the_net_has_not_is_refused_before_training(home, tmp_path, change):
    with pytest.raises(RegardError):
        train(config_of(change, base=SEGMENTER), tmp_path / "run", folder=home)
    assert not (tmp_path / "run").exists()


def test_pooled_scores_are_kept_by_class_and_in_the_report(run):
    evaluate_run(run, "test", gaze=[Gaze(scores=("energy", "pxap"), layer=LAYER)])
    values = evaluate_run(run, "test", gaze=[Gaze(scores=("iou",), layer=LAYER)], keep=True)
    assert "pxap" in values["gaze"]["gradcam"]["per_class"]["box"]["scores"]
    assert "pxap" in pl.read_parquet(run.files.scores("test")).columns
    assert "Gaze by class" in report(run.folder, pictures=0).read_text()


def test_scoring_keeps_how_the_pixels_were_asked_about(run):
    plain = evaluate_run(run, "test")
    asked = evaluate_run(run, "test", asked=inferring(run, window=48, flip=True))
    assert asked["metrics"]["confusion"] != plain["metrics"]["confusion"]
    assert not evaluated(run, "test")
    values = evaluate_run(run, "test", gaze=[Gaze(scores=("energy",), layer=LAYER)], keep=True)
    assert values["metrics"] == asked["metrics"]
    assert values["inference"]["window"] == [48, 48]
    assert not evaluated(run, "test")
    html = report(run.folder, pictures=2).read_text()
    assert "Pictures of test are left out" not in html
    again = load_run(run.folder)
    sample = samples_of(again.manifest(), "test", again.classes, again.data)[0]
    guess, true = masks_of(as_told(again, values["inference"]), sample)
    row = pl.read_parquet(run.files.predictions("test")).row(0, named=True)
    assert pixel_confusion(guess, true, 2).tolist() == row["confusion"]
    evaluate_run(run, "test", gaze=[Gaze(layer=LAYER)])
    assert evaluated(run, "test")


def test_masks_of_nothing_are_evaluated_and_averaged(home, tmp_path):
    for file in home.glob("*.p*"):
        shutil.copy(file, tmp_path / file.name)
    for number in (3, 7, 11):
        Image.new("L", (60, 40), 0).save(tmp_path / f"{number}-mask.png")
    train(config_of("training.epochs=1", base=SEGMENTER), tmp_path / "run", folder=tmp_path)
    void = load_run(tmp_path / "run")
    for _ in range(2):
        values = evaluate_run(void, "test", gaze=[Gaze(scores=("energy",))])
    assert values["metrics"]["mean_iou"]["value"] is None
    assert values["gaze"]["gradcam"]["per_class"] == {}
    assert "nothing is said of any pixel" in report(tmp_path / "run", pictures=2).read_text()
    with pytest.raises(DataError, match="found none in 3 images"):
        average_maps(void, "test", "gradcam", tmp_path / "out")


def test_a_term_on_a_segmenter_can_be_a_loss_on_activations(run):
    batch = first_batch(run, "train")
    (term,) = [regard.guidance.ActDiff()]
    out = guided(batch, OfMasks(), run.net, run.transform, terms=[replace(term, weight=2.0)])
    assert bool((out.losses["actdiff"] > 0).all())
