"""What datasets of infrared frames have in common: seeded draws, a sample or an error for each index, checks."""
import os
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Any

from mmdet.datasets import BaseDetDataset

from bafenet.arguments import is_whole, shown
from bafenet.devkit import find_split
from bafenet.devkit.layout import CLASSES, require_split
from bafenet.errors import InputError, printable

from .randomness import SampleIndex, current_visit, seeded_draws


class InfraredDataset(BaseDetDataset):
    """A dataset whose draws are seeded by the index, which drops no image, and whose split file is looked for.

    Args:
        filter_cfg: Is refused, because it drops images.
        **kwargs: Further arguments of mmdet's ``BaseDetDataset``; ``data_root`` and ``ann_file`` must be paths.

    Raises:
        InputError: If one of them is of a wrong type.
    """

    seeds_draws = True  # by the index; another outermost dataset is put into SeededVisits
    ann_file: str
    METAINFO = {'classes': CLASSES, 'palette': [(255, 64, 64)]}

    def __init__(self, *args, filter_cfg: dict | None = None, **kwargs) -> None:
        if filter_cfg:
            raise InputError(f'{type(self).__name__}: filter_cfg drops images silently; remove it from the config')
        for name in ('ann_file', 'data_root'):
            value = kwargs.get(name, '')
            is_path = isinstance(value, (str, os.PathLike)) or (name == 'data_root' and value is None)
            if not is_path or '\0' in str(value):
                raise InputError(f'{type(self).__name__}: {name}={shown(value)} must be a path')
        super().__init__(*args, **kwargs)

    def full_init(self) -> None:
        """Load the annotations, then let each transform that has a ``prepare(dataset)`` see the dataset, once."""
        if self._fully_initialized:
            return
        super().full_init()
        for transform in _walk(self.pipeline):
            if hasattr(transform, 'prepare'):
                transform.prepare(self)

    def _join_prefix(self) -> None:
        ann_file = self.ann_file
        super()._join_prefix()
        self.ann_file = find_split(self.data_root, ann_file) if ann_file else ''

    def require_classes(self) -> None:
        """Demand that the classes are a list of different names."""
        classes = self.metainfo['classes']
        if not isinstance(classes, (list, tuple)) or not all(isinstance(name, str) for name in classes) \
                or not 0 < len(set(classes)) == len(classes):
            raise InputError(f'{type(self).__name__}: metainfo.classes={shown(classes)} must be a list of different '
                             'names')

    def require_split(self) -> None:
        """Demand that the split file exists."""
        if '{splits}' in self.ann_file:
            raise InputError(f'{printable(self.ann_file)}: {{splits}} stands for splits of the config; read it by '
                             'bafenet.engine.options.load_config, or write ann_file out, as Splits/test_v2.txt')
        require_split(self.data_root, self.ann_file)

    def require_indices(self, images: int) -> None:
        """Refuse indices that a slice would silently cut off or count from the end."""
        indices: Any = self._indices
        if indices is None:
            return
        if is_whole(indices):
            if not 1 <= indices <= images:
                raise InputError(f'{type(self).__name__}: indices={indices} must be from 1 to {images}, the images of '
                                 'the split')
            return
        if not isinstance(indices, Sequence) or isinstance(indices, str) or not indices:
            raise InputError(f'{type(self).__name__}: indices={shown(indices)} must be a number of images, or a '
                             'list of theirs')
        bad = [index for index in indices if not is_whole(index) or not 0 <= index < images]
        if bad:
            raise InputError(f'{type(self).__name__}: indices name {shown(bad[0])}, but the split has the images 0 to '
                             f'{images - 1}')

    def get_data_info(self, idx: int | SampleIndex) -> dict:
        """Annotation of an image and, where the index or the visit says them, the ``epoch`` that it is drawn for, and
        ``set_id``, which a set of ``NegativeSetSampler`` has for itself.
        """
        data_info = super().get_data_info(int(idx))
        visit = idx if isinstance(idx, SampleIndex) else current_visit()
        if visit is not None:
            data_info['epoch'] = visit.epoch
            if visit.place is not None:
                data_info['set_id'] = visit.entropy
        return data_info

    def __getitem__(self, index: int | SampleIndex) -> dict:
        """Give one sample after the pipeline, its random draws seeded where the index says how.

        Raises:
            InputError: If the pipeline gives no sample; another image is never taken instead.
        """
        if not self._fully_initialized:
            self.full_init()
        with seeded_draws(index) if isinstance(index, SampleIndex) else nullcontext():
            sample = self.prepare_data(index)
        if sample is None:
            raise InputError(f'{self.get_data_info(int(index))["img_path"]}: a transform of the pipeline dropped this '
                             'image; remove the transform that does')
        return sample


def _walk(transform: Any) -> Iterator[Any]:
    """A transform and all that it is composed of."""
    yield transform
    for part in getattr(transform, 'transforms', ()):
        yield from _walk(part)
