"""Heads of mmdet's one-stage detectors on the backbone and neck of one of our networks."""
import math

import pytest
import torch
from baseline_steps import batch, build, losses_of, predict
from conftest import ROOT, a_third
from mmengine.config import Config

from bafenet.engine.head_on_level import head_on_level
from bafenet.engine.options import load_config
from bafenet.errors import InputError

FILES = {file.stem: str(file) for file in sorted((ROOT / 'configs/tables/rows').glob('*_head_*.py'))}
NETWORKS = {'ours': 'configs/tables/rows/differences_ours.py', 'demo': 'configs/demo/bafenet_r18_demo.py',
            'hr': 'configs/bafenet/bafenet_hr_tiny_densesirst.py'}
GFL = 'mmdet::gfl/gfl_r50_fpn_1x_coco.py'
NETWORK = dict(data_preprocessor=dict(type='DetDataPreprocessor'), backbone=dict(type='B'), neck=dict(type='N'),
               bbox_head=dict(strides=[2], in_channels=8, feat_channels=8, stacked_convs=1, norm_cfg=dict(type='BN')))


def own_parts(network):
    return {name: tuple(value.shape) for name, value in network.named_parameters()
            if name.startswith(('backbone.', 'neck.')) and not name.startswith('neck.1')}


@pytest.mark.parametrize('name', a_third(FILES))
def test_they_learn_and_predict_on_the_networks_own_backbone_and_neck(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr('baseline_steps.SIDES', (3, 5, 9))
    head, kind = name.split('_head_')
    network = build(load_config(FILES[name]))
    own = {part.replace('neck.0.', 'neck.'): shape for part, shape in own_parts(network).items()}
    assert own == own_parts(build(load_config(str(ROOT / NETWORKS[kind]))))
    losses = losses_of(network, batch(64, (True, False)))
    assert all(math.isfinite(value.item()) for value in losses.values())
    losses['loss'].backward()
    assert any(value.grad is not None and value.grad.any() for value in network.bbox_head.parameters())
    found, = predict(network, batch(64, (True,)))
    assert len(found.pred_instances) <= 100


@pytest.mark.parametrize('name', [name for name in FILES if name.split('_')[0] in (
    'gfl', 'atss', 'retinanet', 'tood', 'ssd', 'yolof', 'yolov3', 'vfnet', 'paa')])
def test_its_smallest_anchors_are_as_long_as_the_targets_and_as_far_apart_as_the_stride(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    head = build(load_config(FILES[name])).bbox_head
    stride = 8 if name.endswith('ours') else 2
    # VFNet has points, and anchors to assign by.
    generator = getattr(head, 'atss_prior_generator', head.prior_generator)
    anchors, = generator.grid_priors([(3, 4)], device='cpu')
    sides = (anchors[:, 2:] - anchors[:, :2]).prod(1).sqrt()
    assert sides.min().item() == pytest.approx(4, rel=1e-4)
    centres = torch.unique((anchors[:, :2] + anchors[:, 2:]).mul(50).round() / 100, dim=0)
    assert len(centres) == 12 and torch.diff(torch.unique(centres[:, 0])).eq(stride).all()


def test_width_depth_and_all_sizes_are_the_networks(monkeypatch):
    model = head_on_level(str(ROOT / 'configs/baselines/fcos_r50_densesirst.py'), NETWORK)
    head = model['bbox_head']
    assert (head['in_channels'], head['feat_channels'], head['stacked_convs'], head['strides']) == (8, 8, 1, [2])
    assert head['regress_ranges'] == ((-1, 1e8),) and head['norm_cfg'] == dict(type='BN')
    assert model['test_cfg']['max_per_img'] == 100 and model['_delete_'] is True
    assert model['backbone'] == dict(type='B') and model['neck'] == dict(type='N')


def test_changes_come_last():
    model = head_on_level(GFL, NETWORK, 8, bbox_head=dict(reg_max=4), test_cfg=dict(score_thr=0.2))
    assert model['bbox_head']['reg_max'] == 4 and model['test_cfg']['score_thr'] == 0.2
    assert model['bbox_head']['anchor_generator']['octave_base_scale'] == 4
    assert model['test_cfg']['nms']['iou_threshold'] == 0.6


@pytest.mark.parametrize(('source', 'network', 'anchor', 'message'), [
    (GFL, dict(NETWORK, bbox_head=dict(strides=[8, 16, 32])), 4, r'a bbox_head of one stride, as \[2\], not \[8, 16'),
    (GFL, dict(NETWORK, bbox_head=None), 4, 'needs a bbox_head of one stride'),
    ('mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py', NETWORK, 4, 'no one-stage detector with one bbox_head'),
    (GFL, NETWORK, 0, 'anchor=0 must be above 0'),
    (GFL, NETWORK, math.nan, 'anchor=nan'),
])
def test_what_cannot_be_put_there_is_one_line(source, network, anchor, message):
    with pytest.raises(InputError, match=message) as error:
        head_on_level(source, Config(network), anchor)
    assert '\n' not in str(error.value)
