"""Nets of transformers: by architecture, from folders and the hub, and what is refused."""

import json
import re
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import regard
from regard.errors import MissingExtraError, ModelError
from regard.models import InputSpec, hub, input_spec
from regard.models.architectures import architectures, make_config
from regard.models.heads import classifier_of, find_classifiers, freeze_backbone
from regard.models.huggingface import architecture_of
from regard.models.specs import moved
from regard.training.optimisers import build_optimiser
from regard.training.settings import Optimiser
from tinyset import same_tensors

VIT = {
    "image_size": 32,
    "patch_size": 8,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
}
RESNET = {
    "embedding_size": 4,
    "hidden_sizes": [4, 8],
    "depths": [1, 1],
    "layer_type": "basic",
}
CVT = {"depth": [1, 2, 3], "embed_dim": [8, 16, 24], "num_heads": [1, 2, 3]}
SWIN = {"image_size": 32, "embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "window_size": 4}
SMALL = {"vit": VIT, "resnet": RESNET, "cvt": CVT, "swin": SWIN}
PROCESSOR = {
    "size": {"height": 40, "width": 48},
    "image_mean": [0.1, 0.2, 0.3],
    "image_std": [0.4, 0.5, 0.6],
    "resample": 3,
}
each_small = pytest.mark.parametrize("kind", list(SMALL))


def build(kind, classes=3, weights=None, **options):
    return regard.build_model(f"hf:{kind}", classes, weights, **options).eval()


def logits(net, side=32):
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        return net(images).logits


@pytest.fixture
def saved(tmp_path):
    """A net of 3 classes and the folder that save_pretrained wrote it to."""
    net = build("vit", **VIT)
    nn.init.normal_(net.classifier.weight)
    net.save_pretrained(tmp_path / "vit")
    return net, tmp_path / "vit"


# Architectures ---------------------------------------------------------------------------


@each_small
def test_an_architecture_has_the_options_that_were_given(kind):
    net = build(kind, 4, **SMALL[kind])
    assert logits(net).shape == (2, 4)
    assert net.config.model_type == kind
    for key, value in SMALL[kind].items():
        assert getattr(net.config, key) == value
    assert build(kind, 2, **SMALL[kind]).config.num_labels == 2


@each_small
def test_the_classifier_begins_small_and_an_mlp_takes_its_place(kind):
    ((name, linear),) = find_classifiers(build(kind, 4, **SMALL[kind])).items()
    assert name == ("classifier.1" if kind == "resnet" else "classifier")
    assert float(linear.weight.detach().std()) < 2 / linear.in_features
    assert not bool(linear.bias.any())
    net = build(kind, 4, head="mlp", head_width=6, **SMALL[kind])
    first, *_, last = net.get_submodule(name)
    assert (first.in_features, last.out_features) == (linear.in_features, 4)
    assert logits(net).shape == (2, 4)
    assert [*classifier_of(net)] == [net.get_submodule(name)]


@pytest.mark.parametrize("head", ["linear", "mlp"])
@each_small
def test_a_frozen_backbone_leaves_the_classifier_and_each_has_its_rate(kind, head):
    net = build(kind, head=head, **SMALL[kind])
    groups = build_optimiser(net, Optimiser(lr=0.1, backbone_lr=0.01)).param_groups
    own = {id(p) for p in classifier_of(net).parameters()}
    assert [{id(p) for p in g["params"]} == own for g in groups] == [False, True]
    assert [g["lr"] for g in groups] == [0.01, 0.1]
    freeze_backbone(net, True)
    assert {id(p) for p in net.parameters() if p.requires_grad} == own


def test_what_an_architecture_wants_is_its_config_s_size_and_imagenet_s_colours():
    assert input_spec(build("vit", **VIT)) == InputSpec((32, 32))
    assert input_spec(build("resnet", **RESNET)) == InputSpec((224, 224))


@each_small
def test_a_net_is_built_again_from_its_architecture(kind, tmp_path):
    net = build(kind, **SMALL[kind])
    (tmp_path / "config.json").write_text(json.dumps(architecture_of(net)))
    again = build(tmp_path)
    again.load_state_dict(net.state_dict())
    assert logits(again).equal(logits(net))


def test_other_nets_have_no_such_architecture():
    assert architecture_of(regard.build_model("regard:cnn1", 2)) is None


# Folders and the hub ---------------------------------------------------------------------


def test_a_folder_gives_its_config_and_its_weights_when_asked(saved, monkeypatch):
    net, folder = saved
    assert same_tensors(build(folder, 3, "pretrained").state_dict(), net.state_dict())
    fresh = build(folder)
    assert architecture_of(fresh)["hidden_size"] == VIT["hidden_size"]
    assert not fresh.vit.layernorm.weight.equal(torch.zeros(16))
    assert not fresh.classifier.weight.equal(net.classifier.weight)
    monkeypatch.chdir(folder.parent)
    near = build("./vit", 3, "pretrained")
    assert near.classifier.weight.equal(net.classifier.weight)


def test_another_number_of_classes_gives_a_fresh_classifier_alone(saved):
    net, folder = saved
    found = build(folder, 5, "pretrained")
    assert found.classifier.weight.shape == (5, 16)
    assert float(found.classifier.weight.detach().std()) < 2 / 16
    for name, tensor in found.state_dict().items():
        if not name.startswith("classifier."):
            assert tensor.equal(net.state_dict()[name]), name


def test_weights_in_half_precision_become_float32(saved):
    net, folder = saved
    net.bfloat16().save_pretrained(folder)
    assert json.loads((folder / "config.json").read_text())["dtype"] == "bfloat16"
    assert {p.dtype for p in build(folder, 3, "pretrained").parameters()} == {torch.float32}


def test_options_that_change_shapes_do_not_fit_the_weights(saved):
    with pytest.raises(ModelError, match=r"1 missing or of another shape, first vit\.embedd"):
        build(saved[1], 3, "pretrained", image_size=64)
    assert build(saved[1], 3, image_size=64).config.image_size == 64


def test_missing_tensors_are_named(saved):
    _, folder = saved
    file = folder / "model.safetensors"
    state = {k: v for k, v in load_file(file).items() if "layernorm_after" not in k}
    save_file(state, file, {"format": "pt"})
    with pytest.raises(ModelError, match=r"found 2 missing or of another shape, first vit\."):
        build(folder, 3, "pretrained")


def test_pickled_weights_are_not_read(saved):
    net, folder = saved
    (folder / "model.safetensors").unlink()
    torch.save(net.state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"expected a \.safetensors file in it, found") as error:
        build(folder, 3, "pretrained")
    assert "\n" not in str(error.value)


def test_code_of_a_folder_is_not_run(saved):
    _, folder = saved
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "code.Config", "AutoModelForImageClassification": "code.M"}
    config["attn_implementation"] = "somebody/kernels"
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "code.py").write_text(f"open({str(folder / 'left')!r}, 'w')\nclass Config: ...\n")
    assert type(build(folder, 3, "pretrained")).__module__.startswith("transformers.")
    assert not (folder / "left").exists()


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, InputSpec((40, 48), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), "bicubic")),
        (
            {"size": {"shortest_edge": 36}, "resample": 2},
            InputSpec((36, 36), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), "bilinear"),
        ),
        (
            {"do_center_crop": True, "crop_size": {"height": 24, "width": 24}},
            InputSpec((24, 24), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), "bicubic"),
        ),
        (
            {"do_normalize": False, "size": 44},
            InputSpec((44, 44), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "bicubic"),
        ),
    ],
)
def test_what_a_folder_s_net_wants_is_its_image_processor_s(saved, more, expected):
    _, folder = saved
    assert input_spec(build(folder)) == InputSpec((32, 32))
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR | more))
    assert input_spec(build(folder)) == expected
    assert input_spec(build(folder, image_size=64)).size == (64, 64)


@pytest.fixture
def unreachable(monkeypatch, tmp_path):
    """No network, and a hub cache of the test's own."""

    def nowhere(*_args, **_more):
        raise OSError("no address")

    monkeypatch.setattr(hub.socket, "getaddrinfo", nowhere)
    monkeypatch.setattr(hub, "getproxies", dict)
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("weights", [None, "pretrained"])
def test_a_hub_id_without_a_network_and_cache_is_one_line_at_once(unreachable, weights):
    begun = time.monotonic()
    with pytest.raises(ModelError, match=r"config\.json on the hub or in its local cache") as error:
        build("nobody/nothing", 3, weights)
    assert time.monotonic() - begun < 20
    assert "\n" not in str(error.value)
    assert "go online, or name a folder" in str(error.value)
    assert hub.constants.HF_HUB_OFFLINE is False


def test_a_hub_id_is_read_from_the_cache(unreachable, saved):
    net, folder = saved
    commit = "a" * 40
    home = unreachable / "models--somebody--vit"
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text(commit)
    (home / "snapshots").mkdir()
    snapshot = home / "snapshots" / commit
    folder.rename(snapshot)
    assert input_spec(build("somebody/vit")) == InputSpec((32, 32))
    (snapshot / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    found = build("somebody/vit", 3, "pretrained")
    assert same_tensors(found.state_dict(), net.state_dict())
    assert input_spec(found).size == (40, 48)
    (snapshot / "model.safetensors").unlink()
    assert logits(build("somebody/vit")).shape == (2, 3)
    with pytest.raises(ModelError, match=r"safetensors file on the hub or in its cache, found"):
        build("somebody/vit", 3, "pretrained")


def test_a_folder_is_not_taken_for_a_hub_id(saved, monkeypatch):
    monkeypatch.chdir(saved[1].parent.parent)
    name = f"{saved[1].parent.name}/vit"
    with pytest.raises(ModelError, match=rf"found a folder of that name; write hf:\./{name} for"):
        build(name)
    assert build(f"./{name}").config.model_type == "vit"


def test_a_file_of_weights_has_the_net_s_own_names(saved, tmp_path):
    net, folder = saved
    save_file(net.state_dict(), tmp_path / "w.safetensors")
    assert same_tensors(
        build("vit", 3, tmp_path / "w.safetensors", **VIT).state_dict(), net.state_dict()
    )
    other = build("vit", 5, tmp_path / "w.safetensors", **VIT)
    assert other.vit.layernorm.weight.equal(net.vit.layernorm.weight)
    with pytest.raises(ModelError, match=r"is read with hf:\./FOLDER and weights: pretrained"):
        build("vit", 3, folder / "model.safetensors", **VIT)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("hf:./vit", "hf:/new/./vit"),
        ("hf:/models/vit", "hf:/new//models/vit"),
        ("hf:vit", "hf:vit"),
        ("hf:somebody/vit", "hf:somebody/vit"),
        ("timm:./vit", "timm:./vit"),
    ],
)
def test_a_spec_s_folder_moves(spec, expected):
    assert moved(spec, lambda path: f"/new/{'./' if spec == 'hf:./vit' else ''}{path}") == expected


def test_a_moved_folder_is_still_written_as_one():
    assert moved("hf:./a/vit", lambda path: path.removeprefix("a/")) == "hf:./vit"


# Mistakes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("vitt", "did you mean vit or"),
        ("bert", "classifies images, found 'bert'"),
        ("imagegpt", "classifies images, found 'imagegpt'"),
        ("./no such folder", "no such folder; give a folder that save_pretrained wrote"),
    ],
)
def test_a_wrong_name_says_what_is_right(name, found):
    with pytest.raises(ModelError, match=found):
        build(name)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"hiden_size": 48}, "found 'hiden_size'; did you mean hidden_size"),
        ({"hidden_size": "wide"}, "expected int, got str"),
        ({"output_attentions": True}, "options of ViTConfig, found 'output_attentions'"),
        ({"num_labels": 7}, "options of ViTConfig, found 'num_labels'"),
    ],
)
def test_a_wrong_option_is_one_line(options, found):
    with pytest.raises(ModelError, match=found) as error:
        build("vit", **options)
    assert "\n" not in str(error.value)


def test_numbers_that_do_not_fit_are_one_line():
    with pytest.raises(ModelError, match=r"IndexError: .*; correct model\.options"):
        build("cvt", **(CVT | {"depth": [1, 1, 1]}))


def test_options_within_a_part_of_a_config_are_checked_too():
    with pytest.raises(
        ModelError, match="CLIPVisionConfig, found 'image_sice'; did you mean image"
    ):
        build("clip", vision_config={"image_sice": 32})


def test_an_architecture_has_no_weights_of_its_own():
    with pytest.raises(ModelError, match="which has no weights of its own; write hf:ORG/NAME"):
        build("vit", 3, "pretrained", **VIT)


def test_quantised_weights_are_refused(saved):
    _, folder = saved
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": {}}))
    with pytest.raises(ModelError, match="full precision, found quantised"):
        build(folder)


def test_a_missing_library_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"run: pip install 'regard\[hf\]'") as error:
        build("vit")
    assert "\n" not in str(error.value)
    assert architectures() == []


def test_an_old_library_is_refused(monkeypatch):
    import transformers

    monkeypatch.setattr(transformers, "__version__", "4.57.1")
    with pytest.raises(ModelError, match=r"transformers 5 or newer, found 4\.57\.1"):
        build("vit")


def test_the_library_is_not_imported_unless_asked(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)  # an import raises
    for spec in ("regard:cnn1", "timm:resnet18"):
        net = regard.build_model(spec, 2, head="mlp")
        assert input_spec(net).size
        assert find_classifiers(net)
    source = Path(regard.__file__).parent
    texts = [path.read_text() for path in source.rglob("*.py")]
    assert not any(re.search(r"^\s*(import|from) transformers", t, re.MULTILINE) for t in texts)


def test_every_architecture_that_is_offered_is_known():
    import transformers

    found = architectures()
    assert {"vit", "cvt", "convnextv2", "swin", "dinov2_with_registers", "resnet"} <= set(found)
    for name in found:
        config = make_config(transformers, name, {"model_type": name}, 7, {})
        assert (config.model_type, config.num_labels) == (name, 7)
