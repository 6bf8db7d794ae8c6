"""Methods of attention against their formulas, and the recorder against matrices by hand."""

import copy
import math

import pytest
import torch
from torch import nn

import regard
from regard.errors import ConfigError, ModelError
from regard.saliency.attention_recorder import AttentionRecorder
from regard.saliency.tokens import find_tokens
from smallnets import Wrapped, attending, images_for, pictures, untouched, zoo_net

PREFIX = {"vit": 1, "vit-avg": 1, "deit": 2, "registers": 5, "hf-vit": 1}
METHODS = ["attention", "rollout", "gradient_rollout", "chefer"]
each_net = pytest.mark.parametrize("name", list(PREFIX))


def difference(found, expected):
    """The largest difference, as a share of the largest value."""
    assert found.shape == expected.shape
    assert bool(expected.any())
    return float((found - expected).abs().max().detach() / expected.abs().max().detach())


def logits_of(output):
    return getattr(output, "logits", output)


# The recorder ----------------------------------------------------------------------------


def softmax_of(query, key):
    """The matrix (heads, N, N) of one image's queries and keys (heads, N, d), entry by entry."""
    heads, count, width = query.shape
    matrix = torch.zeros(heads, count, count).to(query)
    for h in range(heads):
        for i in range(count):
            logits = torch.stack([query[h, i] @ key[h, j] for j in range(count)])
            powers = (logits / math.sqrt(width)).exp()
            matrix[h, i] = powers / powers.sum()
    return matrix


def by_hand(name, net, image):
    """The matrices of a net's two blocks, from the tokens that enter each."""
    inputs = []
    timm = not name.startswith("hf")
    blocks = net.blocks if timm else net.vit.layers
    norms = [b.norm1 if timm else b.layernorm_before for b in blocks]
    hooks = [n.register_forward_hook(lambda _m, _i, out: inputs.append(out[0])) for n in norms]
    net(image[None])
    for hook in hooks:
        hook.remove()
    for tokens, block in zip(inputs, blocks, strict=True):
        if timm:
            query, key, _ = block.attn.qkv(tokens).chunk(3, -1)
        else:
            names = dict(block.named_modules())
            query = next(m for n, m in names.items() if n.endswith(("query", "q_proj")))(tokens)
            key = next(m for n, m in names.items() if n.endswith(("key", "k_proj")))(tokens)
        yield softmax_of(*(t.unflatten(1, (4, -1)).transpose(0, 1) for t in (query, key)))


@each_net
@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("fused", [False, True])
def test_matrices_are_those_computed_by_hand_and_outputs_stay(name, graph, fused):
    net, images = copy.deepcopy(zoo_net(name)), images_for(name, 2)
    for module in net.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = fused
    if not fused and name == "hf-vit":
        net.set_attn_implementation("eager")
    recorder = AttentionRecorder(graph=graph)
    with torch.no_grad():
        plain = logits_of(net(images))
        with torch.enable_grad() if graph else torch.no_grad(), recorder:
            found = logits_of(net(images))
        assert found.equal(plain)
        assert len(recorder.matrices) == 2
        for row, image in enumerate(images):
            expected = by_hand(name, net, image)
            for matrix, slow in zip(recorder.matrices, expected, strict=True):
                assert difference(matrix[row], slow) < 1e-5


class Multihead(nn.Module):
    """Torch's own attention behind a convolution: alone, or in its encoder layer."""

    def __init__(self, *, encoder: bool, need_weights: bool = False, batch_first: bool = True):
        super().__init__()
        self.stem, self.fc = nn.Conv2d(3, 8, 2, stride=2), nn.Linear(8, 3)
        self.attend = nn.MultiheadAttention(8, 2, batch_first=batch_first)
        if encoder:
            self.attend = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=batch_first)
        self.need_weights, self.first = need_weights, batch_first

    def forward(self, images):
        tokens = self.stem(images).flatten(2).transpose(1, 2)
        tokens = tokens if self.first else tokens.transpose(0, 1)
        if isinstance(self.attend, nn.TransformerEncoderLayer):
            mixed = self.attend(tokens)
        else:
            mixed = self.attend(tokens, tokens, tokens, need_weights=self.need_weights)[0]
        return self.fc(mixed.mean(1 if self.first else 0))

    def by_hand(self, image):
        attention = getattr(self.attend, "self_attn", self.attend)
        tokens = self.stem(image[None])[0].flatten(1).T
        projected = tokens @ attention.in_proj_weight.T + attention.in_proj_bias
        query, key, _ = projected.unflatten(1, (3, 2, -1)).permute(1, 2, 0, 3)
        return softmax_of(query, key)


@pytest.mark.parametrize("encoder", [False, True])
@pytest.mark.parametrize("need_weights", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("graph", [False, True])
def test_torch_s_own_attention_is_recorded(encoder, need_weights, batch_first, graph):
    net = Multihead(encoder=encoder, need_weights=need_weights, batch_first=batch_first).eval()
    images, recorder = pictures(2), AttentionRecorder(graph=graph)
    with torch.no_grad():
        fast = net(images)
    # With gradients, the ordinary path.
    plain = net(images)
    with torch.enable_grad() if graph else torch.no_grad(), recorder:
        found = net(images)
    if graph:
        assert found.equal(plain)
    torch.testing.assert_close(found, fast)
    (matrix,) = recorder.matrices
    for row, image in enumerate(images):
        assert difference(matrix[row], net.by_hand(image)) < 1e-5


@pytest.mark.parametrize("encoder", [False, True])
def test_gradients_flow_through_the_matrix_of_torch_s_own_attention(encoder):
    net, images = Multihead(encoder=encoder).eval(), pictures(2)
    plain = torch.autograd.grad(net(images)[:, 0].sum(), net.parameters())
    with AttentionRecorder(graph=True) as recorder:
        total = net(images)[:, 0].sum()
    found = torch.autograd.grad(total, list(net.parameters()), retain_graph=True)
    for left, right in zip(found, plain, strict=True):
        torch.testing.assert_close(left, right)
    (gradient,) = torch.autograd.grad(total, recorder.matrices)
    assert bool(gradient.any())
    maps = regard.explain(net, images, 0, "chefer")
    assert maps.shape == (2, 4, 4)
    assert bool(maps.any())


def test_attention_with_masks_is_refused():
    net = Multihead(encoder=False)
    tokens, mask = torch.rand(2, 16, 8), torch.zeros(16, 16)
    with pytest.raises(ModelError, match="attn_mask"), AttentionRecorder(graph=False):
        net.attend(tokens, tokens, tokens, attn_mask=mask)


# The formulas, from matrices and gradients taken by other means --------------------------


def matrices_of(name, net, image, target):
    """Matrices (heads, N, N) of the blocks and the logit's gradients, by hooks in timm's blocks."""
    kept = []

    def keep(_module, given, _output):
        given[0].retain_grad()
        kept.append(given[0])

    hooks = [block.attn.attn_drop.register_forward_hook(keep) for block in net.blocks]
    for block in net.blocks:
        block.attn.fused_attn = False
    net(image[None])[0, target].backward()
    for hook in hooks:
        hook.remove()
    return [(m[0].detach(), m.grad[0]) for m in kept]


def slow_map(method, name, matrices):
    """The formula, with loops over blocks, of one image."""
    count = matrices[0][0].shape[-1]
    eye, result = torch.eye(count).to(matrices[0][0]), torch.eye(count).to(matrices[0][0])
    for matrix, gradient in matrices:
        weighted = (matrix * gradient).clamp_min(0).mean(0)
        match method:
            case "attention":
                result = matrix.mean(0)
            case "chefer":
                result = result + weighted @ result
            case "rollout" | "gradient_rollout":
                step = (matrix.mean(0) if method == "rollout" else weighted) + eye
                result = torch.stack([row / row.sum() for row in step]) @ result
    if method == "rollout":
        torch.testing.assert_close(result.sum(1), torch.ones(count).to(result))
    prefix = PREFIX[name]
    if name != "vit-avg":
        return result[0, prefix:].view(4, 4)
    if method == "chefer":
        result = result - eye
    if method == "gradient_rollout":
        alone = torch.ones(count).to(result)
        for matrix, gradient in matrices:
            alone = alone / (1 + (matrix * gradient).clamp_min(0).mean(0).sum(1))
        result = result - alone.diag()
    return result[prefix:, prefix:].mean(0).view(4, 4)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", [name for name in PREFIX if name != "hf-vit"])
def test_methods_are_their_formulas(method, name):
    net, images = copy.deepcopy(zoo_net(name)).double(), images_for(name).double()
    found = regard.explain(net, images, [0, 2, 4], method)
    slow = [
        slow_map(method, name, matrices_of(name, net, image, target))
        for image, target in zip(images, [0, 2, 4], strict=True)
    ]
    assert difference(found, torch.stack(slow)) < 1e-9


def test_one_block_s_attention():
    net, images = zoo_net("vit"), images_for("vit")
    with AttentionRecorder(graph=False) as recorder, torch.no_grad():
        net(images)
    for block in (0, 1, -1, -2):
        found = regard.explain(net, images, 0, "attention", block=block)
        expected = recorder.matrices[block].mean(1)[:, 0, 1:].view(3, 4, 4)
        torch.testing.assert_close(found, expected)
    for block in (2, -3):
        with pytest.raises(ConfigError, match="a block of -2 to 1"):
            regard.explain(net, images, 0, "attention", block=block)


@pytest.mark.parametrize("fusion", ["max", "min"])
def test_rollout_with_other_fusions(fusion):
    net, images = zoo_net("vit"), images_for("vit")
    with AttentionRecorder(graph=False) as recorder, torch.no_grad():
        net(images)
    for row, found in enumerate(regard.explain(net, images, 0, "rollout", head_fusion=fusion)):
        result = torch.eye(17)
        for matrix in recorder.matrices:
            step = getattr(matrix[row], fusion)(0).values + torch.eye(17)
            result = (step / step.sum(1, keepdim=True)) @ result
        torch.testing.assert_close(found.flatten(), result[0, 1:])


def test_rollout_discards_the_smallest_entries():
    net, images = zoo_net("vit"), images_for("vit", 1)
    with AttentionRecorder(graph=False) as recorder, torch.no_grad():
        net(images)
    result = torch.eye(17)
    for matrix in recorder.matrices:
        fused = matrix[0].mean(0)
        bound = fused.flatten().sort().values[int(17 * 17 * 0.6)]
        kept = fused >= bound
        kept[:, 0] = True
        step = torch.where(kept, fused, 0) + torch.eye(17)
        result = (step / step.sum(1, keepdim=True)) @ result
    found = regard.explain(net, images, 0, "rollout", discard=0.6)
    torch.testing.assert_close(found.flatten(), result[0, 1:])
    with pytest.raises(ConfigError, match="discard from 0 to below 1"):
        regard.explain(net, images, 0, "rollout", discard=1.0)
    with pytest.raises(ConfigError, match="method rollout"):
        regard.explain(net, images, 0, "rollout", head_fusion="sum")


# Tokens ----------------------------------------------------------------------------------


@each_net
def test_the_grid_the_prefix_and_the_class_token_are_found(name):
    net, images = zoo_net(name), images_for(name, 1)
    tokens = find_tokens(net, images, 16 + PREFIX[name])
    assert tokens.layout.grid == (4, 4)
    assert tokens.layout.prefix == PREFIX[name]
    assert tokens.class_token == (name != "vit-avg")


def test_a_grid_that_is_not_square():
    net = regard.build_model(
        "timm:vit_tiny_patch16_224", 3, img_size=(32, 64), depth=1, embed_dim=48, num_heads=4
    ).eval()
    assert regard.explain(net, torch.rand(2, 3, 32, 64), 0, "rollout").shape == (2, 2, 4)


UNREADABLE = {
    "swin": "attention within windows",
    "hf-cvt": "other or pooled tokens",
    "resnet18": "no attention",
    "mixer": "no attention",
}


@pytest.mark.parametrize(
    ("method", "name", "why"),
    [
        *((method, name, why) for method in METHODS for name, why in UNREADABLE.items()),
        # Two branches are followed from block to block; one block alone sees no more than its own.
        ("attention", "crossvit", "other or pooled tokens"),
    ],
)
def test_nets_without_one_set_of_tokens_are_refused_and_told_why(method, name, why):
    net, images = zoo_net(name), images_for(name, 2)
    with untouched(net, images), pytest.raises(ModelError, match=why) as error:
        regard.explain(net, images, 0, method)
    assert "use method gradcam" in str(error.value)


@pytest.mark.parametrize("method", METHODS)
def test_attention_is_seen_behind_wrappers(method):
    net, images = attending(), pictures(2)
    expected = regard.explain(net, images, 0, method)
    wrapped = Wrapped(net, "module").eval()
    torch.testing.assert_close(regard.explain(wrapped, images, 0, method), expected)
