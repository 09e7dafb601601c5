"""Sets of negatives in one batch: sampler, rotation by the place in the set, and Eq. 9 of what comes out."""
from collections import Counter

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

from bafenet.datasets import EpochSampler, NegativeSetSampler, SeededVisits, SIRSTSegDataset
from bafenet.datasets.samplers import require_whole_sets
from bafenet.engine.runner import DetectionRunner
from bafenet.errors import InputError

SIDE, FRAMES = 40, 6
TURNS = (0, 0, 1, 2, 3)  # quarter turns of the five terms of Eq. 9


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Six frames of noise, each with two targets that lie far apart. Not to be changed."""
    folder, rng = tmp_path_factory.mktemp('sets'), np.random.default_rng(0)
    for part in ('images', 'masks', 'splits'):
        (folder / part).mkdir()
    for number in range(FRAMES):
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[10, 12] = mask[28:30, 25:27] = 255
        cv2.imwrite(str(folder / f'images/{number}.png'), rng.integers(0, 256, mask.shape).astype(np.uint8))
        cv2.imwrite(str(folder / f'masks/{number}.png'), mask)
    (folder / 'splits/train.txt').write_text('\n'.join(map(str, range(FRAMES))))
    return folder


def settings(data, *steps, size=3):
    pipeline = [dict(type='LoadInfraredImage'), dict(type='LoadTargetMask'), *steps,
                dict(type='NegativeAugmentation', size=size), dict(type='PackInfraredInputs', meta_keys=('img_id', ))]
    return dict(type='SIRSTSegDataset', data_root=str(data), ann_file='splits/train.txt', pipeline=pipeline)


def batches(dataset, batch_size=10, workers=0, epoch=0, **kwargs):
    sampler = NegativeSetSampler(dataset, seed=3, **kwargs)
    sampler.set_epoch(epoch)
    return list(DataLoader(dataset, batch_size, sampler=sampler, num_workers=workers, collate_fn=pseudo_collate))


def by_set(batch):
    """Images (5, H, W) and samples of each set of a batch, in their order."""
    sets = {}
    for image, sample in zip(batch['inputs'], batch['data_samples'], strict=True):
        sets.setdefault(str(sample.set_id), []).append((image[0].numpy(), sample))
    return [tuple(zip(*one, strict=True)) for one in sets.values()]


def rotated(image, centre, turns, size):
    x, y = centre
    window = np.s_[y - size // 2:y + size // 2 + 1, x - size // 2:x + size // 2 + 1]
    image = image.copy()
    image[window] = np.rot90(image[window], turns).copy()
    return image


@pytest.mark.parametrize('size', [3, 5])
def test_a_set_is_one_frame_whose_one_target_is_rotated_by_every_angle(data, size):
    centres = Counter()
    for epoch in range(4):
        for batch in batches(SIRSTSegDataset(**{key: value for key, value in settings(data, size=size).items()
                                                if key != 'type'}), repeats=5, epoch=epoch):
            for images, samples in by_set(batch):
                frame = cv2.imread(str(data / f'images/{samples[0].img_id}.png'), 0)
                assert np.array_equal(images[0], frame) and {sample.img_id for sample in samples} == {samples[0].img_id}
                # 28.5, 25.5 is the middle of the larger target; its window lies to the right and below.
                found = [centre for centre in ((12, 10), (26, 29), (25, 28)) if all(
                    np.array_equal(image, rotated(frame, centre, turns, size))
                    for image, turns in zip(images, TURNS, strict=True))]
                assert len(found) == 1
                centres.update(found)
    assert len(centres) == 2


def test_all_of_a_set_get_the_same_crop_flip_and_noise_and_sets_differ(data):
    steps = (dict(type='BalancedCrop', size=(24, 24), target_prob=0.5, other_prob=0.0),
             dict(type='RandomFlip', prob=0.5), dict(type='NoiseDisplacement', window=8, max_variance=1e9, alpha=0.3))
    seen = set()
    for batch in batches(DATASETS.build(settings(data, *steps)), repeats=10):
        for images, samples in by_set(batch):
            assert len(images) == 5
            for image, sample in zip(images, samples, strict=True):
                assert (image != images[0]).sum() <= 9
                assert torch.equal(sample.gt_target_mask.sem_seg, samples[0].gt_target_mask.sem_seg)
            seen.add(images[0].tobytes())
    assert len(seen) == 12


def test_workers_and_what_wraps_the_dataset_change_nothing(data):
    def bytes_of(dataset, workers=0):
        return [image.numpy().tobytes() for batch in batches(dataset, workers=workers, repeats=5)
                for image in batch['inputs']]

    alone = bytes_of(DATASETS.build(settings(data)))
    assert bytes_of(DATASETS.build(settings(data)), 2) == alone
    twice = dict(type='ConcatDataset', datasets=[settings(data), settings(data)])
    for images, _ in (one for batch in batches(SeededVisits(twice), repeats=5) for one in by_set(batch)):
        assert len(images) == 5


@pytest.mark.parametrize('round_up', [True, False])
@pytest.mark.parametrize(('frames', 'repeats'), [(6, 1), (6, 5), (663, 1), (7, 2.5), (2, 0.1)])
def test_an_epoch_is_as_long_as_without_sets_and_processes_share_whole_sets(monkeypatch, frames, repeats, round_up):
    shares, plain = [], len(EpochSampler(range(frames), repeats=repeats))
    for rank in range(3):
        monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info', lambda rank=rank: (rank, 3))
        sampler = NegativeSetSampler(range(frames), repeats=repeats, seed=0, round_up=round_up)
        indices = list(sampler)
        assert len(indices) == len(sampler)
        assert [index.place for index in indices] == [0, 1, 2, 3, 4] * (len(indices) // 5)
        shares.append([(int(index), index.repeat) for index in indices[::5]])
        assert [(int(index), index.repeat) for index in indices] == [visit for visit in shares[-1] for _ in range(5)]
    sets = Counter(visit for share in shares for visit in share)
    assert len(sets) == max(round(plain / 5), 1)
    assert len({len(share) for share in shares}) == 1 if round_up else set(sets.values()) == {1}


def test_eq_9_of_a_batch_of_sets(data):
    batch = batches(DATASETS.build(settings(data)), repeats=5)[0]
    network = MODELS.build(dict(type='TargetSegmentor', loss_mask=dict(type='NegativeSetLoss'),
                                backbone=dict(type='AdditiveUNet', widths=(8, 8), blocks=(1, 1), in_channels=1)))
    with torch.no_grad():
        given = network.data_preprocessor(batch, True)
        logits = network.logits(given['inputs'])[-1].double()
        loss = network(**given, mode='loss')['loss_mask'].item()
    found = 1 / (1 + np.exp(-logits[:, 0].numpy()))
    true = np.stack([sample.gt_target_mask.sem_seg[0].numpy() for sample in batch['data_samples']])
    both, either = (found * true).sum((1, 2)), (found + true - found * true).sum((1, 2))
    each = 1 - (both + 1) / (either + 1)
    assert loss == pytest.approx((each[:5].mean() + each[5:].mean()) / 2, rel=1e-5)


@pytest.mark.parametrize('how', ['batch_size', 'batch_sampler'])
def test_batches_that_would_cut_sets_are_refused(data, how):
    dataset = DATASETS.build(settings(data))
    sampler = NegativeSetSampler(dataset)
    with pytest.raises(InputError, match='batch_size=8 would cut sets of negatives; .* a multiple of 5'):
        if how == 'batch_size':
            DetectionRunner.build_dataloader(dict(batch_size=8, num_workers=0, dataset=settings(data),
                                                  sampler=dict(type='NegativeSetSampler')), seed=0)
        else:
            require_whole_sets(DataLoader(dataset, batch_sampler=torch.utils.data.BatchSampler(sampler, 8, False)))
    require_whole_sets(DataLoader(dataset, 10, sampler=sampler))


def test_without_sets_the_loss_says_what_to_do(data):
    dataset = DATASETS.build(settings(data))
    batch = next(iter(DataLoader(dataset, 5, sampler=EpochSampler(dataset), collate_fn=pseudo_collate)))
    network = MODELS.build(dict(type='TargetSegmentor', loss_mask=dict(type='NegativeSetLoss'),
                                backbone=dict(type='AdditiveUNet', widths=(8, 8), blocks=(1, 1), in_channels=1)))
    with pytest.raises(InputError, match='train_dataloader.sampler.type=NegativeSetSampler'):
        network(**network.data_preprocessor(batch, True), mode='loss')
