"""Sky IoU, which boxes and false alarms lie in the true sky, and whether a true sky map says anything."""
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..devkit.layout import IGNORED, SKY


def has_known_sky(truth: np.ndarray) -> bool:
    """Whether a true sky map (H, W) says anything: one of 255 (ignored) alone stands for an image that has none."""
    return bool((truth != IGNORED).any())


def sky_overlap(predicted: np.ndarray, truth: np.ndarray) -> tuple[int, int]:
    """Count the pixels of the intersection and of the union of two sky maps.

    Args:
        predicted: (H, W), 1 = sky.
        truth: (H, W), 0 = other, 1 = sky, 255 = ignored: counted in neither.

    Returns:
        Intersection and union in pixels.
    """
    predicted_sky, true_sky = predicted == SKY, truth == SKY
    intersection = np.count_nonzero(predicted_sky & true_sky)
    union = np.count_nonzero((predicted_sky | true_sky) & (truth != IGNORED))
    return int(intersection), int(union)


def centre_in_sky(boxes: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Find the boxes whose centre is in the true sky.

    An ignored pixel is not sky, so that each box is on exactly one side.

    Args:
        boxes: (N, 4), ``[x1, y1, x2, y2]`` in pixels of the map.
        truth: (H, W), 0 = other, 1 = sky, 255 = ignored.

    Returns:
        bool (N,).
    """
    return at_centres(boxes, truth) == SKY


def at_centres(boxes: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values of a map at the centres of boxes.

    Pixel k covers [k, k + 1). A centre outside the image is looked up at the nearest pixel of the border.

    Args:
        boxes: (N, 4), ``[x1, y1, x2, y2]`` in pixels of the map.
        values: (H, W).

    Returns:
        (N,), of the map's dtype.
    """
    # A network that diverges predicts NaN; it must not end the evaluation with an IndexError.
    centres = np.nan_to_num((boxes[:, :2] + boxes[:, 2:]) / 2)
    height, width = values.shape
    x, y = np.clip(np.floor(centres), 0, (width - 1, height - 1)).astype(np.intp).T
    return values[y, x]


def alarms_by_side(results: Sequence[dict[str, Any]], alarms: np.ndarray) -> dict[str, tuple[np.ndarray, int]]:
    """Divide false alarms by the side of the true horizon that their centre is on.

    Args:
        results: What ``DenseSIRSTMetric.process`` has stored of each image.
        alarms: bool (N,), the false alarms among the detections of all images, one image after the other.

    Returns:
        Those of each side, bool (N,), and the number of images that they are counted in, by the key of their rate:
        ``FPPI_sky`` and ``FPPI_other`` if an image has a true sky map, ``FPPI``, all of all images, if one has none.
    """
    mapped = ['in_sky' in result for result in results]
    none = [np.zeros(len(result['scores']), bool) for result in results]
    in_sky = np.concatenate([result.get('in_sky', flags) for result, flags in zip(results, none, strict=True)])
    here = np.repeat(mapped, [len(flags) for flags in none])
    sides = {} if all(mapped) else {'FPPI': (alarms, len(results))}
    if any(mapped):
        sides |= {'FPPI_sky': (alarms & here & in_sky, sum(mapped)),
                  'FPPI_other': (alarms & here & ~in_sky, sum(mapped))}
    return sides


def alarms_per_image(sides: dict[str, tuple[np.ndarray, int]], scores: np.ndarray,
                     threshold: float) -> dict[str, float]:
    """False alarms per image of each side of :func:`alarms_by_side` at scores (N,) of at least ``threshold``."""
    return {key: float((flags & (scores >= threshold)).sum() / images) for key, (flags, images) in sides.items()}
