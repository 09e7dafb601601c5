"""Build a target library: targets cut out of annotated images (paper Section III-B)."""
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..devkit import find_layout, read_boxes, read_mask, read_split
from ..devkit.box_matching import component_boxes, whole_boxes
from ..devkit.decode import read_header
from ..devkit.frames import DEFAULT_LEVELS, read_grey_frame
from ..devkit.grey_levels import GreyLevels
from ..devkit.layout import Layout
from ..errors import InputError, printable
from ..fileio import require_writable_file
from ..reading import PathLike
from .library import save_library

RING = 2
"""Width in pixels of the ring around a target's box whose median is its background."""


def write_library(root: PathLike, split: str, out: PathLike, remove_background: bool = False, force: bool = False,
                  levels: GreyLevels = DEFAULT_LEVELS) -> dict:
    """Build the library of a split and write it.

    Args:
        root: Data set, see :func:`find_layout`.
        split: Name of the split.
        out: The ``.npz`` file to write.
        remove_background: See :func:`build_library`.
        force: Replace ``out`` where it exists.
        levels: See :func:`build_library`.

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
    patches = split_patches(layout, split, remove_background, levels)
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


def build_library(image_paths: Sequence[PathLike], mask_paths: Sequence[PathLike | None],
                  remove_background: bool = False, levels: GreyLevels = DEFAULT_LEVELS,
                  boxes: Sequence[np.ndarray | None] | None = None) -> list[np.ndarray]:
    """Cut the targets out of images: the box of each 8-connected component of their masks, or the boxes given.

    Each image is decoded once. A patch of zeros is left out, as it would paste nothing.

    Args:
        image_paths: Image files; colours become grey.
        mask_paths: Their target masks; None for an image that has none.
        remove_background: Subtract from each patch the median of the ring of :data:`RING` pixels around its box, all
            targets left out of it; below 0 it is clipped, a fraction is dropped. False keeps the pixels as they are.
        levels: How images of more than 8 bits are brought to 8.
        boxes: Of each image without a mask its boxes, float (n, 4) ``[x1, y1, x2, y2]`` in pixels with exclusive ends;
            they are rounded outward to whole pixels, and cut at the image's edges. Others are not looked at.

    Returns:
        (h, w) uint8 patches of any sizes, in the order of the images.

    Raises:
        InputError: A file does not decode, a mask is not of its image's size, an image has neither mask nor boxes, or
            there is no target at all.
    """
    patches = []
    frames = zip(image_paths, mask_paths, [None] * len(image_paths) if boxes is None else boxes, strict=True)
    for image_path, mask_path, given in tqdm(frames, 'target library', len(image_paths), unit='image', disable=None):
        image = read_grey_frame(image_path, levels)
        corners, targets = read_targets(image_path, image.shape, mask_path, given)
        if remove_background:
            patches += [_without_background(image, targets, box) for box in corners.tolist()]
        else:
            patches += [image[y1:y2, x1:x2].copy() for x1, y1, x2, y2 in corners.tolist()]
    patches = [patch for patch in patches if patch.any()]
    if not patches:
        raise InputError(f'no target in {len(image_paths)} images; a target library needs images with target masks or '
                         'boxes')
    return patches


def read_targets(image_path: PathLike, shape: tuple[int, int], mask_path: PathLike | None,
                 boxes: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """The targets of an image, by its mask or, where it has none, by its boxes.

    Args:
        image_path: The image, for messages.
        shape: Its height and width.
        mask_path: Its target mask; None where it has none.
        boxes: Its boxes, float (n, 4) ``[x1, y1, x2, y2]``, looked at without a mask alone.

    Returns:
        Boxes of whole pixels, (n, 4) int64, and the pixels that count as targets, (H, W) bool.

    Raises:
        InputError: If the mask does not decode or is of another size, or there is neither.
    """
    if mask_path is not None:
        targets = read_mask(mask_path, shape) > 0
        return component_boxes(targets), targets
    if boxes is None:
        raise InputError(f'{printable(image_path)}: has neither a target mask nor boxes; add either')
    corners, targets = whole_boxes(boxes, shape), np.zeros(shape, bool)
    for x1, y1, x2, y2 in corners.tolist():
        targets[y1:y2, x1:x2] = True
    return corners, targets


def _without_background(image: np.ndarray, targets: np.ndarray, box: Sequence[int]) -> np.ndarray:
    x1, y1, x2, y2 = box
    left, top = max(x1 - RING, 0), max(y1 - RING, 0)
    around = slice(top, y2 + RING), slice(left, x2 + RING)
    ring = ~targets[around]
    ring[y1 - top:y2 - top, x1 - left:x2 - left] = False
    background = np.median(image[around][ring]) if ring.any() else 0
    return np.maximum(image[y1:y2, x1:x2] - background, 0).astype(np.uint8)


def split_patches(layout: Layout, split: str, remove_background: bool = False,
                  levels: GreyLevels = DEFAULT_LEVELS) -> list[np.ndarray]:
    """:func:`build_library` from a split of a data set; of images without a target mask from their boxes."""
    names = read_split(layout.split(split))
    absent = set(names).difference(layout.names())
    if absent:
        raise InputError(f'{printable(layout.root / layout.splits / split)}.txt: names {printable(min(absent))}, and '
                         f'there is no such image in {printable(layout.root / layout.images[0])}; correct the file')
    images, masks = list(map(layout.image, names)), list(map(layout.find_target_mask, names))
    boxes = [_read_boxes(layout, name, image) if mask is None else None
             for name, image, mask in zip(names, images, masks, strict=True)]
    return build_library(images, masks, remove_background, levels, boxes)


def _read_boxes(layout: Layout, name: str, image: PathLike) -> np.ndarray:
    """The boxes of an image that has no target mask."""
    box_file = layout.box_file(name)
    if box_file is None:
        raise InputError(f'{printable(image)}: has neither a target mask nor a box XML; add either')
    width, height, _ = read_header(image)
    return read_boxes(box_file, size=(width, height))[1] - layout.box_origin
