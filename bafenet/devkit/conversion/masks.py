"""Mask images as labels: 0/1, 0/255, RGB, palettes and soft masks, each 8-connected component a target."""
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from ...errors import InputError, printable
from ...reading import open_file
from ..box_matching import component_boxes, component_maxima
from ..decode import JPEG_START, read_header, read_pages
from ..images import read_image, require_size
from ..layout import CLASSES
from .files import MASK_ENDINGS, FileIndex, is_frame, keys_of, list_files, one_suffix_each, shown_path
from .source import Labels, Note, Size, Source, SourceFrame, no_labels
from .splits import given_splits

# Folders of masks, in small letters; what lies in another folder is an image.
MASK_FOLDERS = ('masks', 'mask', 'labels', 'label', 'gt', 'gts', 'groundtruth', 'ground_truth', 'annotations',
                'irstd1k_label', 'segmentationclass')
# Masks of another kind beside these, which are no frames either.
_OTHER_MASKS = ('segmentationobject', 'segmentationclassraw')
_BORDER = 255
_NOISE = 1 / 8  # of the range, what a JPEG adds
_MOST = 0.5  # of a frame; a mask of more is probably inverted


def read_masks(root: Path, images: str | None = None, masks: str | None = None, threshold: float | None = None,
               splits: str | None = None, apart: Collection[Path] = ()) -> Source:
    """Read a folder of images and mask images.

    Args:
        root: The folder.
        images: Folder of the images; None takes what lies in no folder of masks.
        masks: Folder of the masks; None finds them by their folder (``masks``, ``label``, ``gt`` …), or by what follows
            the image's name (``_mask``, ``_pixels0`` …).
        threshold: See :func:`read_target_mask`.
        splits: See :func:`given_splits`.
        apart: Files and folders that hold no frames: sky maps.

    Raises:
        InputError: If there are no images or no masks.
    """
    files = [file for file in list_files(root, images, apart) if is_frame(file)
             and (images is not None or file.parent.name.lower() not in _OTHER_MASKS)]
    if masks is not None:
        found = [file for file in list_files(root, masks) if is_frame(file)]
    else:
        every = files if images is None else [file for file in list_files(root, apart=apart) if is_frame(file)]
        found = [file for file in every if _in_mask_folder(root, file)] or [
            file for file in every if file.stem.endswith(MASK_ENDINGS)]
    if not found:
        raise InputError(f'{printable(root)}: no mask image; name their folder by --masks')
    are_masks = set(found)
    frames, notes = one_suffix_each(root, [file for file in files if file not in are_masks])
    if not frames:
        raise InputError(f'{printable(root)}: no image beside the masks; name their folder by --images')
    return with_masks(root, frames, found, notes, threshold, splits)


def with_masks(root: Path, images: Sequence[Path], masks: Sequence[Path], notes: list[Note], threshold: float | None,
               splits: str | None, split_files: Sequence[Path] | None = None) -> Source:
    """A source of images and their masks, matched by name."""
    index, keys = FileIndex(masks, MASK_ENDINGS), keys_of(root, images)
    mask_of = one_each(root, index, images, 'mask', notes)
    frames, used = [], set(mask_of.values())
    if used <= {None}:
        raise InputError(f'{printable(root)}: no mask goes with an image by its name, as {shown_path(root, masks[0])} '
                         f'with {shown_path(root, images[0])}; call them alike, or name their folders by --images and '
                         '--masks')
    for image, key in zip(images, keys, strict=True):
        mask = mask_of[image]
        frames.append(SourceFrame(image, key, partial(no_labels, masks=True) if mask is None else
                                  partial(read_mask_labels, mask, threshold), () if mask is None else (mask, )))
    notes += [Note(shown_path(root, mask), 'label without an image', 'left out') for mask in masks if mask not in used]
    found, facts = given_splits(root, images, keys, splits, notes, split_files)
    return Source(frames, found, facts, notes)


def one_each(root: Path, index: FileIndex, images: Sequence[Path], what: str,
             notes: list[Note]) -> dict[Path, Path | None]:
    """The one label file of each image, or None, which is noted, as is a file that several images may have.

    Raises:
        InputError: If an image may have several.
    """
    label_of: dict[Path, Path | None] = {}
    images_of: dict[Path, list[Path]] = {}
    a_what = f'{"an" if what[0] in "AEIOUX" else "a"} {what}'
    for image, found in index.pair(images).items():
        if len(found) > 1:
            raise InputError(f'{shown_path(root, image)}: several files may be its {what}: '
                             f'{", ".join(shown_path(root, file) for file in found[:3])}; name their folder by '
                             '--labels or --masks')
        label_of[image] = found[0] if found else None
        if found:
            images_of.setdefault(found[0], []).append(image)
        else:
            notes.append(Note(shown_path(root, image), f'image without {a_what}', 'taken as a frame without targets'))
    notes += [Note(shown_path(root, file), f'{what} of several images', 'taken for each: '
                   + ', '.join(shown_path(root, image) for image in members[:3]))
              for file, members in images_of.items() if len(members) > 1]
    return label_of


def read_mask_labels(path: Path, threshold: float | None, size: Size) -> Labels:
    """The labels that a mask image is: a box around each 8-connected component, of the class ``Target``."""
    mask, notes = read_target_mask(path, threshold, size)
    boxes = component_boxes(mask).astype(np.float64)
    return Labels([CLASSES[0]] * len(boxes), boxes, mask, notes)


def read_target_mask(path: Path, threshold: float | None, size: Size) -> tuple[np.ndarray, list[tuple[str, str]]]:
    """The target pixels of a mask image of any kind.

    Of colours the highest channel counts, of a palette the index, but for 255 beside others, VOC's border. Two values,
    a palette, and labels below half of the range mean: all that is not 0. In any other mask, a soft one, or a JPEG,
    pixels from half of the range up count.

    Args:
        path: Image file.
        threshold: Least share of the range, in (0, 1], of a target pixel, instead of that rule.
        size: Width and height that it must have.

    Returns:
        (H, W) bool, and notes.

    Raises:
        InputError: The file is no image, or of another size.
    """
    header = read_header(path)
    require_size(path, (header.width, header.height), size)
    values, full, palette = _values(path, header.deep)
    notes: list[tuple[str, str]] = []
    if palette and (values == _BORDER).any() and ((values > 0) & (values < _BORDER)).any():
        values = np.where(values == _BORDER, 0, values)
        notes.append(('border of a palette mask', f'{_BORDER} beside other indices is not counted as target'))
    if threshold is not None:
        mask = values >= threshold * full if not palette else values > 0
    elif palette or values.max(initial=0) < full / 2 or len(np.unique(values)) <= 2:
        mask = values > 0
        if not palette and len(np.unique(values)) > 2:
            notes.append(('mask of low values', f'its highest value is {values.max()}, below half of {full:g}: all '
                          'that is not 0 counts; --threshold says otherwise'))
    else:
        mask = values >= full / 2
        notes += _faint_parts(path, values, mask, full)
    if mask.mean() > _MOST:
        notes.append(('mask of most of the frame', f'{mask.mean():.0%} of the pixels are targets; is it inverted?'))
    return mask, notes


def _faint_parts(path: Path, values: np.ndarray, mask: np.ndarray, full: float) -> list[tuple[str, str]]:
    """A note of the components of a soft mask that it loses, in a JPEG but for what its compression adds."""
    peaks = component_maxima(values > 0, values)
    with open_file(path) as file:
        least = full * _NOISE if file.read(len(JPEG_START)) == JPEG_START else 0
    peaks = peaks[(peaks > least) & (peaks < full / 2)]
    return [('faint part of a mask', f'{len(peaks)} components of at most {peaks.max():g}, below half of {full:g}, are '
             'left out; --threshold says otherwise')] if len(peaks) else []


def _values(path: Path, deep: bool) -> tuple[np.ndarray, float, bool]:
    """Values (H, W), the highest of their range, and whether they are indices of a palette."""
    if not deep:
        image = read_image(path)
        if image.mode in ('P', 'L', '1'):
            values = np.asarray(image).astype(np.uint8)
            return values * (255 if image.mode == '1' else 1), 255, image.mode == 'P'
        return np.asarray(image.convert('RGB')).max(axis=2), 255, False
    values = next(iter(read_pages(path)))
    values = values if values.ndim == 2 else values.max(axis=2)
    if values.dtype.kind == 'f':
        values = np.nan_to_num(values, nan=0.0)
        return values, 1 if values.max(initial=0) <= 1 else 255, False
    return values, np.iinfo(values.dtype).max, False


def _in_mask_folder(root: Path, file: Path) -> bool:
    folders = file.relative_to(root).parts[:-1] if file.is_relative_to(root) else ()
    return any(folder.lower() in MASK_FOLDERS for folder in folders)
