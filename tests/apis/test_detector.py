"""``bafenet.load``: a name, a file or a work dir gives a network and its config, anything else one line."""
import shutil

import numpy as np
import pytest
import torch
from conftest import ROOT
from mmdet.apis import inference_detector, init_detector
from mmdet.registry import MODELS

import bafenet
from bafenet import weights
from bafenet.engine.options import load_config
from bafenet.errors import InputError

NAME = 'bafenet_hr_tiny'


def same_weights(one, other) -> bool:
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(name == other_name and torch.equal(value, other_value)
               for (name, value), (other_name, other_value) in pairs)


@pytest.mark.parametrize('kind', ['file', 'path', 'work dir'])
def test_a_name_a_file_and_a_work_dir_give_the_same(tmp_path, kind):
    shutil.copy(weights.find(NAME), tmp_path / 'best_densesirst_mAP_12_epoch_3.pth')
    (tmp_path / 'epoch_4.pth').write_bytes(b'not meant')
    file = tmp_path / 'best_densesirst_mAP_12_epoch_3.pth'
    named, found = bafenet.load(NAME), bafenet.load({'file': str(file), 'path': file, 'work dir': tmp_path}[kind])
    assert isinstance(found, bafenet.Detector)
    assert not found.model.training
    assert next(found.model.parameters()).device.type == 'cpu'
    assert found.cfg.to_dict() == named.cfg.to_dict() and found.cfg.model.type == 'BAFENet'
    assert same_weights(found.model, named.model)


def test_the_model_is_one_for_mmdets_functions():
    model = bafenet.load(NAME).model
    assert model.dataset_meta['classes'] == ['Target']
    sample = inference_detector(model, np.zeros((96, 96), np.uint8))
    assert sample.pred_sem_seg.sem_seg.shape == (1, 96, 96)


def test_what_cannot_be_loaded_is_one_line(tmp_path):
    torch.save(torch.load(weights.find(NAME), weights_only=True)['state_dict'], tmp_path / 'bare.pth')
    (tmp_path / 'text.pth').write_text('weights')
    (tmp_path / 'empty').mkdir()
    for name, device, message in [('bafenet_hr_huge', 'cpu', f'does not exist: .*{NAME}'),
                                  (tmp_path / 'bare.pth', 'cpu', 'bare.pth holds no config'),
                                  (tmp_path / 'text.pth', 'cpu', 'text.pth cannot be read'),
                                  (tmp_path / 'empty', 'cpu', 'empty: expected one best'),
                                  (NAME, 'gpu', "device gpu cannot be used .* give 'cpu'"),
                                  (NAME, 'cuda:99', 'device cuda:99 cannot be used')]:
        with pytest.raises(InputError, match=message) as caught:
            bafenet.load(name, device)
        assert '\n' not in str(caught.value)


GUIDED_ANCHORS = f"""_base_ = {str(ROOT / 'configs/_base_/protocols/ours.py')!r}
from bafenet.engine.detector_model import detector_model
model = detector_model(
    'mmdet::guided_anchoring/ga-retinanet_r50-caffe_fpn_1x_coco.py', _base_.protocol_model,
    backbone=dict(depth=18, base_channels=8), neck=dict(in_channels=[8, 16, 32, 64], out_channels=16),
    bbox_head=dict(in_channels=16, feat_channels=16, stacked_convs=1, loc_filter_thr=0), test_cfg=dict(score_thr=0))
"""


def test_a_head_that_takes_no_settings_predicts_as_mmdets_function(tmp_path):
    (tmp_path / 'own.py').write_text(GUIDED_ANCHORS)
    cfg = load_config(str(tmp_path / 'own.py'), ['test_dataloader.dataset.pipeline.Resize.scale=(96,96)'])
    torch.manual_seed(0)
    state = MODELS.build(cfg.model).state_dict()
    torch.save(dict(meta=dict(cfg=cfg.pretty_text, dataset_meta=dict(classes=('Target', ))), state_dict=state),
               tmp_path / 'own.pth')
    frame = np.random.default_rng(0).integers(0, 255, (96, 96), dtype=np.uint8)
    expected = inference_detector(init_detector(cfg, str(tmp_path / 'own.pth'), device='cpu'), frame).pred_instances
    assert len(expected) > 3
    found = bafenet.load(tmp_path / 'own.pth')(frame, score=expected.scores[2].item() - 1e-4, max_detections=2)
    np.testing.assert_allclose(found.boxes, expected.bboxes[:2], rtol=1e-4, atol=1e-3)
