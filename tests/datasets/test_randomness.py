"""Draws depend on (seed, epoch, index, repeat), not on workers, processes or a resume."""
import pickle
import random
from collections import Counter

import numpy as np
import pytest
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

from bafenet.datasets import DenseSIRSTDataset, EpochSampler, SampleIndex, seeded_draws
from bafenet.errors import InputError


class DrawTransform:
    """Replaces a sample by what the global states give."""

    def __call__(self, results):
        return dict(img_id=results['img_id'], draws=(random.random(), np.random.rand()))


@pytest.fixture
def dataset(devkit):
    return DenseSIRSTDataset(data_root=str(devkit), ann_file='Splits/train_v2.txt', pipeline=[DrawTransform()])


def epochs(dataset, workers, first=0, last=2, seed=7, persistent=False):
    sampler = EpochSampler(dataset, repeats=2, seed=seed)
    loader = DataLoader(dataset, batch_size=3, sampler=sampler, num_workers=workers, collate_fn=pseudo_collate,
                        persistent_workers=persistent)
    result = []
    for epoch in range(first, last):
        sampler.set_epoch(epoch)
        result.append([(name, *draws) for batch in loader
                       for name, draws in zip(batch['img_id'], zip(*batch['draws'], strict=True), strict=True)])
    return result


def test_worker_layout_and_resume_do_not_matter(dataset):
    alone = epochs(dataset, 0)
    assert epochs(dataset, 2) == alone
    assert epochs(dataset, 3, persistent=True) == alone
    assert epochs(dataset, 1, first=1) == alone[1:]


def test_late_windows_come_in_their_epochs_whoever_loads_them(devkit):
    pipeline = [dict(type='LoadInfraredImage'), dict(type='LoadSkyAnnotations'),
                dict(type='BalancedCrop', size=(24, 24), late_size=(48, 40), late_epoch=2),
                dict(type='PackInfraredInputs')]
    dataset = DenseSIRSTDataset(data_root=str(devkit), ann_file='Splits/train_v2.txt', pipeline=pipeline)
    sampler = EpochSampler(dataset, seed=7)
    for workers in (0, 2):
        loader = DataLoader(dataset, batch_size=4, sampler=sampler, num_workers=workers, collate_fn=pseudo_collate,
                            persistent_workers=workers > 0)
        sizes = []
        for epoch in range(4):
            sampler.set_epoch(epoch)
            sizes.append({tuple(image.shape[-2:]) for batch in loader for image in batch['inputs']})
        assert sizes == [{(24, 24)}] * 2 + [{(48, 40)}] * 2


def test_the_sample_knows_its_epoch_where_the_index_does(dataset):
    assert dataset.get_data_info(SampleIndex(3, epoch=5))['epoch'] == 5
    assert 'epoch' not in dataset.get_data_info(3)


def test_every_visit_draws_anew(dataset):
    visits = [visit for epoch in epochs(dataset, 0) for visit in epoch]
    assert len(visits) == 2 * 2 * 8
    assert len({visit[1:] for visit in visits}) == len(visits)
    assert set(Counter(visit[0] for visit in visits).values()) == {4}


def test_another_seed_gives_other_draws_and_another_order(dataset):
    ours, other = epochs(dataset, 0, last=1), epochs(dataset, 0, last=1, seed=8)
    assert [visit[0] for visit in ours[0]] != [visit[0] for visit in other[0]]
    assert not {visit[1:] for visit in ours[0]} & {visit[1:] for visit in other[0]}


def test_global_states_are_left_alone(dataset):
    random.seed(3), np.random.seed(3)
    expected = random.random(), np.random.rand()
    random.seed(3), np.random.seed(3)
    dataset[SampleIndex(0, seed=1)]
    assert (random.random(), np.random.rand()) == expected


def test_seeding_uses_all_four_numbers():
    def draw(**numbers):
        with seeded_draws(SampleIndex(**{**dict(index=1, seed=2, epoch=3, repeat=4), **numbers})):
            return random.random(), np.random.rand()

    base = draw()
    assert draw() == base
    for other in (dict(index=9), dict(seed=9), dict(epoch=9), dict(repeat=9)):
        assert draw(**other)[0] != base[0] and draw(**other)[1] != base[1]


def test_the_index_travels_to_a_worker_whole():
    index = pickle.loads(pickle.dumps(SampleIndex(5, 1, 2, 3)))
    assert index == 5 and index.entropy == [1, 2, 5, 3]


def test_each_pass_is_a_permutation_of_its_own():
    order = [int(i) for i in EpochSampler(range(20), repeats=3, seed=0)]
    passes = [order[:20], order[20:40], order[40:]]
    assert all(sorted(one) == list(range(20)) for one in passes)
    assert passes[0] != passes[1] != passes[2]


def test_part_of_a_pass_is_another_part_in_every_epoch():
    sampler = EpochSampler(range(20), repeats=0.25, seed=0)
    epochs = []
    for epoch in range(40):
        sampler.set_epoch(epoch)
        epochs.append([int(i) for i in sampler])
    assert len(sampler) == 5 and {len(set(epoch)) for epoch in epochs} == {5}
    assert set().union(*epochs) == set(range(20))
    assert len(EpochSampler(range(20), repeats=1.5)) == 30 and len(EpochSampler(range(2), repeats=0.1)) == 1


@pytest.mark.parametrize('size', [9, 10, 1])
@pytest.mark.parametrize('round_up', [True, False])
def test_processes_share_the_epoch(monkeypatch, size, round_up):
    shares = []
    for rank in range(4):
        monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info', lambda rank=rank: (rank, 4))
        sampler = EpochSampler(range(size), repeats=3, seed=0, round_up=round_up)
        share = [(int(i), i.repeat) for i in sampler]
        assert len(share) == len(sampler)
        shares.append(share)
    visits = Counter(visit for share in shares for visit in share)
    assert set(visits) == {(i, repeat) for i in range(size) for repeat in range(3)}
    if round_up:
        assert len({len(share) for share in shares}) == 1
    else:
        assert set(visits.values()) == {1}


def test_no_pass_at_all_is_refused():
    with pytest.raises(InputError, match='repeats=0'):
        EpochSampler(range(3), repeats=0)


@pytest.mark.parametrize('settings', [
    *(dict(repeats=repeats) for repeats in (-1, None, '3', float('nan'), float('inf'), True, 10**9, [1])),
    *(dict(shuffle=flag) for flag in (None, 'False', 1)), dict(round_up='yes'),
    *(dict(seed=seed) for seed in (-1, 1.5, '0', 2**32, True))])
def test_settings_of_a_wrong_type_or_out_of_range_are_named(settings):
    with pytest.raises(InputError, match=f'^EpochSampler: {next(iter(settings))}') as error:
        EpochSampler(range(3), **settings)
    assert '\n' not in str(error.value)


def test_a_dataset_without_images_is_refused():
    with pytest.raises(InputError, match='no images'):
        EpochSampler(range(0))
