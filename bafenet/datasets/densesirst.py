"""DenseSIRST, and anybody's data in its layout: infrared images with target boxes and, if there are any, sky maps."""
import logging
import os
from pathlib import Path
from typing import Any

from mmdet.registry import DATASETS
from mmengine.logging import print_log

from bafenet.arguments import require_choice, require_flags, shown
from bafenet.devkit import image_size, read_boxes, read_split, require_palette_sky
from bafenet.devkit.decode import read_header
from bafenet.devkit.image_files import image_files
from bafenet.devkit.layout import (
    BOXES,
    DATASET_PAGE,
    IMAGES,
    SKY_PALETTE,
    SUFFIXES,
    TARGET_PALETTE,
    is_packaged,
    require_densesirst,
)
from bafenet.errors import InputError, printable
from bafenet_command import call_of

from .base import InfraredDataset

SKY_CHOICES = ('required', 'optional', 'none')
WITHOUT_SKY = "; sky='optional' takes images without a sky map, sky='none' looks at none"
PREFIXES = dict(img_path=IMAGES, box_path=BOXES, target_mask_path=TARGET_PALETTE, seg_map_path=SKY_PALETTE)


@DATASETS.register_module()
class DenseSIRSTDataset(InfraredDataset):
    """Dataset in the SIRSTdevkit layout (paper Section III).

    ``DenseSIRSTDataset(data_root='data/SIRSTdevkit', ann_file='Splits/train_v2.txt')`` needs no other path. Each
    sample has boxes as ``[x1, y1, x2, y2]`` in pixels with exclusive ends, pixel k covering [k, k + 1), the index of
    each one's class as label, the path of its sky map (``seg_map_path``, 0 other and 1 sky) and of its target mask
    (``target_mask_path``), which need not exist: only a target library is built from it.

    A sample whose frame has no sky map has ``seg_map_path`` None; ``LoadSkyAnnotations`` then gives a map that is 255,
    ignored, everywhere. It costs the sky branch nothing and teaches it nothing.

    Every problem of the files is an error that names the file; nothing is skipped.

    Args:
        data_root: Folder of the devkit.
        ann_file: Split file, one image name a line; see :func:`bafenet.devkit.find_split` for where it is looked for.
            Empty for all images.
        data_prefix: Folders under ``data_root`` of the four kinds of file.
        img_suffix: What follows the names of images; None for any suffix of images, see
            :func:`bafenet.devkit.image_files.image_files`.
        seg_map_suffix: What follows the names of sky maps; None for any suffix of images.
        target_mask_suffix: The same of target masks.
        sky: ``'required'``: each image has a sky map (the paper's data). ``'optional'``: some have one. ``'none'``:
            sky maps are not looked at.
        box_origin: Subtracted from all four numbers of a box. 0 is the truth of 99.8 % of DenseSIRST's boxes; 1 is
            what VOC readers and the paper's release do, and moves almost every box by one pixel up and left.
        only_with_targets: Leave out the images without a target; the log says how many. In a concatenation, beside all
            images, it makes those with targets more frequent.
        **kwargs: Further arguments of mmdet's ``BaseDetDataset``, such as ``metainfo=dict(classes=('drone', 'bird'))``;
            ``filter_cfg`` is refused because it drops images.

    Raises:
        InputError: If an argument is of a wrong type. When loading: a split, image, XML or a sky map that is required
            is missing; the split is one of the package's and the images are not DenseSIRST's; an image does not decode;
            the XML is malformed or has another class; a box lies outside its image or has no area; a sky map has
            another size than its image; no sky map holds a 1, and some hold 255; ``indices`` are not among the images.
    """

    def __init__(self,
                 *args,
                 data_prefix: dict[str, str] | None = None,
                 img_suffix: str | None = None,
                 seg_map_suffix: str | None = None,
                 target_mask_suffix: str | None = None,
                 sky: str = 'required',
                 box_origin: int = 0,
                 only_with_targets: bool = False,
                 **kwargs) -> None:
        if box_origin not in (0, 1):
            raise InputError(f'DenseSIRSTDataset: box_origin={shown(box_origin)} must be 0 or 1')
        require_choice('DenseSIRSTDataset', SKY_CHOICES, sky=sky)
        self.suffixes = dict(img_path=img_suffix, box_path=SUFFIXES[BOXES], seg_map_path=seg_map_suffix,
                             target_mask_path=target_mask_suffix)
        _check_paths(data_prefix or {}, self.suffixes)
        require_flags('DenseSIRSTDataset', only_with_targets=only_with_targets)
        self.only_with_targets = only_with_targets
        self.sky = sky
        self.box_origin = box_origin
        super().__init__(*args, data_prefix={**PREFIXES, **(data_prefix or {})}, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read the annotations of every image of the split; see the class for the errors."""
        self.require_classes()
        if self.ann_file:
            self.require_split()
        files = self._list_files()
        names = read_split(self.ann_file) if self.ann_file else self._all_names(files['img_path'])
        self.require_indices(len(names))
        if is_packaged(self.ann_file):
            absent = [name for name in names if name not in files['img_path']]
            require_densesirst(self.ann_file, self.data_root, names, absent)
            print_log(f'{Path(self.ann_file).name}: the list that comes with the package, DenseSIRST by recording',
                      'current')
        samples = [self._load_sample(name, files) for name in names]
        sky_maps = [sample['seg_map_path'] for sample in samples if sample['seg_map_path']]
        require_palette_sky(sky_maps)
        if self.sky == 'optional':
            self._say_which_have_sky(len(sky_maps), len(samples), files)
        return samples

    def filter_data(self) -> list[dict]:
        """The samples that stay: all, or those with a target where ``only_with_targets`` asks for these."""
        if not self.only_with_targets:
            return self.data_list
        kept = [sample for sample in self.data_list if sample['instances']]
        place = printable(self.ann_file or self.data_root)
        if not kept:
            raise InputError(f'{place}: no image has a target, and only_with_targets leaves out those without one')
        print_log(f'{place}: {len(kept)} of {len(self.data_list)} images have a target, the others are left out',
                  'current')
        return kept

    def _all_names(self, images: dict[str, str]) -> list[str]:
        """The names of all images, where no split says which."""
        if not images:
            raise InputError(f'{printable(self.data_prefix["img_path"])}: no image; check data_root and img_suffix')
        print_log(f'{printable(self.data_root)}: no ann_file, so all {len(images)} images', 'current')
        return list(images)

    def _list_files(self) -> dict[str, dict[str, str]]:
        """The files of each kind, by image name."""
        optional = {'target_mask_path', *(['seg_map_path'] if self.sky != 'required' else [])}
        files: dict[str, dict[str, str]] = {}
        for key, folder in self.data_prefix.items():
            is_read = os.path.isdir(folder) and not (key == 'seg_map_path' and self.sky == 'none')
            if not is_read and key not in optional:
                raise InputError(f'{printable(folder)}: no such folder; {_what_to_do(key)}')
            files[key] = image_files(folder, self.suffixes[key]) if is_read else {}
        return files

    def _say_which_have_sky(self, found: int, images: int, files: dict[str, dict[str, str]]) -> None:
        maps = files['seg_map_path']
        # The maps may be those of another split.
        unused = '' if not maps or maps.keys() & files['img_path'].keys() else (
            f', though there are {len(maps)} maps ({printable(next(iter(maps.values())))}): none has the name of an '
            'image; see seg_map_suffix')
        print_log(f'{printable(self.ann_file or self.data_root)}: {found} of {images} images have a sky map{unused}',
                  'current', logging.WARNING if unused else logging.INFO)

    def _load_sample(self, name: str, files: dict[str, dict[str, str]]) -> dict:
        paths = {key: os.path.join(self.data_prefix[key], of_kind.get(name, name + (self.suffixes[key] or '.png')))
                 for key, of_kind in files.items()}
        self._require_files(name, files, paths)
        width, height, _ = read_header(paths['img_path'])
        has_sky = name in files['seg_map_path']
        if has_sky and image_size(paths['seg_map_path']) != (width, height):
            sky_width, sky_height = image_size(paths['seg_map_path'])
            raise InputError(f'{printable(paths["seg_map_path"])}: the sky map is not of its image\'s size, '
                             f'{width}x{height}, but {sky_width}x{sky_height}; replace the file')
        classes = self.metainfo['classes']
        # As they are in the file: a 0-based box at the border lies outside once it is misread.
        labels, corners = read_boxes(paths['box_path'], classes, (width, height))
        boxes = (corners - self.box_origin).tolist()
        return dict(
            img_id=name,
            img_path=paths['img_path'],
            seg_map_path=paths['seg_map_path'] if has_sky else None,
            target_mask_path=paths['target_mask_path'],
            height=height,
            width=width,
            instances=[dict(bbox=box, bbox_label=classes.index(label), ignore_flag=0)
                       for label, box in zip(labels, boxes, strict=True)])

    def _require_files(self, name: str, files: dict[str, dict[str, str]], paths: dict[str, str]) -> None:
        """Demand an image's files. Target masks are not needed to train or test, so they may be absent."""
        kinds = dict(img_path='image', box_path='box XML', **({'seg_map_path': 'sky map'} if self.sky == 'required'
                                                              else {}))
        for key, kind in kinds.items():
            if name not in files[key]:
                other = ', nor with another suffix' if self.suffixes[key] is None else ''
                raise InputError(f'{printable(paths[key])}: no such {kind}{other}, but '
                                 f'{printable(self.ann_file or self.data_prefix["img_path"])} names it'
                                 f'{WITHOUT_SKY if key == "seg_map_path" else ""}')


def _what_to_do(key: str) -> str:
    """What helps where a folder is missing, by the key of what it would hold."""
    if key == 'seg_map_path':
        return ("images without sky maps are taken by sky='none' of the dataset, as --cfg-options "
                'train_dataloader.dataset.sky=none (likewise val and test), and by --data; DenseSIRST with its maps is '
                f'at {DATASET_PAGE}')
    return (f'a devkit has images in {IMAGES} and box XMLs in {BOXES}; {call_of("convert")} makes one of your data, '
            f'DenseSIRST is at {DATASET_PAGE}')


def _check_paths(data_prefix: Any, suffixes: dict[str, Any]) -> None:
    """Refuse what names files and is no text, and prefixes that nothing would read."""
    if not isinstance(data_prefix, dict) or not data_prefix.keys() <= PREFIXES.keys():
        raise InputError(f'DenseSIRSTDataset: data_prefix={shown(data_prefix)} must be folders by '
                         f'{", ".join(PREFIXES)}')
    for key, value in data_prefix.items():
        if not isinstance(value, str):
            raise InputError(f'DenseSIRSTDataset: data_prefix.{key}={shown(value)} must be a text')
    for key, value in suffixes.items():
        is_ending = isinstance(value, str) and value.strip('.') and not {'/', '\\', '\0'} & set(value)
        if value is not None and not is_ending:
            name = 'img_suffix' if key == 'img_path' else key.replace('_path', '_suffix')
            raise InputError(f'DenseSIRSTDataset: {name}={shown(value)} must be an ending of file names, as .png')
