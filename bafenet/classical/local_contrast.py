"""Local contrast measures of small targets: LCM, MPCM, TLLCM and WSLCM."""
from collections.abc import Sequence
from functools import partial

import cv2
import numpy as np

from .windows import Grey, cells, largest, mean, mean_of_largest

_GAUSS = np.outer((1, 2, 1), (1, 2, 1)) / 16
_LEAST = 1e-6  # grey level that a background which is divided by has at least


def lcm(frame: Grey, sizes: Sequence[int] = (3, 5, 7, 9)) -> Grey:
    """Local contrast measure: the square of a cell's brightest pixel over the brightest mean of the cells around it.

    Chen et al., "A local contrast method for small infrared target detection", IEEE TGRS 52(1), 2014.

    Args:
        frame: Grey values, (H, W), float64.
        sizes: Sides of the cells in pixels, odd; the largest response counts.

    Returns:
        The response, (H, W).
    """

    def at(size: int) -> Grey:
        _, background = cells(frame, size, mean)
        return largest(frame, size)**2 / np.maximum(background.max(axis=0), _LEAST)

    return np.max([at(size) for size in sizes], axis=0)


def mpcm(frame: Grey, sizes: Sequence[int] = (3, 5, 7, 9)) -> Grey:
    """Multiscale patch-based contrast measure: the least product of the differences to two opposite cells.

    Wei et al., "Multiscale patch-based contrast measure for small infrared target detection", Pattern Recognition 58,
    2016. A bright and a dark target both give a positive product, as in the paper.

    Args:
        frame: Grey values, (H, W), float64.
        sizes: Sides of the cells in pixels, odd; the largest response counts.

    Returns:
        The response, (H, W).
    """

    def at(size: int) -> Grey:
        centre, background = cells(frame, size, mean)
        difference = centre - background
        return (difference[:4] * difference[4:]).min(axis=0)

    return np.max([at(size) for size in sizes], axis=0)


def tllcm(frame: Grey, size: int = 9, count: int = 9) -> Grey:
    """Tri-layer local contrast measure: a Gaussian core against the brightest of the eight cells around.

    Han et al., "A local contrast method for infrared small-target detection utilizing a tri-layer window", IEEE GRSL
    17(10), 2020.

    Args:
        frame: Grey values, (H, W), float64.
        size: Side of a cell in pixels, odd.
        count: K: a cell's background is the mean of so many largest values.

    Returns:
        The response, (H, W), at least 0.
    """
    _, background = cells(frame, size, partial(mean_of_largest, count=count))
    return _strengthened(_core(frame), background)


def wslcm(frame: Grey, sizes: Sequence[int] = (5, 7, 9, 11), count: int = 9, least_deviation: float = 5.0) -> Grey:
    """Weighted strengthened local contrast measure.

    TLLCM's contrast of a frame behind a 3×3 median, weighted by how far the target's largest values lie above its
    mean (its regional intensity level), by how much more they do than those of the cells around, and by one over the
    standard deviation of the latter. Han et al., "Infrared small target detection based on the weighted strengthened
    local contrast measure", IEEE GRSL 18(9), 2020.

    Args:
        frame: Grey values, (H, W), float64.
        sizes: Sides of the cells in pixels, odd; the largest response counts.
        count: K: so many largest values of a cell are averaged.
        least_deviation: ξ, in grey levels: the least standard deviation of the cells around that is divided by.

    Returns:
        The response, (H, W), at least 0.
    """
    # OpenCV's median takes float32 for windows of 3.
    smooth = cv2.medianBlur(frame.astype(np.float32), 3).astype(np.float64)

    def at(size: int) -> Grey:
        top = cells(smooth, size, partial(mean_of_largest, count=count))
        average = cells(smooth, size, mean)
        target, around = (high - middle for high, middle in zip(top, average, strict=True))
        weight = target * np.maximum(target - around.max(axis=0), 0)
        return weight / np.maximum(around.std(axis=0, ddof=1), least_deviation) * _strengthened(_core(smooth), top[1])

    return np.max([at(size) for size in sizes], axis=0)


def _core(frame: Grey) -> Grey:
    """The frame through a 3×3 Gaussian, the matched filter of a small target."""
    return cv2.filter2D(frame, -1, _GAUSS, borderType=cv2.BORDER_REPLICATE)


def _strengthened(core: Grey, background: Grey) -> Grey:
    """Ratio and difference in one: the core times its ratio to the brightest background, minus itself; at least 0."""
    return np.maximum(core**2 / np.maximum(background.max(axis=0), _LEAST) - core, 0)
