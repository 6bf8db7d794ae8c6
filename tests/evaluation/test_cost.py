"""What a pass costs, against formulas by hand."""

import os

import pytest
import torch
from torch import nn

from regard.evaluation.cost import channels_last, flops_of, peak_bytes, weight_bytes

CPU = torch.device("cpu")


def test_operations_of_a_hand_built_net_are_those_of_the_formulas():
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 12, 3, stride=2, groups=4, bias=False),
        nn.Flatten(),
        nn.Linear(12 * 7 * 5, 4),
    ).eval()
    found = flops_of(net, torch.rand(2, 3, 16, 12))
    first = 16 * 12 * 8 * (3 * 9)
    second = 7 * 5 * 12 * (8 // 4 * 9)
    last = 12 * 7 * 5 * 4
    assert found.total == 2 * 2 * (first + second + last)
    assert "relu" in found.uncounted
    assert not {"view", "flatten", "convolution", "addmm"} & set(found.uncounted)


def test_attention_counts_also_where_torch_fuses_the_whole_layer():
    layer = nn.TransformerEncoderLayer(32, 4, dim_feedforward=64, batch_first=True).eval()
    tokens, width = 10, 32
    dense = tokens * width * (3 * width + width + 2 * 64)
    attention = 2 * tokens * tokens * width
    assert torch.backends.mha.get_fastpath_enabled()
    assert flops_of(layer, torch.rand(1, tokens, width)).total == 2 * (dense + attention)
    assert torch.backends.mha.get_fastpath_enabled()


def test_a_net_that_fails_leaves_nothing_switched():
    with pytest.raises(RuntimeError):
        flops_of(nn.Linear(3, 2), torch.rand(1, 4))
    assert torch.backends.mha.get_fastpath_enabled()
    assert flops_of(nn.Linear(3, 2), torch.rand(1, 3)).total == 12


def test_memory_is_that_of_the_tensors_alive_at_once():
    pixels = torch.rand(1, 3, 64, 64)

    def call():
        more = pixels.repeat(1, 8, 1, 1)
        sums = more + more
        del more
        return sums.repeat(1, 2, 1, 1)

    # The sums, and twice as much that is made of them; what came before has gone.
    assert peak_bytes(call, CPU) == pytest.approx(8 * 3 * pixels.nbytes, rel=0.001)
    assert "KINETO_LOG_LEVEL" not in os.environ


def test_weights_are_counted_once_with_their_buffers():
    net = nn.Sequential(nn.Linear(10, 10), nn.BatchNorm1d(10))
    tied = nn.Sequential(*net, net[0])
    # The norm has two weights and two statistics a feature, and a count of batches.
    assert weight_bytes(net) == 4 * (110 + 4 * 10) + 8
    assert weight_bytes(tied) == weight_bytes(net)
    assert weight_bytes(nn.Linear(10, 10).half()) == 2 * 110


def test_the_order_in_memory_is_told_of_kernels_that_have_one():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(4, 4))
    assert not channels_last(net)
    assert channels_last(net.to(memory_format=torch.channels_last))
    single = nn.Conv2d(4, 4, 1).to(memory_format=torch.channels_last)
    assert not channels_last(single)
