"""Classical filters that take away the background of small targets: Top-Hat and Max-Median."""
import cv2
import numpy as np

from .windows import Grey


def top_hat(frame: Grey, size: int = 5) -> Grey:
    """The frame minus its morphological opening: what is brighter than its surroundings and smaller than the window.

    Rivest and Fortin, "Detection of dim targets in digital infrared imagery by morphological image processing",
    Optical Engineering 35(7), 1996.

    Args:
        frame: Grey values, (H, W), float64.
        size: Side of the square window in pixels.

    Returns:
        The response, (H, W), at least 0.
    """
    return cv2.morphologyEx(frame, cv2.MORPH_TOPHAT, np.ones((size, size), np.uint8))


def max_median(frame: Grey, size: int = 5) -> Grey:
    """The frame minus the largest of the medians along four lines through each pixel, where that is positive.

    Deshpande et al., "Max-mean and max-median filters for detection of small targets", SPIE 3809, 1999.

    Args:
        frame: Grey values, (H, W), float64.
        size: Length of the lines in pixels, odd.

    Returns:
        The response, (H, W), at least 0.
    """
    reach = size // 2
    padded, (height, width) = np.pad(frame, reach, 'edge'), frame.shape
    steps = range(-reach, reach + 1)
    medians = [
        np.median([padded[reach + y * k:reach + y * k + height, reach + x * k:reach + x * k + width] for k in steps],
                  axis=0)
        for y, x in ((0, 1), (1, 0), (1, 1), (1, -1))]
    return np.maximum(frame - np.max(medians, axis=0), 0)
