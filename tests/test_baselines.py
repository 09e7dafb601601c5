"""The detectors of configs/baselines: under the protocol, and each learns a batch and predicts (make baselines)."""
import copy
import re

import baseline_steps as steps
import pytest
import torch
from conftest import ROOT
from mmdet.registry import MODELS
from mmengine.optim import build_optim_wrapper

from bafenet.engine.options import load_config
from bafenet.reproduction.plan import row_config
from bafenet.reproduction.tables import select_tables

NAMES = tuple(steps.FILES)
TABLE = {row.key: row for row in select_tables('VII')[0].runnable}
STEPS, SIZE, SMALL_SIZE = 10, 256, 128
MEMORY = 6  # GiB
# Their backbones compute with numbers while they are built, which the meta device has not.
NOT_ON_META = ('retinanet_effb3', 'retinanet_pvt_t')
TINY = "no target in an image of 256 px is as large as the coarsest levels' ranges or anchors"
LEFT_OUT = 'the coarsest anchors leave an image of 256 px, and are left out'
EMPTY_QUERIES = 'the first layer attends among queries whose content is zeros'
# Parameters, as NAME.PARAMETER, that have no gradient on the batch, and why.
WITHOUT_GRADIENT = {
    r'.*\.bbox_head\.scales(_refine)?\.[1-4]\.scale': TINY,
    r'centernet_r50\.neck\.fpn_convs\.4\.conv\.(weight|bias)': TINY,
    r'retinanet_effb3\.bbox_head\.reg_convs\.[34]\.\d\.bn\.(weight|bias)': TINY,
    r'(cascade|dynamic|grid|libra)_rcnn_r50\.neck\.fpn_convs\.3\.conv\.(weight|bias)': LEFT_OUT,
    r'ssd512.*\.bbox_head\.(cls|reg)_convs\.[3-6]\.0\.(weight|bias)': TINY,
    r'ssd512.*\.neck\.extra_layers\..*': TINY,
    r'(conditional|dab)_detr_r50\.decoder\.layers\.0\.self_attn\.(kcontent|qcontent|v)_proj\.weight': EMPTY_QUERIES,
}
# Seconds a step.
SLOW = ('faster_rcnn_r50_c4', *steps.LARGER)


def needs(name):
    if name == 'paa_r50':
        pytest.importorskip('sklearn', reason='PAA needs scikit-learn')


def test_all_detectors_of_the_papers_table_are_there():
    assert len(TABLE) == 25 and set(TABLE) - {'bafenet_r50'} <= set(NAMES)
    assert all(row.paper for row in TABLE.values())


@pytest.mark.parametrize('name', NAMES)
def test_each_is_under_the_protocol_and_builds(name):
    cfg, ours = load_config(steps.FILES[name]), load_config(steps.FILES['fcos_r50'])
    for part in ('train_dataloader', 'val_dataloader', 'test_dataloader', 'train_cfg', 'param_scheduler',
                 'val_evaluator', 'test_evaluator', 'randomness', 'input_size'):
        assert cfg[part] == ours[part], part
    assert {part['num_classes'] for part in steps.dicts(cfg.model) if 'num_classes' in part} <= {1}
    assert all(part['max_per_img'] <= 100 for part in steps.dicts(cfg.model.test_cfg) if 'score_thr' in part
               and 'max_per_img' in part)
    if cfg.model.backbone.type == 'ResNet':
        assert cfg.model.data_preprocessor == ours.model.data_preprocessor
        own, wanted = cfg.model.backbone, ours.model.backbone
        assert all(own[key] == wanted[key] for key in ('frozen_stages', 'norm_cfg', 'norm_eval', 'style'))
        assert own.init_cfg == dict(type='Pretrained', checkpoint=f'torchvision://resnet{own.depth}')
    with torch.device('cpu' if name in NOT_ON_META else 'meta'):
        network = MODELS.build(copy.deepcopy(cfg.model))
        optimizer = build_optim_wrapper(network, cfg.optim_wrapper).optimizer
    trained = {id(parameter) for group in optimizer.param_groups for parameter in group['params']}
    assert trained == {id(parameter) for parameter in network.parameters() if parameter.requires_grad}


# As their FLOPs in Table VII say.
OF_FCOS_STYLE = ('fcos_r50', 'bafenet_r50', 'centernet_r50', 'yolof_r50', 'autoassign_r50', 'faster_rcnn_r50_c4')


@pytest.mark.parametrize('name', TABLE)
def test_the_papers_protocol_changes_normalisation_and_style_alone(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    paper, ours = (row_config(TABLE[name], protocol) for protocol in ('paper', 'ours'))
    assert paper.train_dataloader.dataset.box_origin == 1 and ours.train_dataloader.dataset.box_origin == 0
    assert paper.optim_wrapper.optimizer.type == 'DAdaptAdam'
    if paper.model.backbone.type == 'ResNet':
        caffe = name in OF_FCOS_STYLE
        assert paper.model.backbone.style == ('caffe' if caffe else 'pytorch')
        assert (paper.model.data_preprocessor.std == [1.0, 1.0, 1.0]) == caffe
    for cfg in (paper, ours):
        for part in steps.dicts(cfg.model):
            part.pop('style', None)
            if part.get('type') == 'DetDataPreprocessor':
                for key in ('mean', 'std', 'bgr_to_rgb'):
                    del part[key]
    assert paper.model == ours.model


def test_anchors_for_tiny_targets_overlap_them():
    """The least IoU of a 3-px target with its best anchor, over all its places on a grid of tenths of a pixel."""
    from mmdet.registry import TASK_UTILS
    from mmdet.structures.bbox import bbox_overlaps

    def least(cfg):
        generator = TASK_UTILS.build((cfg.model.get('rpn_head') or cfg.model.bbox_head).anchor_generator)
        stride = generator.strides[0][0]
        anchors = generator.single_level_grid_priors((5, 5), 0, device='cpu')
        places = torch.cartesian_prod(*[torch.arange(2 * stride, 3 * stride, 0.1)] * 2)
        return bbox_overlaps(torch.cat([places, places + 3], dim=1), anchors).amax(dim=1).min().item()

    for name in ('retinanet_r50', 'faster_rcnn_r50', 'ssd512'):
        released, tiny = (least(load_config(steps.FILES[key])) for key in (name, f'{name}_tiny_anchors'))
        assert 0 < released < tiny / 2, name


def test_losses_are_those_of_the_batch():
    """What the proof below rests on: its images show what its boxes say."""
    data = steps.batch(SIZE, (True, False))
    with_targets, without = data['data_samples']
    boxes = with_targets.gt_instances.bboxes
    assert len(boxes) == 9 and not len(without.gt_instances)
    assert (boxes >= 0).all() and (boxes <= SIZE).all()
    x1, y1, x2, y2 = boxes[0].int().tolist()
    assert data['inputs'][0][:, y1:y2, x1:x2].min() > 130 > data['inputs'][1].max()


@pytest.mark.parametrize('name', [name for name in NAMES if name not in SLOW][::3])
def test_a_third_takes_a_step_and_predicts(name):
    needs(name)
    network = steps.build(steps.read(name, small=True))
    data = steps.batch(steps.LARGER.get(name, SMALL_SIZE), (True, ))
    (loss, ), _ = steps.train(network, data, 1)
    assert loss > 0
    sample, = steps.predict(network, data)
    assert sample.pred_instances.bboxes.shape[1:] == (4, ) and sample.pred_instances.bboxes.isfinite().all()


@pytest.mark.baselines
@pytest.mark.parametrize('name', NAMES)
def test_each_learns_a_batch_and_predicts(name):
    needs(name)
    network = steps.build(steps.read(name, small=True))
    size, images = steps.LARGER.get(name, SIZE), 1 if name in steps.LARGER else 2
    data, rate = steps.batch(size, (True, ) * images), steps.LOWER_RATES.get(name, steps.RATE)
    losses, idle = steps.train(network, data, STEPS, rate)
    assert all(0 < loss < float('inf') for loss in losses)
    late = losses[-3:]
    assert sum(late) / len(late) < losses[0]
    unexplained = [parameter for parameter in sorted(idle) if not any(
        re.fullmatch(pattern, f'{name}.{parameter}') for pattern in WITHOUT_GRADIENT)]
    assert not unexplained
    # Frames without a target, among others and alone.
    for targets in ((True, False), (False, False)):
        for epoch in (steps.FIRST_EPOCH, steps.LATE_EPOCH) if name == 'tood_r50' else (steps.FIRST_EPOCH, ):
            found = steps.losses_of(network, steps.batch(size, targets[-images:]), epoch)
            assert all(loss.isfinite().all() for loss in found.values())
    samples = steps.predict(network, steps.batch(size, (True, ) * images))
    for sample in samples:
        found = sample.pred_instances
        assert len(found.bboxes) == len(found.scores) == len(found.labels) <= 100
        assert not found.labels.any() and found.bboxes.isfinite().all()
    assert steps.peak_memory() < MEMORY
