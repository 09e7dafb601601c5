"""The target library of a dataset's own images, which BAG-CP pastes from: built once, kept beside them, reused."""
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.dist import is_main_process
from mmengine.logging import print_log

from bafenet.devkit.grey_levels import GreyLevels
from bafenet.errors import InputError, printable
from bafenet.synthesis.build_library import build_library
from bafenet.synthesis.clusters import TargetLibrary
from bafenet.synthesis.library import load_library, read_meta, save_library, shrink


def own_library(dataset: BaseDataset, samples: Sequence[dict], file: str | Path | None, remove_background: bool,
                levels: GreyLevels, max_target_size: int) -> TargetLibrary:
    """The library of a dataset: the file where it was cut from these images with these settings, else built anew.

    Args:
        dataset: The dataset.
        samples: Its annotations, one an image.
        file: Where the library is kept; None for ``TargetLibrary/SPLIT.npz`` under the dataset's root.
        remove_background: See :func:`~bafenet.synthesis.build_library.build_library`.
        levels: How images of more than 8 bits are brought to 8.
        max_target_size: Larger patches are shrunk to this many pixels.

    Raises:
        InputError: If there is no target, or a file is bad.
    """
    classes = list(dataset.metainfo['classes'])
    masked = [len(classes) == 1 and os.path.isfile(sample['target_mask_path']) for sample in samples]
    checksum = _checksum(samples)
    source = dict(split=_split_name(dataset, checksum), images=checksum, remove_background=remove_background,
                  levels=repr(levels), by_box=masked.count(False), classes=classes if len(classes) > 1 else None)
    path = file or os.path.join(str(dataset.data_root), 'TargetLibrary', f'{source["split"]}.npz')
    if os.path.exists(path):
        meta = {'by_box': 0, 'classes': None, **read_meta(path)}
        if source.items() <= meta.items():
            return load_library(path, max_target_size)
        print_log(f'{printable(path)}: cut from other images, or with other settings', 'current')
    by_box = f', {masked.count(False)} of them by their boxes' if False in masked else ''
    print_log(f'building the target library {printable(path)} from {len(samples)} images{by_box}, once', 'current')
    patches, labels = _cut(samples, masked, len(classes), remove_background, levels)
    if is_main_process():
        _save(path, patches, source if len(classes) == 1 else {**source, 'labels': labels})
    return TargetLibrary.from_patches([shrink(patch, max_target_size) for patch in patches], labels)


def _cut(samples: Sequence[dict], masked: Sequence[bool], classes: int, remove_background: bool,
         levels: GreyLevels) -> tuple[list[np.ndarray], list[int]]:
    """Patches and their labels: components of the masks where there is one class, else the boxes class by class."""
    patches: list[np.ndarray] = []
    labels: list[int] = []
    for label in range(classes):
        boxes = [np.array([item['bbox'] for item in sample['instances'] if item['bbox_label'] == label])
                 for sample in samples]
        used = [index for index, own in enumerate(boxes) if len(own) or masked[index]]
        if not used:
            continue
        found = build_library([samples[index]['img_path'] for index in used],
                              [samples[index]['target_mask_path'] if masked[index] else None for index in used],
                              remove_background, levels, [boxes[index].reshape(-1, 4) for index in used])
        patches += found
        labels += [label] * len(found)
    if not patches:
        raise InputError(f'no target in {len(samples)} images, so BAGCopyPaste has none to paste: give '
                         'library=FILE.npz of other data, or set prob=0')
    return patches, labels


def _save(path: str | Path, patches: Sequence[np.ndarray], source: dict) -> None:
    try:
        save_library(path, patches, source)
    except OSError as error:
        # A dataset may lie where nothing can be written; the next run builds again.
        print_log(f'{printable(path)}: the target library cannot be written ({error.strerror}); it is kept in memory',
                  'current')


def _split_name(dataset: BaseDataset, checksum: str) -> str:
    """Name of a dataset's split for its library."""
    file = Path(dataset.ann_file).absolute()
    # Elsewhere other images may go by the same name, and their targets must not be pasted. A trial on some of the
    # images leaves nothing behind that a training on all would take for its own.
    is_whole = (file.is_relative_to(Path(dataset.data_root).absolute()) and dataset._indices is None
                and not getattr(dataset, 'only_with_targets', False))
    return file.stem if is_whole else f'{file.stem}-{checksum[:8]}'


def _checksum(samples: Sequence[dict]) -> str:
    """Which images a library is cut from: 16 hexadecimal digits."""
    return hashlib.sha256('\n'.join(sample['img_id'] for sample in samples).encode()).hexdigest()[:16]
