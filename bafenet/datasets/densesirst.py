"""DenseSIRST: infrared images with target boxes, target masks and sky maps."""
import os
import xml.etree.ElementTree as ElementTree
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple, Union

import numpy as np
from mmdet.datasets import BaseDetDataset
from mmdet.registry import DATASETS
from PIL import Image, UnidentifiedImageError

from bafenet.errors import InputError
from bafenet.synthesis.devkit import SPLITS

from .randomness import SampleIndex, seeded_draws

# Splits that come with the package: DenseSIRST by recording (docs/split_by_recording.md).
PACKAGED_SPLITS = Path(__file__).parent / 'splits'
BOX_FIELDS = ('xmin', 'ymin', 'xmax', 'ymax')


@DATASETS.register_module()
class DenseSIRSTDataset(BaseDetDataset):
    """Dataset in the SIRSTdevkit layout (paper Section III).

    ``DenseSIRSTDataset(data_root='data/SIRSTdevkit', ann_file='Splits/train_v2.txt')`` needs no other path. Each
    sample has boxes as ``[x1, y1, x2, y2]`` in pixels with exclusive ends, pixel k covering [k, k + 1), label 0, the
    path of its sky map (``seg_map_path``, 0 other and 1 sky) and of its target mask (``target_mask_path``).

    Every problem of the files is an error that names the file; nothing is skipped.

    Args:
        data_root: Folder of the devkit.
        ann_file: Split file, one image name a line; see :func:`find_split` for where it is looked for.
        data_prefix: Folders under ``data_root`` of the four kinds of file.
        img_suffix: Suffix of image, sky map and target mask files.
        box_origin: Subtracted from all four numbers of a box. 0 is the truth of 99.8 % of DenseSIRST's boxes; 1 is
            what VOC readers and the paper's release do, and moves almost every box by one pixel up and left.
        **kwargs: Further arguments of mmdet's ``BaseDetDataset``; ``filter_cfg`` is refused because it drops images.

    Raises:
        InputError: When loading: a split, image, XML or sky map is missing; the XML is malformed or has another
            class; a box lies outside its image or has no area; a sky map has another size than its image.
    """

    METAINFO = {'classes': ('Target', ), 'palette': [(255, 64, 64)]}

    def __init__(self,
                 *args,
                 data_prefix: Optional[Dict[str, str]] = None,
                 img_suffix: str = '.png',
                 box_origin: int = 0,
                 filter_cfg: Optional[dict] = None,
                 **kwargs) -> None:
        if filter_cfg:
            raise InputError('DenseSIRSTDataset: filter_cfg drops images silently; remove it from the config')
        if box_origin not in (0, 1):
            raise InputError(f'DenseSIRSTDataset: box_origin={box_origin} must be 0 or 1')
        self.img_suffix = img_suffix
        self.box_origin = box_origin
        prefix = dict(
            img_path='PNGImages',
            box_path='SIRST/BBox',
            target_mask_path='SIRST/PaletteMask',
            seg_map_path='SkySeg/PaletteMask')
        super().__init__(*args, data_prefix={**prefix, **(data_prefix or {})}, **kwargs)

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
        self.ann_file = find_split(self.data_root, ann_file)

    def load_data_list(self) -> List[dict]:
        """Read the annotations of every image of the split; see the class for the errors."""
        names = self._read_split()
        folders = {key: self._list_folder(path) for key, path in self.data_prefix.items()}
        return [self._load_sample(name, folders) for name in names]

    def _read_split(self) -> List[str]:
        if not os.path.isfile(self.ann_file):
            raise InputError(f'{self.ann_file}: no such split file; check data_root and ann_file, or see '
                             'data/README.md for where to put the dataset')
        names = Path(self.ann_file).read_text(encoding='utf-8').split()
        if not names:
            raise InputError(f'{self.ann_file}: the split names no image')
        if len(set(names)) < len(names):
            twice = sorted(name for name in set(names) if names.count(name) > 1)
            raise InputError(f'{self.ann_file}: names an image more than once: {", ".join(twice[:5])}')
        return names

    @staticmethod
    def _list_folder(path: str) -> frozenset:
        if not os.path.isdir(path):
            raise InputError(f'{path}: no such folder; a SIRSTdevkit has PNGImages, SIRST and SkySeg (data/README.md)')
        return frozenset(os.listdir(path))

    def _load_sample(self, name: str, folders: Dict[str, frozenset]) -> dict:
        paths = {}
        for key, kind in (('img_path', 'image'), ('box_path', 'box XML'), ('seg_map_path', 'sky map'),
                          ('target_mask_path', 'target mask')):
            file = name + ('.xml' if key == 'box_path' else self.img_suffix)
            paths[key] = os.path.join(self.data_prefix[key], file)
            # Target masks are not needed to train or test, so they may be absent, but never wrongly named.
            if file not in folders[key] and key != 'target_mask_path':
                raise InputError(f'{paths[key]}: no such {kind}, but {self.ann_file} names it')
        width, height = image_size(paths['img_path'])
        if image_size(paths['seg_map_path']) != (width, height):
            raise InputError(f'{paths["seg_map_path"]}: the sky map is not of its image\'s size, {width}x{height}')
        boxes = read_boxes(paths['box_path'], self.metainfo['classes'], (width, height), self.box_origin)
        return dict(
            img_id=name,
            img_path=paths['img_path'],
            seg_map_path=paths['seg_map_path'],
            target_mask_path=paths['target_mask_path'],
            height=height,
            width=width,
            instances=[dict(bbox=box, bbox_label=0, ignore_flag=0) for box in boxes])

    def get_data_info(self, idx: Union[int, SampleIndex]) -> dict:
        """Annotation of an image and, where the index says it, the ``epoch`` that the sample is drawn for."""
        data_info = super().get_data_info(int(idx))
        if isinstance(idx, SampleIndex):
            data_info['epoch'] = idx.epoch
        return data_info

    def __getitem__(self, index: Union[int, SampleIndex]) -> dict:
        """Give one sample after the pipeline, its random draws seeded where the index says how.

        Raises:
            InputError: If the pipeline gives no sample; another image is never taken in its place.
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


def find_split(data_root: str, ann_file: str) -> str:
    """Where a split file is: the first of these that exists.

    1. ``ann_file`` under ``data_root``;
    2. ``ann_file`` as it stands, from the current folder or absolute;
    3. for ``Splits/NAME``, the split of this name that comes with the package.

    Args:
        data_root: Folder of the devkit.
        ann_file: Split file.

    Returns:
        The path; the first of the three where none exists.
    """
    places = [os.path.join(data_root or '', ann_file), ann_file]
    folder, name = os.path.split(ann_file)
    if folder == SPLITS:
        places.append(str(PACKAGED_SPLITS / name))
    return next(filter(os.path.isfile, places), places[0])


def image_size(path: str) -> Tuple[int, int]:
    """Width and height of an image file, from its header.

    Raises:
        InputError: If the file is no image.
    """
    try:
        with Image.open(path) as image:
            return image.size
    except (UnidentifiedImageError, OSError) as error:
        raise InputError(f'{path}: does not decode as an image; replace the file') from error


def read_boxes(path: str, classes: Tuple[str, ...], size: Tuple[int, int], origin: int) -> List[List[float]]:
    """Boxes of a VOC-style XML file.

    Args:
        path: XML file.
        classes: The class names that an object may have.
        size: Width and height of the image in pixels.
        origin: Subtracted from all four numbers.

    Returns:
        ``[x1, y1, x2, y2]`` per object, in pixels.

    Raises:
        InputError: If the XML is malformed, names another class, or a box has no area or lies outside the image.
    """
    try:
        objects = ElementTree.parse(path).getroot().findall('object')
        boxes = [[float(item.find('bndbox').find(field).text) for field in BOX_FIELDS] for item in objects]
        names = {item.find('name').text for item in objects}
    except (ElementTree.ParseError, AttributeError, TypeError, ValueError, UnicodeDecodeError) as error:
        raise InputError(f'{path}: not a VOC annotation ({error}); write it anew') from error
    if not names <= set(classes):
        raise InputError(f'{path}: class {sorted(map(str, names - set(classes)))[0]!r} is not among {classes}')
    corners = np.asarray(boxes, dtype=np.float32).reshape(-1, 4)
    # As they are in the file: a 0-based box at the border lies outside once it is misread.
    _check_boxes(path, corners, size)
    return (corners - origin).tolist()


def _check_boxes(path: str, corners: np.ndarray, size: Tuple[int, int]) -> None:
    width, height = size
    low, high = corners[:, :2], corners[:, 2:]
    # Written so that NaN fails too.
    empty = ~(high > low).all(axis=1)
    outside = ~((low >= 0) & (high <= (width, height))).all(axis=1)
    for bad, what in ((empty, 'has no area'), (outside, f'lies outside the {width}x{height} image')):
        if bad.any():
            box = corners[bad.argmax()].tolist()
            raise InputError(f'{path}: box {box} {what}; correct the file (and check box_origin)')
