"""Networks and configs of other people: mmdet's doors do with them what they do without our changes."""
import cv2
import numpy as np
import pytest
import torch
from mmdet.apis import DetInferencer, inference, inference_detector, init_detector
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

MODEL = dict(
    type='RetinaNet',
    data_preprocessor=dict(type='DetDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
                           bgr_to_rgb=True, pad_size_divisor=32),
    backbone=dict(type='ResNet', depth=18, out_indices=(2, 3), norm_cfg=dict(type='BN'), norm_eval=True),
    neck=dict(type='FPN', in_channels=[256, 512], out_channels=16, num_outs=2),
    bbox_head=dict(type='RetinaHead', num_classes=3, in_channels=16, feat_channels=16, stacked_convs=1,
                   anchor_generator=dict(type='AnchorGenerator', scales=[4], ratios=[1.0], strides=[16, 32]),
                   bbox_coder=dict(type='DeltaXYWHBBoxCoder')),
    test_cfg=dict(nms_pre=100, score_thr=0.0, nms=dict(type='nms', iou_threshold=0.5), max_per_img=20))
PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(96, 96), keep_ratio=True),
    dict(type='PackDetInputs', meta_keys=('ori_shape', 'img_shape', 'scale_factor'))]
# What is replaced, by owner.
REPLACED = [(inference, 'get_test_pipeline_cfg'), (inference, 'load_checkpoint'),
            *((DetInferencer, name) for name in ('_init_pipeline', '_inputs_to_list', '_load_weights_to_model',
                                                 'visualize', 'pred2dict'))]


def other_config(pipeline) -> Config:
    dataset = dict(type='CocoDataset', ann_file='absent.json', metainfo=dict(classes=('a', 'b', 'c')),
                   pipeline=pipeline)
    return Config(dict(default_scope='mmdet', model=MODEL, test_dataloader=dict(dataset=dataset),
                       visualizer=dict(type='DetLocalVisualizer')))


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    """Random weights, one of which the network has not and one of which is missing, as mmdet lets pass."""
    init_default_scope('mmdet')
    torch.manual_seed(0)
    state = MODELS.build(MODEL).state_dict()
    state['another'] = state.pop('neck.fpn_convs.1.conv.bias')
    file = tmp_path_factory.mktemp('other') / 'other.pth'
    torch.save(dict(meta=dict(cfg=other_config(PIPELINE).pretty_text, dataset_meta=dict(CLASSES=('a', 'b', 'c'))),
                    state_dict=state), file)
    return str(file)


def predictions(weights, folder, path) -> list:
    """What both doors give for a file and an array, and the bytes that are written."""
    colour = cv2.imread(path)
    torch.manual_seed(0)
    model = init_detector(other_config(PIPELINE), weights, device='cpu')
    found = [inference_detector(model, frame).pred_instances for frame in (path, colour)]
    torch.manual_seed(0)
    inferencer = DetInferencer(other_config(PIPELINE), weights, device='cpu', show_progress=False)
    results = [inferencer(frame, out_dir=str(folder), no_save_pred=False)['predictions'] for frame in (path, colour)]
    files = {file.relative_to(folder): file.read_bytes() for file in folder.rglob('*') if file.is_file()}
    return [*((item.bboxes.tolist(), item.scores.tolist()) for item in found), results, files]


def test_another_network_is_as_without_our_changes(weights, tmp_path, monkeypatch):
    path = str(tmp_path / 'frame.png')
    cv2.imwrite(path, np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8))
    ours = predictions(weights, tmp_path / 'ours', path)
    for owner, name in REPLACED:
        monkeypatch.setattr(owner, name, getattr(owner, name).__wrapped__)
    assert ours == predictions(weights, tmp_path / 'mmdets', path)
    assert len(ours[0][0]) and len(ours[-1]) == 4


def test_a_config_of_classes_instead_of_names(weights, tmp_path):
    """mmengine's new style, which mmdet's own configs/ have."""
    from mmcv.transforms import LoadImageFromFile
    path = str(tmp_path / 'frame.png')
    cv2.imwrite(path, np.zeros((60, 80, 3), np.uint8))
    steps = [dict(type=LoadImageFromFile), *PIPELINE[1:]]
    model = init_detector(other_config(PIPELINE), weights, device='cpu')
    model.cfg.test_dataloader.dataset.pipeline = steps
    assert len(inference_detector(model, path).pred_instances)
    cfg = other_config(PIPELINE)
    cfg.test_dataloader.dataset.pipeline = steps
    assert DetInferencer(cfg, weights, device='cpu', show_progress=False)(path)['predictions']
