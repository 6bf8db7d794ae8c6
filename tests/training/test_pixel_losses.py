"""Losses of pixels against a loop, and what they are averaged over."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from regard.data.mask_classes import VOID
from regard.data.samples import Batch
from regard.training.losses import dice_losses, pixel_entropies, pixel_weights
from regard.training.objective import OfMasks

K = 4


def drawn(seed=0, void=0.3, count=3):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, K, 5, 6, generator=generator, dtype=torch.float64)
    target = torch.randint(0, K - 1, (count, 5, 6), generator=generator)
    target[torch.rand(count, 5, 6, generator=generator) < void] = VOID
    target[-1] = VOID
    return logits, target.to(torch.uint8)


def batch(target):
    count = len(target)
    images = torch.zeros(count, 3, *target.shape[1:], dtype=torch.uint8)
    return Batch({"image": images}, -torch.ones(count).long(), torch.arange(count), None, target)


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 2.0, 0.5, 3.0])])
def test_the_cross_entropy_of_an_image_is_that_of_torch_over_its_pixels(weights):
    logits, target = drawn()
    found = pixel_entropies(logits, target, weights)
    for own, ids, value in zip(logits[:-1].float(), target[:-1].long(), found, strict=False):
        expected = cross_entropy(own[None], ids[None], weights, ignore_index=VOID)
        torch.testing.assert_close(value, expected)
    assert float(found[-1]) == 0


def test_the_dice_loss_is_that_of_a_loop_and_leaves_void_and_absent_classes_out():
    logits, target = drawn()
    probabilities = logits.softmax(1)
    for own, ids, value in zip(probabilities, target, dice_losses(logits, target), strict=True):
        losses = []
        for k in range(K):
            shared = said = true = 0.0
            for y in range(5):
                for x in range(6):
                    if ids[y, x] == VOID:
                        continue
                    said += float(own[k, y, x])
                    true += float(ids[y, x] == k)
                    shared += float(own[k, y, x]) * float(ids[y, x] == k)
            losses += [1 - 2 * shared / (said + true)] if true else []
        expected = sum(losses) / len(losses) if losses else 0.0
        assert float(value) == pytest.approx(expected, abs=1e-6)


def test_a_perfect_answer_has_no_loss_and_a_wrong_one_the_most():
    target = torch.tensor([[[0, 1], [2, VOID]]], dtype=torch.uint8)
    sure = 50 * torch.nn.functional.one_hot(torch.tensor([[[0, 1], [2, 3]]]), K).movedim(3, 1)
    assert float(dice_losses(sure.double(), target)) < 1e-6
    assert float(dice_losses(sure.double().roll(1, 1), target)) > 1 - 1e-6


@pytest.mark.parametrize("loss", [dice_losses, lambda x, t: pixel_entropies(x, t, None)])
def test_gradients_are_right_and_void_has_none(loss):
    logits, target = drawn(count=2)
    logits.requires_grad_()
    given = logits.float().detach().requires_grad_()
    loss(given, target).sum().backward()
    assert not given.grad[(target == VOID)[:, None].expand_as(given)].any()
    assert given.grad[(target != VOID)[:, None].expand_as(given)].any()
    step = 1e-3
    shifted = torch.zeros(given.shape)
    shifted[0, 1, 2, 3] = step
    own = given.detach()
    rise = (loss(own + shifted, target) - loss(own - shifted, target)).sum() / (2 * step)
    assert rise.item() == pytest.approx(float(given.grad[0, 1, 2, 3]), abs=1e-4)


def test_weights_of_pixels_have_mean_one_and_none_for_a_class_that_is_not_there():
    counts = torch.tensor([900, 90, 10, 0])
    assert pixel_weights(counts, "none") is None
    weights = pixel_weights(counts, "weights")
    assert float((weights * counts).sum() / counts.sum()) == pytest.approx(1)
    assert weights[1] / weights[0] == pytest.approx(10)
    assert weights[3] == 0


def test_the_gradient_of_parts_is_that_of_the_whole():
    logits, target = drawn(count=4)
    objective, whole = OfMasks(dice=0.7), batch(target)
    by = objective.divisors(whole, (), 0)
    assert (by.cross_entropy, by.terms, by.images) == (3.0, {"dice": 3}, 4)

    def gradient(parts):
        given = logits.float().requires_grad_()
        for rows in parts:
            part = whole[rows]
            loss = objective.entropies(given[rows], part).sum() / by.cross_entropy
            for name, (weight, losses) in objective.others(given[rows], part).items():
                loss = loss + weight * losses.sum() / by.terms[name]
            loss.backward()
        return given.grad

    one = gradient([slice(0, 4)])
    torch.testing.assert_close(gradient([slice(0, 1), slice(1, 4)]), one)
    assert float(one.abs().max()) > 0


def test_right_pixels_are_counted_as_shares_of_images():
    target = torch.tensor([[[0, 1], [VOID, 1]], [[VOID, VOID], [VOID, VOID]]], dtype=torch.uint8)
    logits = torch.zeros(2, K, 2, 2)
    logits[:, 1] = 1
    assert OfMasks().right(logits, batch(target)) == pytest.approx(2 / 3)
    assert OfMasks(dice=0).others(logits, batch(target)) == {}
    assert math.isclose(float(OfMasks().others(logits, batch(target))["dice"][0]), 1.0)
