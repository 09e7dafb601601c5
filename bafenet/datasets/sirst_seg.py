"""SIRSTSegDataset: infrared frames with target masks, as NUDT-SIRST, IRSTD-1k, SIRST and DenseSIRST are distributed."""
import os
from pathlib import Path
from typing import Any

import numpy as np
from mmdet.registry import DATASETS
from mmengine.logging import print_log

from bafenet.arguments import MAX_SEED, require_flags, require_number, shown
from bafenet.devkit import read_split, require_size
from bafenet.devkit.conversion.files import MASK_ENDINGS, FileIndex, is_frame, list_files
from bafenet.devkit.conversion.masks import read_mask_labels
from bafenet.devkit.conversion.sirst import find_sirst_layout
from bafenet.devkit.decode import read_header
from bafenet.devkit.layout import is_packaged, require_densesirst
from bafenet.errors import InputError, printable

from .base import InfraredDataset

_KEYS = ('img_path', 'target_mask_path')


@DATASETS.register_module()
class SIRSTSegDataset(InfraredDataset):
    """Frames with target masks, to segment targets or, by ``with_boxes``, to detect them.

    ``SIRSTSegDataset(data_root='data/NUDT-SIRST', ann_file='splits/train.txt')`` needs no other path: the layout is
    recognised by its folders, as ``bafenet convert --from sirst`` does it. Known are ``images`` and ``masks``
    (NUDT-SIRST, SIRST v1), ``IRSTD1k_Img`` and ``IRSTD1k_Label``, SIRST-V2's, and a SIRSTdevkit's (DenseSIRST). A mask
    has the name of its frame, perhaps with an ending such as ``_pixels0``.

    Each sample has ``img_path``, ``img_id`` (the frame's name), ``target_mask_path``, which ``LoadTargetMask`` reads,
    ``height`` and ``width``. Frames and masks may have any suffix of images. Every problem of the files is an error
    that names the file; nothing is skipped.

    A split without a validation part is divided by ``holdout``: so many of its frames, drawn by ``holdout_seed`` from
    their sorted names, whatever order the list has. One dataset trains on the others, another validates on these with
    ``held_out=True``.

    Args:
        data_root: Folder of the data set.
        ann_file: Split file, one name a line, with or without suffix; below ``data_root``, or a path. Empty for all
            frames.
        data_prefix: Folders of frames and masks, ``dict(img_path=…, target_mask_path=…)``, below ``data_root``; None
            recognises them.
        with_boxes: Give each sample ``instances`` too, a box around each 8-connected component of its mask, as
            ``[x1, y1, x2, y2]`` in pixels with exclusive ends, and no sky map (``seg_map_path`` None). All masks are
            then read at the start.
        holdout: How many frames are held out.
        holdout_seed: Which ones.
        held_out: Take these instead of the others.
        **kwargs: Further arguments of mmdet's ``BaseDetDataset``; ``filter_cfg`` is refused because it drops images.

    Raises:
        InputError: If an argument is of a wrong type, or the holdout leaves nothing. When loading: no layout is
            recognised; the split is missing, or names a frame that is; a frame has no mask, several, or one of another
            size; a frame does not decode.
    """

    def __init__(self,
                 *args,
                 data_prefix: dict[str, str] | None = None,
                 with_boxes: bool = False,
                 holdout: int = 0,
                 holdout_seed: int = 0,
                 held_out: bool = False,
                 **kwargs) -> None:
        require_flags('SIRSTSegDataset', with_boxes=with_boxes, held_out=held_out)
        require_number('SIRSTSegDataset: holdout', holdout, 0, whole=True)
        require_number('SIRSTSegDataset: holdout_seed', holdout_seed, 0, MAX_SEED, whole=True)
        if held_out and not holdout:
            raise InputError('SIRSTSegDataset: held_out=True needs holdout, the number of frames that are held out')
        if data_prefix and (set(data_prefix) != set(_KEYS) or not all(isinstance(folder, str) and folder
                                                                       for folder in data_prefix.values())):
            raise InputError(f'SIRSTSegDataset: data_prefix={shown(data_prefix)} must be folders by '
                             f'{" and ".join(_KEYS)}')
        self.folders = dict(data_prefix or {})
        self.with_boxes = with_boxes
        self.holdout, self.holdout_seed, self.held_out = holdout, holdout_seed, held_out
        # Where the folders are, files are looked for by name.
        super().__init__(*args, data_prefix={}, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Find frame and mask of every name of the split; see the class for the errors."""
        self.require_classes()
        if self.ann_file:
            self.require_split()
        images, masks = self._list_files()
        index = FileIndex(images)
        names = read_split(self.ann_file) if self.ann_file else [image.stem for image in images]
        absent = [name for name in names if not index.find(Path(name))]
        require_densesirst(self.ann_file, self.data_root, names, absent)
        if absent:
            raise InputError(f'{printable(self.ann_file)}: {len(absent)} of its {len(names)} frames are not in '
                             f'{printable(self.data_root)} ({printable(absent[0])}); correct the list or data_root')
        if is_packaged(self.ann_file):
            print_log(f'{Path(self.ann_file).name}: the list that comes with the package, DenseSIRST by recording',
                      'current')
        names = self._part(names)
        self.require_indices(len(names))
        frames = [_one_file(index.find(Path(name)), 'frame', Path(name)) for name in names]
        mask_of = FileIndex(masks, MASK_ENDINGS).pair(frames)
        return [self._load_sample(frame, _one_file(mask_of[frame], 'target mask', frame)) for frame in frames]

    def _list_files(self) -> tuple[list[Path], list[Path]]:
        """All frames, and all masks."""
        root = Path(self.data_root or '')
        if self.folders:
            image_folder, mask_folder = (self.folders[key] for key in _KEYS)
        else:
            layout, mask_folder = find_sirst_layout(root, 'name the folders in data_prefix of the dataset')
            image_folder = layout.images
        images, masks = (list(filter(is_frame, list_files(root, folder))) for folder in (image_folder, mask_folder))
        if not images:
            raise InputError(f'{printable(root / image_folder)}: no image; check data_root and data_prefix')
        return images, masks

    def _part(self, names: list[str]) -> list[str]:
        """The names that are held out, or the others, in their order."""
        if not self.holdout:
            return names
        if self.holdout >= len(names):
            raise InputError(f'SIRSTSegDataset: holdout={self.holdout} leaves nothing of the {len(names)} frames of '
                             f'{printable(self.ann_file or self.data_root)}; hold out fewer')
        chosen = np.random.default_rng(self.holdout_seed).permutation(sorted(names))[:self.holdout]
        held = set(chosen.tolist())
        return [name for name in names if (name in held) == self.held_out]

    def _load_sample(self, image: Path, mask: Path) -> dict:
        header, mask_header = read_header(image), read_header(mask)
        size = header.width, header.height
        require_size(mask, (mask_header.width, mask_header.height), size)
        sample: dict[str, Any] = dict(img_id=image.stem, img_path=self._path(image), target_mask_path=self._path(mask),
                                      height=header.height, width=header.width)
        if self.with_boxes:
            boxes = read_mask_labels(mask, None, size).boxes.tolist()
            sample['seg_map_path'] = None  # as images without a sky map have it: a sky branch stands beside, untaught
            sample['instances'] = [dict(bbox=box, bbox_label=0, ignore_flag=0) for box in boxes]
        return sample

    def _path(self, file: Path) -> str:
        """A file as the settings name it: below ``data_root``, where it lies there."""
        root = os.path.abspath(self.data_root or '')
        return os.path.join(self.data_root or '', file.relative_to(root)) if file.is_relative_to(root) else str(file)


def _one_file(found: list[Path], what: str, name: Path) -> Path:
    """The one file that was found for a name."""
    if len(found) != 1:
        problem = f'{len(found)} files may be its {what}, as {printable(found[0])}' if found else f'it has no {what}'
        raise InputError(f'{printable(name)}: {problem}; correct the data, or name the folders in data_prefix of the '
                         'dataset')
    return found[0]
