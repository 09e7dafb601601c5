"""A frame as overlapping patches, and back: the patch images and patch tensors of low-rank methods."""
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from .windows import Grey


def starts(length: int, size: int, step: int) -> NDArray[np.intp]:
    """First pixels of the patches along one axis: every ``step``, and one that ends where the frame does."""
    return np.append(np.arange(0, length - size, step), length - size)


def split(frame: Grey, size: int, step: int) -> Grey:
    """Patches of a frame, (size, size, n), columns first.

    Args:
        frame: (H, W), no side shorter than ``size``.
        size: Side of a patch in pixels.
        step: Pixels from one patch to the next.
    """
    windows = sliding_window_view(frame, (size, size))
    rows, columns = (starts(length, size, step) for length in frame.shape)
    return windows[rows[None, :], columns[:, None]].reshape(-1, size, size).transpose(1, 2, 0).copy()


def join(patches: Grey, shape: tuple[int, int], step: int, median: bool = False) -> Grey:
    """The frame of such patches: where several overlap their mean, or their median.

    Args:
        patches: (size, size, n), as :func:`split` gives them.
        shape: Height and width of the frame.
        step: Pixels from one patch to the next.
        median: Take the median, which needs as much memory as all patches.
    """
    size = len(patches)
    rows, columns = (starts(length, size, step) for length in shape)
    corners = [(row, column) for column in columns for row in rows]
    count = np.zeros(shape, np.intp)
    for row, column in corners:
        count[row:row + size, column:column + size] += 1
    values = np.full((count.max() if median else 1, *shape), np.nan if median else 0.0)
    count_so_far = np.zeros(shape, np.intp)
    down, across = np.indices((size, size))
    for number, (row, column) in enumerate(corners):
        place = slice(row, row + size), slice(column, column + size)
        if median:
            values[count_so_far[place], down + row, across + column] = patches[..., number]
            count_so_far[place] += 1
        else:
            values[0][place] += patches[..., number]
    return np.nanmedian(values, axis=0) if median else values[0] / count
