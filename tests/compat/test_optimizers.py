"""DAdaptAdam and Prodigy are found by name and take the groups of a network without decay on norms."""
import importlib
import sys

import pytest
import torch
from mmdet.registry import OPTIMIZERS
from mmengine.optim import build_optim_wrapper
from torch import nn

from bafenet.compat import optimizers
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
