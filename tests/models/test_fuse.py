"""A fused network gives what the unfused one gives, in every family, and what is not known to be a sequence stays."""
import copy

import pytest
import torch
from conftest import ROOT, a_third
from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from bafenet.engine.options import load_config
from bafenet.models.fuse import GroupedExchange, fuse_batch_norms, fuse_for_prediction

# One of each family: static exchange with the scalar adapter, dynamic one, FCOS, native pixels and masks.
FAMILIES = ['bafenet/bafenet_r18_nearest_densesirst', 'bafenet/bafenet_dynamic_r18_densesirst',
            'baselines/fcos_r18_densesirst', 'bafenet/bafenet_hr_tiny_masks', 'demo/bafenet_r18_demo']


def shaken(network):
    """A network whose normalisations do something: their statistics are not those of a new one."""
    generator = torch.Generator().manual_seed(0)
    for norm in network.modules():
        if isinstance(norm, _BatchNorm):
            for value, low, high in ((norm.running_mean, -1, 1), (norm.running_var, 0.5, 2), (norm.weight, 0.5, 1.5),
                                     (norm.bias, -1, 1)):
                value.data.copy_(torch.rand(value.shape, generator=generator) * (high - low) + low)
    return network.eval()


@pytest.mark.parametrize('family', a_third(FAMILIES))
@torch.no_grad()
def test_a_fused_network_of_every_family_gives_the_same(family):
    torch.manual_seed(0)
    model = load_config(str(ROOT / f'configs/{family}.py')).model
    model.backbone.init_cfg = None
    network = shaken(MODELS.build(model))
    fused = copy.deepcopy(network)
    fuse_for_prediction(fused)
    assert not [norm for norm in fused.modules() if isinstance(norm, _BatchNorm)]
    static = getattr(network.bbox_head, 'exchange', None) is not None and 'dynamic' not in family
    assert isinstance(getattr(fused.bbox_head, 'exchange', None), GroupedExchange) == static
    images = torch.randn(1, 3, 96, 64)
    for ours, theirs in zip(*(net.bbox_head(net.extract_feat(images)) for net in (fused, network)), strict=True):
        for one, other in zip(ours, theirs, strict=True):
            scale = other.abs().max()
            torch.testing.assert_close(one / scale, other / scale, rtol=0, atol=2e-5)


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_one_convolution_takes_in_the_formula_of_its_normalisation(layout):
    torch.manual_seed(0)
    module = shaken(nn.Sequential(nn.Conv2d(3, 8, 3, bias=True), nn.BatchNorm2d(8), nn.ReLU())).to(memory_format=layout)
    conv, norm = copy.deepcopy(module[0]), module[1]
    factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    assert fuse_batch_norms(module) == 1
    torch.testing.assert_close(module[0].weight, conv.weight * factor[:, None, None, None])
    torch.testing.assert_close(module[0].bias, (conv.bias - norm.running_mean) * factor + norm.bias)
    assert module[0].weight.is_contiguous(memory_format=layout)


class Strange(nn.Module):
    """A normalisation that stands after a convolution and is computed before it."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x):
        return self.conv(self.norm(x))


def _shared():
    conv = nn.Conv2d(4, 4, 1)
    return nn.Sequential(nn.Sequential(conv, nn.BatchNorm2d(4)), nn.Sequential(conv, nn.BatchNorm2d(4)))


LEFT_ALONE = {
    'unknown order': Strange,
    'normalised first': lambda: ConvModule(4, 4, 3, norm_cfg=dict(type='BN'), order=('norm', 'conv', 'act')),
    'used twice': _shared,
    'statistics of the batch': lambda: nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4, track_running_stats=False)),
    'another layer between': lambda: nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(), nn.BatchNorm2d(4)),
}


@pytest.mark.parametrize('name', LEFT_ALONE)
@torch.no_grad()
def test_what_is_not_known_to_follow_is_left_alone(name):
    torch.manual_seed(0)
    network = LEFT_ALONE[name]().eval()
    for norm in network.modules():
        if isinstance(norm, _BatchNorm) and norm.running_mean is not None:
            norm.running_mean.fill_(0.7)
    x = torch.randn(2, 4, 9, 9)
    before = network(x)
    assert fuse_batch_norms(network) == 0
    assert torch.equal(network(x), before)


def test_in_training_nothing_is_fused():
    assert fuse_batch_norms(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)).train()) == 0
