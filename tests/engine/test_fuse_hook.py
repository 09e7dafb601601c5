"""A test runs a fused copy, and the network that was trained is there again afterwards."""
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from torch import nn

from bafenet.engine.fuse_hook import FuseHook, fuse_as_tested, with_fuse_hook
from bafenet.errors import InputError


def _network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval()


def test_the_network_is_put_back_after_the_test():
    network = _network()
    runner, hook = SimpleNamespace(model=network), FuseHook()
    hook.before_test(runner)
    assert isinstance(runner.model[1], nn.Identity) and isinstance(network[1], nn.BatchNorm2d)
    hook.after_test(runner)
    assert runner.model is network


def test_it_can_be_switched_off():
    network = _network()
    runner, hook = SimpleNamespace(model=network), FuseHook(enabled=False)
    hook.before_test(runner)
    assert runner.model is network
    hook.after_test(runner)
    with pytest.raises(InputError, match='enabled'):
        FuseHook('no')


@pytest.mark.parametrize(('hooks', 'fused'), [
    (None, True), ({}, True), (dict(fuse=dict(type='FuseHook')), True),
    (dict(fuse=dict(type='FuseHook', enabled=False)), False), (dict(fuse=None), False)])
def test_a_detector_is_fused_as_a_test_would(hooks, fused):
    network, cfg = _network(), Config({} if hooks is None else dict(default_hooks=hooks))
    fuse_as_tested(network, cfg)
    assert isinstance(network[1], nn.Identity) == fused
    added = with_fuse_hook(cfg).default_hooks.fuse
    assert (added is not None and FuseHook(added.get('enabled', True)).enabled) == fused
