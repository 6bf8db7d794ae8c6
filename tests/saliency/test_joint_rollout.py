"""Rollout over two branches that attend to each other, against explicit matrices over both."""

import pytest
import torch
from torch import nn

import regard
from regard.errors import ConfigError
from regard.models.branches import branches_of
from regard.saliency.flow import Flow
from regard.saliency.followed import laid_over
from smallnets import untouched

METHODS = ["rollout", "gradient_rollout", "chefer"]
OPTIONS = {
    "timm:crossvit_tiny_240": {
        "depth": [[1, 2, 0], [1, 2, 0]],
        "embed_dim": [24, 48],
        "inputs": {"small": "image", "large": "segmented"},
    },
    "regard:twin_crossvit": {"size": 48, "patch": 12, "width": 32, "depth": 4, "heads": 4},
}
SIDES = {"timm:crossvit_tiny_240": 240, "regard:twin_crossvit": 48}
NAMES = {
    "timm:crossvit_tiny_240": ("small", "large"),
    "regard:twin_crossvit": ("first", "second"),
}
CLOSE = {"rtol": 1e-5, "atol": 1e-12, "check_dtype": False}
on_each = pytest.mark.parametrize("spec", list(OPTIONS))
each_method = pytest.mark.parametrize("method", METHODS)


def joint(spec, seed=0):
    """A net of two branches with attention that is far from even, and images for it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = regard.build_model(spec, 3, **OPTIONS[spec]).eval()
        for name, parameter in net.named_parameters():
            if any(part in name for part in ("qkv.weight", "wq.weight", "wk.weight", "wv.weight")):
                nn.init.normal_(parameter, std=0.3)
            if "token" in name or "pos" in name:
                nn.init.normal_(parameter, std=0.5)
    generator = torch.Generator().manual_seed(seed + 1)
    side = SIDES[spec]
    views = ("image", "segmented")
    images = {v: torch.randn(2, 3, side, side, generator=generator).double() for v in views}
    return net.double(), images


def attention_of(module, given):
    """The matrix (B, heads, N, M) of an attention, from what it was given."""
    heads = module.num_heads
    if hasattr(module, "qkv"):
        query, key, _ = (
            part.unflatten(2, (heads, -1)).transpose(1, 2) for part in module.qkv(given).chunk(3, 2)
        )
    else:
        query = module.wq(given[:, :1]).unflatten(2, (heads, -1)).transpose(1, 2)
        key = module.wk(given).unflatten(2, (heads, -1)).transpose(1, 2)
    return (query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5).softmax(-1)


def explicit(net, images, targets, method, *, crossing=True):
    """The product of matrices over the tokens of both branches, (B, N, N), and their numbers.

    Written anew: attention from hooks on its modules, one large matrix a block.
    """
    found, hooks = [], []
    for module in net.modules():
        if hasattr(module, "qkv") or hasattr(module, "wq"):
            hooks.append(
                module.register_forward_hook(
                    lambda module, given, _: found.append((module, given[0]))
                )
            )
    with torch.no_grad():
        net(images)
    for hook in hooks:
        hook.remove()
    fused = [attention_of(module, given).mean(1) for module, given in found]
    if method != "rollout":
        fused = weighted(net, images, targets, found)
    branches = branches_of(net)
    counts = [1 + height * width for height, width in branches.grids]
    starts, total = [0, counts[0]], sum(counts)
    fused = [matrix.detach() for matrix in fused]
    product = torch.eye(total, dtype=torch.float64).expand(len(fused[0]), -1, -1)
    for step, matrix in zip(branches.steps, fused, strict=True):
        whole = torch.zeros(len(matrix), total, total, dtype=torch.float64)
        at = starts[step.branch]
        if step.branch == step.source:
            span = slice(at, at + counts[step.branch])
            whole[:, span, span] = matrix
        elif crossing:
            whole[:, at, at] = matrix[:, 0, 0]
            other = starts[step.source]
            whole[:, at, other + 1 : other + counts[step.source]] = matrix[:, 0, 1:]
        whole = whole + torch.eye(total)
        if method != "chefer":
            whole = whole / whole.sum(-1, keepdim=True)
        product = whole @ product
    return product, counts


def weighted(net, images, targets, found):
    """relu(A * dy/dA), the mean over heads, with the gradient by way of exchanged attention."""
    matrices, kept = [], {}

    def exchanged(module):
        def forward(given, **_):
            heads = module.num_heads
            if hasattr(module, "qkv"):
                value = module.qkv(given).chunk(3, 2)[2]
            else:
                value = module.wv(given)
            value = value.unflatten(2, (heads, -1)).transpose(1, 2)
            matrix = attention_of(module, given)
            matrix.retain_grad()
            matrices.append(matrix)
            return module.proj((matrix @ value).transpose(1, 2).flatten(2))

        return forward

    for module, _ in found:
        kept[module] = module.forward
        module.forward = exchanged(module)
    logits = net(images)
    logits[torch.arange(len(targets)), targets].sum().backward()
    for module, forward in kept.items():
        module.forward = forward
    net.zero_grad()
    return [(m * m.grad).relu().mean(1).detach() for m in matrices]


def drawn(net, rows, counts):
    """Rows (B, N) over both branches' tokens as one map, each piece of area shared out."""
    parts = rows.split(counts, 1)
    pieces = [
        part[:, 1:].unflatten(1, grid)
        for part, grid in zip(parts, branches_of(net).grids, strict=True)
    ]
    height, width = branches_of(net).grids[0]
    total = torch.zeros(len(rows), height, width, dtype=torch.float64)
    for piece in pieces:
        rows_, columns = piece.shape[1:]
        # As many little squares as both grids divide into; each holds its part.
        fine = piece.double().repeat_interleave(height, 1).repeat_interleave(width, 2)
        fine = fine / (height * width)
        total += fine.unfold(1, rows_, rows_).unfold(2, columns, columns).sum((-1, -2))
    return total


@on_each
@each_method
def test_it_equals_the_product_of_explicit_matrices(method, spec):
    net, images = joint(spec)
    targets = [0, 2]
    product, counts = explicit(net, images, torch.tensor(targets), method)
    if spec.startswith("timm"):
        assert product.shape[-1] == 598
    first, second = product[:, 0], product[:, counts[0]]
    names = NAMES[spec]
    for reader, row in ((None, (first + second) / 2), (names[0], first), (names[1], second)):
        with untouched(net, *images.values()):
            maps = regard.explain(net, images, targets, method, reader=reader)
        expected = drawn(net, row, counts)
        assert float(expected.max()) > 0
        torch.testing.assert_close(maps, expected, **CLOSE)


@on_each
def test_rows_of_the_rollout_sum_to_one(spec):
    net, images = joint(spec)
    product, counts = explicit(net, images, None, "rollout")
    torch.testing.assert_close(product.sum(-1), torch.ones(product.shape[:2]).double())
    maps = regard.explain(net, images, 0, "rollout")
    own = (product[:, 0] + product[:, counts[0]]) / 2
    on_class_tokens = own[:, 0] + own[:, counts[0]]
    torch.testing.assert_close(maps.sum((1, 2)) + on_class_tokens, torch.ones(2).double(), **CLOSE)


@on_each
@each_method
def test_one_branch_alone_is_the_rollout_with_cross_attention_cut(method, spec):
    net, images = joint(spec)
    product, counts = explicit(net, images, torch.tensor([1, 1]), method, crossing=False)
    for branch, name in enumerate(NAMES[spec]):
        at = branch * counts[0]
        row = product[:, at, at : at + counts[branch]]
        expected = row[:, 1:].unflatten(1, branches_of(net).grids[branch])
        maps = regard.explain(net, images, 1, method, branch=name)
        torch.testing.assert_close(maps, expected, **CLOSE)


@on_each
def test_either_view_can_change_what_either_reader_sees(spec):
    net, images = joint(spec)
    for reader in NAMES[spec]:
        before = regard.explain(net, images, 0, "rollout", reader=reader)
        for view in images:
            changed = {**images, view: images[view].clone()}
            changed[view][:, :, :24, :24] += 3
            after = regard.explain(net, changed, 0, "rollout", reader=reader)
            assert float((after - before).abs().max()) > 1e-4 * float(before.max())


@on_each
@each_method
def test_a_loss_on_the_map_trains_both_branches(method, spec):
    net, images = joint(spec)
    maps = regard.explain(net, images, 0, method, create_graph=True)
    maps[:, :2].sum().backward()
    for branch in (0, 1):
        weight = net.patch_embed[branch].proj.weight
        assert weight.grad is not None
        assert bool(weight.grad.any())


@each_method
def test_mean_pooling_reads_the_patches_of_both(method):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = regard.build_model(
            "timm:crossvit_tiny_240", 3, depth=[[1, 1, 0]], embed_dim=[24, 48], global_pool="avg"
        ).eval()
    maps = regard.explain(net, torch.randn(2, 3, 240, 240), 0, method)
    assert maps.shape == (2, 20, 20)
    assert bool((maps >= 0).all())
    assert bool(maps.any())


def test_several_cross_attentions_in_a_row_are_followed():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = regard.build_model(
            "timm:crossvit_tiny_240", 3, depth=[[1, 1, 2]], embed_dim=[24, 48]
        ).eval()
    maps = regard.explain(net, torch.randn(1, 3, 240, 240), 0, "rollout")
    assert 0 < float(maps.sum()) < 1


@pytest.mark.parametrize("option", ["reader", "branch"])
def test_a_branch_that_the_net_has_not_is_refused(option):
    net, images = joint("regard:twin_crossvit")
    with pytest.raises(ConfigError, match="expected a branch of first, second, found 'large'"):
        regard.explain(net, images, 0, "rollout", **{option: "large"})
    vit = regard.build_model(
        "timm:vit_tiny_patch16_224", 3, img_size=32, depth=1, embed_dim=48, num_heads=4
    ).eval()
    with pytest.raises(ConfigError, match="expected two branches, found one set of tokens"):
        regard.explain(vit, torch.zeros(1, 3, 32, 32), 0, "rollout", **{option: "large"})


def test_what_a_patch_holds_is_shared_out_by_area():
    coarse = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    fine = torch.zeros(1, 3, 3)
    found = laid_over([fine, coarse])
    expected = torch.tensor([[4, 2 + 4, 8], [4 / 2 + 12 / 2, 10, 16 / 2 + 8 / 2], [12, 6 + 8, 16]])
    torch.testing.assert_close(found[0], expected / 9)
    torch.testing.assert_close(found.sum(), coarse.sum())
    assert laid_over([coarse]).equal(coarse)


def test_nothing_small_is_lost_beside_the_residual_connections():
    rows = torch.full((1, 4), 0.25)
    tiny = torch.full((1, 4, 4), 1e-12)
    from regard.models.branches import Step

    flow = Flow.begin([rows], normalised=True).through([Step(0, 0)] * 2, [tiny, tiny])
    torch.testing.assert_close(flow.taken[0], torch.full((1, 4), 2e-12), rtol=1e-5, atol=0)
