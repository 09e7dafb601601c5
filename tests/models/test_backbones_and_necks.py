"""The parts that keep a stride of 2."""
import pytest
import torch
from mmdet.models.backbones import ResNet
from mmdet.models.necks import FPN
from mmdet.registry import MODELS

from bafenet.errors import InputError

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


def test_compact_resnet_has_the_asked_widths_at_strides_2_to_16():
    backbone = MODELS.build(dict(type='CompactResNet', stage_channels=(4, 6, 8, 12), stage_blocks=(2, 1, 1, 1)))
    features = backbone(torch.randn(1, 3, 64, 96))
    assert [tuple(level.shape[1:]) for level in features] == [(4, 32, 48), (6, 16, 24), (8, 8, 12), (12, 4, 6)]
    settings = dict(stage_channels=(4, 6, 8), stage_blocks=(1, 1, 1), dilations=(1, 1, 2), out_indices=(1, ))
    chosen = MODELS.build(dict(type='CompactResNet', **settings))
    level, = chosen(torch.randn(1, 3, 33, 50))
    assert tuple(level.shape[1:]) == (6, 9, 13)


@pytest.mark.parametrize('kernel', [3, 4, 5, 6])
def test_sizes_are_rounded_up_whatever_the_kernel(kernel):
    backbone = MODELS.build(dict(type='CompactResNet', stage_channels=(4, 6), stage_blocks=(1, 1), dilations=(1, 1),
                                 stem_kernel=kernel))
    features = backbone(torch.randn(1, 3, 33, 50))
    assert [tuple(level.shape[2:]) for level in features] == [(17, 25), (9, 13)]
    assert features[0][..., -1, :].abs().sum() > 0


def test_a_stem_of_stride_1_sees_every_pixel_before_the_image_is_halved():
    backbone = MODELS.build(
        dict(
            type='CompactResNet',
            stage_channels=(4, ),
            stage_blocks=(1, ),
            dilations=(1, ),
            stem_channels=6,
            stem_kernel=4)).eval()
    assert tuple(backbone(torch.randn(1, 3, 64, 96))[0].shape[1:]) == (4, 32, 48)
    # Weights that no ReLU silences.
    for layer in backbone.stem:
        torch.nn.init.constant_(layer.conv.weight, 1)
    image = torch.rand(1, 3, 64, 64, requires_grad=True)
    backbone.stem(image)[0, :, 16, 16].sum().backward()
    rows = image.grad.abs().sum((0, 1, 3)).nonzero().squeeze(1)
    # 3x3, then 4x4 at stride 2: six pixels, whose middle is the point of a stride of 2, (16 + 1/2) * 2.
    assert rows.tolist() == list(range(30, 36))


def test_dilation_sees_further():
    """A pixel's influence on the coarsest feature reaches as far as the sum of the convolutions' reaches allows."""
    reach = {}
    for dilation in (1, 3):
        backbone = MODELS.build(
            dict(type='CompactResNet', stage_channels=(4, ), stage_blocks=(1, ), dilations=(dilation, ))).eval()
        image = torch.randn(1, 3, 64, 64, requires_grad=True)
        backbone(image)[0][0, :, 16, 16].sum().backward()
        columns = image.grad.abs().sum((0, 1, 2)).nonzero().squeeze(1)
        reach[dilation] = int(columns.max() - columns.min()) + 1
    # 5x5 at stride 2, then two 3x3 convolutions, the first of them dilated: 5 + 2 * 2 * dilation + 2 * 2 pixels.
    assert reach == {1: 13, 3: 21}


def test_compact_resnet_refuses_lists_of_different_lengths():
    with pytest.raises(InputError, match='one entry a stage'):
        MODELS.build(dict(type='CompactResNet', stage_channels=(4, 6), stage_blocks=(1, )))
