"""Seeding of several datasets at once: draws through ConcatDataset, RepeatDataset and any other outermost dataset."""
from contextlib import nullcontext
from typing import Any

from mmdet.registry import DATASETS
from torch.utils.data import IterableDataset

from .parts import require_one_metainfo
from .randomness import SampleIndex, seeded_draws


@DATASETS.register_module()
class SeededVisits:
    """A dataset whose samples are drawn as the index of :class:`~bafenet.datasets.samplers.EpochSampler` says.

    A wrapper hands plain numbers to what it wraps, so that seed, epoch and repeat would be lost. Here the outermost
    dataset is what is visited: a draw depends on (seed, epoch, index in the outermost dataset, repeat) alone, and so
    differs between the copies of an image in a ``RepeatDataset`` and between the parts of a ``ConcatDataset``.
    Everything but ``len`` and indexing is the dataset's own, also what is set.

    The runner puts each dataset into it that does not seed its draws itself.

    Args:
        dataset: Config of the dataset, or the dataset.

    Raises:
        InputError: If the parts of the dataset have different classes or other meta information.
    """

    dataset: Any

    def __init__(self, dataset: Any) -> None:
        if isinstance(dataset, dict):
            dataset = DATASETS.build(dataset)
        require_one_metainfo(dataset)
        object.__setattr__(self, 'dataset', dataset)

    @staticmethod
    def around(settings: Any) -> Any:
        """Settings of a dataset in those of this class; unchanged where the dataset seeds its draws itself."""
        kind = settings.get('type') if isinstance(settings, dict) else None
        kind = DATASETS.get(kind) if isinstance(kind, str) else kind
        # An unknown type is refused where it is built.
        stays = kind is None or kind is SeededVisits or getattr(kind, 'seeds_draws', False) or (
            isinstance(kind, type) and issubclass(kind, IterableDataset))
        return settings if stays else dict(type=SeededVisits.__name__, dataset=settings)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int | SampleIndex) -> Any:
        """One sample, its random draws seeded where the index says how."""
        with seeded_draws(index) if isinstance(index, SampleIndex) else nullcontext():
            return self.dataset[index]

    def __getattr__(self, name: str) -> Any:
        # Not while it is unpickled, when there is no dataset yet.
        if name == 'dataset' or name.startswith('__'):
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.dataset, name, value)

    def __getstate__(self) -> dict:
        return vars(self)

    def __setstate__(self, state: dict) -> None:
        vars(self).update(state)
