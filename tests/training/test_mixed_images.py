"""Training on images mixed of two: the loss, what guidance sees, exact resume, what is refused."""

import json
import re
from pathlib import Path

import pytest
import torch
import yaml
from torch.nn.functional import cross_entropy

from regard.data.samples import Batch
from regard.errors import ConfigError
from regard.evaluation.predict import model_input
from regard.evaluation.thresholds import Choice
from regard.guidance import Combination, Energy, guided_forward
from regard.guidance.output import GuidedOutput
from regard.reports.contents import read_run
from regard.reports.run_summary import run_words
from regard.runs.checkpoints import load
from regard.training import step as stepping
from regard.training.config import parse_config
from regard.training.losses import entropies
from regard.training.objective import OfLabels
from regard.training.prepare import prepare
from regard.training.train import train
from tinyset import (
    SEGMENTER,
    config_of,
    killed_and_resumed,
    log_lines,
    same_tensors,
    write_masks,
)

MIXED = "data.augment={mixup: 0.4, cutmix: 1, mix_probability: 0.8, flip: 0.5}"
GUIDED = ("model.spec=regard:cnn1", "guidance.terms=[{term: energy, weight: 0.7}]", MIXED)


def seeded(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


def pairs(rows=40, classes=5):
    """Two labels of each image, the share of the first, and the matrix of both."""
    generator = torch.Generator().manual_seed(4)
    first, second = torch.randint(0, classes, (2, rows), generator=generator)
    share = torch.rand(rows, generator=generator)
    matrix = torch.zeros(rows, classes)
    matrix.scatter_add_(1, first[:, None], share[:, None])
    matrix.scatter_add_(1, second[:, None], 1 - share[:, None])
    return first, second, share, matrix


@pytest.mark.parametrize("smoothing", [0.0, 0.15])
def test_the_cross_entropy_of_shares_is_torchs(smoothing):
    logits, (*_, matrix) = seeded(40, 5), pairs()
    expected = cross_entropy(logits, matrix, reduction="none", label_smoothing=smoothing)
    torch.testing.assert_close(entropies(logits, matrix, None, smoothing), expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.15])
@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 1.0, 2.0, 0.1, 3.0])])
def test_it_is_the_mean_of_both_labels_by_their_shares(smoothing, weights):
    logits, (first, second, share, matrix) = seeded(40, 5), pairs()
    found = entropies(logits, matrix, weights, smoothing)
    both = [entropies(logits, label, weights, smoothing) for label in (first, second)]
    torch.testing.assert_close(found, share * both[0] + (1 - share) * both[1])
    if weights is not None and not smoothing:
        expected = cross_entropy(logits, matrix, weights, reduction="none")
        torch.testing.assert_close(found, expected)


def test_a_batch_of_whole_images_has_torchs_weighted_mean():
    logits, labels = seeded(40, 5), pairs()[0]
    weights = torch.tensor([0.5, 1.0, 2.0, 0.1, 3.0])
    whole = torch.nn.functional.one_hot(labels, 5).float()
    batch = Batch({}, labels, torch.arange(40), None, shares=whole)
    objective = OfLabels(weights, 0.0)
    by = objective.divisors(batch, [], 0)
    found, _ = Combination()(objective.entropies(logits, batch), GuidedOutput(logits), by)
    torch.testing.assert_close(found, cross_entropy(logits, labels, weights))


def gradient(trainer, batch, micro):
    trainer.stepper.gradients(trainer.stepper.work(batch, 0), micro)
    return torch.cat([p.grad.flatten() for p in trainer.prepared.net.parameters()]).double()


@pytest.mark.parametrize("combine", ["sum", "product", "quotient"])
def test_the_gradient_is_that_of_the_textbook_loss_in_parts_too(trainer, combine, monkeypatch):
    monkeypatch.setattr(stepping, "model_input", lambda *args: model_input(*args).double())
    made = trainer(*GUIDED, f"guidance.combine={combine}", "training.imbalance=weights",
                   "training.batch_size=20", "training.label_smoothing=0.1")  # fmt: skip
    batch, net = next(iter(made.prepared.train.batches(made.draws(0)))), made.prepared.net.double()
    images = made.prepared.transform.normalise(batch.images["image"]).double()
    weights = 24 / (2 * torch.tensor([16.0, 8.0]))
    out = guided_forward(net, images, batch.labels, batch.regions, [Energy(weight=0.7)])
    valid = out.valid["energy"]
    assert 3 < valid.sum() < 17
    losses = sum(
        batch.shares[:, k] * weights[k]
        * cross_entropy(out.logits, torch.full((20,), k), reduction="none", label_smoothing=0.1)
        for k in (0, 1)
    )  # fmt: skip
    own = out.losses["energy"]
    factor = {"sum": 1, "product": own.clamp_min(1e-12) ** 0.7,
              "quotient": (1 / (1 - own).clamp_min(1e-3)) ** 0.7}[combine]  # fmt: skip
    factor = torch.where(valid, factor, torch.ones(20))
    loss = (losses * factor).sum() / (batch.shares @ weights).sum()
    if combine == "sum":
        loss = loss + 0.7 * own[valid].mean()
    expected = torch.autograd.grad(loss, list(net.parameters()))
    expected = torch.cat([g.flatten() for g in expected]).double()
    for micro in (20, 7, 1):
        assert (gradient(made, batch, micro) - expected).norm() < 1e-5 * expected.norm()


def test_a_killed_and_resumed_run_ends_the_same(tiny, tmp_path):
    changes = (MIXED, "guidance.terms=[{term: energy, weight: 0.5}, {term: rrr, weight: 0.01}]",
               "training.epochs=2", "training.batch_size=4", "training.accumulate=2",
               "training.imbalance=both", "training.checkpoint_steps=3")  # fmt: skip
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train(config_of(*changes), whole, folder=tiny)
    killed_and_resumed(config_of(*changes), broken, tiny, step=6)
    first, second = (load(run / "checkpoints") for run in (whole, broken))
    assert same_tensors(first.model, second.model)
    assert same_tensors(first.optimiser, second.optimiser)
    assert log_lines(whole) == log_lines(broken)


def test_parts_of_a_step_train_as_the_whole_does(tiny, tmp_path):
    """The images of a step are the same however it is cut, so the weights are, but for rounding."""
    for name, size, parts in (("large", 20, 1), ("small", 5, 4)):
        changes = (f"training.batch_size={size}", f"training.accumulate={parts}")
        sgd = "training.optimiser={name: sgd, lr: 0.05}"
        train(config_of(*GUIDED, sgd, *changes), tmp_path / name, folder=tiny)
    large, small = (load(tmp_path / name / "checkpoints").model for name in ("large", "small"))
    for name, value in large.items():
        torch.testing.assert_close(small[name], value, rtol=1e-4, atol=1e-6)


def test_the_accuracy_of_train_is_that_of_the_larger_share(trainer):
    made = trainer(*GUIDED, "training.batch_size=24")
    (batch,) = made.prepared.train.batches(made.draws(0))
    right = made.stepper.objective.right(torch.eye(2)[batch.labels], batch)
    assert right == 24
    assert (batch.shares.gather(1, batch.labels[:, None]) >= 0.5).all()
    assert made.stepper.objective.right(-torch.eye(2)[batch.labels], batch) == 0


def test_val_and_the_measured_gaze_are_of_whole_images(trainer):
    made = trainer(*GUIDED)
    for loader in (made.prepared.val, made.prepared.train_gaze):
        assert all(batch.shares is None for batch in loader.batches())


def test_with_oversampling_partners_come_from_each_class_alike(trainer):
    made = trainer(*GUIDED, "training.imbalance=oversample")
    assert [len(group) for group in made.prepared.train.data.partners.groups] == [16, 8]
    assert len(trainer(*GUIDED).prepared.train.data.partners.groups) == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["guidance.terms=[{term: masked_input}]", "data.augment.cutmix=1"],
         "data.augment.cutmix and term masked_input: expected images of one label"),
        (["guidance.terms=[{term: background_swap, name: swap}]", "data.augment.mixup=0.2"],
         "data.augment.mixup and term swap: expected images of one label"),
        (["data.augment.mix_probability=0.5"],
         "data.augment.mix_probability: expected mixup or cutmix above 0, found neither"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused(tiny, tmp_path, changes, said):
    with pytest.raises(ConfigError) as caught:
        train(config_of(*changes), tmp_path / "run", folder=tiny)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_a_segmenter_mixes_no_images(tmp_path, kind):
    write_masks(tmp_path)
    with pytest.raises(ConfigError, match=f"data.augment.{kind}: expected images with one label"):
        prepare(config_of(f"data.augment.{kind}=1", base=SEGMENTER), tmp_path)


@pytest.mark.parametrize("change", ["mixup=-1", "cutmix=-0.1", "mix_probability=0"])
def test_values_out_of_range_are_refused(change):
    with pytest.raises(ConfigError, match=r"expected a number|0 or more|above 0"):
        config_of(f"data.augment.{change}")


def test_a_run_without_mixing_logs_what_it_did_before(tiny, tmp_path):
    """The keys are off by default, and off they change nothing."""
    for name, changes in (("a", []), ("b", ["data.augment.mix_probability=1.0"])):
        train(config_of("training.epochs=1", *changes), tmp_path / name, folder=tiny)
    assert log_lines(tmp_path / "a") == log_lines(tmp_path / "b")
    config = json.dumps(config_of().model_dump(mode="json"))
    assert '"mixup": 0.0' in config


def test_the_report_says_that_images_were_mixed(tiny, tmp_path):
    train(config_of(MIXED, "training.epochs=1"), tmp_path / "run", folder=tiny)
    words = run_words(read_run(tmp_path / "run"))[0]
    said = "80 % of its training images were mixed of two, by MixUp (alpha 0.4) or CutMix (alpha 1)"
    assert f"{said}; losses and accuracy of train" in words.replace("\N{NO-BREAK SPACE}", " ")


def test_the_page_on_few_images_holds_a_config_that_is_sound():
    page = Path(__file__).parents[2] / "docs" / "few-images.md"
    (text,) = re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)
    config = parse_config(yaml.safe_load(text), "docs/few-images.md")
    assert config.data.augment.mixes
    assert config.evaluate.choice(["healthy", "ill"]) == Choice("recall", 0.9, "ill")
