"""Boxes of other formats made fit for a devkit: clipped to the image, and those left out that are none."""
import numpy as np

from ..read import MAX_OBJECTS, without_area
from .source import Labels, Size

# Six decimals of a share are 0.002 pixels of an image of 2000; a box so near to whole pixels was of whole pixels.
_NEARLY_WHOLE = 0.02
_DECIMALS = 4


def fit_boxes(labels: Labels, size: Size) -> Labels:
    """Leave out boxes without four finite numbers, without area or outside of the image, and cut those partly in it.

    Args:
        labels: As they were read.
        size: Width and height of the image in pixels.

    Returns:
        The labels that are left, whole numbers where they are nearly so, and notes of all that was changed.
    """
    boxes, notes = labels.boxes, list(labels.notes)
    finite = np.isfinite(boxes).all(axis=1)
    whole = np.rint(np.where(finite[:, None], boxes, 0))
    boxes = np.where(np.abs(boxes - whole) < _NEARLY_WHOLE, whole, np.round(boxes, _DECIMALS))
    empty = finite & without_area(boxes)
    clipped = np.clip(boxes, 0, [*size, *size])
    outside = finite & ~empty & without_area(clipped)
    cut = finite & ~empty & ~outside & (clipped != boxes).any(axis=1)
    for bad, kind, done in ((~finite, 'box without four numbers', 'left out'), (empty, 'box without area', 'left out'),
                            (outside, 'box outside of the image', 'left out'),
                            (cut, 'box partly outside of the image', 'cut')):
        notes += [(kind, f'{_shown(boxes[index])}: {done}') for index in np.flatnonzero(bad)]
    kept = finite & ~empty & ~outside
    kept &= np.cumsum(kept) <= MAX_OBJECTS
    names = [name for name, keep in zip(labels.names, kept.tolist(), strict=True) if keep]
    return Labels(names, clipped[kept], labels.mask, notes)


def _shown(box: np.ndarray) -> str:
    return ' '.join(f'{number:g}' for number in box.tolist())
