"""The target library: targets cut out of annotated images, and where a data set keeps those (paper Section III-B)."""
import json
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from tqdm import tqdm

from ..devkit import read_grey, read_mask, read_split
from ..errors import InputError, first_line, printable
from ..fileio import PathLike, atomic_path, require_writable_file
from ..reading import open_file
from .clusters import TargetLibrary
from .devkit import BOXES, IMAGES, SKY_BINARY, SKY_PALETTE, SPLITS, TARGET_BINARY, TARGET_PALETTE

RING = 2
"""Width in pixels of the ring around a target's box whose median is its background."""

MAX_BYTES = 256 * 2**20
"""A library that takes more memory than this is refused."""

MAX_FILE_BYTES, MAX_META_BYTES, MAX_PATCHES = 2**25, 2**20, 200_000

KEYS = ('pixels', 'sizes', 'meta')


@dataclass(frozen=True)
class Layout:
    """Where a data set keeps its files. A kind of file is a folder and what follows the image's name.

    Attributes:
        root: The data set.
        images: Images.
        target_masks: Target masks; the first that exists counts.
        boxes: VOC-style XML files.
        sky_maps: Sky maps; the first that exists counts.
        splits: Folder of ``SPLIT.txt``.
    """

    root: Path
    images: tuple[str, str]
    target_masks: tuple[tuple[str, str], ...]
    boxes: tuple[str, str]
    sky_maps: tuple[tuple[str, str], ...]
    splits: str

    def names(self) -> list[str]:
        """The names of all images, sorted."""
        folder, suffix = self.images
        # Hidden files are leavings of file managers.
        return sorted(path.name.removesuffix(suffix) for path in (self.root / folder).glob(f'*{suffix}')
                      if not path.name.startswith('.'))

    def image(self, name: str) -> Path:
        """Image file; InputError if there is none."""
        return self._find(name, 'image', self.images)

    def target_mask(self, name: str) -> Path:
        """Target mask file, not 0 at the targets; InputError if there is none."""
        return self._find(name, 'target mask', *self.target_masks)

    def sky_map(self, name: str) -> Path:
        """Sky map file, 0 other and 1 or 255 sky; InputError if there is none."""
        if not self.sky_maps:
            raise InputError(f'{printable(self.root)}: this layout has no sky maps; give their folder with --sky')
        return self._find(name, 'sky map', *self.sky_maps)

    def box_file(self, name: str) -> Path | None:
        """VOC-style XML file of the boxes, or None; InputError if it is no file."""
        path = self._path(name, self.boxes)
        if not os.path.lexists(path):
            return None
        if not path.is_file():
            raise InputError(f'{printable(path)}: is no regular file; replace it')
        return path

    def split_names(self) -> list[str]:
        """The splits that there are, sorted."""
        return sorted(path.stem for path in (self.root / self.splits).glob('*.txt') if not path.name.startswith('.'))

    def split(self, split: str) -> list[str]:
        """Image names of a split.

        Raises:
            InputError: There is no such split, or it names no image, one twice, or something that is no plain name.
        """
        path = self.root / self.splits / f'{split}.txt'
        if not os.path.lexists(path):
            there = printable(', '.join(self.split_names())) or 'none'
            raise InputError(f'{printable(path)}: no such split; there are: {there}')
        return read_split(path)

    def _path(self, name: str, kind: tuple[str, str]) -> Path:
        return self.root / kind[0] / (name + kind[1])

    def _find(self, name: str, what: str, *kinds: tuple[str, str]) -> Path:
        paths = [self._path(name, kind) for kind in kinds]
        found = next((path for path in paths if path.is_file()), None)
        if found is None:
            raise InputError(f'{" or ".join(map(printable, paths))}: no such {what}')
        return found


SIRST_DEVKIT = Layout(Path(), (IMAGES, '.png'), ((TARGET_PALETTE, '.png'), (TARGET_BINARY, '_pixels0.png')),
                      (BOXES, '.xml'), ((SKY_PALETTE, '.png'), (SKY_BINARY, '_pixels0.png')), SPLITS)
SIRST_V2 = Layout(Path(), ('mixed', '.png'), (('annotations/masks', '_pixels0.png'), ), ('annotations/bboxes', '.xml'),
                  (), 'splits')


def find_layout(root: PathLike, sky: PathLike | None = None) -> Layout:
    """Recognise a data set by its folders: a SIRSTdevkit, or SIRST-V2 as published.

    Args:
        root: The data set.
        sky: Folder of sky maps, ``NAME.png`` or ``NAME_pixels0.png``, in the place of the layout's own.

    Raises:
        InputError: It is neither, or a folder is missing.
    """
    root = Path(root)
    for folder in filter(None, (root, sky)):
        if not Path(folder).is_dir():
            raise InputError(f'{printable(folder)}: no such folder; see data/README.md for where to put a dataset')
    for layout in (SIRST_DEVKIT, SIRST_V2):
        masks = [folder for folder, _ in layout.target_masks]
        if (root / layout.images[0]).is_dir() and any((root / folder).is_dir() for folder in masks):
            own_sky = layout.sky_maps if sky is None else tuple((str(Path(sky).absolute()), suffix)
                                                                for suffix in ('.png', '_pixels0.png'))
            return replace(layout, root=root, sky_maps=own_sky)
    raise InputError(f'{printable(root)}: neither a SIRSTdevkit ({IMAGES}, {TARGET_PALETTE} …) nor SIRST-V2 as '
                     'published (mixed, annotations/masks …)')


def component_boxes(mask: np.ndarray) -> np.ndarray:
    """The extent of each 8-connected component, from top to bottom by its upper edge, then by its left edge.

    Args:
        mask: (H, W) bool or uint8.

    Returns:
        (n, 4) int64, 0-based ``[x1, y1, x2, y2]`` with exclusive ends.
    """
    stats = cv2.connectedComponentsWithStats((mask != 0).view(np.uint8), connectivity=8)[2][1:]
    corner = stats[:, [cv2.CC_STAT_LEFT, cv2.CC_STAT_TOP]]
    extent = stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]]
    # OpenCV's own order depends on its algorithm.
    order = np.lexsort(corner.T)
    return np.concatenate([corner, corner + extent], axis=1).astype(np.int64)[order]


def build_library(image_paths: Sequence[PathLike], mask_paths: Sequence[PathLike],
                  remove_background: bool = False) -> list[np.ndarray]:
    """Cut the targets out of images: the box of each 8-connected component of their masks.

    Each image is decoded once. A patch of zeros is left out, as it would paste nothing.

    Args:
        image_paths: Image files; colours become grey.
        mask_paths: Their target masks.
        remove_background: Subtract from each patch the median of the ring of :data:`RING` pixels around its box, all
            targets left out of it; below 0 it is clipped, a fraction is dropped. False keeps the pixels as they are.

    Returns:
        (h, w) uint8 patches of any sizes, in the order of the images.

    Raises:
        InputError: A file does not decode, a mask is not of its image's size, or there is no target at all.
    """
    patches = []
    pairs = zip(image_paths, mask_paths, strict=True)
    for image_path, mask_path in tqdm(pairs, 'target library', len(image_paths), unit='image', disable=None):
        image = read_grey(image_path)[0]
        targets = read_mask(mask_path, image.shape) > 0
        boxes = component_boxes(targets)
        if remove_background:
            patches += [_without_background(image, targets, box) for box in boxes.tolist()]
        else:
            patches += [image[y1:y2, x1:x2].copy() for x1, y1, x2, y2 in boxes.tolist()]
    patches = [patch for patch in patches if patch.any()]
    if not patches:
        raise InputError(f'no target in {len(image_paths)} images; a target library needs images with target masks')
    return patches


def _without_background(image: np.ndarray, targets: np.ndarray, box: Sequence[int]) -> np.ndarray:
    x1, y1, x2, y2 = box
    left, top = max(x1 - RING, 0), max(y1 - RING, 0)
    around = slice(top, y2 + RING), slice(left, x2 + RING)
    ring = ~targets[around]
    ring[y1 - top:y2 - top, x1 - left:x2 - left] = False
    background = np.median(image[around][ring]) if ring.any() else 0
    return np.maximum(image[y1:y2, x1:x2] - background, 0).astype(np.uint8)


def split_patches(layout: Layout, split: str, remove_background: bool = False) -> list[np.ndarray]:
    """:func:`build_library` from a split of a data set."""
    names = layout.split(split)
    absent = set(names).difference(layout.names())
    if absent:
        raise InputError(f'{printable(layout.root / layout.splits / split)}.txt: names {printable(min(absent))}, and '
                         f'there is no such image in {printable(layout.root / layout.images[0])}; correct the file')
    return build_library([layout.image(name) for name in names], [layout.target_mask(name) for name in names],
                         remove_background)


def shrink(patch: np.ndarray, max_size: int) -> np.ndarray:
    """Bring a (h, w) patch within ``max_size`` pixels a side, by area averaging.

    The aspect ratio is kept up to whole pixels, and no side falls below 1. A patch that fits is returned as it is.
    """
    largest = max(patch.shape)
    if largest <= max_size:
        return patch
    height, width = (max(round(side * max_size / largest), 1) for side in patch.shape)
    return cv2.resize(patch, (width, height), interpolation=cv2.INTER_AREA)


def save_library(path: PathLike, patches: Sequence[np.ndarray], meta: dict) -> None:
    """Write a library as one ``.npz`` without pickle, whole or not at all.

    It holds ``pixels`` (uint8, the patches row by row, one after the other), ``sizes`` ((n, 2) int64, heights and
    widths) and ``meta`` (JSON text).

    Args:
        path: The file.
        patches: (h, w) uint8 patches.
        meta: Where they come from, for people; must fit into JSON.

    Raises:
        OSError: The file cannot be written.
    """
    arrays = dict(
        pixels=np.concatenate([patch.ravel() for patch in patches]),
        sizes=np.array([patch.shape for patch in patches], np.int64),
        meta=np.array(json.dumps(meta)))
    with atomic_path(path) as temporary, open(temporary, 'wb') as file:
        np.savez_compressed(file, **arrays)


def load_library(path: PathLike, max_target_size: int | None = None) -> TargetLibrary:
    """Read a library.

    Args:
        path: A file of :func:`save_library`.
        max_target_size: Patches with a longer side, in pixels, are shrunk to it; None shrinks none.

    Raises:
        InputError: The file is not a target library, or is too large for the memory.
    """
    pixels, sizes = _read_arrays(path)
    areas = sizes.prod(axis=1)
    patches = [flat.reshape(size) for flat, size in zip(np.split(pixels, np.cumsum(areas)[:-1]), sizes, strict=True)]
    if max_target_size is not None:
        patches = [shrink(patch, max_target_size) for patch in patches]
    height, width = np.max([patch.shape for patch in patches], axis=0).tolist()
    if len(patches) * height * width > MAX_BYTES:
        raise InputError(f'{printable(path)}: {len(patches)} patches within {height}x{width} take more than '
                         f'{MAX_BYTES >> 20} MiB; load them with a smaller max_target_size')
    return TargetLibrary.from_patches(patches)


def _read_arrays(path: PathLike) -> tuple[np.ndarray, np.ndarray]:
    """Pixels and sizes of a library file, checked."""
    if not Path(path).exists():
        raise InputError(f'{printable(path)}: no such target library; tools/dataset/build_library.py makes one')
    with open_file(path) as file:
        try:
            _check_archive(file)
            with np.load(file, allow_pickle=False) as archive:
                pixels, sizes, _ = (archive[key] for key in KEYS)
            _check_arrays(pixels, sizes)
        # A foreign file can raise almost anything in the readers of zip and NumPy.
        except Exception as error:
            raise InputError(f'{printable(path)}: not a target library ({first_line(error)}); make it anew with '
                             'tools/dataset/build_library.py') from error
    return pixels, sizes.astype(np.int64)


def _check_archive(file: BinaryIO) -> None:
    """Check what a zip file says about itself; of a member no more is ever unpacked than it says."""
    if file.seek(0, 2) > MAX_FILE_BYTES:
        raise ValueError(f'it is larger than {MAX_FILE_BYTES >> 20} MiB')
    file.seek(0)
    with zipfile.ZipFile(file) as archive:
        members = {member.filename: member for member in archive.infolist()}
        if sorted(members) != sorted(f'{key}.npy' for key in KEYS) or len(archive.infolist()) != len(KEYS):
            raise ValueError(f'it must hold {", ".join(KEYS)}')
        # The unpackers of other methods do not stop at a size.
        if any(member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for member in members.values()):
            raise ValueError('it is compressed in another way than NumPy does')
        if sum(member.file_size for member in members.values()) > MAX_BYTES or (
                members['meta.npy'].file_size > MAX_META_BYTES):
            raise ValueError(f'it unpacks to more than {MAX_BYTES >> 20} MiB')
    file.seek(0)


def _check_arrays(pixels: np.ndarray, sizes: np.ndarray) -> None:
    if pixels.dtype != np.uint8 or pixels.ndim != 1:
        raise ValueError('pixels must be flat uint8')
    if sizes.dtype.kind not in 'iu' or sizes.ndim != 2 or sizes.shape[1] != 2 or not len(sizes):
        raise ValueError('sizes must be pairs of integers, one a patch')
    if len(sizes) > MAX_PATCHES:
        raise ValueError(f'it holds more than {MAX_PATCHES:,} patches')
    # Each side by itself first, so that no product overflows.
    if sizes.min() < 1 or sizes.max() > len(pixels) or sizes.astype(float).prod(axis=1).sum() != len(pixels):
        raise ValueError('sizes do not add up to the pixels')


def write_library(root: PathLike, split: str, out: PathLike, remove_background: bool = False,
                  force: bool = False) -> dict:
    """Build the library of a split and write it.

    Args:
        root: Data set, see :func:`find_layout`.
        split: Name of the split.
        out: The ``.npz`` file to write.
        remove_background: See :func:`build_library`.
        force: Replace ``out`` where it exists.

    Returns:
        ``targets``, their number; ``median_size``, ``largest_size`` and ``most_frequent_size``, heights and widths;
        ``file_bytes``.

    Raises:
        InputError: Bad input, or ``out`` exists or cannot be written.
    """
    out = Path(out)
    if out.suffix != '.npz':
        raise InputError(f'{printable(out)}: the file must end in .npz')
    if out.exists() and not force:
        raise InputError(f'{printable(out)}: exists already; --force replaces it')
    require_writable_file(out, '--out')
    layout = find_layout(root)
    patches = split_patches(layout, split, remove_background)
    meta = {'source': layout.root.absolute().name, 'split': split, 'remove_background': remove_background,
            'targets': len(patches)}
    try:
        save_library(out, patches, meta)
    except OSError as error:
        raise InputError(f'{printable(out)}: cannot be written: {error.strerror or error}') from error
    sizes = np.array([patch.shape for patch in patches])
    kinds, counts = np.unique(sizes, axis=0, return_counts=True)
    return {'targets': len(patches), 'median_size': np.median(sizes, axis=0).tolist(),
            'largest_size': sizes.max(axis=0).tolist(), 'most_frequent_size': kinds[counts.argmax()].tolist(),
            'file_bytes': out.stat().st_size}
