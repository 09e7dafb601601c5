"""The rows of the table of sparse targets: what each changes, and that it trains a step on two devkits at once."""
import functools

import pytest
import torch
from conftest import ROOT
from mmdet.registry import DATASETS, MODELS

from bafenet.datasets.parts import loader_parts
from bafenet.reproduction.plan import row_config
from bafenet.reproduction.tables import select_tables

ROWS = {row.key: row for table in select_tables('sparse') for row in table.runnable}
KNOTS = (1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32)
LONE, LARGER = dict(lone_prob=0.5), dict(lone_prob=0.5, target_scale=(0.7, 6), brightness=(0.2, 3))
# Of BAGCopyPaste, whether there is jitter and an average, and the knots.
CHANGES = {
    'sparse_tiny': {}, 'sparse_lone': dict(paste=LONE), 'sparse_larger': dict(paste=LARGER),
    'sparse_jitter': dict(jitter=True), 'sparse_hard': dict(hard=True),
    'sparse_ema': dict(ema=True), 'sparse_knots': dict(knots=KNOTS),
    'sparse_all': dict(paste=LARGER, jitter=True, hard=True, ema=True, knots=KNOTS), 'sparse_small': {}}


@pytest.fixture(autouse=True)
def _in_the_checkout(monkeypatch):
    monkeypatch.chdir(ROOT)


@functools.cache
def read(key):
    return row_config(ROWS[key], 'ours')


def test_the_table_has_these_rows():
    assert list(ROWS) == list(CHANGES)


@pytest.mark.parametrize('key', CHANGES)
def test_a_row_changes_what_it_says(key):
    cfg, change = read(key), CHANGES[key]
    parts = loader_parts(cfg, 'train')
    assert [part.settings.data_root for part in parts] == ['data/SIRSTdevkit', 'data/SIRSTv2devkit']
    for number, part in enumerate(parts):
        steps = {step.type: step for step in part.pipeline}
        assert list(steps) == ['LoadInfraredImage', 'LoadSkyAnnotations', 'BalancedCrop', 'BAGCopyPaste',
                               *(['IntensityJitter'] if change.get('jitter') else []), 'RandomFlip',
                               'PackInfraredInputs']
        paste = {name: tuple(value) if isinstance(value, list) else value
                 for name, value in steps['BAGCopyPaste'].items()}
        own = dict(max_target_size=32) if number and change.get('paste') is LARGER else {}
        assert paste == dict(type='BAGCopyPaste', prob=0.5, sigma=(0.6, 1.2), visible_share=0.12,
                             **change.get('paste', {}), **own)
        assert steps['BalancedCrop'].late_epoch == 8
        assert steps['BalancedCrop'].get('hard_prob', 0) == (0.2 if change.get('hard') else 0)
    assert [hook.type for hook in cfg.custom_hooks] == ['SyncBuffersHook', *(
        name for name, kind in (('HardNegativeHook', 'hard'), ('EMAHook', 'ema')) if kind in change)]
    assert tuple(cfg.model.bbox_head.side_knots) == change.get('knots', (1, 2, 3, 4, 5, 6, 8, 16))
    test, val = (cfg[f'{name}_dataloader'].dataset for name in ('test', 'val'))
    assert (test.data_root, test.ann_file) == ('data/SIRSTv2devkit', 'Splits/val_v2.txt')
    assert (val.data_root, val.ann_file) == ('data/SIRSTdevkit', 'Splits/val_v2.txt')


def test_the_schedule_is_tiny_s_in_nine_epochs():
    cfg = read('sparse_tiny')
    warm_up, first, step, last = cfg.param_scheduler
    assert cfg.train_cfg.max_epochs == 9 and warm_up.end == 50
    assert (first.begin, first.end, first.T_max, step.milestones) == (0, 8, 8, [8])
    assert (last.begin, last.end, last.T_max) == (8, 9, 1)


def test_small_has_the_network_of_its_name():
    from bafenet.engine.options import load_config
    assert read('sparse_small').model.to_dict() == load_config(
        'configs/bafenet/bafenet_hr_small_densesirst.py').model.to_dict()


@pytest.mark.parametrize('key', ['sparse_all', pytest.param('sparse_small', marks=pytest.mark.faults)])
def test_a_row_trains_a_step_on_both(key, copy, devkit):
    torch.manual_seed(0)
    cfg = row_config(ROWS[key], 'ours')
    for part, root in zip(loader_parts(cfg, 'train'), (devkit, copy), strict=True):
        part.settings.update(data_root=str(root), ann_file='Splits/test_v2.txt', serialize_data=False)
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    assert len(dataset) == 4
    batch = [dataset[0], dataset[3]]
    network = MODELS.build(cfg.model).train()
    batch = network.data_preprocessor({key: [sample[key] for sample in batch] for key in batch[0]}, True)
    total, _ = network.parse_losses(network(**batch, mode='loss'))
    total.backward()
    assert torch.isfinite(total)
