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
PASTE = dict(prob=0.5, sigma=(0.6, 1.2), visible_share=0.12)
LONE = dict(PASTE, lone_prob=1.0, num_lone=(1, 4), max_target_size=32, target_scale=(0.7, 2.0), brightness=(0.4, 1.5))
# Parts of the data, what the sparse ones are pasted with, and whether they are resized, jittered and so on.
FREQUENT = dict(parts=3)
SCALED = dict(FREQUENT, scaled=True)
PASTED = dict(SCALED, pastes=(None, LONE))
JITTERED = dict(PASTED, jitter=(True, ) * 3)
CHANGES = {
    'sparse_tiny': dict(pastes=(PASTE, )), 'sparse_unpasted': {}, 'sparse_frequent': FREQUENT, 'sparse_scales': SCALED,
    'sparse_lone': PASTED, 'sparse_jitter': JITTERED, 'sparse_ours': dict(PASTED, jitter=(False, True, True)),
    'sparse_hard': dict(PASTED, hard=(0.2, 0.4, 0)),
    'sparse_ema': dict(JITTERED, ema=True), 'sparse_small': JITTERED}


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
    sparse = change.get('parts', 2) - 1
    assert [part.settings.data_root for part in parts] == ['data/SIRSTdevkit', *['data/SIRSTv2devkit'] * sparse]
    assert [part.settings.get('only_with_targets', False) for part in parts] == [False, False, True][:1 + sparse]
    pastes = (PASTE, *change.get('pastes', (None, ) * sparse))
    hard = change.get('hard', (0, ) * 3)
    jitter = change.get('jitter', (False, ) * 3)
    for number, part in enumerate(parts):
        steps = {step.type: step for step in part.pipeline}
        paste = pastes[number]
        assert list(steps) == ['LoadInfraredImage', 'LoadSkyAnnotations',
                               *(['RandomChoice'] if number and change.get('scaled') else []), 'BalancedCrop',
                               *(['BAGCopyPaste'] if paste else []),
                               *(['IntensityJitter'] if jitter[number] else []), 'RandomFlip', 'PackInfraredInputs']
        if paste:
            assert {name: tuple(value) if isinstance(value, list) else value
                    for name, value in steps['BAGCopyPaste'].items()} == dict(type='BAGCopyPaste', **paste)
        crop = steps['BalancedCrop']
        assert crop.late_epoch == 8 and crop.get('hard_prob', 0) == hard[number]
        of_sparse = number and sparse == 2
        assert crop.target_prob == (0.4 if of_sparse and hard[number] else 0.7 if of_sparse else 0.5)
    assert [hook.type for hook in cfg.custom_hooks] == ['SyncBuffersHook', *(
        name for name, kind in (('HardNegativeHook', 'hard'), ('EMAHook', 'ema')) if kind in change)]
    # Sides of up to 32 px, as long as real targets are.
    assert cfg.model.bbox_head.side_knots[-1] == 32
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


@pytest.mark.parametrize('key', ['sparse_unpasted', 'sparse_jitter'])
def test_an_epoch_of_a_row_has_as_many_steps_as_of_the_others(key):
    cfg = read(key)
    visits = (512, 512, 2 * 257)  # train_v2's frames, and twice those of its sparse ones that have targets
    frames = sum(visits[:len(loader_parts(cfg, 'train'))])
    assert round(cfg.train_dataloader.sampler.repeats * frames) // cfg.train_dataloader.batch_size == 128


@pytest.mark.parametrize('key', ['sparse_jitter', pytest.param('sparse_small', marks=pytest.mark.faults)])
def test_a_row_trains_a_step_on_both(key, copy, devkit):
    torch.manual_seed(0)
    cfg = row_config(ROWS[key], 'ours')
    for part, root in zip(loader_parts(cfg, 'train'), (devkit, copy, copy), strict=True):
        part.settings.update(data_root=str(root), ann_file='Splits/test_v2.txt', serialize_data=False)
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    assert len(dataset) == 8
    batch = [dataset[0], dataset[3], dataset[7]]
    network = MODELS.build(cfg.model).train()
    batch = network.data_preprocessor({key: [sample[key] for sample in batch] for key in batch[0]}, True)
    total, _ = network.parse_losses(network(**batch, mode='loss'))
    total.backward()
    assert torch.isfinite(total)


@pytest.mark.parametrize(('key', 'more'), [('bridge_none', []), ('bridge_noise', ['NoiseDisplacement']),
                                           ('bridge_negatives', ['NoiseDisplacement', 'NegativeAugmentation'])])
def test_the_rows_of_the_bridge_add_steps_to_every_part(key, more):
    rows = {row.key: row for table in select_tables('bridge') for row in table.runnable}
    parts = zip(*(loader_parts(cfg, 'train') for cfg in (row_config(rows[key], 'ours'), read('sparse_ours'))),
                strict=True)
    for part, base in parts:
        types, own = ([step.type for step in one.pipeline] for one in (part, base))
        assert types == [*own[:-2], *more, *own[-2:]]
