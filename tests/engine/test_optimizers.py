"""DAdaptAdam and Prodigy are found by name and take the groups of a network without decay on norms."""
import importlib
import sys
from types import SimpleNamespace

import pytest
import torch
from mmdet.registry import OPTIMIZERS
from mmengine.optim import build_optim_wrapper
from torch import nn

from bafenet.engine import optimizers
from bafenet.errors import InputError


@pytest.fixture
def network() -> nn.Module:
    """A convolution with a normalisation."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3, bias=True), nn.BatchNorm2d(4))


@pytest.mark.parametrize(('name', 'package'), [('DAdaptAdam', 'dadaptation'), ('Prodigy', 'prodigyopt')])
def test_names_lead_to_the_packages_classes(name, package):
    assert OPTIMIZERS.get(name) is getattr(importlib.import_module(package), name)


@pytest.mark.parametrize('name', ['DAdaptAdam', 'Prodigy'])
def test_no_decay_on_norms_and_biases(network, name):
    wrapper = build_optim_wrapper(
        network, {
            'type': 'OptimWrapper',
            'optimizer': {'type': name, 'lr': 1.0, 'weight_decay': 0.05, 'decouple': True},
            'paramwise_cfg': {'norm_decay_mult': 0, 'bias_decay_mult': 0},
        })
    decays = {id(group['params'][0]): group['weight_decay'] for group in wrapper.optimizer.param_groups}
    expected = {'0.weight': 0.05, '0.bias': 0.0, '1.weight': 0.0, '1.bias': 0.0}
    assert {key: decays[id(value)] for key, value in network.named_parameters()} == expected
    before = network[0].weight.detach().clone()
    for _ in range(5):
        wrapper.update_params((network(torch.ones(2, 1, 5, 5)) - 1).square().mean())
    assert not torch.equal(network[0].weight, before)
    assert torch.isfinite(network[0].weight).all()


def test_a_missing_package_is_named(network, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, 'prodigyopt', None)
        optimizers._register_prodigy()
    try:
        with pytest.raises(InputError, match='pip install prodigyopt'):
            OPTIMIZERS.build({'type': 'Prodigy', 'params': network.parameters(), 'lr': 1.0})
    finally:
        optimizers._register_prodigy()
    assert isinstance(OPTIMIZERS.build({'type': 'Prodigy', 'params': network.parameters()}), torch.optim.Optimizer)


@pytest.mark.parametrize('supported', [True, False])
def test_bfloat16_steps_where_the_cpu_can_and_float32_weights(network, monkeypatch, supported):
    monkeypatch.setattr(optimizers, 'multiplies_bfloat16', lambda: supported)
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
    monkeypatch.setattr(optimizers.platform, 'machine', lambda: machine)
    monkeypatch.setattr(torch, 'cpu', SimpleNamespace(**{
        name: lambda answer=answer: answer for name, answer in questions.items()}))
    monkeypatch.setattr(torch.ops, 'mkldnn', SimpleNamespace(_is_mkldnn_bf16_supported=lambda: True))
    monkeypatch.setattr(torch.backends.mkldnn, 'is_available', lambda: True)
    assert optimizers.multiplies_bfloat16() is expected
    # The wheels for macOS lack the question, builds without oneDNN all of it.
    monkeypatch.setattr(torch.ops, 'mkldnn', SimpleNamespace())
    assert optimizers.multiplies_bfloat16() is (expected and machine != 'aarch64')
    monkeypatch.setattr(torch.backends.mkldnn, 'is_available', lambda: False)
    assert optimizers.multiplies_bfloat16() is False
