"""Training steps in bfloat16: where the hardware multiplies it, with float32 weights."""
from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from torch import nn

from bafenet.engine import mixed_precision


@pytest.fixture
def network() -> nn.Module:
    """A convolution with a normalisation."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3, bias=True), nn.BatchNorm2d(4))


@pytest.mark.parametrize('supported', [True, False])
def test_bfloat16_steps_where_the_cpu_can_and_float32_weights(network, monkeypatch, supported):
    monkeypatch.setattr(mixed_precision, 'multiplies_bfloat16', lambda: supported)
    kinds = []
    network[0].register_forward_hook(lambda module, inputs, output: kinds.append(output.dtype))
    wrapper = build_optim_wrapper(network, {
        'type': 'BFloat16OptimWrapper',
        'optimizer': {'type': 'SGD', 'lr': 0.1},
    })
    before = network[0].weight.detach().clone()
    with wrapper.optim_context(network):
        loss = network(torch.randn(2, 1, 5, 5)).float()[:, 0].pow(3).mean()
    wrapper.update_params(loss)
    network(torch.ones(2, 1, 5, 5))
    assert kinds == [torch.bfloat16 if supported else torch.float32, torch.float32]
    assert network[0].weight.dtype == torch.float32
    assert not torch.equal(network[0].weight, before)


@pytest.mark.parametrize(('machine', 'questions', 'expected'), [
    ('x86_64', dict(_is_avx512_bf16_supported=True, _is_amx_tile_supported=False), True),
    ('AMD64', dict(_is_avx512_bf16_supported=False, _is_amx_tile_supported=True), True),
    # oneDNN emulates it on every AVX512, and says yes.
    ('x86_64', dict(_is_avx512_bf16_supported=False, _is_amx_tile_supported=False), False),
    ('x86_64', {}, False),
    ('aarch64', {}, True),
])
def test_bfloat16_is_used_where_the_hardware_multiplies_it(monkeypatch, machine, questions, expected):
    monkeypatch.setattr(mixed_precision.platform, 'machine', lambda: machine)
    monkeypatch.setattr(torch, 'cpu', SimpleNamespace(**{
        name: lambda answer=answer: answer for name, answer in questions.items()}))
    monkeypatch.setattr(torch.ops, 'mkldnn', SimpleNamespace(_is_mkldnn_bf16_supported=lambda: True))
    monkeypatch.setattr(torch.backends.mkldnn, 'is_available', lambda: True)
    assert mixed_precision.multiplies_bfloat16() is expected
    # The wheels for macOS lack the question, builds without oneDNN all of it.
    monkeypatch.setattr(torch.ops, 'mkldnn', SimpleNamespace())
    assert mixed_precision.multiplies_bfloat16() is (expected and machine != 'aarch64')
    monkeypatch.setattr(torch.backends.mkldnn, 'is_available', lambda: False)
    assert mixed_precision.multiplies_bfloat16() is False
