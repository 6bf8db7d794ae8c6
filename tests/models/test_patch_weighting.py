"""Weights of patches within nets of two branches."""

import pytest
import torch

import regard
from regard.data.patch_weights import PatchWeights
from regard.errors import ModelError
from regard.models.inputs import InputSpec
from regard.models.patch_weighting import PatchWeighting, image_weights

TWIN = {"size": 48, "patch": 12, "width": 32, "depth": 2, "heads": 4}
CROSSVIT = {"depth": [[1, 1, 0]], "embed_dim": [24, 48]}
SPEC = InputSpec()


def normalised(grey):
    """An image (B, 3, H, W) of grey levels (B, H, W) in 0..255, as nets are given it."""
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (SPEC.mean, SPEC.std))
    return (grey[:, None].expand(-1, 3, -1, -1) / 255 - mean) / std


def plant(side=48, count=2):
    """Grey levels of a plant of 200 on black, on the first two rows of patches of 12 pixels."""
    grey = torch.zeros(count, side, side)
    grey[:, : side // 2, : side // 4] = 200
    grey[:, side // 2 :, :] = 9  # below the threshold
    return grey


def twin(**weights):
    torch.manual_seed(0)
    given = {"patch_weights": weights} if weights else {}
    return regard.build_model("regard:twin_crossvit", 3, **TWIN, **given).eval()


def views(side=48):
    image = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    return {"image": image, "segmented": normalised(plant(side))}


def test_a_pixel_is_evidence_where_the_cut_out_view_is_brighter_than_the_threshold():
    weighting = PatchWeighting(PatchWeights(kind="log"), [(4, 4), (2, 2)], SPEC)
    fine, coarse = weighting.weights(views())
    expected = torch.zeros(4, 4)
    expected[:2, 0] = 1
    torch.testing.assert_close(fine[0], expected)
    half = torch.log1p(torch.tensor((torch.e - 1) / 2))
    torch.testing.assert_close(coarse[1], torch.tensor([[1.0, 0], [0, 0]]) * half)


@torch.no_grad()
def test_both_branches_tokens_are_multiplied_after_the_position_embedding():
    plain, net = twin(), twin(kind="power", loss=False)
    seen = {}
    for name, which in (("plain", plain), ("weighted", net)):
        for branch in (0, 1):
            which.stages[0].blocks[branch].register_forward_pre_hook(
                lambda _, given, key=(name, branch): seen.update({key: given[0].clone()})
            )
        which(views())
    weights = net.patch_weighting.weights(views())
    for branch in (0, 1):
        before, after = seen["plain", branch], seen["weighted", branch]
        torch.testing.assert_close(after[:, :1], before[:, :1])
        by = weights[branch].flatten(1)[..., None]
        torch.testing.assert_close(after[:, 1:], before[:, 1:] * by)
    assert image_weights(net, views()) is None


@torch.no_grad()
def test_weights_of_one_change_nothing():
    plain = twin()
    net = twin(kind="power", eps=1, threshold=254)  # nothing is evidence: (1 + 0)^0.5
    torch.testing.assert_close(net(views()), plain(views()))
    torch.testing.assert_close(image_weights(net, views()), torch.ones(2))
    assert net.state_dict().keys() == plain.state_dict().keys()


@torch.no_grad()
def test_the_loss_can_be_weighted_alone():
    net = twin(kind="linear", tokens=False)
    torch.testing.assert_close(net(views()), twin()(views()))
    shares = torch.tensor([2 / 16] * 2)
    torch.testing.assert_close(image_weights(net, views()), 0.1 + shares)
    assert image_weights(twin(), views()) is None


@torch.no_grad()
def test_crossvit_weights_each_grid_and_the_loss_by_the_mean_of_both():
    torch.manual_seed(0)
    net = regard.build_model(
        "timm:crossvit_tiny_240",
        3,
        inputs={"small": "image", "large": "segmented"},
        patch_weights={"kind": "sigmoid"},
        **CROSSVIT,
    ).eval()
    given = views(240)
    small, large = net.patch_weighting.weights(given)
    assert (small.shape, large.shape) == ((2, 20, 20), (2, 14, 14))
    expected = (small.mean((1, 2)) + large.mean((1, 2))) / 2
    torch.testing.assert_close(image_weights(net, given), expected)
    assert net(given).shape == (2, 3)


def test_a_loss_through_the_tokens_trains_the_net_but_not_by_way_of_the_weights():
    net, given = twin(kind="log"), views()
    given["segmented"].requires_grad_()
    net(given).sum().backward()
    weight = net.patch_embed[0].proj.weight.grad
    assert weight is not None
    assert bool(weight.any())


def test_the_view_that_shows_the_evidence_has_to_be_there():
    net = regard.build_model(
        "regard:twin_crossvit",
        3,
        inputs={"first": "image", "second": "image"},
        patch_weights={"view": "plant"},
        **TWIN,
    )
    with pytest.raises(ModelError, match="expected the views plant, found image, segmented"):
        net(views())


@pytest.mark.parametrize("spec", ["timm:resnet18", "regard:cnn2", "hf:vit"])
def test_a_net_of_one_branch_has_no_patches_to_weight(spec):
    with pytest.raises(ModelError, match="patch_weights: expected a net of two branches"):
        regard.build_model(spec, 2, patch_weights={"kind": "log"})
