"""Channels are taken out as meant, and a pruned run is a run like any other."""

import copy
import json
import shutil
import signal
from dataclasses import replace
from unittest import mock

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

import regard
from regard.data.loader import epoch_order
from regard.deployment import channels, prune
from regard.deployment.channels import kept_channels, without_readers
from regard.deployment.export import export_run
from regard.deployment.norms import settle_norms
from regard.deployment.photos import batches, some_samples
from regard.deployment.prune import prune_run, resume_pruning
from regard.deployment.taylor import loss_gradients
from regard.errors import ConfigError, MissingExtraError, ModelError, RunError
from regard.guidance import Energy, guided_forward
from regard.models.heads import find_classifiers
from regard.models.pruned import cut, of_first, read_kept, write_kept
from regard.runs.evaluate import evaluate_run
from regard.runs.files import read_json, write_json
from regard.runs.run import load_run
from regard.training.loop import Trainer
from regard.training.prepare import prepare
from regard.training.train import train
from tinyset import (
    SEGMENTER,
    SETS,
    TWIN,
    config_of,
    log_lines,
    run_regard,
    same_tensors,
    start_until,
    write_masks,
    write_pairs,
    write_set,
    write_sets,
)

WIDER = ("model.options.width=16", "training.epochs=1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A set, and a run on it with guidance."""
    folder = tmp_path_factory.mktemp("prune")
    write_set(folder)
    terms = 'guidance.terms=[{"term": "energy", "contrast": true}]'
    train(config_of(*WIDER, terms), folder / "run", folder=folder)
    return folder


@pytest.fixture(scope="module")
def pruned(folder):
    told = prune_run(load_run(folder / "run"), folder / "pruned", share=0.5, epochs=2)
    return folder / "pruned", told


def lively(net):
    """Norms as after a training, so that a channel that is lost would be missed."""
    generator = torch.Generator().manual_seed(1)
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean = torch.randn(part.num_features, generator=generator) / 10
            part.running_var = torch.rand(part.num_features, generator=generator) + 0.5
            nn.init.constant_(part.bias, 0.2)
    return net.eval()


NETS = {
    "flatten": ("regard:cnn2", 32, {"size": 32, "width": 16}),
    "avg": ("regard:cnn2", 32, {"size": 32, "width": 16, "pool": "avg"}),
    "residual": ("timm:resnet10t", 32, {}),
    "depthwise": ("timm:mobilenetv3_small_050", 32, {}),
    "groups": ("timm:regnetx_002", 32, {}),
    "layer norms": ("timm:convnext_atto", 32, {}),
    "segmenter": ("regard:fpn", 32, {"encoder": "mobilenetv3_small_050", "width": 16}),
}


def random_net(kind):
    spec, side, options = NETS[kind]
    torch.manual_seed(0)
    return lively(regard.build_model(spec, 3, **options)), torch.randn(2, 3, side, side)


@pytest.mark.parametrize("kind", list(NETS))
def test_a_cut_net_answers_as_the_whole_one_that_reads_no_lost_channel(kind, tmp_path):
    net, images = random_net(kind)
    before = copy.deepcopy(net.state_dict())
    kept = kept_channels(net, images, share=0.4)
    assert same_tensors(net.state_dict(), before)
    write_kept(kept, tmp_path / "kept.json")
    small = cut(copy.deepcopy(net), read_kept(tmp_path / "kept.json"))
    count = [sum(p.numel() for p in each.parameters()) for each in (net, small)]
    assert count[1] < 0.7 * count[0]
    assert small(images).shape == net(images).shape
    if kind != "layer norms":  # whose statistics are of fewer channels
        whole = without_readers(net, kept)
        torch.testing.assert_close(small(images), whole(images), rtol=1e-4, atol=1e-4)
        assert (whole(images) - net(images)).abs().max() > 1e-3
    # Each tensor is what is left of the whole one, place by place.
    state, own = net.state_dict(), small.state_dict()
    for name, axes in kept.items():
        wanted = state[name]
        for axis, places in axes.items():
            wanted = wanted.index_select(axis, torch.tensor(places))
        assert torch.equal(own[name], wanted)
    assert {n for n in own if own[n].shape != state[n].shape} == set(kept)
    # The net can be trained on, and built again from nothing but its spec and the table.
    small.train()(images).square().sum().backward()
    spec, _, options = NETS[kind]
    again = regard.build_model(spec, 3, pruned=tmp_path / "kept.json", **options)
    again.load_state_dict(own)


def test_parameters_of_a_cut_cnn2_counted_by_hand():
    net = lively(regard.build_model("regard:cnn2", 3, size=32, width=16, pool="avg"))
    small = cut(net, kept_channels(net, torch.randn(2, 3, 32, 32), share=0.5))
    widths = (8, 16, 32, 64)  # of 16, 32, 64, 128
    convolutions = sum(9 * a * b + b for a, b in zip((3, *widths), widths, strict=False))
    norms = sum(2 * b for b in widths)
    assert sum(p.numel() for p in small.parameters()) == convolutions + norms + 64 * 3 + 3


def test_the_smallest_kernels_go_first_and_rounding_is_to_the_nearest():
    net = nn.Sequential(
        nn.Conv2d(3, 16, 3, bias=False), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(16, 2),
    )  # fmt: skip
    net.classifier_name = "4"
    order = torch.randperm(16)
    with torch.no_grad():
        net[0].weight.copy_((1 + order.float())[:, None, None, None].expand(16, 3, 3, 3))
        net[4].weight.fill_(1)
    images = torch.rand(2, 3, 8, 8)
    for share, multiple, left in ((0.3, 8, 8), (0.2, 8, 16), (0.3, 4, 12), (0.9, 8, 8)):
        if left == 16:
            with pytest.raises(ModelError, match=r"that can lose 0\.2 of its channels, in steps"):
                kept_channels(net.eval(), images, share=share, multiple=multiple)
            continue
        kept = kept_channels(net.eval(), images, share=share, multiple=multiple)
        largest = order.argsort(descending=True)[:left].sort().values.tolist()
        assert kept == {"0.weight": {0: largest}, "4.weight": {1: largest}}


def test_by_the_loss_what_moves_it_stays(folder):
    run = load_run(folder / "run")
    found = loss_gradients(run, images=16)
    assert found.keys() == dict(run.net.named_parameters()).keys()
    images = torch.randn(2, 3, 32, 32)
    last = [n for n, p in run.net.named_parameters() if p.ndim == 4][-1]
    # Only some channels of the last convolution move the loss.
    chosen = torch.arange(0, run.net.get_parameter(last).shape[0], 2)
    gradients = {name: torch.zeros_like(own) for name, own in found.items()}
    gradients[last][chosen] = 1
    kept = kept_channels(
        run.net, images, share=0.5, importance="taylor", gradients=gradients, multiple=1
    )
    assert kept[last][0] == chosen.tolist()
    drawn = [
        kept_channels(run.net, images, share=0.5, importance="random", multiple=1, seed=seed)
        for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize("imbalance", ["none", "weights"])
def test_the_gradient_of_the_loss_is_that_of_the_runs_own(folder, tmp_path, imbalance):
    """Cross-entropy and guidance of the first images of an epoch, the net as it will be used."""
    terms = 'guidance.terms=[{"term": "energy", "weight": 0.5, "warmup_epochs": 5}]'
    more = (terms, f"training.imbalance={imbalance}", "model.options.dropout=0.5")
    more += ("training.epochs=1", "distil.teacher=run")  # a teacher counts for nothing here
    train(config_of(*more), tmp_path / "run", folder=folder)
    run = load_run(tmp_path / "run")
    found = loss_gradients(run, images=16)
    config = config_of(*more[:-1], "training.accumulate=2")
    prepared = prepare(config, folder)
    labels = [sample.label for sample in prepared.train.data.samples]
    draws = epoch_order(labels, imbalance, seed=config.training.seed, epoch=0)
    batch = next(iter(prepared.train.batches(draws)))
    prepared.close()
    assert len(batch) == 16
    images = run.transform.normalise(batch.images["image"])
    out = guided_forward(run.net, images, batch.labels, batch.regions, [Energy(weight=0.5)])
    counts = torch.bincount(torch.tensor(labels))
    weights = counts.sum() / (2 * counts) if imbalance == "weights" else None
    loss = F.cross_entropy(out.logits, batch.labels, weights) + out.loss()
    wanted = torch.autograd.grad(loss, list(run.net.parameters()))
    for own, name in zip(wanted, dict(run.net.named_parameters()), strict=True):
        torch.testing.assert_close(found[name], own, rtol=1e-4, atol=1e-6)


def test_a_channel_is_worth_the_sum_over_its_weights_of_weight_times_gradient():
    """First of each layer that hangs together, over its mean; then the mean over the layers."""
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(8, 2),
    )  # fmt: skip
    net.classifier_name = "5"
    images = torch.rand(4, 3, 8, 8)
    net.eval()(images).square().sum().backward()
    gradients = {name: own.grad for name, own in net.named_parameters()}
    kept = kept_channels(
        net, images, share=0.5, importance="taylor", gradients=gradients, multiple=1
    )
    each = [
        (net[0].weight * net[0].weight.grad).abs().sum((1, 2, 3)),
        (net[1].weight * net[1].weight.grad).abs(),
        (net[5].weight * net[5].weight.grad).abs().sum(0),
    ]
    worth = torch.stack([own / own.mean() for own in each]).mean(0)
    assert kept["0.weight"][0] == worth.argsort(descending=True)[:4].sort().values.tolist()


@pytest.mark.parametrize("wanted", ["settled", "kept"])
def test_norms_are_settled_only_where_more_is_right_so(folder, monkeypatch, wanted):
    run = load_run(folder / "run")
    norms = [part for part in run.net.modules() if isinstance(part, nn.BatchNorm2d)]
    if wanted == "settled":
        norms[0].running_mean += 50  # as no data has it
    best = replace(run, net=copy.deepcopy(run.net))
    if wanted == "settled":
        settle_norms(best, some_samples(run, ("train",)))
    val = some_samples(run, ("val",))
    pixels, _ = next(batches(run, val, len(val)))
    with torch.no_grad():
        logits = best.net(run.transform.normalise(torch.from_numpy(pixels[0])))
        shift = torch.tensor([0, float((logits[:, 0] - logits[:, 1]).median()) + 1e-6])
        next(iter(find_classifiers(run.net).values())).bias += shift  # half of each class
        labels = (logits + shift).argmax(1)
    assert 0 < labels.sum() < len(labels)
    said = [replace(one, label=int(label)) for one, label in zip(val, labels, strict=True)]

    def samples(run, splits, most=None):
        return said if splits == ("val",) else some_samples(run, splits, most)

    monkeypatch.setattr(prune, "some_samples", samples)
    before = copy.deepcopy(run.net.state_dict())
    better, told = prune._better(run, prune._example(run))
    assert (told["norms"], told["right"]) == (wanted, 1)
    assert same_tensors(run.net.state_dict(), before)
    assert same_tensors(better.net.state_dict(), before) == (wanted == "kept")


def test_twice_cut_is_cut_in_places_of_the_whole():
    net = lively(regard.build_model("regard:cnn2", 3, size=32, width=16, pool="avg"))
    images = torch.randn(2, 3, 32, 32)
    first = kept_channels(net, images, share=0.5, multiple=4)
    small = cut(copy.deepcopy(net), first)
    then = kept_channels(small, images, share=0.5, multiple=4)
    smaller, at_once = cut(small, then), cut(net, of_first(first, then))
    assert same_tensors(dict(smaller.state_dict()), dict(at_once.state_dict()))


@pytest.mark.parametrize(
    ("spec", "side", "options"),
    [
        ("timm:vit_tiny_patch16_224", 224, {}),
        ("timm:crossvit_tiny_240", 240, {"inputs": {"small": "image", "large": "segmented"}}),
        ("regard:twin_crossvit", 32, TWIN["model"]["options"]),
    ],
)
def test_attention_is_one_line(spec, side, options):
    net = regard.build_model(spec, 3, **options)
    with pytest.raises(ModelError, match=r"expected a net of convolutions .*found attention, "):
        kept_channels(net, torch.zeros(2, 3, side, side), share=0.3)


class Mixing(nn.Module):
    """Its channels do more than what reads them: each is divided by the mean of all."""

    classifier_name = "head"

    def __init__(self):
        super().__init__()
        self.first, self.head = nn.Conv2d(3, 16, 3), nn.Linear(16, 2)

    def forward(self, images):
        found = self.first(images).relu()
        return self.head((found / (found.mean(1, keepdim=True) + 1)).mean((2, 3)))


class Fixed(nn.Module):
    """Splits its channels at a fixed place."""

    classifier_name = "head"

    def __init__(self):
        super().__init__()
        self.first, self.head = nn.Conv2d(3, 16, 3), nn.Linear(16, 2)

    def forward(self, images):
        found = self.first(images).mean((2, 3)).reshape(len(images), 16)
        return self.head(found)


@pytest.mark.parametrize("kind", [Mixing, Fixed])
def test_channels_that_cannot_be_followed_are_one_line(kind):
    with pytest.raises(ModelError, match="whose channels Torch-Pruning can follow") as caught:
        kept_channels(kind().eval(), torch.rand(2, 3, 16, 16), share=0.5)
    assert "\n" not in str(caught.value)


def test_a_pruned_run_is_a_run_like_any_other(pruned, folder, tmp_path):
    out, told = pruned
    assert told["importance"] == "taylor"
    assert told["before"]["parameters"] > told["cut"]["parameters"] == told["after"]["parameters"]
    assert told["before"]["flops"] > told["after"]["flops"]
    assert {told[stage]["metric"] for stage in ("before", "cut", "after")} == {"accuracy"}
    assert read_json(out / "pruning.json") == {k: v for k, v in told.items() if k != "folder"}
    run, old = load_run(out), load_run(folder / "run")
    assert run.config["guidance"] == old.config["guidance"]
    assert run.config["training"]["epochs"] == 2
    assert run.config["model"]["pruned"] == "pruned.json"
    # It began with what was left of the weights, and needs the old run no more.
    begun = load_file(out / "pruned.safetensors")
    left = replace(old, net=cut(copy.deepcopy(old.net), read_kept(out / "pruned.json")))
    if told["cut"]["norms"] == "settled":
        settle_norms(left, some_samples(old, ("train",)))
    own = {name: value.contiguous() for name, value in left.net.state_dict().items()}
    assert same_tensors(begun, own)
    moved = tmp_path / "elsewhere"
    shutil.copytree(out, moved)
    (moved / "pruned.safetensors").unlink()
    picture = folder / "images" / "test-00.png"
    assert torch.equal(load_run(moved).predict(picture), run.predict(picture))
    assert 0 <= evaluate_run(run, "test")["metrics"]["accuracy"]["value"] <= 1
    assert regard.explain(run.net, run.transform([picture])).shape == (1, 2, 2)
    assert export_run(run, tmp_path / "net.onnx")["parity"]["difference"]["logits"] <= 1e-4


def test_norms_count_again_what_comes_in(folder):
    run = load_run(folder / "run")
    net, samples = copy.deepcopy(run.net), some_samples(run, ("train",))
    settle_norms(run, samples)
    assert not any(part.training for part in run.net.modules())
    pixels, _ = next(batches(run, samples, len(samples)))
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = 1.0
    net.train()(run.transform.normalise(torch.from_numpy(pixels[0])))  # dropout is 0
    for name, own in run.net.state_dict().items():
        if "running" in name:
            torch.testing.assert_close(own, net.state_dict()[name])
    assert {m.momentum for m in run.net.modules() if isinstance(m, nn.BatchNorm2d)} == {0.1}


def test_a_pruned_run_is_pruned_again_and_begins_others(pruned, folder, tmp_path):
    out, first = pruned
    told = prune_run(load_run(out), folder / "twice", share=0.5, multiple=4, epochs=1)
    assert told["before"]["parameters"] == first["after"]["parameters"]
    assert told["after"]["parameters"] < told["before"]["parameters"]
    load_run(folder / "twice")
    # Its table and weights begin a run of any config.
    own = f"model.pruned={out / 'pruned.json'}", f"model.weights={out}"
    train(config_of(*WIDER, *own), folder / "other", folder=folder)
    parameters = sum(p.numel() for p in load_run(folder / "other").net.parameters())
    assert parameters == first["after"]["parameters"]
    assert (folder / "other" / "pruned.json").is_file()


def test_it_can_learn_from_the_net_that_it_was_cut_out_of(folder):
    out = folder / "taught"
    prune_run(load_run(folder / "run"), out, share=0.5, epochs=1, changes=["distil.teacher=."])
    teacher = out / load_run(out).config["distil"]["teacher"]
    assert teacher.resolve() == (folder / "run").resolve()
    assert all("loss.distil" in line for line in log_lines(out) if line["kind"] == "step")


def test_a_killed_pruning_goes_on_bit_for_bit(pruned, folder):
    class KilledError(Exception):
        pass

    whole, _ = pruned
    taken, own = 0, Trainer._step

    def stepped(trainer, batch):
        nonlocal taken
        taken += 1
        if taken == 4:
            raise KilledError
        own(trainer, batch)

    out = folder / "killed"
    with mock.patch.object(Trainer, "_step", stepped), pytest.raises(KilledError):
        prune_run(load_run(folder / "run"), out, share=0.5, epochs=2)
    assert read_json(out / "pruning.json")["after"] is None
    with pytest.raises(RunError, match="add --resume to go on"):
        prune_run(load_run(folder / "run"), out, share=0.5)
    told = resume_pruning(out)
    ends = [load_run(run, "last").net.state_dict() for run in (whole, out)]
    assert same_tensors(*ends)
    assert told["after"] == read_json(whole / "pruning.json")["after"]
    assert [x for x in log_lines(out) if x["kind"] == "epoch"] == [
        x for x in log_lines(whole) if x["kind"] == "epoch"
    ]


def test_killed_for_good_the_command_goes_on_bit_for_bit(pruned, folder, tmp_path):
    whole, _ = pruned
    words = ("prune", folder / "run", "--share", 0.5, "--epochs", 2, "--out", tmp_path / "out")
    code, _, _ = start_until(words, tmp_path / "out" / "log.jsonl", 4)
    assert code == -signal.SIGKILL
    with pytest.raises(RunError, match="add --resume to go on"):
        prune_run(load_run(folder / "run"), tmp_path / "out", share=0.5)
    done = run_regard("prune", folder / "run", "--out", tmp_path / "out", "--resume", "--json")
    assert done.returncode == 0, done.stderr
    ends = [load_run(run, "last").net.state_dict() for run in (whole, tmp_path / "out")]
    assert same_tensors(*ends)
    assert json.loads(done.stdout)["after"] == read_json(whole / "pruning.json")["after"]


def test_sets_of_labels_are_pruned(tmp_path):
    write_sets(tmp_path)
    wide = ("training.epochs=1", "model.options.width=16")
    train(config_of(*wide, base=SETS), tmp_path / "run", folder=tmp_path)
    told = prune_run(load_run(tmp_path / "run"), tmp_path / "small", share=0.5)
    assert told["after"]["metric"] == "labels"
    assert told["after"]["parameters"] < 0.6 * told["before"]["parameters"]


def test_a_segmenter_is_pruned(tmp_path):
    write_masks(tmp_path)
    train(config_of("training.epochs=1", base=SEGMENTER), tmp_path / "run", folder=tmp_path)
    told = prune_run(load_run(tmp_path / "run"), tmp_path / "small", share=0.5, multiple=2)
    assert told["after"]["metric"] == "pixels"
    assert told["after"]["parameters"] < 0.6 * told["before"]["parameters"]
    assert load_run(tmp_path / "small").segments


def test_two_views_of_attention_are_one_line(tmp_path):
    write_pairs(tmp_path)
    train(config_of("training.epochs=1", base=TWIN), tmp_path / "run", folder=tmp_path)
    with pytest.raises(ModelError, match="found attention"):
        prune_run(load_run(tmp_path / "run"), tmp_path / "small")
    assert not (tmp_path / "small").exists()


def test_mistakes_are_one_line(folder, tmp_path, monkeypatch):
    run = load_run(folder / "run")
    for how, said in (
        ({"share": 1.0}, r"--share: expected a share .* above 0 and below 1, found 1;"),
        ({"multiple": 0}, r"--multiple: expected 1 or more, found 0"),
        ({"importance": "size"}, r"--importance: expected magnitude, taylor, random, found 'size'"),
        ({"changes": ["model.spec=regard:cnn1"]}, "expected the net of the run, found another"),
        ({"changes": ["training.epoch=3"]}, "training.epoch"),
    ):
        with pytest.raises(ConfigError, match=said):
            prune_run(run, tmp_path / "out", **how)
    with pytest.raises(RunError, match="a run that regard prune began to train, found none"):
        resume_pruning(tmp_path / "out")
    monkeypatch.setitem(__import__("sys").modules, "torch_pruning", None)
    with pytest.raises(MissingExtraError, match=r"regard\[prune\]"):
        prune_run(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "something else"),
        ("[1]", "something else"),
        ('{"features.0.weight": {"0": [0, "x"]}}', "no whole numbers"),
        ('{"features.99.weight": {"0": [0]}}', "'features.99.weight', which the net lacks"),
        ('{"features.0.weight": {"0": [0, 99]}}', "place 99 of 4"),
        ('{"features.0.weight": {"0": [1, 0]}}', "that are none"),
        ('{"features.0.weight": {"7": [0]}}', "that are none"),
        ('{"features.0.weight": {"0": []}}', "that are none"),
        (None, "no such file"),
    ],
)
def test_a_table_of_another_net_is_one_line(tmp_path, text, said):
    path = tmp_path / "pruned.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ModelError, match=said) as caught:
        regard.build_model("regard:cnn2", 2, size=32, width=4, pruned=path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_what_is_found_wrong_is_not_kept(folder, monkeypatch):
    """The table is held against Torch-Pruning's own net."""
    real = channels._places

    def wrong(*args):
        kept = real(*args)
        name = next(iter(kept))
        axis, places = next(iter(kept[name].items()))
        return kept | {name: kept[name] | {axis: [*range(len(places))]}}

    run = load_run(folder / "run")
    monkeypatch.setattr(channels, "_places", wrong)
    with pytest.raises(ModelError, match="other answers than Torch-Pruning's own"):
        kept_channels(run.net, torch.randn(2, 3, 32, 32), share=0.5)


def test_a_second_pruning_into_the_folder_changes_nothing_of_the_first(folder, tmp_path):
    """Both have found it free; by the time that the second one writes the first one trains."""
    run, out = load_run(folder / "run"), folder / tmp_path.name
    own, seen = prune.train, []

    def train_meanwhile(*args, **kwargs):
        with mock.patch.object(prune, "train", own), pytest.raises(RunError) as caught:
            prune_run(run, out, share=0.6, multiple=2)
        seen.append(caught.value.expected)
        return own(*args, **kwargs)

    with (
        mock.patch.object(prune, "train", train_meanwhile),
        mock.patch("regard.runs.folder.PATIENCE", 0.05),
    ):
        prune_run(run, out, share=0.3, multiple=2)
    assert seen == ["a folder that no other process writes into"]
    assert read_json(out / "pruning.json")["share"] == 0.3
    load_run(out)
    with pytest.raises(RunError, match="expected a new folder, found a run"):
        prune_run(run, out, share=0.6, multiple=2)
    shutil.rmtree(out)


def test_what_a_run_left_that_never_began_is_not_taken_for_the_next_one_s(folder, tmp_path):
    """An architecture or a table of channels is there before the config is."""
    out = folder / tmp_path.name
    write_json(out / "architecture/config.json", {"model_type": "vit"})
    (out / "pruned.json").write_text("{}")
    train(config_of(*WIDER), out, folder=folder)
    assert not (out / "architecture/config.json").exists()
    assert not (out / "pruned.json").exists()
    load_run(out)
    shutil.rmtree(out)


def test_the_command(folder):
    done = run_regard("prune", folder / "run", "--share", 0.5, "--epochs", 1, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["folder"] == str(folder / "run-pruned")
    assert told["after"]["bytes"] < told["before"]["bytes"]
    again = run_regard("prune", folder / "run", "--resume")
    assert again.returncode == 0, again.stderr
    assert "50% of each layer's channels, by taylor" in again.stdout
    wrong = run_regard("prune", folder / "run", "--share", 2)
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert prune.FIRST == "pruned.safetensors"
