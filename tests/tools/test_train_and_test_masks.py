"""Segmentors from end to end: the configs' settings, and train, resume, test and pictures on a few small frames."""
import json

import cv2
import numpy as np
import pytest
import torch
from conftest import ROOT
from mmdet.registry import MODELS
from scipy import ndimage

import bafenet
from bafenet.engine import test, train
from bafenet.engine.checkpoints import load_from_local
from bafenet.engine.network import build_network, trained_config
from bafenet.engine.options import load_config
from bafenet.errors import InputError

CONFIGS = sorted((ROOT / 'configs/segmentation').glob('*.py'))
PARAMETERS = dict(nested_unet_r34_nudt=8_792_702, nested_unet_r18_nudt=4_696_888, additive_unet_nudt=525_169)


@pytest.fixture(scope='module')
def frames(tmp_path_factory):
    """14 grey frames with one target each, of a size that is no multiple of 16, as NUDT-SIRST is laid out."""
    root, rng = tmp_path_factory.mktemp('frames'), np.random.default_rng(0)
    for folder in ('images', 'masks', 'splits'):
        (root / folder).mkdir()
    names = [f'{number:06}' for number in range(14)]
    for name in names:
        image, mask = rng.integers(40, 80, (40, 56), dtype=np.uint8), np.zeros((40, 56), np.uint8)
        top, left = rng.integers(4, 30, 2)
        mask[top:top + 4, left:left + 4] = 255
        image[mask > 0] = 220
        cv2.imwrite(str(root / 'images' / f'{name}.png'), image)
        cv2.imwrite(str(root / 'masks' / f'{name}.png'), mask)
    for split, part in (('train', names[:10]), ('test', names[10:])):
        (root / 'splits' / f'{split}.txt').write_text('\n'.join(part) + '\n')
    return root


@pytest.fixture(scope='module')
def options(frames):
    loaders = [f'{loader}_dataloader.{setting}' for loader in ('train', 'val', 'test')
               for setting in (f'dataset.data_root={frames}', 'num_workers=0', 'persistent_workers=False')]
    return [*loaders, 'train_dataloader.batch_size=4', 'train_dataloader.dataset.holdout=2',
            'val_dataloader.dataset.holdout=2', 'train_dataloader.dataset.pipeline.BalancedCrop.size=(32,32)',
            'model.backbone.widths=[16,24]', 'model.backbone.blocks=[1,1]', 'train_cfg.val_interval=2']


@pytest.fixture(scope='module')
def trained(options, tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('masks')
    config = str(ROOT / 'configs/segmentation/additive_unet_nudt.py')
    train.train(config, work_dir=str(work_dir), cfg_options=[*options, 'train_cfg.max_epochs=2'])
    train.train(config, work_dir=str(work_dir), cfg_options=[*options, 'train_cfg.max_epochs=4'], resume='auto')
    return config, work_dir


@pytest.mark.parametrize('config', CONFIGS, ids=lambda file: file.stem)
def test_configs(config):
    cfg = load_config(str(config))
    with torch.device('meta'):
        network = MODELS.build(cfg.model)
    assert sum(parameter.numel() for parameter in network.parameters()) == PARAMETERS[config.stem]
    steps = [step.type for step in cfg.train_dataloader.dataset.pipeline]
    assert steps.index('LoadTargetMask') < steps.index('BalancedCrop') < steps.index('PackInfraredInputs')
    assert cfg.auto_scale_lr.base_batch_size == cfg.train_dataloader.batch_size == 16
    assert cfg.optim_wrapper.type == 'BFloat16OptimWrapper' and cfg.optim_wrapper.optimizer.lr == 2e-3
    train_set, val_set = cfg.train_dataloader.dataset, cfg.val_dataloader.dataset
    assert train_set.holdout == val_set.holdout == 100 and val_set.held_out and not train_set.get('held_out')
    assert cfg.test_dataloader.dataset.ann_file == 'splits/test.txt'


@pytest.mark.parametrize('option', [
    'model.backbone.depth=50', 'model.backbone.nested=1', 'model.backbone.in_channels=2', 'model.backbone.type=ResNot',
    'model.loss_mask.reduction=sum', 'model.loss_mask.smooth=0', 'model.loss_mask.type=SoftIOULoss',
    'model.output_weights=[1,-1]', 'model.loss_mask.smoothness=1'])
def test_a_wrong_setting_is_named(option):
    with pytest.raises(InputError, match=option.partition('=')[0]):
        load_config(str(ROOT / 'configs/segmentation/nested_unet_r18_nudt.py'), [option])


def test_train_resume_and_test(trained, options, tmp_path):
    config, work_dir = trained
    assert (work_dir / 'epoch_4.pth').is_file() and list(work_dir.glob('best_irstd_IoU*'))
    checkpoint = load_from_local(str(work_dir / 'epoch_4.pth'), map_location='cpu')
    network = build_network(trained_config(checkpoint, 'it'), checkpoint, 'it')
    out, pictures = tmp_path / 'results.json', tmp_path / 'pictures'
    metrics = test.test(config, str(work_dir / 'epoch_4.pth'), work_dir=str(tmp_path / 'log'), cfg_options=options,
                        out=str(out), show_dir=str(pictures))
    assert {'irstd/IoU', 'irstd/P_d', 'irstd/F_a'} <= set(metrics)
    assert json.loads(out.read_text())['metrics'] == metrics
    assert len(list(pictures.rglob('*.*'))) == 4
    # The same frames by --data; and a training that goes on from there, on all of them.
    moved = [option for option in options if 'num_workers' in option or 'persistent' in option]
    root = options[0].partition('=')[2]
    assert test.test(config, str(work_dir / 'epoch_4.pth'), work_dir=str(tmp_path / 'log'), data=root,
                     cfg_options=[*moved, *(option for option in options if 'backbone' in option)]) == metrics
    tuned = tmp_path / 'tuned'
    train.train(config, work_dir=str(tuned), data=root, weights=str(work_dir / 'epoch_4.pth'), epochs=1, trainval=True,
                cfg_options=[option for option in options if option.startswith(('train', 'model', 'test'))
                             and 'dataset.data_root' not in option and 'holdout' not in option
                             and 'val_interval' not in option])
    own = load_from_local(str(tuned / 'epoch_1.pth'), map_location='cpu')
    assert own['meta']['iter'] == 3  # ten frames, four at once
    start = checkpoint['state_dict']['backbone.heads.0.weight']
    assert 0 < (own['state_dict']['backbone.heads.0.weight'] - start).abs().max() < 0.05
    detector = bafenet.load(work_dir / 'epoch_4.pth')
    # The metric's IoU, from the network alone, on frames that it pads itself.
    both = either = 0
    for number in range(10, 14):
        image = cv2.imread(f'{root}/images/{number:06}.png', cv2.IMREAD_GRAYSCALE)
        true = cv2.imread(f'{root}/masks/{number:06}.png', cv2.IMREAD_GRAYSCALE) > 0
        padded = np.zeros((1, 1, 48, 64), np.float32)
        padded[0, 0, :40, :56] = (image - 107.81) / 33.03
        with torch.no_grad():
            found = network.backbone(torch.from_numpy(padded))[-1][0, 0, :40, :56].numpy() > 0
        # As a detector it gives the mask's components.
        assert len(detector(image).boxes) == ndimage.label(found, np.ones((3, 3)))[1]
        both, either = both + (found & true).sum(), either + (found | true).sum()
    assert both > 0
    assert metrics['irstd/IoU'] == pytest.approx(both / either, abs=0.005)
