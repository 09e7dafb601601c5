"""Arguments of the network's parts: each wrong one is one line that names it."""
import math

import pytest
from mmdet.registry import MODELS, TASK_UTILS

from bafenet.errors import InputError

HEAD = dict(type='BAFEHead', num_classes=1, in_channels=8, feat_channels=8, stacked_convs=1, strides=[8],
            regress_ranges=((-1, 64), ), norm_cfg=dict(type='BN'))
PARTS = dict(
    adapter=(MODELS, dict(type='MLPAdapter', channels=8)),
    channel=(MODELS, dict(type='ChannelExchange', channels=8)),
    spatial=(MODELS, dict(type='SpatialExchange', channels=8)),
    dynamic=(MODELS, dict(type='DynamicChannelExchange', channels=8)),
    sequential=(MODELS, dict(type='SequentialExchange', channels=8)),
    kernel=(MODELS, dict(type='SelectiveKernel', channels=8)),
    backbone=(MODELS, dict(type='CompactResNet')),
    neck=(MODELS, dict(type='FinestFPN', in_channels=[8, 8], out_channels=8)),
    nwd=(MODELS, dict(type='NormalisedWassersteinLoss')),
    nested=(MODELS, dict(type='NestedUNet', depth=10)),
    additive=(MODELS, dict(type='AdditiveUNet')),
    segmentor=(MODELS, dict(type='TargetSegmentor', backbone=dict(type='AdditiveUNet'))),
    iou=(MODELS, dict(type='SoftIoULoss')),
    sets=(MODELS, dict(type='NegativeSetLoss')),
    coder=(TASK_UTILS, dict(type='SideDistributionCoder', knots=(1, 2))),
    inside=(TASK_UTILS, dict(type='InsideAssigner')),
    nearest=(TASK_UTILS, dict(type='NearestAssigner')),
    field=(TASK_UTILS, dict(type='ReceptiveFieldAssigner')),
    head=(MODELS, HEAD))
WHOLE, NUMBER = (0, -1, 1.5, True, 'x', None), (0, -1, math.nan, math.inf, 'x', True, [1])
WRONG = [
    ('adapter', 'hidden_channels', (*WHOLE, 10**9)), ('adapter', 'mix_channels', (1, 'x', None)),
    ('adapter', 'residual', (1, 'x')),
    ('channel', 'ratio', (*NUMBER[:-2], 2, 0.3, 1e-9, None)), ('channel', 'adapter', ('x', 3, {})),
    ('channel', 'shared_adapter', (1, 'x')), ('channel', 'channels', WHOLE),
    ('spatial', 'ratio', (*NUMBER[:-2], 2, 0.3, None)), ('dynamic', 'ratio', (*NUMBER[:-2], 2, 0.01, None)),
    ('dynamic', 'gate', ('x', 3, None)), ('sequential', 'exchanges', ('x', [], [3], [{}], 3)),
    ('kernel', 'channels', (*WHOLE, 1, 7)),
    ('backbone', 'stage_channels', (3, 'x', [], [0], ['x'], [1.5])), ('backbone', 'stage_blocks', (3, [0, 1, 1, 1])),
    ('backbone', 'dilations', (1, [0, 1, 1, 1], [1])), ('backbone', 'out_indices', (3, [4], [-1], [])),
    ('backbone', 'stem_kernel', (*WHOLE, 1)), ('backbone', 'stem_channels', WHOLE[:-1]),
    ('backbone', 'in_channels', WHOLE), ('backbone', 'norm_cfg', ('BN', {}, 3)),
    ('neck', 'in_channels', (8, 'x', [], [0])), ('neck', 'out_channels', WHOLE), ('neck', 'num_outs', (3, )),
    ('neck', 'start_level', (1, )),
    ('nwd', 'constant', NUMBER), ('nwd', 'loss_weight', NUMBER[1:]), ('nwd', 'reduction', ('x', 3, None)),
    ('nested', 'depth', (50, 'x', None, True)), ('nested', 'attention', (1, 'x')), ('nested', 'nested', (1, None)),
    ('nested', 'in_channels', WHOLE), ('additive', 'widths', (8, 'x', [], [0], [16])), ('additive', 'blocks', ([1], 2)),
    ('additive', 'in_channels', WHOLE), ('additive', 'deep_supervision', (1, 'x')), ('additive', 'norm_cfg', ('BN', 3)),
    ('segmentor', 'backbone', ('x', {}, None)), ('segmentor', 'loss_mask', ('x', {}, [3], None)),
    ('segmentor', 'output_weights', (3, 'x', [], [0], [-1, 2], ['a'])),
    ('iou', 'smooth', NUMBER), ('iou', 'reduction', ('sum', 3, None)), ('iou', 'loss_weight', NUMBER[1:]),
    ('sets', 'loss_frame', ('x', {}, None)), ('sets', 'weights', (3, [], [0, 1], [-1], ['a'])),
    ('sets', 'reduction', ('batch', 3, None)), ('sets', 'loss_weight', NUMBER[1:]),
    ('coder', 'knots', (3, 'x', [1], [2, 1], [-1, 1], [1, math.nan], ['a', 'b'])),
    ('inside', 'center_radius', NUMBER), ('nearest', 'topk', WHOLE), ('nearest', 'center_radius', NUMBER),
    ('field', 'topk', WHOLE), ('field', 'radius', NUMBER), ('field', 'distance', ('x', 3, None)),
    ('head', 'num_classes', WHOLE), ('head', 'in_channels', WHOLE), ('head', 'feat_channels', (*WHOLE, 10**6)),
    ('head', 'stacked_convs', (-1, 1.5, 'x')), ('head', 'strides', (8, [], [0], ['x'], [8, 16])),
    ('head', 'regress_ranges', (3, 'x', [], [5], [[5, 1]], [['a', 'b']], [[1, math.nan]])),
    ('head', 'norm_cfg', (dict(type='GN', num_groups=3), )), ('head', 'with_seg', (1, 'x')),
    ('head', 'bottleneck', (1, 'x')), ('head', 'bottleneck_norm_cfg', ('BN', None)), ('head', 'exchange', ('x', 3, {})),
    ('head', 'loss_seg', ('x', None)), ('head', 'refine', ('x\x1b', 3, {})), ('head', 'assign', ('x', 3, None, {})),
    ('head', 'quality', ('x', 3, None)), ('head', 'box_coding', ('x', 3, None)),
]


@pytest.mark.parametrize(('part', 'name', 'values'), WRONG, ids=lambda item: item if isinstance(item, str) else '')
def test_a_wrong_argument_is_named(part, name, values):
    registry, settings = PARTS[part]
    for value in values:
        with pytest.raises(InputError) as caught:
            registry.build(dict(settings, **{name: value}))
        message = str(caught.value)
        assert message.isprintable() and len(message) < 300
        assert name in message or name in ('knots', 'channels'), message


@pytest.mark.parametrize('part', [part for part in PARTS if part != 'sequential'])
def test_without_a_wrong_argument_they_are_built(part):
    registry, settings = PARTS[part]
    registry.build(dict(settings))


def test_the_detector_needs_its_head():
    settings = dict(type='BAFENet', backbone=dict(type='CompactResNet'), neck=None,
                    bbox_head=dict(type='FCOSHead', num_classes=1, in_channels=32))
    with pytest.raises(InputError, match='bbox_head is a FCOSHead and must be a BAFEHead'):
        MODELS.build(settings)
