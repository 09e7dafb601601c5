"""A detector with target masks from end to end: train on a tiny devkit, test by boxes and by pixels, fine-tune."""
import json

import cv2
import numpy as np
import pytest
import torch
from conftest import ROOT
from PIL import Image

import bafenet
from bafenet.engine import test, train
from bafenet.engine.options import load_config
from bafenet.errors import InputError

CONFIG = str(ROOT / 'configs/bafenet/bafenet_hr_tiny_masks.py')
PLAIN = str(ROOT / 'configs/bafenet/bafenet_hr_tiny_densesirst.py')
NETWORK = ['model.backbone.stage_channels=[16,16]', 'model.backbone.stage_blocks=[1,1]',
           'model.backbone.dilations=[1,1]', 'model.neck.in_channels=[16,16]', 'model.neck.out_channels=16',
           'model.bbox_head.in_channels=16', 'model.bbox_head.feat_channels=16']


@pytest.fixture(scope='module')
def options(devkit):
    loaders = [f'{loader}_dataloader.{setting}' for loader in ('train', 'val', 'test')
               for setting in (f'dataset.data_root={devkit}', 'num_workers=0', 'persistent_workers=False')]
    return [*loaders, *NETWORK, 'train_dataloader.dataset.pipeline.BalancedCrop.size=(48,48)',
            'train_dataloader.dataset.pipeline.BalancedCrop.late_size=(48,48)', 'train_dataloader.sampler.repeats=3',
            'train_dataloader.dataset.pipeline.BAGCopyPaste.prob=0', 'optim_wrapper.optimizer.lr=0.01',
            'model.test_cfg.score_thr=0.01']


@pytest.fixture(scope='module')
def trained(options, tmp_path_factory):
    """A work dir after three epochs."""
    work_dir = tmp_path_factory.mktemp('masks')
    train.train(CONFIG, work_dir=str(work_dir), cfg_options=options, epochs=3)
    return work_dir


def test_it_is_tested_by_boxes_and_by_pixels(trained, options, devkit, tmp_path):
    out = tmp_path / 'results.json'
    weights = str(trained / 'epoch_3.pth')
    metrics = test.test(CONFIG, weights, work_dir=str(tmp_path / 'log'), cfg_options=options, out=str(out))
    assert {'densesirst/mAP_12', 'densesirst/sky_iou', 'irstd/IoU', 'irstd/P_d', 'irstd/F_a'} <= set(metrics)
    results = json.loads(out.read_text())
    assert results['metrics'] == metrics
    # Both metrics' counts of a frame in one place.
    assert all({'boxes', 'gt_boxes', 'sky_overlap', 'target_overlap', 'alarm_pixels'} <= set(image)
               for image in results['images'])
    detector, both, either = bafenet.load(weights), 0, 0
    for name in (devkit / 'Splits/test_v2.txt').read_text().split():
        found = detector(cv2.imread(str(devkit / f'PNGImages/{name}.png'), cv2.IMREAD_GRAYSCALE)).target_mask > 0
        true = np.asarray(Image.open(devkit / f'SIRST/PaletteMask/{name}.png')) > 0
        both, either = both + (found & true).sum(), either + (found | true).sum()
    assert metrics['irstd/IoU'] == pytest.approx(both / either, abs=0.005) and both > 0


@pytest.mark.faults
def test_weights_without_the_mask_are_begun_with_and_not_tested(trained, options, tmp_path):
    content = torch.load(trained / 'epoch_3.pth', weights_only=False)
    mask = [name for name in content['state_dict'] if 'conv_mask' in name]
    assert len(mask) == 2
    state = {name: value for name, value in content['state_dict'].items() if name not in mask}
    torch.save(dict(meta=dict(content['meta'], cfg=load_config(PLAIN, NETWORK).pretty_text), state_dict=state),
               tmp_path / 'plain.pth')
    plain = str(tmp_path / 'plain.pth')
    with pytest.raises(InputError, match=r'conv_mask'):
        test.test(CONFIG, plain, work_dir=str(tmp_path / 'log'), cfg_options=options)
    work_dir = tmp_path / 'begun'
    train.train(CONFIG, work_dir=str(work_dir), cfg_options=[*options, f'load_from={plain}'], epochs=1)
    assert set(mask) <= torch.load(work_dir / 'epoch_1.pth', weights_only=False)['state_dict'].keys()


@pytest.mark.faults
def test_a_missing_mask_is_named_and_costs_nothing_where_it_may_be_missing(options, copy, tmp_path):
    for file in (copy / 'SIRST/PaletteMask').glob('*.png'):
        file.unlink()
    own = [option.partition('=')[0] + f'={copy}' if 'data_root' in option else option for option in options]
    with pytest.raises(InputError, match=r'PaletteMask/scene_\d+\.png'):
        train.train(CONFIG, work_dir=str(tmp_path / 'strict'), cfg_options=own, epochs=1)
    optional = [f'{loader}_dataloader.dataset.pipeline.LoadTargetMask.optional=True' for loader in ('train', 'val')]
    train.train(CONFIG, work_dir=str(tmp_path / 'run'), cfg_options=[*own, *optional], epochs=1)
    log = next((tmp_path / 'run').rglob('scalars.json')).read_text().splitlines()
    assert all(json.loads(line)['loss_mask'] == 0 for line in log if 'loss_mask' in line) and 'loss_mask' in log[0]


@pytest.mark.parametrize('option', [
    'model.bbox_head.with_mask=1', 'model.bbox_head.loss_mask.smooth=0', 'model.bbox_head.loss_mask.type=SoftIOULoss',
    'model.bbox_head.loss_mask.loss_weight=-1', 'test_dataloader.dataset.pipeline.LoadTargetMask.optional=2'])
def test_a_wrong_setting_is_named(option):
    with pytest.raises(InputError, match=option.partition('=')[0].replace('pipeline.LoadTargetMask', r'pipeline.*')):
        load_config(CONFIG, [option])
