"""Nets of transformers: maps of the layer that is found, matrices of fused attention, guidance."""

import copy
from functools import cache

import pytest
import torch

import regard
from regard.errors import ModelError
from regard.saliency import find_layer
from regard.saliency.attention_recorder import AttentionRecorder
from smallnets import images_for, untouched, zoo_net

ATTENTION = ["attention", "rollout", "gradient_rollout", "chefer"]
SWIN = {"image_size": 64, "embed_dim": 16, "depths": [2, 2], "num_heads": [2, 4], "window_size": 4}
RESNET = {
    "embedding_size": 8,
    "hidden_sizes": [8, 16, 24],
    "depths": [1, 1, 1],
    "layer_type": "basic",
}
REGISTERS = {
    "image_size": 64,
    "patch_size": 16,
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_register_tokens": 3,
}
# Options, and name, grid and layout of the layer that is found at 64 x 64 pixels.
NETS = {
    "swin": (SWIN, "swin.layernorm", (8, 8), "tokens"),
    "resnet": (RESNET, "resnet.encoder.stages.2", (4, 4), "map"),
    # Its classifier reads the mean of the patches beside the class token.
    "dinov2_with_registers": (REGISTERS, "dinov2_with_registers.layernorm", (4, 4), "tokens"),
}
each_net = pytest.mark.parametrize("kind", list(NETS))


@cache
def net_of(kind):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return regard.build_model(f"hf:{kind}", 5, **NETS[kind][0]).eval()


@each_net
def test_gradcam_reads_the_last_layer_with_positions(kind):
    _, name, grid, layout = NETS[kind]
    net, images = net_of(kind), images_for("hf-vit")
    layer = find_layer(net, images)
    assert (layer.layout.grid, layer.layout.kind) == (grid, layout)
    assert layer.layout.prefix == (4 if kind == "dinov2_with_registers" else 0)
    with untouched(net, images):
        maps = torch.stack([regard.explain(net, images, target) for target in range(5)])
    assert maps.shape == (5, 3, *grid)
    assert bool(maps.isfinite().all())
    # For each image there is evidence for some class, and not for each at the same place.
    assert bool((maps.amax((0, 2, 3)) > 0).all())
    assert not maps[0].equal(maps[1])
    assert layer.name == name


@pytest.mark.parametrize("method", ATTENTION)
def test_attention_with_registers_is_read_by_the_class_token(method):
    net, images = net_of("dinov2_with_registers"), images_for("hf-vit")
    with untouched(net, images):
        maps = regard.explain(net, images, None, method)
    assert maps.shape == (3, 4, 4)
    assert bool((maps >= 0).all())
    assert bool((maps.amax((1, 2)) > 0).all())


@pytest.mark.parametrize("method", ATTENTION)
@pytest.mark.parametrize(("kind", "why"), [("swin", "within windows"), ("resnet", "no attention")])
def test_attention_that_cannot_be_followed_is_refused_in_one_line(method, kind, why):
    net, images = net_of(kind), images_for("hf-vit", 2)
    with untouched(net, images), pytest.raises(ModelError, match=why) as error:
        regard.explain(net, images, 0, method)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["hf-vit", "dinov2_with_registers", "swin"])
def test_fused_attention_yields_the_matrices_of_the_library_and_outputs_stay(kind):
    net = net_of(kind) if kind in NETS else zoo_net(kind)
    images = images_for("hf-vit", 2)
    assert net.config._attn_implementation == "sdpa"
    recorder = AttentionRecorder(graph=False)
    with torch.no_grad():
        plain = net(images).logits
        with recorder:
            found = net(images).logits
        net.set_attn_implementation("eager")
        try:
            expected = net(images, output_attentions=True).attentions
        finally:
            net.set_attn_implementation("sdpa")
    assert found.equal(plain)
    # Of Swin the library tells each stage's last.
    matrices = recorder.matrices[1::2] if kind == "swin" else recorder.matrices
    for matrix, own in zip(matrices, expected, strict=True):
        torch.testing.assert_close(matrix, own, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kind", ["hf-vit", "hf-cvt", *NETS])
def test_guidance_moves_the_backbone_and_logits_are_the_plain_net_s(kind, training):
    net = copy.deepcopy(net_of(kind) if kind in NETS else zoo_net(kind)).train(training)
    images, labels = images_for("hf-vit", 2), torch.tensor([0, 3])
    torch.manual_seed(1)
    plain = copy.deepcopy(net)(images).logits
    regions = torch.zeros(2, 64, 64)
    regions[:, :20, :30] = 1
    term = regard.guidance.Energy(contrast=True)
    torch.manual_seed(1)
    output = regard.guidance.guided_forward(net, images, labels, regions, [term])
    torch.testing.assert_close(output.logits, plain)
    assert bool(output.valid["energy"].all())
    output.loss().backward()
    moved = [n for n, p in net.named_parameters() if p.grad is not None and bool(p.grad.any())]
    first = next(name for name, _ in net.named_parameters() if "weight" in name)
    assert first in moved


def test_scores_that_run_the_net_read_an_answer_with_logits():
    net, images = net_of("resnet"), images_for("hf-vit")
    maps = regard.explain(net, images, 0, size=(64, 64))
    values = regard.score(
        maps, name="deletion", net=net, images=images, targets=torch.zeros(3).long()
    )
    assert values.shape == (3,)
    assert bool(values.isfinite().all())
