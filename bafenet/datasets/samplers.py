"""Sampler: the shuffled passes over the data that make an epoch."""
import math
from collections.abc import Iterator, Sized
from numbers import Real

import torch
from mmdet.registry import DATA_SAMPLERS
from mmengine.dataset import DefaultSampler

from bafenet.arguments import MAX_SEED, require_flags, require_number, shown
from bafenet.errors import InputError

from .randomness import SampleIndex

MAX_REPEATS = 10_000


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
        self.samples_in_epoch: int = max(round(repeats * len(dataset)), 1)
        self.num_samples = math.ceil((self.samples_in_epoch - (0 if round_up else self.rank)) / self.world_size)
        self.total_size: int = self.num_samples * self.world_size if round_up else self.samples_in_epoch

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
