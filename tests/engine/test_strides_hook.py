"""Strides of a head against its feature maps: refused in the first forward, of any detector of mmdet."""
from types import SimpleNamespace

import pytest
import torch
from mmdet.registry import MODELS
from test_training_images import CONFIG, options

from bafenet.engine import train
from bafenet.engine.options import load_config
from bafenet.engine.strides_hook import StridesHook, require_strides
from bafenet.errors import InputError


def first_forward(model, size=(96, 160)):
    StridesHook().before_run(SimpleNamespace(model=model))
    with torch.no_grad():
        return model.extract_feat(torch.zeros(1, 3, *size))


@pytest.mark.parametrize('strides', [[3], [4], [1]])
def test_a_training_with_strides_that_the_maps_do_not_have_is_refused(devkit, tmp_path, strides):
    true = load_config(CONFIG).model.bbox_head.strides
    assert true != strides
    with pytest.raises(InputError, match=r'bbox_head: strides=\[.\], but the feature maps have the strides \[2\]'):
        train.train(CONFIG, work_dir=str(tmp_path),
                    cfg_options=options(devkit, **{'model.bbox_head.strides': strides}))
    assert not list(tmp_path.glob('*.pth'))


@pytest.mark.parametrize(('neck', 'strides', 'message'), [
    (5, [8, 16, 32, 64, 128], None), (5, [8, 16, 32], '5 levels'), (4, [8, 16, 32, 64, 128], '4 levels'),
    (5, [4, 8, 16, 32, 64], r'strides \[8, 16, 32, 64, 128\]'),
])
def test_levels_of_mmdets_own_detectors_are_counted(neck, strides, message):
    norm = dict(type='BN')
    model = MODELS.build(dict(
        type='FCOS', backbone=dict(type='ResNet', depth=18, norm_cfg=norm),
        neck=dict(type='FPN', in_channels=[64, 128, 256, 512], out_channels=8, start_level=1, num_outs=neck,
                  add_extra_convs='on_output'),
        bbox_head=dict(type='FCOSHead', num_classes=1, in_channels=8, feat_channels=8, strides=strides, norm_cfg=norm,
                       stacked_convs=1, regress_ranges=((-1, 1e8), ) * len(strides)))).eval()
    if message is None:
        for size in ((96, 160), (101, 67)):
            first_forward(model, size)
    else:
        with pytest.raises(InputError, match=message):
            first_forward(model)
    # Looked at once.
    assert not model.backbone._forward_pre_hooks and not model.neck._forward_hooks


def test_networks_without_priors_are_left_alone():
    first_forward(SimpleNamespace(backbone=torch.nn.Identity(), bbox_head=object(), extract_feat=lambda image: image))


def test_a_map_may_miss_a_row_but_no_more():
    require_strides('bbox_head', [(8, 8), (16, 16)], (100, 60), [(13, 8), (6, 3)])
    with pytest.raises(InputError, match='strides=.*the feature maps have'):
        require_strides('bbox_head', [(8, 8), (16, 16)], (100, 60), [(13, 8), (5, 3)])
