"""Seeding of augmentation: a sample's random draws depend on seed, epoch and index, and not on the workers."""
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

_visit: 'SampleIndex | None' = None


class SampleIndex(int):
    """Index of a sample that also knows which visit to it this is.

    The sampler makes it and the dataset seeds the sample's augmentation from it, so that a draw depends on
    (seed, epoch, index, repeat) alone: not on the number of workers, nor on a resume.

    Args:
        index: Index of the sample in the dataset.
        seed: Seed of the run.
        epoch: Epoch, from 0.
        repeat: Which of the passes over the data within the epoch, from 0.
        place: Which sample of a set that is drawn alike, from 0; None where there are no sets. Nothing is drawn by it.
    """

    seed: int
    epoch: int
    repeat: int
    place: int | None

    def __new__(cls, index: int, seed: int = 0, epoch: int = 0, repeat: int = 0,
                place: int | None = None) -> 'SampleIndex':
        self = super().__new__(cls, index)
        self.seed, self.epoch, self.repeat, self.place = seed, epoch, repeat, place
        return self

    def __getnewargs__(self) -> tuple:
        """What pickle needs to send the index to a worker."""
        return int(self), self.seed, self.epoch, self.repeat, self.place

    @property
    def entropy(self) -> list:
        """The four numbers that decide all random draws of this visit, each from 0."""
        return [self.seed, self.epoch, int(self), self.repeat]


@contextmanager
def seeded_draws(index: SampleIndex) -> Iterator[None]:
    """Seed ``random`` and ``np.random`` for one visit of a sample and restore both afterwards.

    Transforms draw from these two global states only. Within a visit nothing is seeded again: the outermost dataset's
    index decides, whatever dataset it wraps.
    """
    global _visit
    if _visit is not None:
        yield
        return
    _visit = index
    python_state, numpy_state = random.getstate(), np.random.get_state()
    words = np.random.SeedSequence(index.entropy).generate_state(8)
    random.seed(words[:4].tobytes())
    np.random.seed(words[4:])
    try:
        yield
    finally:
        _visit = None
        random.setstate(python_state)
        np.random.set_state(numpy_state)


def current_visit() -> SampleIndex | None:
    """The visit that draws are seeded for at this moment; None outside of :func:`seeded_draws`."""
    return _visit
