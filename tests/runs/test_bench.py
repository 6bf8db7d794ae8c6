"""What a run's net costs is measured, written, and changes nothing."""

import shutil

import pytest
import torch

from regard.errors import ConfigError, RunError
from regard.runs import bench, bench_device
from regard.runs.bench import bench_run
from regard.runs.benched import alone, bench_numbers, fastest, read_bench, setting
from regard.runs.files import dump_json, load_json, read_json
from regard.runs.run import load_run
from regard.training.train import train
from tinyset import SEGMENTER, TWIN, config_of, same_tensors, write_masks, write_pairs, write_set

QUICK = {"device": "cpu", "seconds": 0.02}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("benched")
    write_set(folder)
    train(config_of("training.epochs=1"), folder / "run", folder=folder)
    return folder


@pytest.fixture
def run(home):
    """The run's net is its own, and its folder without a `bench.json`."""
    (home / "run" / "bench.json").unlink(missing_ok=True)
    return load_run(home / "run")


def test_what_is_measured_is_written(run):
    seen = []
    values = bench_run(run, batches=[2, 4], progress=lambda *s: seen.append(s), **QUICK)
    assert load_json(dump_json(values)) == read_json(run.files.bench) == read_bench(run.files)
    assert values["checkpoint"] == run.checkpoint
    (device,) = values["devices"]
    assert [row["batch"] for row in device["batches"]] == [1, 2, 4]
    for row in device["batches"]:
        times = [row[name] for name in ("least_ms", "low_ms", "median_ms", "high_ms")]
        assert times == sorted(times)
        assert row["repetitions"] >= 7
        assert row["images_per_second"] == pytest.approx(1000 * row["batch"] / row["median_ms"])
        # Images come as float32, and no pass holds less than its first activation.
        assert row["peak_bytes"] >= row["batch"] * 4 * 32 * 32 * 4
    assert alone(device) is device["batches"][0]
    assert fastest(device)["batch"] == device["best"]
    assert seen[-1] == (100, 100)
    assert values["notes"] == []


def test_sizes_and_operations_are_those_of_the_net(run):
    values = bench_run(run, batches=[2], **QUICK)
    shapes = [p.shape for p in run.net.parameters()]
    assert values["parameters"] == values["trainable"] == sum(s.numel() for s in shapes)
    first, *_ = (m for m in run.net.modules() if isinstance(m, torch.nn.Conv2d))
    least = 2 * 32 * 32 * first.weight.numel()
    assert least < values["flops"] < 100 * least
    assert values["channels_last"] is True
    assert values["size"] == (32, 32)
    next(run.net.parameters()).requires_grad = False
    frozen = bench_run(run, batches=[2], **QUICK)
    assert frozen["trainable"] == values["parameters"] - shapes[0].numel()


def test_the_best_of_searched_batches_was_measured(run):
    (device,) = bench_run(run, **QUICK)["devices"]
    sizes = [row["batch"] for row in device["batches"]]
    assert sizes == [2**n for n in range(len(sizes))]
    assert len(sizes) > 1
    assert device["best"] in sizes


def test_the_runs_own_images_are_loaded(run):
    loading = bench_run(run, batches=[2], **QUICK)["loading"]
    assert (loading["split"], loading["batch"]) == ("test", 12)
    assert loading["images_per_second"] > 0


def test_nothing_of_the_net_or_of_torch_is_changed(run, monkeypatch):
    net = run.net
    list(net.modules())[-1].train()
    modes = [module.training for module in net.modules()]
    before = {name: value.clone() for name, value in net.state_dict().items()}
    strides = {name: value.stride() for name, value in net.state_dict().items()}
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    bench_run(run, batches=[2], threads=threads + 1, bf16=True, **QUICK)
    assert [module.training for module in net.modules()] == modes
    assert same_tensors(before, net.state_dict())
    assert {name: value.stride() for name, value in net.state_dict().items()} == strides
    assert all(p.grad is None and p.dtype == torch.float32 for p in net.parameters())
    assert all(p.device.type == "cpu" for p in net.parameters())
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks")
    assert not any(getattr(module, name) for module in net.modules() for name in hooks)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    assert torch.is_grad_enabled()

    def failing(*_, **__):
        raise RuntimeError("shapes")

    monkeypatch.setattr(bench, "bench_device", failing)
    with pytest.raises(RuntimeError, match="shapes"):
        bench_run(run, threads=threads + 1, **QUICK)
    assert torch.get_num_threads() == threads
    assert [module.training for module in net.modules()] == modes


def test_the_setting_says_what_timings_hang_on(run):
    (device,) = bench_run(run, batches=[2], threads=2, bf16=True, **QUICK)["devices"]
    assert (device["threads"], device["dtype"]) == (2, "bfloat16")
    assert setting(device) == f"{device['name']}, 2 threads, bfloat16"
    assert setting(device | {"threads": 1}) == f"{device['name']}, 1 thread, bfloat16"
    assert setting(device | {"threads": None}) == f"{device['name']}, bfloat16"


def test_a_net_of_two_views(tmp_path):
    write_pairs(tmp_path)
    train(config_of("training.epochs=1", base=TWIN), tmp_path / "run", folder=tmp_path)
    values = bench_run(load_run(tmp_path / "run"), batches=[2], **QUICK)
    assert values["views"] == ("image", "segmented")
    assert values["flops"] > 0
    assert values["loading"]["batch"] == 12


def test_a_segmenter(tmp_path):
    write_masks(tmp_path)
    train(config_of("training.epochs=1", base=SEGMENTER), tmp_path / "run", folder=tmp_path)
    values = bench_run(load_run(tmp_path / "run"), batches=[2], **QUICK)
    assert values["size"] == (32, 48)
    assert values["flops"] > 0
    assert values["loading"]["batch"] == 3


def test_without_its_images_a_run_is_measured_all_the_same(home, tmp_path):
    shutil.copytree(home / "run", tmp_path / "run")
    run = load_run(tmp_path / "run")
    values = bench_run(run, batches=[2], **QUICK)
    assert values["loading"] is None
    (note,) = values["notes"]
    assert note.startswith("Loading was not timed: expected ")
    assert str(tmp_path) not in note


def test_what_the_counter_cannot_see_through_is_said(run, monkeypatch):
    def failing(*_):
        raise NotImplementedError("no formula\nfor this")

    monkeypatch.setattr(bench, "flops_of", failing)
    values = bench_run(run, batches=[2], **QUICK)
    assert values["flops"] is None
    assert values["notes"] == ["FLOPs were not counted: no formula for this"]
    assert bench_numbers(values)["flops"] is None


def test_numbers_of_a_bench_and_of_none(run):
    assert read_bench(run.files) is None
    assert bench_numbers(None) == {}
    values = bench_run(run, batches=[2], **QUICK)
    latency = values["devices"][0]["batches"][0]["median_ms"]
    assert bench_numbers(values) == {"latency_ms": latency, "flops": values["flops"]}
    run.files.bench.write_text("{")
    assert read_bench(run.files) is None


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"device": "gpu"}, "device: expected a device of this machine, found 'gpu'; use auto"),
        ({"device": "meta"}, "device: expected a device of this machine, found 'meta'"),
        ({"batches": [4, 0]}, "batch: expected 1 or more, found 0"),
        ({"threads": 0}, "threads: expected 1 or more, found 0"),
        ({"seconds": -1.0}, "seconds: expected a number of 0 or more, found -1"),
        ({"seconds": float("nan")}, "seconds: expected a number of 0 or more, found nan"),
    ],
)
def test_mistakes_are_told_in_a_line_and_nothing_is_written(run, how, said):
    with pytest.raises(ConfigError, match=f"regard bench, {said}") as caught:
        bench_run(run, **how)
    assert "\n" not in str(caught.value)
    assert not run.files.bench.exists()


def test_no_memory_for_a_single_image(run, monkeypatch):
    def full(*_):
        raise MemoryError

    monkeypatch.setattr(bench_device, "throughput", full)
    with pytest.raises(RunError, match="expected memory for one image"):
        bench_run(run, **QUICK)
