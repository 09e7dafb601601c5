"""The rows of the tables that test on several datasets: what each trains on, for how long, and what it is tested on."""
import functools

import pytest
import torch
from conftest import ROOT
from mmdet.registry import DATA_SAMPLERS, DATASETS, MODELS

from bafenet.datasets.parts import loader_parts
from bafenet.engine.options import load_config
from bafenet.reproduction.plan import row_config
from bafenet.reproduction.tables import select_tables

ROWS = {row.key: row for name in ('across', 'semantics') for table in select_tables(name) for row in table.runnable}
ROOTS = dict(dense='data/SIRSTdevkit', sparse='data/SIRSTv2devkit', nudt='data/NUDTdevkit')
FRAMES = dict(dense=512, sparse=512, nudt=663)  # in their training lists
TRAINED_ON = dict(across_dense=['dense'], across_sparse=['sparse'], across_nudt=['nudt'], across_all=[*ROOTS])


@pytest.fixture(autouse=True)
def _in_the_checkout(monkeypatch):
    monkeypatch.chdir(ROOT)


@functools.cache
def read(key, test=None):
    return row_config(ROWS[key], 'ours', test=test)


@pytest.mark.parametrize('key', TRAINED_ON)
def test_a_row_trains_on_what_it_says_for_as_many_steps_as_the_others(key):
    cfg, names = read(key), TRAINED_ON[key]
    parts = loader_parts(cfg, 'train')
    assert [part.settings.data_root for part in parts] == [ROOTS[name] for name in names]
    for name, part in zip(names, parts, strict=True):
        assert part.settings.ann_file == 'Splits/train_v2.txt'
        assert part.settings.get('sky', 'required') == ('none' if name == 'nudt' else 'required')
        steps = [step.type for step in part.pipeline]
        assert ('BAGCopyPaste' in steps) == (name == 'dense') and 'BalancedCrop' in steps
    frames = range(sum(FRAMES[name] for name in names))
    sampler = DATA_SAMPLERS.build(cfg.train_dataloader.sampler, default_args=dict(dataset=frames, seed=0))
    assert len(sampler) == 128 * cfg.train_dataloader.batch_size
    # Only the last epoch is validated, so that none is picked.
    assert cfg.train_cfg.max_epochs == cfg.train_cfg.val_interval == 9
    assert cfg.val_dataloader.dataset.data_root == ROOTS['dense']


def test_the_rows_of_semantics_train_on_the_mix_of_sparse_jitter():
    cfg = load_config('configs/tables/rows/sparse_jitter.py')
    for key in ROWS:
        if key.startswith('semantics'):
            assert read(key).train_dataloader == cfg.train_dataloader


@pytest.mark.parametrize('name', FRAMES)
def test_the_training_lists_have_that_many_frames(name):
    split = ROOT / ROOTS[name] / 'Splits/train_v2.txt'
    if not split.is_file():
        pytest.skip(f'{ROOTS[name]} is not here')
    assert len(split.read_text().split()) == FRAMES[name]


@pytest.mark.parametrize('key', ROWS)
def test_a_row_is_tested_on_no_frame_that_a_reader_keeps_for_the_end(key):
    tests = {name: read(key, name).test_dataloader.dataset for name in ROWS[key].tests}
    assert list(tests) == ([*ROOTS] if key.startswith('across') else ['dense', 'sparse'])
    for name, dataset in tests.items():
        assert dataset.data_root == ROOTS[name] and dataset.test_mode
        assert dataset.ann_file == ('Splits/test_v2.txt' if name == 'nudt' else 'Splits/val_v2.txt')
        assert dataset.get('sky', 'required') == ('none' if name == 'nudt' else 'required')


def test_the_rows_of_semantics_add_one_part_each():
    heads = {key.removeprefix('semantics_'): read(key).model.bbox_head for key in ROWS if key.startswith('semantics')}
    assert list(heads) == ['no_sky', 'sky', 'exchange', 'adapter']
    assert [head.get('with_seg', True) for head in heads.values()] == [False, True, True, True]
    assert heads['sky'].exchange is None and heads['exchange'].exchange.adapter is None
    assert heads['adapter'].exchange.adapter.type == 'MLPAdapter'
    assert len({repr(sorted((name, value) for name, value in head.to_dict().items()
                            if name not in ('with_seg', 'exchange'))) for head in heads.values()}) == 1


@pytest.mark.parametrize('key', ['across_nudt', 'across_all'])
def test_a_row_trains_a_step_on_frames_without_sky_maps(key, copy, devkit):
    torch.manual_seed(0)
    cfg = row_config(ROWS[key], 'ours')
    for part in loader_parts(cfg, 'train'):
        root = copy if part.settings.get('sky') == 'none' else devkit
        part.settings.update(data_root=str(root), ann_file='Splits/test_v2.txt', serialize_data=False)
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    batch = [dataset[0], dataset[len(dataset) - 1]]
    assert (batch[1]['data_samples'].gt_sem_seg.sem_seg == 255).all()
    network = MODELS.build(cfg.model).train()
    batch = network.data_preprocessor({key: [sample[key] for sample in batch] for key in batch[0]}, True)
    total, losses = network.parse_losses(network(**batch, mode='loss'))
    total.backward()
    assert torch.isfinite(total) and (losses['loss_seg'] == 0) == (key == 'across_nudt')
