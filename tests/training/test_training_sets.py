"""A net for sets of labels: trained, killed, resumed, evaluated, explained."""

import json

import numpy as np
import polars as pl
import pytest
import torch
from sklearn import metrics as sk

from regard.data.loader import Loader
from regard.data.manifest import read_manifest
from regard.data.sample import of_label
from regard.data.samples import Samples, padded, truth_of
from regard.data.source import samples_of
from regard.errors import ConfigError, DataError, RunError
from regard.evaluation.direction import lower_is_better
from regard.evaluation.predict import predict
from regard.evaluation.settings import Gaze
from regard.guidance import Energy
from regard.guidance.combination import Combination
from regard.guidance.output import GuidedOutput
from regard.runs.averages import average_maps
from regard.runs.comparable import open_runs
from regard.runs.evaluate import evaluate_run
from regard.runs.explain import explain_images, images_of
from regard.runs.inference import inferring
from regard.runs.run import load_run
from regard.saliency.explain import explain
from regard.scores.scoring import score
from regard.training.losses import positive_weights, set_entropies
from regard.training.objective import OfSets
from regard.training.train import train
from tinyset import (
    COLOURS,
    SETS,
    config_of,
    killed_and_resumed,
    log_lines,
    same_tensors,
    write_set,
    write_sets,
)

TERM = "guidance.terms=[{term: energy, weight: 0.5}]"
AUGMENT = "data.augment={flip: 0.5, rotate: 10, translate: 0.1}"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    write_sets(folder)
    return folder


@pytest.fixture(scope="module")
def whole(home):
    train(config_of(TERM, AUGMENT, "training.epochs=3", base=SETS), home / "run", folder=home)
    return home / "run"


@pytest.fixture(scope="module")
def evaluated(whole):
    gaze = [Gaze(scores=("energy", "pointing", "deletion", "sparseness"))]
    return whole, evaluate_run(load_run(whole), "test", gaze=gaze)


# Losses.


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_is_torch_s_binary_cross_entropy(smoothing):
    logits, truth = torch.randn(6, 4), torch.rand(6, 4) < 0.4
    weights = torch.tensor([0.5, 1.0, 2.0, 4.0])
    found = set_entropies(logits, truth, weights, smoothing)
    wanted = truth.float() * (1 - smoothing) + smoothing / 2
    for row in range(6):
        terms = []
        for k in range(4):
            p = torch.sigmoid(logits[row, k].double())
            t = wanted[row, k].double()
            terms.append(-(weights[k] * t * p.log() + (1 - t) * (1 - p).log()))
        assert float(found[row]) == pytest.approx(float(sum(terms) / 4), rel=1e-5)
    criterion = torch.nn.BCEWithLogitsLoss(pos_weight=weights)
    torch.testing.assert_close(found.mean(), criterion(logits, wanted))


def test_a_class_weighs_by_who_has_it_not_over_who_has():
    sets = [(0,), (0, 1), (0,), (0, 2), (0, 1)]
    weights = positive_weights(sets, 3, "weights")
    # Of a class that all images have a little is left.
    assert weights.tolist() == pytest.approx([1 / 5, 3 / 2, 4])
    assert positive_weights(sets, 3, "none") is None
    weighted, truth = (
        torch.tensor([3 / 2]),
        torch.tensor([[False], [True], [False], [False], [True]]),
    )
    zero = set_entropies(torch.zeros(5, 1), truth, weighted)
    assert float(zero[truth[:, 0]].sum()) == pytest.approx(float(zero[~truth[:, 0]].sum()))


def batch_of(home, rows=12):
    samples = samples_of(read_manifest(home / "manifest.parquet"), "train", COLOURS,
                         config_of(base=SETS).data)  # fmt: skip
    transform = load_run(home / "run").transform
    return next(iter(Loader(Samples(samples, transform, seed=0), rows).batches()))


def test_parts_of_a_batch_add_up_to_the_batch_and_no_label_counts_for_no_term(whole, home):
    batch, objective, terms = batch_of(home), OfSets(), [Energy(weight=2.0)]
    truth = truth_of(batch.sets, 3)
    logits, losses = torch.randn(12, 3), torch.rand(12)
    asked, regions = objective.asked(batch, 5)
    valid = regions.present
    assert valid.tolist() == truth.any(1).tolist()
    assert not valid.all()
    assert bool(truth[valid].gather(1, asked[valid][:, None]).all())
    by = objective.divisors(batch, terms, 5)
    assert (by.cross_entropy, by.terms["energy"]) == (12.0, int(valid.sum()))
    totals = []
    for rows in (slice(0, 12), slice(0, 5), slice(5, 12)):
        output = GuidedOutput(logits[rows], losses={"energy": torch.where(valid, losses, 0)[rows]},
                              valid={"energy": valid[rows]}, weights={"energy": 2.0})  # fmt: skip
        entropies = objective.entropies(logits[rows], batch[rows])
        totals.append(Combination()(entropies, output, by)[0])
    torch.testing.assert_close(totals[0], totals[1] + totals[2])
    criterion = torch.nn.BCEWithLogitsLoss()
    expected = criterion(logits, truth.float()) + 2 * losses[valid].mean()
    torch.testing.assert_close(totals[0], expected)
    right = ((logits > 0) == truth).all(1).sum()
    assert objective.right(logits, batch) == float(right)


# Training.


def test_the_log_tells_the_metrics_and_val_is_scikit_learn_s(whole, home):
    epochs = [line for line in log_lines(whole) if line["kind"] == "epoch"]
    assert epochs[-1]["train"]["loss"] < epochs[0]["train"]["loss"]
    run = load_run(whole, "last")
    samples = samples_of(run.manifest(), "val", run.classes, run.data)
    paths = [sample.views[0][1] for sample in samples]
    proba, truth = run.predict(paths).double().numpy(), truth_of(padded(samples), 3).numpy()
    last, guess = epochs[-1]["val"], proba >= 0.5
    assert last["map"] == pytest.approx(sk.average_precision_score(truth, proba))
    assert last["accuracy"] == pytest.approx(sk.accuracy_score(truth, guess))
    assert last["hamming_loss"] == pytest.approx(sk.hamming_loss(truth, guess))
    f1 = sk.f1_score(truth, guess, average="samples", zero_division=1)
    assert last["f1_samples"] == pytest.approx(f1)
    entropy = np.mean([sk.log_loss(t, p, labels=[0, 1]) for t, p in zip(truth, proba,
                                                                      strict=True)])  # fmt: skip
    assert last["cross_entropy"] == pytest.approx(entropy, rel=1e-4)
    assert last["loss"] == pytest.approx(last["cross_entropy"] + 0.5 * last["loss.energy"])
    # Guidance and gaze on val are of one label an image, always the same.
    data = Samples(samples, run.transform)
    batch = next(iter(Loader(data, 64).batches()))
    images = run.transform.normalise(batch.images["image"])
    told = batch.labels >= 0
    maps = explain(run.net, images[told], batch.labels[told], size=(32, 32))
    energy = score(maps, batch.regions.attend[told], "energy")
    assert last["energy"] == pytest.approx(float(energy.nanmean()), rel=1e-4)
    notes = [line["text"] for line in log_lines(whole) if line["kind"] == "note"]
    assert "sets of labels: of 24 train images 12 have several, 3 none" in notes


def test_a_killed_run_ends_with_the_same_bits(whole, home):
    config = config_of(TERM, AUGMENT, "training.epochs=3", base=SETS)
    killed = killed_and_resumed(config, home / "killed", home, step=5)
    assert same_tensors(load_run(whole, "last").net.state_dict(), killed.net.state_dict())


def test_the_size_of_a_step_s_parts_changes_nothing_but_rounding(home):
    nets = []
    for name, size, parts in (("one", 8, 1), ("two", 4, 2)):
        changes = (f"training.batch_size={size}", f"training.accumulate={parts}", TERM)
        changes += ("model.spec=regard:cnn1", "training.optimiser={name: sgd, lr: 0.05}")
        changes += ("training.imbalance=weights", "training.label_smoothing=0.1")
        config = config_of(*changes, "training.epochs=1", base=SETS)
        train(config, home / name, folder=home)
        nets.append(load_run(home / name, "last").net.state_dict())
    for name, value in nets[0].items():
        torch.testing.assert_close(value, nets[1][name], rtol=1e-3, atol=1e-5)


def test_the_best_epoch_by_a_loss_is_the_lowest():
    assert lower_is_better("val.hamming_loss")
    assert not lower_is_better("val.map")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (("training.imbalance=oversample",), "none or weights for sets of labels"),
        (("training.imbalance=both",), "none or weights for sets of labels"),
        (("guidance.terms=[{term: rrr}]",), "a term on maps or activations for sets of labels"),
        (("guidance.terms=[{term: masked_input}]",), "a term on maps or activations for sets"),
        (("gaze.backgrounds=true",), "false for sets of labels"),
        (("training.best=val.balanced_accuracy",), "training.best: expected a metric of val"),
        (("data.task=classification",), "'label' with two classes or more in train"),
        (("model={spec: regard:fpn, options: {encoder: test_efficientnet}}",),
         "model.spec for multilabel: expected a classifier"),
        (("data.hierarchy=nowhere.csv",), "nowhere.csv: expected a CSV of child,parent"),
    ],
)  # fmt: skip
def test_mistakes_are_refused_at_the_start(home, tmp_path, changes, said):
    with pytest.raises((ConfigError, DataError), match=said) as caught:
        train(config_of(*changes, base=SETS), tmp_path / "run", folder=home)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_class_that_train_lacks_and_sets_that_are_no_column(tmp_path):
    write_set(tmp_path)
    with pytest.raises(DataError, match="a column 'labels' with two classes"):
        train(config_of("data.task=multilabel", base=SETS), tmp_path / "run", folder=tmp_path)
    write_sets(tmp_path)
    config = replace_classes(config_of(base=SETS), (*COLOURS, "stone"))
    with pytest.raises(DataError, match="every class in train, found no 'stone'"):
        train(config, tmp_path / "run", folder=tmp_path)


def replace_classes(config, classes):
    return config.model_copy(update={"classes": classes})


# Evaluation.


def test_predictions_hold_sigmoids_and_sets(evaluated):
    folder, values = evaluated
    run, table = load_run(folder), pl.read_parquet(folder / "predictions/test.parquet")
    paths = [str(run.folder.parent / image) for image in table["image"]]
    proba = run.predict(paths).numpy()
    columns = [f"probability:{name}" for name in COLOURS]
    np.testing.assert_allclose(table.select(columns).to_numpy(), proba, rtol=1e-5)
    with torch.no_grad():
        logits = run.net(run.transform(paths))
    np.testing.assert_allclose(proba, logits.sigmoid().numpy(), rtol=1e-5)
    for row, own in zip(table.iter_rows(named=True), proba, strict=True):
        assert row["predicted"] == [name for name, p in zip(COLOURS, own, strict=True) if p >= 0.5]
    truth = np.array([[name in own for name in COLOURS] for own in table["labels"]])
    found = values["metrics"]
    assert found["map"]["value"] == pytest.approx(sk.average_precision_score(truth, proba))
    assert found["n"] == 12
    assert json.loads((folder / "metrics/test.json").read_text())["metrics"]["n"] == 12


def test_every_label_of_an_image_has_its_map_and_scores(evaluated):
    folder, values = evaluated
    run, table = load_run(folder), pl.read_parquet(folder / "scores/test.parquet")
    samples = samples_of(run.manifest(), "test", run.classes, run.data)
    pairs = [(s.index, run.classes[k]) for s in samples for k in s.labels]
    assert table.select("index", "label").rows() == sorted(pairs)
    # As they were asked: all labels side by side, an image as often as it has some.
    asked = [of_label(s, k) for s in samples for k in s.labels]
    batch = next(iter(Loader(Samples(asked, run.transform), 32).batches()))
    images, targets = run.transform.normalise(batch.images["image"]), batch.labels
    assert targets.tolist() == [own.label for own in asked]
    maps = explain(run.net, images, targets)
    how = {"net": run.net, "images": images, "targets": targets, "independent": True}
    with torch.no_grad():
        proba = run.net(images).sigmoid().gather(1, targets[:, None])[:, 0].numpy()
    order = np.lexsort((targets.numpy(), batch.index.numpy()))
    for name, own in (("energy", {}), ("sparseness", {}), ("deletion", how)):
        expected = score(maps, batch.regions, name, **own).numpy()[order]
        np.testing.assert_allclose(table[name].to_numpy(), expected, rtol=1e-5, err_msg=name)
    np.testing.assert_allclose(table["probability"].to_numpy(), proba[order], rtol=1e-5)
    assert table["correct"].to_list() == (proba[order] >= 0.5).tolist()
    assert np.nanmax(table["deletion"].to_numpy()) < 1
    gaze = values["gaze"]["gradcam"]
    means = table.with_columns(pl.col("energy").fill_nan(None)).group_by("index").agg(
        pl.col("energy").mean()
    )  # fmt: skip
    assert gaze["scores"]["energy"]["value"] == pytest.approx(means["energy"].mean())
    assert gaze["images"] == sum(bool(s.labels) for s in samples)
    assert set(gaze["per_class"]) == set(COLOURS)


def test_scores_of_another_method_are_added(evaluated):
    folder, before = evaluated
    found = evaluate_run(load_run(folder), "test", gaze=[Gaze(method="layercam")])
    assert set(found["gaze"]) == {"gradcam", "layercam"}
    assert found["gaze"]["gradcam"] == before["gaze"]["gradcam"]


def test_explanations_are_of_the_highest_logit_or_of_a_class(evaluated, tmp_path):
    run = load_run(evaluated[0])
    paths = images_of(run, "test", 4)
    rows = explain_images(run, paths, ["gradcam"], tmp_path / "a")
    proba = run.predict(paths)
    for row, own in zip(rows, proba, strict=True):
        assert row["target"] == COLOURS[int(own.argmax())]
        assert row["predicted"] == [n for n, p in zip(COLOURS, own, strict=True) if p >= 0.5]
        assert row["target_probability"] == pytest.approx(float(own.max()), rel=1e-5)
    rows = explain_images(run, paths, ["gradcam"], tmp_path / "b", target="sky")
    assert {row["target"] for row in rows} == {"sky"}
    values = average_maps(run, "test", "gradcam", tmp_path / "c")
    counts = {row["class"]: row["images"] for row in values["rows"]}
    assert counts == {None: 16, "berry": 6, "fern": 6, "sky": 4}
    every = values["rows"][0]  # the labels of an image count together
    assert every["inside_low"] < every["inside"] < every["inside_high"]


def test_a_run_of_sets_is_not_held_against_one_of_labels(evaluated, tmp_path):
    write_set(tmp_path)
    train(config_of("training.epochs=1"), tmp_path / "run", folder=tmp_path)
    with pytest.raises(RunError, match="runs of one task, found one of sets of labels and one of"):
        open_runs([str(evaluated[0]), str(tmp_path / "run")], "test")


def test_windows_are_for_segmenters(evaluated):
    with pytest.raises(RunError, match="a run of a segmenter"):
        inferring(load_run(evaluated[0]), flip=True)


def test_an_image_without_a_label_gets_no_score(whole):
    run = load_run(whole)
    samples = samples_of(run.manifest(), "val", run.classes, run.data)
    gaze = Gaze(scores=("sparseness", "deletion", "energy"))
    batches = Loader(Samples(samples, run.transform), 5).batches()
    found = predict(run.net, batches, run.transform, gaze=gaze)
    bare = np.array([not sample.labels for sample in samples])
    assert bare.sum() == 2
    assert (found.labels[bare] == -1).all()
    for name, values in found.gaze.items():
        assert np.isnan(values[bare]).all(), name
        assert np.isnan(values[~bare]).sum() == found.dead.sum(), name
    assert not found.dead[bare].any()
    assert (found.truth == truth_of(padded(samples), 3).numpy()).all()
