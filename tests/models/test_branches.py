"""Nets of two branches: which view goes where, sizes, names of weights, both classifiers."""

import pytest
import timm
import torch

import regard
from regard.errors import ModelError
from regard.models.branches import Step, branches_of
from regard.models.build import parameters_of
from regard.models.heads import classifier_of, find_classifiers, freeze_backbone

SMALL_CROSSVIT = {"depth": [[1, 2, 0]], "embed_dim": [24, 48], "num_heads": [3, 3]}
SMALL_TWIN = {"size": 48, "patch": 12, "width": 32, "depth": 2, "heads": 4}
ROUTED = {"small": "image", "large": "segmented"}


def crossvit(inputs=ROUTED, classes=3):
    torch.manual_seed(0)
    return regard.build_model(
        "timm:crossvit_tiny_240", classes, inputs=inputs, **SMALL_CROSSVIT
    ).eval()


def twin(classes=3, **options):
    torch.manual_seed(0)
    return regard.build_model("regard:twin_crossvit", classes, **{**SMALL_TWIN, **options}).eval()


def views(side, count=2):
    generator = torch.Generator().manual_seed(1)
    return {v: torch.randn(count, 3, side, side, generator=generator) for v in ROUTED.values()}


@torch.no_grad()
def test_the_numbers_of_parameters_are_those_in_print():
    routed = regard.build_model("timm:crossvit_small_240", 2, inputs=ROUTED)
    assert parameters_of(routed) == 26_279_428
    assert parameters_of(regard.build_model("regard:twin_crossvit", 2)) == 7_869_956


@torch.no_grad()
def test_one_image_for_both_branches_gives_timm_s_own_logits():
    torch.manual_seed(0)
    theirs = timm.create_model("crossvit_small_240", num_classes=2).eval()
    ours = regard.build_model("timm:crossvit_small_240", 2, inputs=ROUTED).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    image = torch.randn(2, 3, 240, 240, generator=torch.Generator().manual_seed(1))
    expected = theirs(image)
    torch.testing.assert_close(ours({"image": image, "segmented": image}), expected)
    torch.testing.assert_close(ours(image), expected)


def test_a_file_of_timm_s_weights_is_read_by_its_names(tmp_path):
    theirs = timm.create_model("crossvit_tiny_240", num_classes=3, **SMALL_CROSSVIT)
    torch.save(theirs.state_dict(), tmp_path / "weights.pt")
    ours = regard.build_model(
        "timm:crossvit_tiny_240",
        3,
        weights=tmp_path / "weights.pt",
        inputs=ROUTED,
        **SMALL_CROSSVIT,
    )
    for name, tensor in theirs.state_dict().items():
        assert tensor.equal(ours.state_dict()[name])


@torch.no_grad()
@pytest.mark.parametrize("make", [crossvit, twin])
def test_each_branch_sees_its_own_view_alone(make):
    first, second = ("small", "large") if make is crossvit else ("first", "second")
    net = make(inputs={first: "segmented", second: "image"})
    names = list(dict(branches_of(net).__dict__)["names"])
    assert names == [first, second]
    seen = {}
    for branch in (0, 1):
        net.patch_embed[branch].register_forward_pre_hook(
            lambda _, given, branch=branch: seen.update({branch: given[0].clone()})
        )
    given = views(240 if make is crossvit else 48)
    net(given)
    size = 224 if make is crossvit else 48
    resized = torch.nn.functional.interpolate(
        given["image"], (size, size), mode="bicubic", align_corners=False
    )
    torch.testing.assert_close(seen[0], given["segmented"])
    torch.testing.assert_close(seen[1], resized)


def test_the_attentions_are_told_in_order():
    def own(branch, count):
        return [Step(branch, branch)] * count

    across = [Step(0, 1), Step(1, 0)]
    found = branches_of(crossvit())
    assert found.grids == ((20, 20), (14, 14))
    assert list(found.steps) == [*own(0, 1), *own(1, 2), *across]
    twins = branches_of(twin(depth=5))
    assert twins.grids == ((4, 4), (4, 4))
    pair = [*own(0, 2), *own(1, 2), *across]
    assert list(twins.steps) == [*pair, *pair, *own(0, 1), *own(1, 1)]
    assert list(branches_of(twin(period=3)).steps) == [*own(0, 2), *own(1, 2)]
    assert branches_of(regard.build_model("regard:cnn2", 2)) is None


@torch.no_grad()
def test_the_twin_s_cross_attention_is_the_class_token_s():
    net, given = twin(), views(48)
    tokens = {}
    stage = net.stages[0]
    stage.register_forward_hook(lambda *seen: tokens.update(out=seen[2]))
    for branch in (0, 1):
        stage.blocks[branch].register_forward_hook(
            lambda *seen, branch=branch: tokens.update({branch: seen[2]})
        )
    net(given)
    for branch in (0, 1):
        fusion = stage.fusion[branch]
        joined = torch.cat([tokens[branch][:, :1], tokens[1 - branch][:, 1:]], 1)
        normed = fusion.norm1(joined)
        heads = [
            part(normed).unflatten(2, (4, 8)).transpose(1, 2)
            for part in (fusion.attn.wq, fusion.attn.wk, fusion.attn.wv)
        ]
        query, key, value = heads
        taken = (query[:, :, :1] @ key.transpose(-2, -1) / 8**0.5).softmax(-1) @ value
        expected = joined[:, :1] + fusion.attn.proj(taken.transpose(1, 2).flatten(2))
        torch.testing.assert_close(tokens["out"][branch][:, :1], expected)
        torch.testing.assert_close(tokens["out"][branch][:, 1:], tokens[branch][:, 1:])
    answers = [net.head[b](net.norm[b](tokens["out"][b])[:, 0]) for b in (0, 1)]
    torch.testing.assert_close(net(given), (answers[0] + answers[1]) / 2)


@pytest.mark.parametrize("make", [crossvit, twin])
def test_both_classifiers_are_trained_on_a_frozen_backbone(make):
    net = make()
    assert list(find_classifiers(net)) == ["head.0", "head.1"]
    freeze_backbone(net, True)
    moving = {p for p in net.parameters() if p.requires_grad}
    assert moving == set(classifier_of(net).parameters())
    assert len(moving) == 4
    for linear in classifier_of(net):
        assert float(linear.weight.detach().std()) < 2 / linear.in_features or make is twin


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        ({"small": "image"}, "found none for large"),
        ({"small": "image", "big": "segmented"}, "found 'big'"),
        ({}, "found none for small"),
    ],
)
def test_inputs_that_fit_no_branch_are_refused(inputs, why):
    with pytest.raises(ModelError, match=why):
        crossvit(inputs)


@pytest.mark.parametrize("spec", ["timm:resnet18", "regard:cnn2", "hf:vit"])
def test_a_net_of_one_branch_takes_no_inputs(spec):
    with pytest.raises(ModelError, match="expected a net of two branches"):
        regard.build_model(spec, 2, inputs=ROUTED)


def test_a_view_that_the_images_lack_is_named():
    with pytest.raises(ModelError, match="expected the views image, segmented, found image"):
        twin()({"image": torch.zeros(1, 3, 48, 48)})


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"size": 50}, "a size that patches of 12 divide"),
        ({"width": 30}, "a width that 4 heads divide"),
        ({"depth": 0}, "a depth and a period of 1 or more"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(options, why):
    with pytest.raises(ModelError, match=why):
        twin(**options)


def test_the_twin_takes_images_that_are_not_square():
    net = twin(size=(48, 24))
    assert net.input_spec.size == (48, 24)
    assert net(torch.zeros(1, 3, 48, 24)).shape == (1, 3)
    assert branches_of(net).grids == ((4, 2), (4, 2))
