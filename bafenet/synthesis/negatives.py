"""Negative augmentation: the window around a small target, rotated about its centre (SIRST-5K, Eq. 4)."""
from collections.abc import Sequence

import numpy as np

ROTATIONS = (0, 90, 180, 270)
"""beta of Eq. 4 in degrees, anticlockwise. The paper calls the angle mu once; 0 leaves the frame as it is."""

SET_ROTATIONS = (0, *ROTATIONS)
"""The five terms of Eq. 9: the frame as it is, then its negatives."""

MIN_WINDOW, MAX_WINDOW = 2, 1024


def window_around(centre: Sequence[float], size: int, shape: Sequence[int]) -> tuple[slice, slice]:
    """The window of P_target: square, around a centre, moved into the frame where it would reach beyond its border.

    Args:
        centre: Column and row; the first pixel is at 0. Where the window cannot lie evenly around it, it lies half a
            pixel or less to the right and below.
        size: Its side in pixels, s of the paper; a frame that is smaller than this is filled as far as a square can.
        shape: Height and width of the frame, and whatever follows.

    Returns:
        Its rows and columns.
    """
    side = min(size, *shape[:2])
    column, row = (int(np.floor(place - (side - 1) / 2 + 0.5)) for place in centre)
    top, left = (min(max(start, 0), length - side) for start, length in ((row, shape[0]), (column, shape[1])))
    return slice(top, top + side), slice(left, left + side)


def rotate_window(image: np.ndarray, window: tuple[slice, slice], rotation: int) -> np.ndarray:
    """A copy of an image with one square window of it rotated.

    Args:
        image: (H, W) or (H, W, C), of any dtype, which is kept; a mask likewise.
        window: Rows and columns, as many of either.
        rotation: One of :data:`ROTATIONS`.
    """
    rotated = image.copy()
    rotated[window] = np.rot90(image[window], ROTATIONS.index(rotation))
    return rotated


def negatives(image: np.ndarray, mask: np.ndarray, centre: Sequence[float], size: int = 3,
              rotate_label: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The four negatives of one target: I_Neg of Eq. 4, one for each of :data:`ROTATIONS`.

    They differ from the frame in ``size`` x ``size`` pixels at most. The paper leaves the label as it was ("the sample
    label remains unchanged"), and so does this; where a target is no square of rotational symmetry, some pixels of the
    label are then wrong. The release cuts windows of s - 1 pixels, here ``size=2``.

    Args:
        image: (H, W) or (H, W, C), uint8 or uint16. It is not changed.
        mask: (H, W), its target mask.
        centre: Column and row of the target's centre, as ``component_centroids`` gives it.
        size: Side of the rotated window in pixels, s of the paper.
        rotate_label: Rotate the mask's window too.

    Returns:
        (4, H, W) or (4, H, W, C) and (4, H, W), of the dtypes given.
    """
    window = window_around(centre, size, image.shape)
    images = np.stack([rotate_window(image, window, rotation) for rotation in ROTATIONS])
    if not rotate_label:
        return images, np.repeat(mask[None], len(ROTATIONS), axis=0)
    return images, np.stack([rotate_window(mask, window, rotation) for rotation in ROTATIONS])
