"""Weights of patches against a loop over patches, and by their formulas."""

import math

import pytest
import torch
from pydantic import ValidationError

from regard.data.patch_weights import KINDS, PatchWeights, patch_shares


def masks(count=2, height=24, width=36, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(count, height, width, generator=generator) > 0.6).float()


def by_hand(inside, grid, how):
    """Patch by patch and pixel by pixel, in Python's own numbers."""
    count, height, width = inside.shape
    tall, broad = height // grid[0], width // grid[1]
    found = torch.zeros(count, *grid)
    for image in range(count):
        shares = {}
        for row in range(grid[0]):
            for column in range(grid[1]):
                pixels = [
                    float(inside[image, row * tall + y, column * broad + x])
                    for y in range(tall)
                    for x in range(broad)
                ]
                shares[row, column] = sum(pixels) / len(pixels)
        mean = sum(how.eps + r for r in shares.values()) / len(shares)
        for place, r in shares.items():
            found[image][place] = {
                "linear": how.eps + r,
                "power": (how.eps + r) ** how.exponent,
                "normalised": (how.eps + r) / mean,
                "log": math.log(1 + how.alpha * r),
                "sigmoid": 1 / (1 + math.exp(-how.slope * (r - how.middle))),
            }[how.kind]
    return found


@pytest.mark.parametrize("grid", [(2, 3), (6, 6), (24, 36)])
@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_those_of_a_loop_over_patches(kind, grid):
    how = PatchWeights(kind=kind, eps=0.2, exponent=0.7, alpha=3, slope=8, middle=0.4)
    inside = masks()
    weights = how.of(patch_shares(inside, grid))
    torch.testing.assert_close(weights, by_hand(inside, grid, how))


def test_defaults_reach_one_where_a_patch_is_all_evidence():
    full, none = torch.ones(1, 1, 1), torch.zeros(1, 1, 1)
    assert float(PatchWeights(kind="log").of(full)) == pytest.approx(1)
    assert float(PatchWeights(kind="log").of(none)) == 0
    assert float(PatchWeights(kind="sigmoid").of(full)) == pytest.approx(1, abs=0.01)
    assert float(PatchWeights(kind="linear").of(none)) == pytest.approx(0.1)


def test_normalised_weights_have_mean_one_also_without_any_evidence():
    shares = torch.stack([torch.rand(4, 4), torch.zeros(4, 4)])
    for eps in (0.1, 0.0):
        weights = PatchWeights(kind="normalised", eps=eps).of(shares)
        torch.testing.assert_close(weights.mean((1, 2)), torch.ones(2))
        torch.testing.assert_close(weights[1], torch.ones(4, 4))


def test_a_grid_that_does_not_divide_the_image_keeps_the_whole_s_share():
    inside = torch.zeros(1, 240, 240)
    inside[:, :120] = 1
    shares = patch_shares(inside, (14, 14))
    assert shares.shape == (1, 14, 14)
    torch.testing.assert_close(shares.mean(), torch.tensor(0.5), atol=0.005, rtol=0)
    assert bool((shares[:, :6] == 1).all())
    assert bool((shares[:, 8:] == 0).all())


@pytest.mark.parametrize(
    "wrong", [{"eps": -1}, {"alpha": 0}, {"kind": "cubic"}, {"threshold": 255}, {"middle": 2}]
)
def test_values_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ValidationError):
        PatchWeights(**wrong)
