"""DenseSIRST: infrared images with target boxes, target masks and sky maps."""
import os
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from mmdet.datasets import BaseDetDataset
from mmdet.registry import DATASETS
from mmengine.logging import print_log

from bafenet.arguments import is_whole, shown
from bafenet.devkit import find_split, image_size, read_boxes, read_split, require_palette_sky
from bafenet.devkit.decode import read_header
from bafenet.devkit.layout import (
    BOXES,
    CLASSES,
    DATASET_PAGE,
    IMAGES,
    SKY_PALETTE,
    SUFFIXES,
    TARGET_PALETTE,
    is_packaged,
    require_densesirst,
    require_split,
)
from bafenet.errors import InputError, printable

from .randomness import SampleIndex, current_visit, seeded_draws

PREFIXES = dict(img_path=IMAGES, box_path=BOXES, target_mask_path=TARGET_PALETTE, seg_map_path=SKY_PALETTE)


@DATASETS.register_module()
class DenseSIRSTDataset(BaseDetDataset):
    """Dataset in the SIRSTdevkit layout (paper Section III).

    ``DenseSIRSTDataset(data_root='data/SIRSTdevkit', ann_file='Splits/train_v2.txt')`` needs no other path. Each
    sample has boxes as ``[x1, y1, x2, y2]`` in pixels with exclusive ends, pixel k covering [k, k + 1), the index of
    each one's class as label, the path of its sky map (``seg_map_path``, 0 other and 1 sky) and of its target mask
    (``target_mask_path``), which need not exist: only a target library is built from it.

    Every problem of the files is an error that names the file; nothing is skipped.

    Args:
        data_root: Folder of the devkit.
        ann_file: Split file, one image name a line; see :func:`bafenet.devkit.find_split` for where it is looked for.
        data_prefix: Folders under ``data_root`` of the four kinds of file.
        img_suffix: Suffix of image, sky map and target mask files.
        box_origin: Subtracted from all four numbers of a box. 0 is the truth of 99.8 % of DenseSIRST's boxes; 1 is
            what VOC readers and the paper's release do, and moves almost every box by one pixel up and left.
        **kwargs: Further arguments of mmdet's ``BaseDetDataset``; ``filter_cfg`` is refused because it drops images.

    Raises:
        InputError: If an argument is of a wrong type. When loading: a split, image, XML or sky map is missing; the
            split is one of the package's and the images are not DenseSIRST's; an image does not decode; the XML is
            malformed or has another class; a box lies outside its image or has no area; a sky map has another size than
            its image; no sky map holds a 1, and some hold 255; ``indices`` are not among the images.
    """

    seeds_draws = True  # by the index; another outermost dataset is put into SeededVisits
    ann_file: str
    METAINFO = {'classes': CLASSES, 'palette': [(255, 64, 64)]}

    def __init__(self,
                 *args,
                 data_prefix: dict[str, str] | None = None,
                 img_suffix: str = SUFFIXES[IMAGES],
                 box_origin: int = 0,
                 filter_cfg: dict | None = None,
                 **kwargs) -> None:
        if filter_cfg:
            raise InputError('DenseSIRSTDataset: filter_cfg drops images silently; remove it from the config')
        if box_origin not in (0, 1):
            raise InputError(f'DenseSIRSTDataset: box_origin={shown(box_origin)} must be 0 or 1')
        _check_paths(data_prefix or {}, img_suffix, kwargs)
        self.img_suffix = img_suffix
        self.box_origin = box_origin
        super().__init__(*args, data_prefix={**PREFIXES, **(data_prefix or {})}, **kwargs)

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

    def load_data_list(self) -> list[dict]:
        """Read the annotations of every image of the split; see the class for the errors."""
        classes = self.metainfo['classes']
        if not isinstance(classes, (list, tuple)) or not all(isinstance(name, str) for name in classes) \
                or not 0 < len(set(classes)) == len(classes):
            raise InputError(f'DenseSIRSTDataset: metainfo.classes={shown(classes)} must be a list of different names')
        names = self._read_split()
        _check_indices(self._indices, len(names))
        folders = {key: self._list_folder(key) for key in PREFIXES}
        if is_packaged(self.ann_file):
            absent = [name for name in names if name + self.img_suffix not in folders['img_path']]
            require_densesirst(self.ann_file, self.data_root, names, absent)
            print_log(f'{Path(self.ann_file).name}: the list that comes with the package, DenseSIRST by recording',
                      'current')
        samples = [self._load_sample(name, folders) for name in names]
        require_palette_sky(sample['seg_map_path'] for sample in samples)
        return samples

    def _read_split(self) -> list[str]:
        if '{splits}' in self.ann_file:
            raise InputError(f'{printable(self.ann_file)}: {{splits}} stands for splits of the config; read it by '
                             'bafenet.engine.options.load_config, or write ann_file out, as Splits/test_v2.txt')
        require_split(self.data_root, self.ann_file)
        return read_split(self.ann_file)

    def _list_folder(self, key: str) -> frozenset:
        path = self.data_prefix[key]
        if key == 'target_mask_path' and not os.path.exists(path):
            return frozenset()
        if not os.path.isdir(path):
            raise InputError(f'{printable(path)}: no such folder; a SIRSTdevkit has {IMAGES}, SIRST and SkySeg '
                             f'(it is at {DATASET_PAGE})')
        return frozenset(os.listdir(path))

    def _load_sample(self, name: str, folders: dict[str, frozenset]) -> dict:
        paths = {}
        for key, kind in (('img_path', 'image'), ('box_path', 'box XML'), ('seg_map_path', 'sky map'),
                          ('target_mask_path', 'target mask')):
            file = name + (SUFFIXES[BOXES] if key == 'box_path' else self.img_suffix)
            paths[key] = os.path.join(self.data_prefix[key], file)
            # Target masks are not needed to train or test, so they may be absent, but never wrongly named.
            if file not in folders[key] and key != 'target_mask_path':
                raise InputError(f'{printable(paths[key])}: no such {kind}, but {printable(self.ann_file)} names it')
        width, height, _ = read_header(paths['img_path'])
        sky_width, sky_height = image_size(paths['seg_map_path'])
        if (sky_width, sky_height) != (width, height):
            raise InputError(f'{printable(paths["seg_map_path"])}: the sky map is not of its image\'s size, '
                             f'{width}x{height}, but {sky_width}x{sky_height}; replace the file')
        classes = self.metainfo['classes']
        # As they are in the file: a 0-based box at the border lies outside once it is misread.
        names, corners = read_boxes(paths['box_path'], classes, (width, height))
        boxes = (corners - self.box_origin).tolist()
        return dict(
            img_id=name,
            img_path=paths['img_path'],
            seg_map_path=paths['seg_map_path'],
            target_mask_path=paths['target_mask_path'],
            height=height,
            width=width,
            instances=[dict(bbox=box, bbox_label=classes.index(name), ignore_flag=0)
                       for name, box in zip(names, boxes, strict=True)])

    def get_data_info(self, idx: int | SampleIndex) -> dict:
        """Annotation of an image and, where the index or the visit says it, the ``epoch`` that it is drawn for."""
        data_info = super().get_data_info(int(idx))
        visit = idx if isinstance(idx, SampleIndex) else current_visit()
        if visit is not None:
            data_info['epoch'] = visit.epoch
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


def _check_paths(data_prefix: Any, img_suffix: Any, others: dict[str, Any]) -> None:
    """Refuse what names files and is no text, and prefixes that nothing would read."""
    if not isinstance(data_prefix, dict) or not data_prefix.keys() <= PREFIXES.keys():
        raise InputError(f'DenseSIRSTDataset: data_prefix={shown(data_prefix)} must be folders by '
                         f'{", ".join(PREFIXES)}')
    texts = {**{f'data_prefix.{key}': value for key, value in data_prefix.items()}, 'img_suffix': img_suffix}
    for name, value in texts.items():
        if not isinstance(value, str):
            raise InputError(f'DenseSIRSTDataset: {name}={shown(value)} must be a text')
    if not img_suffix.strip('.') or {'/', '\\', '\0'} & set(img_suffix):
        raise InputError(f'DenseSIRSTDataset: img_suffix={shown(img_suffix)} must be an ending of file names, as .png')
    for name in ('ann_file', 'data_root'):
        value = others.get(name, '')
        if not (isinstance(value, (str, os.PathLike)) or (name == 'data_root' and value is None)) or '\0' in str(value):
            raise InputError(f'DenseSIRSTDataset: {name}={shown(value)} must be a path')


def _check_indices(indices: Any, images: int) -> None:
    """Refuse indices that a slice would silently cut off or count from the end."""
    if indices is None:
        return
    if is_whole(indices):
        if not 1 <= indices <= images:
            raise InputError(f'DenseSIRSTDataset: indices={indices} must be from 1 to {images}, the images of the '
                             'split')
        return
    if not isinstance(indices, Sequence) or isinstance(indices, str) or not indices:
        raise InputError(f'DenseSIRSTDataset: indices={shown(indices)} must be a number of images, or a list of theirs')
    bad = [index for index in indices if not is_whole(index) or not 0 <= index < images]
    if bad:
        raise InputError(f'DenseSIRSTDataset: indices name {shown(bad[0])}, but the split has the images 0 to '
                         f'{images - 1}')
