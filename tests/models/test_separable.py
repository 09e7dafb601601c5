"""SeparableConv2d against the full convolution that it factorises, and where a config may put it."""
import pytest
import torch
from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from torch.nn import functional as F

from bafenet.errors import InputError
from bafenet.models import SeparableConv2d


@pytest.mark.parametrize(('kernel', 'stride', 'padding', 'dilation'), [(3, 1, 1, 1), (3, 2, 1, 1), (5, 1, 4, 2)])
def test_it_is_a_convolution_whose_kernel_is_a_product(kernel, stride, padding, dilation):
    layer = SeparableConv2d(4, 6, kernel, stride, padding, dilation)
    x = torch.randn(2, 4, 11, 13)
    # Output channel o sees input channel c through the kernel of c, weighed by (o, c).
    full = layer.pointwise.weight * layer.depthwise.weight.transpose(0, 1)
    bias = layer.pointwise.bias + layer.pointwise.weight[..., 0, 0] @ layer.depthwise.bias if (
        layer.depthwise.bias is not None) else layer.pointwise.bias
    torch.testing.assert_close(layer(x), F.conv2d(x, full, bias, stride, padding, dilation), rtol=1e-4, atol=1e-5)


def test_a_kernel_of_one_pixel_is_a_plain_convolution():
    layer = SeparableConv2d(4, 6, 1)
    x = torch.randn(1, 4, 5, 5)
    assert len(list(layer.parameters())) == 2
    torch.testing.assert_close(layer(x), F.conv2d(x, layer.pointwise.weight, layer.pointwise.bias))


def test_groups_are_refused():
    with pytest.raises(InputError, match='groups'):
        SeparableConv2d(4, 4, 3, groups=2)


def test_mmcv_builds_it_from_a_config():
    module = ConvModule(4, 6, 3, padding=1, conv_cfg=dict(type='SeparableConv2d'), norm_cfg=dict(type='BN'))
    assert isinstance(module.conv, SeparableConv2d)
    assert module(torch.randn(2, 4, 8, 8)).shape == (2, 6, 8, 8)


def test_backbone_and_head_take_it():
    separable = dict(type='SeparableConv2d')
    backbone = MODELS.build(dict(type='CompactResNet', stage_channels=(4, 6), stage_blocks=(1, 1), dilations=(1, 1),
                                 conv_cfg=separable))
    assert isinstance(backbone.stages[1][0].conv1, SeparableConv2d)
    head = MODELS.build(dict(type='BAFEHead', num_classes=1, in_channels=8, feat_channels=8, stacked_convs=1,
                             strides=[2], regress_ranges=((-1, 1e8), ), conv_cfg=separable, norm_cfg=dict(type='BN')))
    layers = [head.cls_convs[0].conv, head.reg_convs[0].conv, head.seg_convs[0].conv, head.cls_bottleneck[0],
              head.seg_bottleneck[3]]
    assert all(isinstance(layer, SeparableConv2d) for layer in layers)
    outputs = head((torch.randn(1, 8, 6, 5), ))
    assert [one[0].shape[-2:] for one in outputs] == [(6, 5)] * 4
