"""Contrast stretched for the eye: robust limits of an 8-bit frame, or of a part of it, and the stretching itself."""
from collections.abc import Sequence

import cv2
import numpy as np

# A frame of one grey level and its noise must not become black and white.
LEAST_SPAN = 32


def contrast_limits(image: np.ndarray, percentiles: Sequence[float], least_span: int = LEAST_SPAN) -> tuple[int, int]:
    """The grey levels that become black and white.

    Args:
        image: uint8 (H, W) or (H, W, 3), of at least one pixel.
        percentiles: Of all values of the image.
        least_span: The limits are at least this far apart, about their middle, as far as 0 to 255 goes.

    Returns:
        Low and high, within 0 to 255.
    """
    counts = cv2.calcHist([np.ascontiguousarray(image).reshape(-1, 1)], [0], None, [256], [0, 256])
    shares = np.cumsum(counts.astype(np.int64))
    low, high = (int(np.searchsorted(shares, share / 100 * (shares[-1] - 1) + 1)) for share in percentiles)
    if high - low < least_span:
        low = min(max(0, (low + high - least_span) // 2), 255 - least_span)
        high = low + least_span
    return low, high


def stretch(image: np.ndarray, limits: tuple[int, int]) -> np.ndarray:
    """Make the limits black and white.

    Args:
        image: uint8, any shape.
        limits: See :func:`contrast_limits`.

    Returns:
        uint8, the same shape: ``(value - low) / (high - low) * 255``, rounded and clipped.
    """
    low, high = limits
    if (low, high) == (0, 255):
        return image
    table = np.clip(np.rint((np.arange(256.0) - low) * (255 / (high - low))), 0, 255).astype(np.uint8)
    return cv2.LUT(image, table)


def describe_limits(limits: tuple[int, int], levels: tuple[float, float] | None) -> str:
    """What was stretched, in words: ``grey 31–96 of 0–255``.

    Args:
        limits: See :func:`contrast_limits`.
        levels: The two values of a frame of more than 8 bits that had become 0 and 255, in whose unit it is said then.
    """
    if levels is None:
        return f'grey {limits[0]}–{limits[1]} of 0–255'
    low, high = (levels[0] + (levels[1] - levels[0]) * limit / 255 for limit in limits)
    digits = 0 if levels[1] - levels[0] >= 255 else 3
    return f'grey {low:.{digits}f}–{high:.{digits}f}'
