"""The configs: protocols as stated, one statement of each setting, every network builds and learns."""
import math

import pytest
import torch
from conftest import ROOT, train_a_step_and_predict
from mmengine.registry import PARAM_SCHEDULERS

from bafenet.engine.options import load_config

# tests/reproduction/test_rows_of_tables.py has the rows of the tables, tests/tools/test_train_and_test_masks.py the
# networks that segment, tests/test_baselines.py the other detectors.
FILES = sorted(str(file.relative_to(ROOT / 'configs')) for file in (ROOT / 'configs').rglob('*.py')
               if not {'_base_', 'tables', 'segmentation'} & set(file.parts)
               and (file.parent.name != 'baselines' or file.name.startswith('fcos')))
NETWORKS = [f'{network}_{depth}{kind}_densesirst.py' for network in ('bafenet/bafenet', 'baselines/fcos')
            for depth in ('r18', 'r50') for kind in ('', '_paper')]


def read(name):
    return load_config(str(ROOT / 'configs' / name))


def data_of(cfg):
    """The splits of training, validation and test, and where their boxes begin."""
    datasets = [loader.dataset for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader)]
    return ([dataset.ann_file.removeprefix('Splits/').removesuffix('.txt') for dataset in datasets],
            {dataset.box_origin for dataset in datasets})


def test_the_named_configs_exist():
    assert set(NETWORKS) <= set(FILES) and 'demo/bafenet_r18_demo.py' in FILES


@pytest.mark.parametrize('name', [name for name in NETWORKS if '_paper' not in name])
def test_our_protocol(name):
    cfg = read(name)
    assert data_of(cfg) == (['train_v2', 'val_v2', 'test_v2'], {0})
    assert not cfg.val_evaluator.legacy_coordinates and not cfg.test_evaluator.legacy_coordinates
    assert cfg.model.backbone.style == 'pytorch'
    # Torchvision's weights expect RGB in [0, 1] with these statistics, here times 255.
    statistics = cfg.model.data_preprocessor
    assert torch.allclose(torch.tensor(statistics.mean) / 255, torch.tensor([0.485, 0.456, 0.406]), atol=1e-3)
    assert torch.allclose(torch.tensor(statistics.std) / 255, torch.tensor([0.229, 0.224, 0.225]), atol=1e-3)
    assert statistics.bgr_to_rgb


@pytest.mark.parametrize('name', [name for name in NETWORKS if '_paper' in name])
def test_the_papers_protocol(name):
    cfg = read(name)
    assert data_of(cfg) == (['trainval_v2', 'test_v2', 'test_v2'], {1})
    assert cfg.val_evaluator.legacy_coordinates and cfg.test_evaluator.legacy_coordinates
    assert cfg.default_hooks.checkpoint.save_best == ['densesirst/mAP_07_legacy', 'densesirst/mAP_12_legacy']
    assert cfg.model.backbone.style == 'caffe' and not cfg.model.data_preprocessor.bgr_to_rgb
    assert cfg.model.data_preprocessor.std == [1, 1, 1]


@pytest.mark.parametrize('name', NETWORKS)
def test_the_papers_schedule(name):
    cfg = read(name)
    assert cfg.train_cfg.max_epochs == 20 and cfg.train_dataloader.batch_size == 2
    assert cfg.train_dataloader.sampler.repeats == 3
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr, optimizer.weight_decay, optimizer.decouple) == ('DAdaptAdam', 1, 0.05, True)
    assert cfg.optim_wrapper.paramwise_cfg == dict(norm_decay_mult=0, bias_decay_mult=0)
    assert [(step.type, step.get('milestones'), step.get('end')) for step in cfg.param_scheduler] == [
        ('ConstantLR', None, 500), ('MultiStepLR', [8, 16], 20)]


@pytest.mark.parametrize('name', NETWORKS)
def test_backbones(name):
    backbone = read(name).model.backbone
    assert backbone.frozen_stages == -1
    assert backbone.init_cfg.checkpoint == f'torchvision://resnet{backbone.depth}'
    assert not backbone.norm_cfg.requires_grad and backbone.norm_eval


def narrowed(cfg):
    """The same network with a narrow backbone and head, so that a step on a CPU takes little."""
    backbone = cfg.model.backbone
    backbone.init_cfg = None
    if backbone.type == 'ResNet' and 'base_channels' not in backbone:
        expansion = 4 if backbone.depth >= 50 else 1
        backbone.update(base_channels=4, stem_channels=4)
        cfg.model.neck.update(in_channels=[4 * expansion * 2**i for i in range(4)], out_channels=32)
        cfg.model.bbox_head.update(in_channels=32, feat_channels=32, stacked_convs=1)
    return cfg


@pytest.mark.parametrize('name', FILES)
def test_every_network_trains_a_step_and_predicts_on_its_own_pipelines(name, devkit):
    cfg = narrowed(read(name))
    sample = train_a_step_and_predict(cfg, devkit)
    assert sample.gt_sem_seg.sem_seg.shape == (1, 64, 64)
    if cfg.model.type == 'BAFENet' and cfg.model.bbox_head.get('with_seg', True):
        assert sample.pred_sem_seg.sem_seg.shape == (1, 64, 64)


def test_bag_cp_is_on_in_bafe_net_and_off_in_the_baselines():
    for name in NETWORKS:
        pipeline = [step.type for step in read(name).train_dataloader.dataset.pipeline]
        assert ('BAGCopyPaste' in pipeline) == name.startswith('bafenet')
        if 'BAGCopyPaste' in pipeline:
            # Ours pastes native pixels, the paper's release into the resized image.
            assert (pipeline.index('BAGCopyPaste') > pipeline.index('Resize')) == ('_paper' in name)


@pytest.mark.parametrize('name', [name for name in FILES if 'paper' not in name])
def test_a_config_as_it_is_needs_no_scaling_of_its_rate(name):
    cfg = read(name)
    assert cfg.auto_scale_lr.base_batch_size == cfg.train_dataloader.batch_size


def test_each_size_of_native_windows_has_a_cosine_of_its_own():
    cfg = read('bafenet/bafenet_hr_tiny_densesirst.py')
    window, = (step for step in cfg.train_dataloader.dataset.pipeline if step.type == 'BalancedCrop')
    late, last, steps, rate = window.late_epoch, cfg.train_cfg.max_epochs, 100, cfg.optim_wrapper.optimizer.lr
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=rate)
    schedulers = [PARAM_SCHEDULERS.build(step, default_args=dict(optimizer=optimizer, epoch_length=steps))
                  for step in cfg.param_scheduler]
    rates = []
    for _ in range(last):
        for _ in range(steps):
            rates.append(optimizer.param_groups[0]['lr'])
            optimizer.step()
            for scheduler in (one for one in schedulers if not one.by_epoch):
                scheduler.step()
        for scheduler in (one for one in schedulers if one.by_epoch):
            scheduler.step()

    def cosine(first, step, end):
        return 0.01 * rate + (first - 0.01 * rate) * (1 + math.cos(math.pi * step / end)) / 2

    # The warm-up, of 50 steps, and the cosine below it multiply.
    expected = [cosine(rate, step, late * steps) for step in range(50, late * steps)]
    expected += [cosine(0.35 * rate, step, (last - late) * steps) for step in range((last - late) * steps)]
    assert rates[50:] == pytest.approx(expected, rel=0.02)
    assert rates[0] == pytest.approx(0.1 * rate)
