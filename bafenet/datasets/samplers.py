"""Samplers: the shuffled passes over the data that make an epoch; sets of negatives of one frame."""
import math
from collections.abc import Iterator, Mapping, Sized
from numbers import Real
from typing import Any

import torch
from mmdet.registry import DATA_SAMPLERS
from mmengine.dataset import DefaultSampler
from torch.utils.data import DataLoader

from bafenet.arguments import MAX_SEED, require_flags, require_number, shown
from bafenet.errors import InputError
from bafenet.synthesis.negatives import SET_ROTATIONS

from .randomness import SampleIndex

MAX_REPEATS = 10_000
SET_SIZE = len(SET_ROTATIONS)


@DATA_SAMPLERS.register_module()
class EpochSampler(DefaultSampler):
    """Shuffled passes over the data whose indices carry (seed, epoch, repeat).

    Unlike mmdet's ``RepeatDataset`` around a ``DefaultSampler``, every pass of an epoch is a permutation of its own
    and every visit of a sample draws afresh (see :class:`~bafenet.datasets.randomness.SampleIndex`).

    Args:
        dataset: The dataset.
        repeats: Passes over the data per epoch. The paper's release makes 3. A fraction is part of a pass: with 0.25 an
            epoch sees a quarter of the data, shuffled again each time.
        shuffle: Shuffle each pass.
        seed: Seed of order and augmentation; None draws one that all processes share. The runner passes its own.
        round_up: Repeat first samples so that every process gets equally many.

    Raises:
        InputError: If an argument is of a wrong type or out of range, or the dataset is empty.
    """

    def __init__(self,
                 dataset: Sized,
                 repeats: float = 1,
                 shuffle: bool = True,
                 seed: int | None = None,
                 round_up: bool = True) -> None:
        if isinstance(repeats, bool) or not isinstance(repeats, Real) or not 0 < repeats <= MAX_REPEATS:
            raise InputError(f'EpochSampler: repeats={shown(repeats)} must be a number above 0 and at most '
                             f'{MAX_REPEATS:,}')
        require_flags('EpochSampler', shuffle=shuffle, round_up=round_up)
        if seed is not None:
            require_number('EpochSampler: seed', seed, 0, MAX_SEED, whole=True)
        if not len(dataset):
            raise InputError('EpochSampler: the dataset has no images')
        super().__init__(dataset, shuffle=shuffle, seed=seed, round_up=round_up)
        self.repeats: float = repeats
        self._share(max(round(repeats * len(dataset)), 1))

    def _share(self, visits: int) -> None:
        """Note how many visits an epoch has, and this process's share of them."""
        self.samples_in_epoch: int = visits
        self.num_samples: int = math.ceil((visits - (0 if self.round_up else self.rank)) / self.world_size)
        self.total_size: int = self.num_samples * self.world_size if self.round_up else visits

    def __iter__(self) -> Iterator[SampleIndex]:
        """Iterate over this process's share of the epoch."""
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        size = len(self.dataset)
        order = [
            SampleIndex(index, self.seed, self.epoch, repeat) for repeat in range(math.ceil(self.repeats))
            for index in (torch.randperm(size, generator=generator).tolist() if self.shuffle else range(size))
        ][:self.samples_in_epoch]
        if self.round_up:
            order = (order * math.ceil(self.total_size / len(order)))[:self.total_size]
        yield from order[self.rank:self.total_size:self.world_size]


@DATA_SAMPLERS.register_module()
class NegativeSetSampler(EpochSampler):
    """Frames in sets of five samples that are drawn alike, for ``NegativeSetLoss`` (SIRST-5K, Eq. 9).

    The five follow one another, so that a batch of a multiple of five holds whole sets. All of them get the same crop,
    flips and noise; ``NegativeAugmentation`` leaves the first as it is and rotates the same target of the others by 0,
    90, 180 and 270 degrees.

    Args:
        dataset: The dataset.
        repeats: As of :class:`EpochSampler`, in samples, of which a set has five: an epoch is as long as without sets,
            and sees a fifth of the frames.
        **kwargs: The other arguments of :class:`EpochSampler`.
    """

    def __init__(self, dataset: Sized, repeats: float = 1, **kwargs) -> None:
        super().__init__(dataset, repeats, **kwargs)
        # A visit is a whole set.
        self._share(max(round(self.samples_in_epoch / SET_SIZE), 1))
        self.num_samples *= SET_SIZE

    def __iter__(self) -> Iterator[SampleIndex]:
        """Iterate over this process's sets."""
        for frame in super().__iter__():
            yield from (SampleIndex(int(frame), frame.seed, frame.epoch, frame.repeat, place)
                        for place in range(SET_SIZE))


def in_sets(loader: Mapping[str, Any]) -> dict[str, Any]:
    """For configs: ``batch_size`` and ``sampler`` of a training loader that draws sets, in as many steps as before.

    The batch becomes the greatest multiple of five that is not above the loader's.

    Args:
        loader: ``train_dataloader`` of a config, of an ``EpochSampler`` and a ``batch_size`` of at least five.
    """
    batch_size = loader['batch_size'] // SET_SIZE * SET_SIZE
    repeats = loader['sampler'].get('repeats', 1) * batch_size / loader['batch_size']
    return dict(batch_size=batch_size, sampler=dict(type=NegativeSetSampler.__name__, repeats=repeats))


def require_whole_sets(loader: DataLoader) -> None:
    """Refuse batches that would cut the sets of :class:`NegativeSetSampler`."""
    batches = loader.batch_sampler
    sampler, batch_size = getattr(batches, 'sampler', loader.sampler), getattr(batches, 'batch_size', loader.batch_size)
    if isinstance(sampler, NegativeSetSampler) and (batch_size or 1) % SET_SIZE:
        raise InputError(f'train_dataloader.batch_size={batch_size} would cut sets of negatives; NegativeSetSampler '
                         f'needs a multiple of {SET_SIZE}')
