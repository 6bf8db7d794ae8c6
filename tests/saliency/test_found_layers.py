"""Which layer is found, and how its positions lie, in nets that mislead."""

from types import SimpleNamespace

import pytest
import timm
import torch
from torch import nn
from torch.nn import functional as F

import regard
from regard.errors import ModelError
from regard.saliency import PixelTarget, find_layer
from regard.saliency.layers import readable_layers
from smallnets import images_for, pictures, tiny, untouched, zoo_net


def found(net, height, width, layer=None):
    """Name, kind, grid and prefix of the layer that is found."""
    own = find_layer(net.eval(), torch.rand(2, 3, height, width), layer)
    return own.name, own.layout.kind, own.layout.grid, own.layout.prefix


def stem(width=8):
    return nn.Sequential(nn.Conv2d(3, width, 3, 2, 1), nn.ReLU())


VIT = {"img_size": (64, 96), "depth": 2, "embed_dim": 48, "num_heads": 3, "num_classes": 3}


# Tokens ----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [{"qk_norm": True}, {"norm_layer": timm.layers.RmsNorm}])
def test_norms_of_queries_are_no_layer_and_every_make_of_norm_is_known(how):
    net = timm.create_model("vit_tiny_patch16_224", **VIT, **how)
    assert found(net, 64, 96) == ("blocks.1.norm1", "tokens", (4, 6), 1)


def test_queries_keys_and_values_in_heads_have_no_positions():
    net = timm.create_model("vit_tiny_patch16_224", **VIT, qk_norm=True).eval()
    with pytest.raises(ModelError, match="expected a layer with positions"):
        find_layer(net, torch.rand(1, 3, 64, 96), "blocks.1.attn.q_norm")


def test_norms_of_pooled_queries_are_no_layer():
    net = timm.create_model("mvitv2_small_cls", img_size=96, num_classes=3)
    assert found(net, 96, 96) == ("stages.3.blocks.1.norm1", "tokens", (3, 3), 1)


class Resizing(nn.Module):
    """Looks at the image in a size of its own."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, images):
        return self.net(F.interpolate(images, (64, 64)))


def test_a_net_that_resizes_inside_keeps_its_own_grid():
    net = Resizing(timm.create_model("vit_tiny_patch16_224", **{**VIT, "img_size": 64}))
    assert found(net, 96, 128) == ("net.blocks.1.norm1", "tokens", (4, 4), 1)


def test_two_branches_of_their_own_sizes_keep_their_grids():
    small = {"depth": [[1, 1, 0]], "embed_dim": [24, 48], "num_heads": [2, 2]}
    net = timm.create_model("crossvit_9_240", num_classes=3, **small)
    assert found(net, 96, 128) == ("blocks.0.fusion.1.norm1", "tokens", (20, 20), 1)
    assert found(net, 96, 128, "blocks.0.fusion.0.norm1")[2:] == ((14, 14), 1)


def test_stages_that_pad_their_tokens_lie_on_half_the_grid_rounded_up():
    swin = {"patch_size": 4, "embed_dim": 16, "depths": [1, 1, 1], "num_heads": [2, 2, 2]}
    net = regard.build_model("hf:swin", 3, image_size=64, window_size=4, **swin)
    assert found(net, 72, 104) == ("swin.layernorm", "tokens", (5, 7), 0)
    images = torch.rand(2, 3, 72, 104)
    assert regard.explain(net.eval(), images, 0).shape == (2, 5, 7)


def test_tokens_that_are_taken_every_second_lie_on_half_the_grid():
    small = {"embed_dim": (32, 48), "depth": (1, 1), "num_heads": (2, 2), "key_dim": 16}
    net = timm.create_model("levit_128s", num_classes=3, img_size=(80, 112), **small)
    assert found(net, 80, 112) == ("stages", "tokens", (3, 4), 0)


class Tabled(nn.Module):
    """Adds a table that it looks up, alike for all images."""

    def __init__(self):
        super().__init__()
        self.stem, self.table, self.head = (
            nn.Conv2d(3, 4, 4, 4),
            nn.Embedding(4, 4),
            nn.Linear(4, 3),
        )

    def forward(self, images):
        tokens = self.stem(images).flatten(2).transpose(1, 2)
        return self.head((tokens + self.table(torch.arange(4)[None])).mean(1))


def test_a_layer_that_is_the_same_for_all_images_is_refused():
    with pytest.raises(ModelError, match=r"'table'.*found \(1, 4, 4\)"):
        regard.explain(Tabled().eval(), pictures(2), 0, layer="table")


class Reordered(nn.Module):
    """Attends to tokens that lie in blocks of four, and pools these."""

    def __init__(self, fused):
        super().__init__()
        self.fused, self.stem = fused, nn.Conv2d(3, 8, 4, 4)
        self.qkv, self.first = nn.Linear(8, 24), nn.LayerNorm(8)
        self.second, self.head = nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, images):
        maps = self.stem(images)
        height, width = maps.shape[2] // 2, maps.shape[3] // 2
        blocks = maps.unflatten(3, (width, 2)).unflatten(2, (height, 2)).permute(0, 3, 5, 2, 4, 1)
        tokens = blocks.flatten(1, 4)
        query, key, value = self.qkv(tokens)[:, None].chunk(3, -1)
        if self.fused:
            mixed = F.scaled_dot_product_attention(query, key, value)
        else:
            mixed = (query @ key.mT).softmax(-1) @ value
        tokens = self.first(tokens + mixed[:, 0])
        return self.head(self.second(tokens.unflatten(1, (4, -1)).mean(1)).mean(1))


@pytest.mark.parametrize("fused", [False, True])
def test_tokens_in_another_order_than_the_image_s_are_refused(fused):
    net, images = Reordered(fused).eval(), torch.rand(2, 3, 32, 48)
    assert found(net, 32, 48) == ("second", "tokens", (4, 6), 0)
    assert found(net, 32, 48, "second") == ("second", "tokens", (4, 6), 0)
    for layer in ("first", net.first):
        with untouched(net, images), pytest.raises(ModelError, match="in another order") as error:
            regard.explain(net, images, 0, layer=layer)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["vit", "swin", "mixer", "crossvit", "hf-cvt"])
def test_tokens_in_the_image_s_order_are_read_at_any_layer(name):
    net, images = zoo_net(name), images_for(name, 1)
    layers = readable_layers(net, images)
    for layer in layers[:: max(1, len(layers) // 8)]:
        assert find_layer(net, images, layer).name == layer


class Flattened(nn.Module):
    """Ends with a map whose positions are in one axis, the last."""

    def __init__(self, width, module):
        super().__init__()
        last = nn.Sequential(nn.Conv2d(8, width, 3, 2, 1), nn.ReLU())
        self.features = nn.Sequential(stem(), last, *([nn.Flatten(2)] if module else []))
        self.around = nn.Sequential(self.features) if module else Flattening(self.features)
        self.head = nn.Linear(width, 3)

    def forward(self, images):
        return self.head(self.around(images).mean(2))


class Flattening(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, images):
        return self.inner(images).flatten(2)


@pytest.mark.parametrize(("width", "module"), [(64, True), (70, False), (20, True), (20, False)])
def test_a_flattened_map_is_not_taken_for_tokens(width, module):
    name, kind, grid, _ = found(Flattened(width, module), 32, 32)
    assert (name, kind, grid) == ("features.1" if module else "features", "map", (8, 8))


# Maps and channels that lie last ---------------------------------------------------------


class Last(nn.Module):
    """Ends with channels that lie last."""

    def __init__(self, last, width=24, side=8):
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, width, side, side), nn.Linear(width, 3)
        self.mixing, self.last = nn.Linear(width, width), last

    def forward(self, images):
        maps = self.stem(images).permute(0, 2, 3, 1)
        return self.head(self.last(maps + self.mixing(maps)).mean((1, 2)))


class OwnNorm(nn.Module):
    """A norm of nobody's make."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(24))

    def forward(self, maps):
        return maps * maps.square().mean(-1, keepdim=True).rsqrt() * self.weight


LAST = [nn.LayerNorm(24), nn.RMSNorm(24), timm.layers.RmsNorm(24), OwnNorm(), nn.GELU()]


@pytest.mark.parametrize("last", LAST)
def test_channels_that_lie_last_are_told_by_the_grid(last):
    net = Last(last)
    assert found(net, 32, 64, "last")[1:] == ("channels last", (4, 8), 0)
    assert regard.explain(net, torch.rand(2, 3, 32, 64), 0).shape == (2, 4, 8)


@pytest.mark.parametrize("last", [nn.LayerNorm(16), nn.RMSNorm(16)])
@pytest.mark.parametrize("width", [64, 96])
def test_as_many_channels_as_rows_change_nothing(last, width):
    net = Last(last, 16, 4)
    assert found(net, 64, width) == ("last", "channels last", (16, width // 4), 0)


def test_a_norm_of_a_map_with_as_many_channels_as_columns_keeps_the_map():
    net = nn.Sequential(nn.Conv2d(3, 16, 4, 4), timm.layers.LayerNorm2d(16))
    net.extend([nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 3)])
    for height, width in ((64, 64), (96, 64), (64, 96)):
        assert found(net, height, width) == ("1", "map", (height // 4, width // 4), 0)


# The last layer that counts --------------------------------------------------------------


class Shared(nn.Module):
    """One ReLU for all, last called after the pooling; or in a gate, on one position."""

    def __init__(self, gate):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 16, 3, 2, 1)
        self.relu, self.gate, self.head = nn.ReLU(), gate, nn.Linear(16, 3)
        self.small, self.large = nn.Conv2d(16, 4, 1), nn.Conv2d(4, 16, 1)
        self.between = nn.Linear(16, 16)

    def forward(self, images):
        maps = self.relu(self.second(self.relu(self.first(images))))
        if not self.gate:
            return self.head(self.relu(self.between(maps.mean((2, 3)))))
        share = self.large(self.relu(self.small(maps.mean((2, 3), keepdim=True)))).sigmoid()
        return self.head((maps * share).mean((2, 3)))


@pytest.mark.parametrize("gate", [False, True])
def test_of_a_module_that_is_called_again_the_last_call_counts(gate):
    net, images = Shared(gate).eval(), pictures(2, 16)
    assert find_layer(net, images).name == "second"
    assert regard.explain(net, images, 0).shape == (2, 4, 4)
    assert readable_layers(net, images) == ["second", "first"]
    with pytest.raises(ModelError, match=r"'relu'.*choose one of: second, first"):
        regard.explain(net, images, 0, layer="relu")


class Aside(nn.Module):
    """With another output, made last, that the logits know nothing of."""

    def __init__(self):
        super().__init__()
        self.features, self.head = stem(), nn.Linear(8, 3)
        self.aside = nn.Sequential(nn.Conv2d(8, 3, 1), nn.ReLU())

    def forward(self, images):
        maps = self.features(images)
        return SimpleNamespace(logits=self.head(maps.mean((2, 3))), aside=self.aside(maps))


def test_a_layer_of_another_output_is_not_found():
    net, other, images = Aside().eval(), Aside().eval(), pictures(2)
    with torch.inference_mode():
        assert find_layer(other, pictures(2)).name == "features"
    with untouched(net, images):
        assert find_layer(net, images).name == "features"
        assert regard.explain(net, images, 0).shape == (2, 4, 4)


class Switching(nn.Module):
    """Calls its last layer as a module, or only what is in it."""

    def __init__(self):
        super().__init__()
        self.stem, self.last, self.head = stem(), nn.Sequential(nn.Conv2d(8, 8, 1)), nn.Linear(8, 3)
        self.whole = True

    def forward(self, images):
        maps = self.stem(images)
        maps = self.last(maps) if self.whole else self.last[0](maps)
        return self.head(maps.mean((2, 3)))


def test_a_layer_that_is_passed_by_is_searched_again():
    net, images = Switching().eval(), pictures(2)
    assert find_layer(net, images).name == "last"
    maps = regard.explain(net, images, 0)
    net.whole = False
    torch.testing.assert_close(regard.explain(net, images, 0), maps)
    with pytest.raises(ModelError, match=r"'last'.*choose one of: last\.0, "):
        regard.explain(net, images, 0, layer="last")


def test_of_a_net_that_is_dead_everywhere_the_last_layer_is_found():
    net = tiny(between=nn.Threshold(1e9, 0.0)).eval()
    assert find_layer(net, pictures()).name == find_layer(tiny(), pictures()).name


class Segmenting(nn.Module):
    """An encoder and a head, whose answer is a tensor or has it."""

    def __init__(self, whole):
        super().__init__()
        self.whole, self.encoder, self.head = whole, stem(), nn.Conv2d(8, 4, 1)

    def forward(self, images):
        logits = self.head(self.encoder(images))
        return SimpleNamespace(logits=logits) if self.whole else logits


def test_a_segmenter_s_answer_with_logits_is_explained_at_its_encoder():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = Segmenting(True).eval()
    bare = Segmenting(False).eval()
    bare.load_state_dict(net.state_dict())
    images, target = pictures(2), PixelTarget(1, torch.ones(2, 4, 4))
    assert find_layer(net, images).name == find_layer(bare, images).name == "encoder"
    torch.testing.assert_close(
        regard.explain(net, images, target), regard.explain(bare, images, target)
    )
