"""What a step adds up to: accumulation, weights, smoothing, rates, freezing, stopping."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, f1_score
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import CosineAnnealingLR, ReduceLROnPlateau

from regard.data.keys import key
from regard.data.loader import oversampled
from regard.data.regions import Regions
from regard.data.sample import Draw
from regard.errors import NumericalError, RunError
from regard.evaluation.direction import lower_is_better
from regard.evaluation.predict import Predictions, model_input
from regard.guidance import Combination, Energy, divisors, guided_forward
from regard.guidance.combination import Divisors
from regard.guidance.output import GuidedOutput
from regard.models.heads import classifier_of
from regard.runs.checkpoints import checkpoints, load, pointed
from regard.runs.log import read_log
from regard.scores.scoring import score
from regard.training import step as stepping
from regard.training.losses import class_weights, entropies
from regard.training.measure import measure
from regard.training.optimisers import LearningRate
from regard.training.prepare import prepare
from regard.training.progress import Progress
from regard.training.settings import Schedule
from regard.training.train import train
from tinyset import config_of, log_lines, write_set

PLAIN = ("model.spec=regard:cnn1",)  # no batch norm, so that parts of a batch add up
GUIDED = (*PLAIN, "guidance.terms=[{term: energy, weight: 0.7}]")


def epoch(*changes, folder, out):
    return train(config_of(*changes), out, folder=folder)


@pytest.fixture
def doubled(monkeypatch):
    """Images in float64, as a net in float64 takes them."""
    monkeypatch.setattr(stepping, "model_input", lambda *args: model_input(*args).double())


def batches(trainer):
    return list(trainer.prepared.train.batches(trainer.draws(0)))


def gradient(trainer, batch, micro):
    """The gradient that a step of the batch in such parts would take."""
    trainer.stepper.gradients(trainer.stepper.work(batch, 0), micro)
    return torch.cat([p.grad.flatten() for p in trainer.prepared.net.parameters()]).double()


@pytest.mark.parametrize("imbalance", ["none", "weights"])
def test_parts_of_a_batch_add_up_to_its_gradient(trainer, imbalance, doubled):
    made = trainer(*GUIDED, f"training.imbalance={imbalance}", "training.batch_size=20")
    made.prepared.net.double()
    first, last = batches(made)
    assert (len(first), len(last)) == (20, 4)
    assert 0 < first.regions.present.sum() < 20
    for batch in (first, last):
        whole = gradient(made, batch, 20)
        for micro in (1, 3, 7):
            parts = gradient(made, batch, micro)
            assert (parts - whole).norm() < 1e-6 * whole.norm()


@pytest.mark.parametrize("weighted", [False, True])
def test_the_gradient_is_that_of_the_textbook_loss(trainer, weighted):
    made = trainer(
        *GUIDED, "training.batch_size=12", f"training.imbalance={['none', 'weights'][weighted]}"
    )
    batch, net = batches(made)[0], made.prepared.net
    found = gradient(made, batch, 5)
    images = made.prepared.transform.normalise(batch.images["image"])
    counts = torch.tensor([16.0, 8.0])
    weight = 24 / (2 * counts) if weighted else None
    out = guided_forward(net, images, batch.labels, batch.regions, [Energy(weight=0.7)])
    valid = batch.regions.present
    loss = cross_entropy(out.logits, batch.labels, weight=weight)
    loss = loss + 0.7 * out.losses["energy"][valid].mean()
    expected = torch.autograd.grad(loss, list(net.parameters()))
    expected = torch.cat([g.flatten() for g in expected]).double()
    assert (found - expected).norm() < 1e-5 * expected.norm()


@pytest.mark.parametrize("spec", ["cnn1", "cnn2"])
def test_accumulation_trains_as_the_large_batch_does(tiny, tmp_path, spec):
    net = (f"model.spec=regard:{spec}", f"model.freeze_bn={str(spec == 'cnn2').lower()}")
    for name, size, parts in (("large", 20, 1), ("small", 5, 4)):
        changes = (*net, f"training.batch_size={size}", f"training.accumulate={parts}")
        sgd = "training.optimiser={name: sgd, lr: 0.05}"
        epoch(*GUIDED, sgd, *changes, folder=tiny, out=tmp_path / name)
    large, small = (load(tmp_path / name / "checkpoints").model for name in ("large", "small"))
    start = load(tmp_path / "large" / "checkpoints", "step-2").model
    assert len([r for r in log_lines(tmp_path / "small") if r["kind"] == "step"]) == 4
    for name, value in large.items():
        torch.testing.assert_close(small[name], value, rtol=1e-4, atol=1e-6)
        rests = "running" in name or "tracked" in name
        assert torch.equal(start[name], value) == rests


def test_an_image_without_region_counts_for_the_cross_entropy_alone():
    logits = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 0])
    regions = Regions(torch.eye(4)[None].repeat(4, 1, 1))
    regions = replace(regions, present=torch.tensor([True, False, False, True]))
    by = divisors(labels, regions, [Energy(weight=2.0)], None)
    assert (by.cross_entropy, by.terms) == (4.0, {"energy": 2})
    losses = torch.tensor([0.5, 0.0, 0.0, 0.7])
    output = GuidedOutput(logits.float(), losses={"energy": losses}, weights={"energy": 2.0})
    total, parts = Combination()(entropies(output.logits, labels, None, 0.0), output, by)
    assert float(parts["loss.energy"]) == pytest.approx(0.6)
    entropy = float(cross_entropy(logits.float(), labels))
    assert float(parts["cross_entropy"]) == pytest.approx(entropy)
    assert float(total) == pytest.approx(entropy + 2 * 0.6)


def test_a_batch_without_any_region_divides_by_one():
    regions = Regions(torch.zeros(2, 4, 4), present=torch.tensor([False, False]))
    by = divisors(torch.tensor([0, 1]), regions, [Energy()], None)
    assert by.terms == {"energy": 0}
    output = GuidedOutput(torch.zeros(2, 2), {}, {"energy": torch.zeros(2)}, {}, {"energy": 1.0})
    total, parts = Combination()(torch.ones(2), output, by)
    assert (float(total), float(parts["loss.energy"])) == (1.0, 0.0)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_is_torchs(smoothing):
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0, 1, 2, 0, 0, 1])
    by = divisors(labels, None, [], None)
    losses = entropies(logits, labels, None, smoothing)
    total, _ = Combination()(losses, GuidedOutput(logits), by)
    expected = cross_entropy(logits, labels, label_smoothing=smoothing)
    torch.testing.assert_close(total, expected)


def test_weighted_cross_entropy_is_torchs():
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(2))
    labels, weights = torch.tensor([0, 1, 2, 0, 0, 1]), torch.tensor([0.5, 1.0, 3.0])
    by = divisors(labels, None, [], weights)
    losses = entropies(logits, labels, weights, 0.0)
    total, _ = Combination()(losses, GuidedOutput(logits), by)
    torch.testing.assert_close(total, cross_entropy(logits, labels, weight=weights))


def test_class_weights_are_the_inverse_of_frequency_with_mean_one():
    labels = [0] * 6 + [1] * 3 + [2]
    weights = class_weights(labels, 3, "weights")
    assert weights.tolist() == pytest.approx([10 / 18, 10 / 9, 10 / 3])
    assert float(weights[labels].mean()) == pytest.approx(1)
    assert torch.equal(weights, class_weights(labels, 3, "both"))
    assert class_weights(labels, 3, "none") is None
    assert class_weights(labels, 3, "oversample") is None


def test_oversampling_draws_every_class_alike(trainer):
    made = trainer("training.imbalance=oversample")
    draws = made.draws(1)
    assert draws == oversampled(made.labels, seed=0, epoch=1)
    assert [made.labels.count(k) for k in (0, 1)] == [16, 8]
    assert [sum(made.labels[d.row] == k for d in draws) for k in (0, 1)] == [16, 16]
    assert made.steps == 4
    assert len(trainer().draws(1)) == 24


def rates(how, *, steps=5, epochs=4):
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.2)
    rate = LearningRate(optimiser, how, steps_per_epoch=steps, epochs=epochs, lower_is_better=True)
    found = []
    for step in range(steps * epochs):
        rate.before_step(step)
        found.append(rate.now)
    return found


def test_cosine_is_torchs():
    found = rates(Schedule(name="cosine", floor=0.1))
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.2)
    schedule = CosineAnnealingLR(optimiser, T_max=20, eta_min=0.02)
    expected = []
    for _ in range(20):
        expected.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    assert found == pytest.approx(expected)


def test_warm_up_rises_in_a_line_and_cosine_begins_after_it():
    found = rates(Schedule(name="cosine", warmup_epochs=1))
    assert found[:5] == pytest.approx([0.2 * k / 6 for k in range(1, 6)])
    expected = [0.1 * (1 + math.cos(math.pi * k / 15)) for k in range(15)]
    assert found[5:] == pytest.approx(expected)
    assert rates(Schedule(warmup_epochs=1))[5:] == pytest.approx([0.2] * 15)


@pytest.mark.parametrize("lower", [True, False])
def test_plateau_is_torchs_also_after_a_restart(lower):
    metrics = [1.0, 0.9, 0.95, 0.97, 0.98, float("nan"), 0.5, 0.6, 0.7, 0.8]

    def fresh(lr=0.2):
        optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)
        how = Schedule(name="plateau", factor=0.3, patience=1)
        rate = LearningRate(optimiser, how, steps_per_epoch=2, epochs=10, lower_is_better=lower)
        return optimiser, rate

    reference = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.2)
    scheduler = ReduceLROnPlateau(
        reference, "min" if lower else "max", factor=0.3, patience=1, threshold=0.0
    )
    _, rate = fresh()
    for number, metric in enumerate(metrics):
        rate.before_step(2 * number)
        rate.after_epoch(metric)
        scheduler.step(metric)
        assert rate.now == reference.param_groups[0]["lr"]
        _, again = fresh(rate.now)
        again.restore(copy.deepcopy(rate.state()))
        rate = again
    assert rate.now < 0.2


def test_a_plateau_sees_that_a_negative_loss_stands_still():
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    how = Schedule(name="plateau", factor=0.1, patience=1)
    rate = LearningRate(optimiser, how, steps_per_epoch=2, epochs=10, lower_is_better=True)
    seen = []
    for metric in (-1.0, -1.00001, -1.00001, -1.0, -1.1):
        rate.after_epoch(metric)
        seen.append(rate.now)
    assert seen == pytest.approx([1.0, 1.0, 1.0, 0.1, 0.1])


def test_a_terms_mean_over_an_epoch_is_over_the_images_that_it_is_of():
    progress = Progress()
    for images, right, loss, energy, valid in (
        (4, 3.0, 1.0, 0.8, 1),
        (4, 1.0, 0.5, 0.0, 0),
        (2, 1.0, 2.0, 0.2, 2),
    ):
        parts = {"loss": loss, "loss.energy": energy, "loss.iou": 0.0}
        by = Divisors(float(images), {"energy": valid, "iou": 0}, images)
        progress.add(right, parts, by)
    means = Progress.restored(progress.state()).means()
    assert means["loss.energy"] == pytest.approx((0.8 + 2 * 0.2) / 3)
    assert math.isnan(means["loss.iou"])
    assert means["loss"] == pytest.approx(1.0)
    assert means["accuracy"] == 0.5


def test_what_nothing_is_said_of_is_no_loss_of_an_epoch():
    """A crop that fell on void, and classes that weigh differently."""
    progress = Progress()
    progress.add(0.0, {"loss": 0.0, "cross_entropy": 0.0}, Divisors(0.0, {}, 2, 0))
    assert math.isnan(progress.means()["accuracy"])
    progress.add(0.5, {"loss": 1.5, "cross_entropy": 0.9}, Divisors(1.0, {}, 2, 1))
    progress.add(1.5, {"loss": 1.2, "cross_entropy": 0.6}, Divisors(3.0, {}, 2, 2))
    found = progress.means()
    assert found["cross_entropy"] == pytest.approx((0.9 + 3 * 0.6) / 4)
    assert found["loss"] == pytest.approx((1.5 + 3 * 1.2) / 4)
    assert found["accuracy"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("size", [1, 4, 24])
def test_the_loss_of_an_epoch_does_not_hang_on_the_size_of_batches(tiny, tmp_path, size):
    still = "training.optimiser={name: sgd, lr: 1e-30, momentum: 0.0}"
    changes = ("training.epochs=1", "training.imbalance=weights")
    losses = []
    for own in (f"training.batch_size={size}", "training.batch_size=8"):
        out = tmp_path / own.replace("=", "-")
        epoch(*PLAIN, still, *changes, own, folder=tiny, out=out)
        (line,) = read_log(out / "log.jsonl", "epoch")
        losses.append(line["train"]["cross_entropy"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def moved(before, after, names):
    return {name: not torch.equal(before[name], after[name]) for name in names}


@pytest.mark.parametrize("freeze", ["backbone", 1])
def test_a_frozen_backbone_rests_with_its_statistics_until_it_is_freed(tiny, tmp_path, freeze):
    adam = "training.optimiser={name: adam, lr: 0.01, weight_decay: 0.1}"
    epoch(
        "model.spec=regard:cnn2", adam, f"model.freeze={freeze}", "training.epochs=2",
        "training.checkpoint_steps=3", "guidance.terms=[{term: energy}]",
        folder=tiny, out=tmp_path / "run",
    )  # fmt: skip
    first = prepare(config_of(), tiny)
    start = {name: value.clone() for name, value in first.net.state_dict().items()}
    first.close()
    folder = tmp_path / "run" / "checkpoints"
    middle, end = load(folder, "step-3").model, load(folder, "step-6").model
    head = [name for name in start if name.startswith("classifier")]
    rest = [name for name in start if name not in head]
    assert any(name.endswith("running_mean") for name in rest)
    assert all(moved(start, middle, head).values())
    assert not any(moved(start, middle, rest).values())
    assert all(moved(middle, end, head).values())
    later = moved(middle, end, rest).values()
    assert (not any(later)) if freeze == "backbone" else all(later)


def test_the_backbone_has_its_own_rate(trainer):
    made = trainer("training.optimiser={name: sgd, lr: 0.1, backbone_lr: 0.01}")
    rest, head = made.optimiser.param_groups
    assert (rest["lr"], head["lr"], made.rate.now) == (0.01, 0.1, 0.1)
    own = {id(p) for p in classifier_of(made.prepared.net).parameters()}
    assert {id(p) for p in head["params"]} == own
    assert len(rest["params"]) + len(own) == len(list(made.prepared.net.parameters()))


def end_epochs(metrics, *, lower):
    progress, better = Progress(), []
    for metric in metrics:
        progress.step += 5
        better.append(progress.end_epoch(metric, lower=lower))
    return progress, better


def test_the_best_epoch_is_the_lowest_of_a_loss_and_the_highest_of_a_rate():
    metrics = [float("nan"), 0.5, 0.4, 0.4, 0.6, float("nan")]
    progress, better = end_epochs(metrics, lower=True)
    assert better == [False, True, True, False, False, False]
    assert (progress.best, progress.best_epoch, progress.best_step) == (0.4, 3, 15)
    assert progress.stale == 3
    progress, better = end_epochs(metrics, lower=False)
    assert better == [False, True, False, False, True, False]
    assert (progress.best, progress.best_epoch, progress.stale) == (0.6, 5, 1)


@pytest.mark.parametrize(
    ("metric", "lower"),
    [("val.loss", True), ("val.loss.energy", True), ("train.cross_entropy", True),
     ("val.accuracy", False), ("val.energy", False), ("val.mangtr", True)],
)  # fmt: skip
def test_which_metrics_are_better_when_lower(metric, lower):
    assert lower_is_better(metric) is lower


@pytest.mark.parametrize("best", ["val.accuracy", "val.mangtr", "train.loss"])
def test_the_best_checkpoint_is_of_the_best_epoch(tiny, tmp_path, best):
    lr = "training.optimiser.lr=0.03"
    epoch(lr, f"training.best={best}", "training.epochs=5", folder=tiny, out=tmp_path / "run")
    epochs = [line for line in log_lines(tmp_path / "run") if line["kind"] == "epoch"]
    split, name = best.split(".")
    values = [line[split][name] for line in epochs]
    chosen = min if best != "val.accuracy" else max
    expected = values.index(chosen(values))
    assert [line["best"] for line in epochs][expected] is True
    assert not any(line["best"] for line in epochs[expected + 1 :])
    folder = tmp_path / "run" / "checkpoints"
    assert pointed(folder, "best") == f"step-{epochs[expected]['step']}"
    assert pointed(folder, "last") == f"step-{epochs[-1]['step']}"
    assert len(checkpoints(folder)) == (3 if expected < 3 else 2)


def test_training_stops_when_nothing_gets_better(tiny, tmp_path):
    # The classifier rests at a rate that moves nothing, so the first epoch stays the best.
    still = "training.optimiser={name: sgd, lr: 1e-30, momentum: 0.0}"
    changes = ("training.epochs=9", "training.patience=2", "training.best=val.accuracy")
    progress = epoch(*PLAIN, still, *changes, folder=tiny, out=tmp_path / "run")
    assert (progress.epoch, progress.best_epoch, progress.stale) == (3, 1, 2)


def test_a_gradient_is_clipped_to_its_norm(trainer):
    made = trainer(*PLAIN, "training.clip=0.001")
    batch = batches(made)[0]
    before = gradient(made, batch, 8)
    assert before.norm() > 0.01
    norm = made.stepper._clipped()
    assert float(norm) == pytest.approx(float(before.norm()), rel=1e-4)
    after = torch.cat([p.grad.flatten() for p in made.prepared.net.parameters()]).double()
    assert float(after.norm()) == pytest.approx(0.001, rel=1e-3)
    torch.testing.assert_close(after / after.norm(), before / before.norm(), rtol=1e-4, atol=1e-7)


def test_bfloat16_learns(tiny, tmp_path):
    changes = ("training.bf16=true", "training.epochs=6", "training.optimiser.lr=0.02")
    epoch(*changes, "guidance.terms=[{term: energy}]", folder=tiny, out=tmp_path / "run")
    losses = [r["train"]["cross_entropy"] for r in log_lines(tmp_path / "run") if "train" in r]
    assert losses[-1] < 0.7 * losses[0]
    model = load(tmp_path / "run" / "checkpoints").model
    assert {v.dtype for v in model.values() if v.is_floating_point()} == {torch.float32}


@pytest.mark.parametrize("rate", ["1e30", "1e38"])
def test_numbers_that_blow_up_name_the_files_and_keep_the_last_good_checkpoint(
    tiny, tmp_path, rate
):
    sgd = f"training.optimiser={{name: sgd, lr: {rate}, momentum: 0.0}}"
    with pytest.raises(NumericalError, match=r"not finite.*train-\d\d\.png.*lower training") as e:
        epoch(*PLAIN, sgd, "training.checkpoint_steps=1", folder=tiny, out=tmp_path / "run")
    assert "\n" not in str(e.value)
    saved = load(tmp_path / "run" / "checkpoints")
    assert saved.damaged == ()
    assert all(bool(torch.isfinite(v).all()) for v in saved.model.values())


def test_outputs_that_are_not_finite_stop_the_run(tiny, tmp_path):
    # One step an epoch: the first epoch's net is broken before any second loss is seen.
    sgd = "training.optimiser={name: sgd, lr: 1e30, momentum: 0.0}"
    with pytest.raises(NumericalError, match=r"outputs; batch of .*(train|val)-"):
        epoch(*PLAIN, sgd, "training.batch_size=24", folder=tiny, out=tmp_path / "run")
    assert [p.name for p in checkpoints(tmp_path / "run" / "checkpoints")] == ["step-0"]


def test_memory_that_runs_out_halves_the_parts_and_keeps_the_gradient(
    trainer, monkeypatch, doubled
):
    made = trainer(*GUIDED, "training.batch_size=12")
    made.prepared.net.double()
    batch = batches(made)[0]
    expected = gradient(made, batch, 12)
    part, sizes = made.stepper._part, []

    def bounded(images, *rest):
        sizes.append(len(images))
        if len(images) > 3:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        return part(images, *rest)

    monkeypatch.setattr(made.stepper, "_part", bounded)
    steps = []
    monkeypatch.setattr(made.optimiser, "step", lambda: steps.append(made.optimiser_gradient()))
    made.optimiser_gradient = lambda: torch.cat(
        [p.grad.flatten() for p in made.prepared.net.parameters()]
    ).double()
    made._step(batch)
    assert sizes == [12, 6, 3, 3, 3, 3]
    assert (steps[0] - expected).norm() < 1e-6 * expected.norm()
    assert made.progress.micro == 3
    notes = [r["text"] for r in log_lines(made.folder.parent) if r["kind"] == "note"]
    assert notes == [
        "memory ran out: parts of 6 images from here on, same gradient "
        "(batch norm sees smaller batches)",
        "memory ran out: parts of 3 images from here on, same gradient "
        "(batch norm sees smaller batches)",
    ]


def test_memory_that_runs_out_moves_the_statistics_once(trainer, monkeypatch):
    def statistics(fails):
        made = trainer("model.spec=regard:cnn2", "training.batch_size=8")
        part, calls = made.stepper._part, []

        def bounded(images, *rest):
            found = part(images, *rest)
            calls.append(len(images))
            if fails and len(calls) == 2:
                raise MemoryError
            return found

        monkeypatch.setattr(made.stepper, "_part", bounded)
        made.progress.micro = 4 if fails else 2
        made._step(batches(made)[0])
        return calls, [b.clone() for b in made.prepared.net.buffers()]

    calls, after = statistics(fails=True)
    assert calls == [4, 4, 2, 2, 2, 2]
    _, expected = statistics(fails=False)
    assert after
    assert all(torch.equal(a, b) for a, b in zip(after, expected, strict=True))


def test_a_share_smaller_than_a_part_is_what_is_halved(trainer, monkeypatch):
    made = trainer(*GUIDED, "training.batch_size=12")
    batch, part, sizes = batches(made)[0][:6], made.stepper._part, []

    def bounded(images, *rest):
        sizes.append(len(images))
        if len(images) > 3:
            raise MemoryError
        return part(images, *rest)

    monkeypatch.setattr(made.stepper, "_part", bounded)
    assert made.stepper.step(batch, 0, 48).micro == 3
    assert sizes == [6, 3, 3]


def test_other_errors_are_not_swallowed_and_a_single_image_too_large_is_told(trainer, monkeypatch):
    made = trainer(*PLAIN)
    batch = batches(made)[0]
    for error, kind in ((RuntimeError("shape"), RuntimeError), (MemoryError(), RunError)):

        def fail(*_, error=error):
            raise error

        monkeypatch.setattr(made.stepper, "_part", fail)
        with pytest.raises(kind):
            made.stepper.step(batch, 0, 1)


def test_accumulation_beside_batch_norm_is_noted(tiny, tmp_path):
    for number, (spec, parts, notes) in enumerate([("cnn2", 2, 1), ("cnn2", 1, 0), ("cnn1", 2, 0)]):
        run = tmp_path / str(number)
        changes = (f"model.spec=regard:{spec}", f"training.accumulate={parts}")
        epoch(*changes, "training.epochs=1", folder=tiny, out=run)
        assert sum("batch norm sees parts" in str(line) for line in log_lines(run)) == notes


def test_dropout_is_drawn_by_the_step_alone(trainer):
    made = trainer(*PLAIN, "model.options.dropout=0.5")
    batch = batches(made)[0]
    torch.manual_seed(5)
    first = gradient(made, batch, 8)
    torch.rand(100)
    assert torch.equal(gradient(made, batch, 8), first)
    made.stepper.gradients(made.stepper.work(batch, 1), 8)
    other = torch.cat([p.grad.flatten() for p in made.prepared.net.parameters()]).double()
    assert not torch.equal(other, first)
    assert key(0, "step", 0) != key(0, "step", 1)


def test_measures_are_scikit_learns():
    generator = np.random.default_rng(3)
    logits = generator.normal(size=(40, 4)).astype(np.float32)
    labels = generator.integers(0, 3, 40)  # class 3 is predicted but never true
    energy = np.where(generator.random(40) < 0.3, np.nan, generator.random(40))
    term = np.where(np.isnan(energy), np.nan, 1 - energy)
    nothing = np.full(40, np.nan)
    found = Predictions(
        np.arange(40), labels, logits, {"energy": energy, "iou": nothing},
        nothing, np.zeros(40, bool), {"energy": term},
    )  # fmt: skip
    terms = [Energy(weight=0.5)]
    values = measure(found, Combination("sum", terms), terms)
    predicted = logits.argmax(1)
    assert values["accuracy"] == (predicted == labels).mean()
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        expected = balanced_accuracy_score(labels, predicted)
    assert values["balanced_accuracy"] == pytest.approx(expected)
    assert values["f1_macro"] == pytest.approx(f1_score(labels, predicted, average="macro"))
    entropy = float(cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels)))
    assert values["cross_entropy"] == entropy
    assert values["loss.energy"] == pytest.approx(np.nanmean(term))
    assert values["loss"] == pytest.approx(entropy + 0.5 * np.nanmean(term))
    assert values["energy"] == pytest.approx(np.nanmean(energy))
    assert math.isnan(values["iou"])


def test_a_nan_metric_never_chooses_a_checkpoint(tmp_path):
    write_set(tmp_path, counts={"train": 12, "val": 4}, every=100)
    # Energy of val is undefined: its only regions are of everything.
    import polars as pl
    from PIL import Image

    table = pl.read_parquet(tmp_path / "manifest.parquet")
    Image.new("L", (32, 32), 255).save(tmp_path / "all.png")
    whole = pl.when(pl.col("split") == "val").then(pl.lit("all.png")).otherwise("region")
    table.with_columns(whole.alias("region")).write_parquet(tmp_path / "manifest.parquet")
    progress = epoch("training.best=val.energy", folder=tmp_path, out=tmp_path / "run")
    assert (progress.best, progress.best_step, progress.epoch) == (None, None, 2)
    lines = [line for line in log_lines(tmp_path / "run") if line["kind"] == "epoch"]
    assert [line["val"]["energy"] for line in lines] == ["NaN", "NaN"]
    assert pointed(tmp_path / "run" / "checkpoints", "best") is None


def test_the_val_loss_of_a_control_is_the_one_that_is_trained(trainer):
    """Of misplaced regions; the gaze is still that on the own ones."""
    made = trainer(*GUIDED, "guidance.regions=misplaced", "gaze.scores=[energy]")
    found = made.measuring.val(1)["val"]
    data, net = made.prepared.val.data, made.prepared.net.eval()
    batch = data.batch([Draw(row) for row in range(len(data))])
    images = made.prepared.transform.normalise(batch.images["image"])

    def energy(regions):
        with torch.no_grad():
            out = guided_forward(net, images, batch.labels, regions, [Energy()])
        lost = out.losses["energy"][out.valid["energy"]].mean()
        return float(lost), float(score(out.maps["energy"], regions, "energy").nanmean())

    own, used = energy(batch.regions), energy(batch.used)
    assert found["loss.energy"] == pytest.approx(used[0], rel=1e-4)
    assert found["energy"] == pytest.approx(own[1], rel=1e-4)
    assert abs(own[0] - used[0]) > 0.01
