"""The parts that keep a stride of 2."""
import torch
from mmdet.models.backbones import ResNet
from mmdet.models.necks import FPN
from mmdet.registry import MODELS

RESNET = dict(type='UnpooledResNet', depth=18, base_channels=4, stem_channels=4)


def test_unpooled_resnet_has_strides_2_to_16_and_the_weights_of_resnet():
    ours = MODELS.build(RESNET)
    features = ours(torch.randn(1, 3, 64, 96))
    assert [tuple(level.shape[-2:]) for level in features] == [(32, 48), (16, 24), (8, 12), (4, 6)]
    pooled = ResNet(depth=18, base_channels=4, stem_channels=4)
    pooled.load_state_dict(ours.state_dict(), strict=True)
    assert [level.shape[-1] for level in pooled(torch.randn(1, 3, 64, 96))] == [24, 12, 6, 3]


def test_finest_fpn_is_the_finest_level_of_fpn():
    ours = MODELS.build(dict(type='FinestFPN', in_channels=[4, 8, 16], out_channels=6))
    whole = FPN([4, 8, 16], 6, num_outs=3)
    missing, unexpected = whole.load_state_dict(ours.state_dict(), strict=False)
    # It has FPN's weights but for the convolutions of the levels that it does not give.
    assert not unexpected and {name.split('.')[1] for name in missing} == {'1', '2'}
    assert all(name.startswith('fpn_convs') for name in missing)
    inputs = [torch.randn(2, channels, size, size + 1) for channels, size in ((4, 13), (8, 7), (16, 4))]
    finest, = ours(inputs)
    torch.testing.assert_close(finest, whole(inputs)[0])
