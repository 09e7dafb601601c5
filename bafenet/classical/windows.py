"""Sliding windows of a grey frame: means, largest values, and the eight cells around each pixel."""
from collections.abc import Callable

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

Grey = np.ndarray  # float64
# Rows and columns of the eight cells around a window; opposite ones are four places apart.
AROUND = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))
_VALUES_AT_ONCE = 8_000_000  # of windows that are partly sorted: bounds the memory on large frames


def mean(frame: Grey, size: int) -> Grey:
    """Mean of the ``size`` × ``size`` window around each pixel, (H, W); edges are repeated."""
    return cv2.blur(frame, (size, size), borderType=cv2.BORDER_REPLICATE)


def largest(frame: Grey, size: int) -> Grey:
    """Largest value of the ``size`` × ``size`` window around each pixel, (H, W)."""
    return cv2.dilate(frame, np.ones((size, size), np.uint8), borderType=cv2.BORDER_REPLICATE)


def mean_of_largest(frame: Grey, size: int, count: int) -> Grey:
    """Mean of the ``count`` largest values of the ``size`` × ``size`` window around each pixel, (H, W)."""
    windows = sliding_window_view(np.pad(frame, size // 2, 'edge'), (size, size))
    height, width = windows.shape[:2]
    rows = max(_VALUES_AT_ONCE // (width * size * size), 1)
    parts = [np.partition(windows[top:top + rows].reshape(-1, size * size), size * size - count, axis=1)
             [:, size * size - count:].mean(axis=1) for top in range(0, height, rows)]
    return np.concatenate(parts).reshape(height, width)


def cells(frame: Grey, size: int, statistic: Callable[[Grey, int], Grey]) -> tuple[Grey, Grey]:
    """A statistic of the cell at each pixel, and of the eight cells of the same size around it.

    Args:
        frame: (H, W).
        size: Side of a cell, odd, in pixels.
        statistic: Gives (H, W) for a frame and a size; it is worked out once for all nine, and beyond the frame its
            values at the edge are repeated, as the results that are known were made.

    Returns:
        The centre's, (H, W), and the others', (8, H, W), in the order of :data:`AROUND`.
    """
    height, width = frame.shape
    field = np.pad(statistic(frame, size), size, 'edge')
    shifted = [field[size * (1 + y):size * (1 + y) + height, size * (1 + x):size * (1 + x) + width]
               for y, x in ((0, 0), *AROUND)]
    return shifted[0], np.stack(shifted[1:])
