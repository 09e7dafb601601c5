"""The rows of the table of what the synthesis is worth: equal steps, what each adds, and that no epoch is picked."""
import math

import pytest
from conftest import ROOT

from bafenet.engine.schedule import iterations_of_epoch
from bafenet.reproduction.plan import row_config
from bafenet.reproduction.tables import select_tables

ROWS = {row.key: row for table in select_tables('synthesis') for row in table.runnable}
FRAMES = 663
AUGMENTATION = ['BalancedCrop', 'RandomFlip', 'RandomTranspose', 'PackInfraredInputs']
ADDED = {'none': [], 'contrast': ['IntensityJitter'], 'noise': ['RandomChoice'], 'negatives': ['RandomChoice'],
         'frames': ['RandomChoice'], 'sets': ['RandomChoice']}


@pytest.fixture(autouse=True)
def _in_the_checkout(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_all_of_them_on_all_frames_and_on_a_quarter():
    assert list(ROWS) == [f'synthesis_{part}{name}' for part in ('', 'quarter_') for name in ADDED]


@pytest.mark.parametrize('key', ROWS)
def test_a_row_adds_what_it_says_in_as_many_steps(key):
    cfg, name, quarter = row_config(ROWS[key], 'ours'), key.split('_')[-1], 'quarter' in key
    data = cfg.train_dataloader.dataset
    assert [step.type for step in data.pipeline] == ['LoadInfraredImage', 'LoadTargetMask', *ADDED[name], *AUGMENTATION]
    frames = FRAMES - data.holdout
    assert frames == (math.ceil(FRAMES / 4) if quarter else FRAMES)
    assert iterations_of_epoch(cfg, frames) * cfg.train_cfg.max_epochs == 2100
    assert cfg.model.loss_mask.type == ('NegativeSetLoss' if name == 'sets' else 'SoftIoULoss')
    assert (cfg.model.loss_mask.get('reduction') == 'mean') == (name == 'frames')
    assert (cfg.train_dataloader.sampler.type == 'NegativeSetSampler') == (name == 'sets')
    if name == 'contrast':
        assert {key for key, value in data.pipeline[2].items() if value == 0} == {
            'gamma_prob', 'noise_prob', 'blur_prob'}
    as_in_the_set = 4335 / 4998, [3672 / 4335]
    mixed, negatives = {'noise': (0.5, []), 'negatives': as_in_the_set, 'frames': as_in_the_set,
                        'sets': (4335 / 4998, [1])}.get(name, (0, []))
    if mixed:
        noise, *rotated = data.pipeline[2].transforms[1]
        assert data.pipeline[2].transforms[0] == [] and data.pipeline[2].prob[1] == pytest.approx(mixed)
        assert noise.alpha == 0.1 and [(step.size, step.prob) for step in rotated] == [(3, prob) for prob in negatives]


@pytest.mark.parametrize('key', ROWS)
def test_the_last_epoch_is_taken_and_the_test_split_picks_none(key):
    cfg = row_config(ROWS[key], 'ours')
    assert cfg.train_cfg.val_interval == cfg.train_cfg.max_epochs == cfg.param_scheduler[1].end == 50
    assert cfg.test_dataloader.dataset.ann_file == 'splits/test.txt'
