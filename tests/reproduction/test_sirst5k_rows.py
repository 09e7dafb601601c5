"""The tables of SIRST-5K: its numbers, its three protocols, steps that are as many, and the shares of its synthesis."""
import functools

import numpy as np
import pytest
from conftest import ROOT, a_third
from mmdet.registry import DATA_SAMPLERS, MODELS, TRANSFORMS

from bafenet.datasets import SampleIndex, seeded_draws
from bafenet.datasets.transforms import sirst5k
from bafenet.errors import InputError
from bafenet.reproduction.plan import row_config
from bafenet.reproduction.tables import select_tables
from bafenet.reproduction.train_commands import row_arguments

TABLES = {table.key: table for table in select_tables('sirst5k')}
ROWS = {row.key: row for table in TABLES.values() for row in table.runnable}
NETWORKS = [key for key, row in ROWS.items() if row.method is None]
FRAMES = dict(paper=663, release=663, ours=563)


@pytest.fixture(autouse=True)
def _in_the_checkout(monkeypatch):
    monkeypatch.chdir(ROOT)


@functools.cache
def read(key, protocol):
    return row_config(ROWS[key], protocol)


def test_the_papers_numbers():
    # Typed from the paper once more: the first and last of each table, and what its tables share.
    expected = {
        ('I', 'filtering Top-Hat'): (20.72, 78.41, 166.7), ('I', 'low rank MSLSTIPT'): (8.342, 47.4, 888.1),
        ('I', 'network UIU-Net'): (89.00, 98.73, 6.021), ('III', 'α = 0.2'): (88.6, 98.10, 1.61),
        ('III', 'α = 0.5'): (87.42, 98.84, 8.41), ('IV', 's = 9'): (90.25, 98.94, 16.936),
        ('IV', 'baseline (no negatives)'): (90.25, 98.31, 2.298), ('V', 'plain, nested'): (87.11, 70.05, 222.61),
        ('V', '+ AFF + N2N displacement'): (90.25, 98.10, 2.30)}
    rows = {(key.removeprefix('sirst5k-'), row.title): row for key, table in TABLES.items() for row in table.rows}
    for place, numbers in expected.items():
        assert tuple(rows[place].paper.values()) == numbers
    assert rows['II', 'SIRST-5K'].paper == dict(params=8.79, ms=pytest.approx(1000 * 54.77 / 664), IoU=92.78,
                                                P_d=98.84, F_a=2.74)
    counts = {key: sum(bool(row.paper) for row in table.rows) for key, table in TABLES.items()}
    assert list(counts.values()) == [15, 5, 6, 5, 5]


def test_the_same_row_in_two_tables_is_one_network():
    of = {key: [row.key for row in table.rows] for key, table in TABLES.items()}
    assert all('sirst5k_sets' in of[f'sirst5k-{key}'] for key in ('I', 'II', 'IV', 'V'))
    assert all('sirst5k_alpha_01' in of[f'sirst5k-{key}'] for key in ('III', 'IV', 'V'))


@pytest.mark.parametrize('key', NETWORKS)
def test_every_row_takes_as_many_steps(key):
    for protocol, frames in FRAMES.items():
        loader = read(key, protocol).train_dataloader
        sampler = DATA_SAMPLERS.build(loader.sampler, default_args=dict(dataset=range(frames), seed=0))
        assert -(-len(sampler) // loader.batch_size) == (36 if protocol == 'ours' else 313)
        in_sets = key == 'sirst5k_sets' or key.startswith('sirst5k_size')
        assert (loader.sampler.type == 'NegativeSetSampler') == in_sets == (loader.batch_size == 15)
        assert (read(key, protocol).model.loss_mask.type == 'NegativeSetLoss') == in_sets


def test_protocols():
    paper, release, ours = (read('sirst5k_sets', protocol) for protocol in FRAMES)
    for cfg in (paper, release):
        assert cfg.optim_wrapper.optimizer.to_dict() == dict(type='Adagrad', lr=0.05)
        # The last epoch alone is validated, so that none is picked.
        assert cfg.train_cfg.max_epochs == cfg.train_cfg.val_interval == 1500
        assert cfg.train_dataloader.dataset.holdout == 0 and cfg.val_dataloader.dataset.ann_file == 'splits/test.txt'
        assert cfg.model.backbone.type == 'NestedUNet' and cfg.model.data_preprocessor.mean[0] == 123.675
    plain = read('sirst5k_attention', 'paper')
    assert plain.train_dataloader.batch_size * plain.optim_wrapper.accumulative_counts == 256
    assert paper.param_scheduler[0].type == 'CosineAnnealingLR' and release.param_scheduler is None
    assert release.optim_wrapper.accumulative_counts == 1
    steps = {step.type: step for step in release.train_dataloader.dataset.pipeline}
    assert steps['RandomResize'].ratio_range == (0.5, 2.0) and steps['BalancedCrop'].size == (256, 256)
    assert {'RandomFlip', 'IntensityJitter'} <= set(steps)
    assert ours.train_dataloader.dataset.holdout == 100 and ours.val_dataloader.dataset.held_out
    assert ours.optim_wrapper.optimizer.type == 'AdamW' and ours.train_cfg.max_epochs == 120


@pytest.mark.parametrize(('key', 'mixed', 'negative'), [
    ('sirst5k_alpha_03', 0.5, 0), ('sirst5k_negatives', 4335 / 4998, 3672 / 4998),
    ('sirst5k_size_7', 4335 / 4998, None)])
def test_shares_of_the_synthesis(key, mixed, negative, monkeypatch):
    step, = (step for step in read(key, 'ours').train_dataloader.dataset.pipeline if step.type == 'RandomChoice')
    step = step.to_dict()
    assert step['transforms'][1][0]['alpha'] == (0.3 if key == 'sirst5k_alpha_03' else 0.1)
    assert [other['size'] for other in step['transforms'][1][1:]] == {
        'sirst5k_alpha_03': [], 'sirst5k_size_7': [7]}.get(key, [3])
    step['transforms'][1][0]['library'] = [np.zeros((32, 32), np.uint8)]
    rotated = []
    monkeypatch.setattr(sirst5k, 'rotate_window', lambda image, window, rotation: rotated.append(rotation) or image)
    transform, count, changed = TRANSFORMS.build(step), 1500, 0
    image, mask = np.full((32, 32), 200, np.uint8), np.zeros((32, 32), np.uint8)
    mask[10:13, 10:13] = 1
    for visit in range(count):
        with seeded_draws(SampleIndex(visit % 7, 0, visit)):
            changed += transform(dict(img=image, gt_target_mask=mask))['img'][0, 0] != 200
    assert changed / count == pytest.approx(mixed, abs=4 * 0.5 / count**0.5)
    if negative is not None:
        assert len(rotated) / count == pytest.approx(negative, abs=4 * 0.5 / count**0.5)
    else:
        assert len(rotated) == changed


@pytest.mark.parametrize('key', a_third(NETWORKS))
def test_every_network_is_built(key):
    assert MODELS.build(read(key, 'release').model).losses


def test_a_classical_method_cannot_be_trained():
    with pytest.raises(InputError, match='sirst5k-I.yaml: row sirst5k_top_hat: Top-Hat is not trained; measure it by'):
        row_arguments(ROWS['sirst5k_top_hat'], 'ours')
    cfg = read('sirst5k_top_hat', 'ours')
    assert set(cfg.to_dict()) == {'method', 'test_dataloader', 'test_cfg', 'test_evaluator'}
    assert cfg.test_dataloader.dataset.ann_file == 'splits/test.txt'
