"""Pixel metrics of infrared small target detection: IoU, P_d, F_a, hierarchical IoU, ROC and P_d against F_a."""
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
from scipy.integrate import trapezoid
from scipy.optimize import linear_sum_assignment

from ..devkit.layout import IGNORED, TARGET

# A target is detected by a component whose centroid is closer than this many pixels.
DISTANCE = 3.0
# Hierarchical IoU: least IoU of a target and the component that is nearest to it.
OVERLAP = 0.5
# The ROC is drawn at probabilities of at least k / 256.
ROC_LEVELS = 256
# P_d against F_a is drawn at probabilities above these, which are exact in float32.
THRESHOLDS = tuple(k / 16 for k in range(1, 16))


class Components(NamedTuple):
    """The 8-connected components of a mask, n of them, in the order of their first pixels, row by row.

    Attributes:
        pixels: intp (p,), flat indices of all their pixels, ascending.
        numbers: intp (p,), the component of each, from 0.
        areas: int64 (n,), in pixels.
        centroids: float64 (n, 2), mean column and row of each one's pixels.
    """

    pixels: np.ndarray
    numbers: np.ndarray
    areas: np.ndarray
    centroids: np.ndarray


def find_components(mask: np.ndarray) -> Components:
    """The components of a mask, bool (H, W)."""
    # Without OpenCV's statistics, which take longer than all the rest where targets are small.
    count, labels = cv2.connectedComponents(np.ascontiguousarray(mask).view(np.uint8), connectivity=8)
    pixels = np.flatnonzero(mask)
    found = labels.ravel()[pixels] - 1
    # OpenCV's own order depends on its algorithm. Of equal indices the last one stays, so that it is the first pixel.
    first = np.empty(count - 1, np.intp)
    first[found[::-1]] = pixels[::-1]
    number = np.empty(count - 1, np.intp)
    number[np.argsort(first)] = np.arange(count - 1)
    numbers = number[found]
    rows, columns = np.divmod(pixels, mask.shape[1])
    areas, *sums = (np.bincount(numbers, weights, count - 1) for weights in (None, columns, rows))
    return Components(pixels, numbers, areas, np.stack(sums, axis=1) / areas[:, None])


def centroid_distances(targets: Components, predicted: Components) -> np.ndarray:
    """Distances (m, n) of the centroids of m targets and n predicted components, in pixels."""
    return np.linalg.norm(targets.centroids[:, None] - predicted.centroids[None], axis=2)


def take_components(targets: Components, predicted: Components) -> np.ndarray:
    """Match targets and predicted components one to one, as the field's P_d and F_a do.

    Targets come in the order of their first pixels, row by row; each takes the first component left, in the same order,
    whose centroid is closer than 3 pixels.

    Returns:
        bool (n,), the components that a target took: as many targets are detected, the other components are false.
    """
    near = centroid_distances(targets, predicted) < DISTANCE
    taken = np.zeros(len(predicted.areas), bool)
    # A target's choice depends on those before it.
    for row in near[near.any(axis=1)]:
        candidates = row & ~taken
        if candidates.any():
            taken[candidates.argmax()] = True
    return taken


def legacy_alarm_pixels(areas: np.ndarray, taken: np.ndarray) -> int:
    """False alarm pixels of a frame as DNA-Net's code counts them, which looks for areas where it means components.

    Args:
        areas: int64 (n,), of the predicted components.
        taken: bool (n,), those that a target took.

    Returns:
        The pixels of all components of an area that no taken one has.
    """
    return int(areas[~np.isin(areas, areas[taken])].sum())


def match_hierarchically(targets: Components, predicted: Components) -> tuple[int, float]:
    """Match targets and predicted components one to one by overlap first and distance then, for hierarchical IoU.

    All are assigned at the least total distance of centroids, and pairs with an IoU of at least 0.5 stay; the others
    are assigned so once more, and pairs closer than 3 pixels stay (pyirstdmetrics, arXiv 2509.16888).

    Returns:
        The number of pairs, and the sum of their IoU.
    """
    distances = centroid_distances(targets, predicted)
    overlaps = _overlaps(targets, predicted)
    paired = np.zeros(distances.shape, bool)
    paired[linear_sum_assignment(distances)] = True
    paired &= overlaps >= OVERLAP
    rows, columns = np.flatnonzero(~paired.any(axis=1)), np.flatnonzero(~paired.any(axis=0))
    left = distances[np.ix_(rows, columns)]
    for row, column in zip(*linear_sum_assignment(left), strict=True):
        paired[rows[row], columns[column]] = left[row, column] < DISTANCE
    return int(paired.sum()), float(overlaps[paired].sum())


def _overlaps(targets: Components, predicted: Components) -> np.ndarray:
    """IoU (m, n) of each target and each component."""
    shape = len(targets.areas), len(predicted.areas)
    _, ours, theirs = np.intersect1d(targets.pixels, predicted.pixels, assume_unique=True, return_indices=True)
    pairs = targets.numbers[ours] * shape[1] + predicted.numbers[theirs]
    common = np.bincount(pairs, minlength=shape[0] * shape[1]).reshape(shape)
    return common / (targets.areas[:, None] + predicted.areas[None] - common)


# --- By threshold -----------------------------------------------------------------------------------------------------


def level_counts(probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Count pixels by probability, those of the background and those of targets.

    Args:
        probabilities: float32 (H, W) in [0, 1].
        truth: uint8 (H, W), 0 background, 1 target, 255 ignored: counted in neither.

    Returns:
        int64 (2, 256): pixels with a probability in [k / 256, (k + 1) / 256), the last one with 1 too.
    """
    levels = np.minimum(probabilities * np.float32(ROC_LEVELS), ROC_LEVELS - 1).astype(np.uint8)
    of_targets, ignored = (np.bincount(levels[truth == value], minlength=ROC_LEVELS) for value in (TARGET, IGNORED))
    return np.stack([np.bincount(levels.ravel(), minlength=ROC_LEVELS) - of_targets - ignored, of_targets])


def roc(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, float] | None:
    """The ROC of pooled pixels.

    Args:
        counts: (2, 256), the sum of :func:`level_counts` over all frames.

    Returns:
        False and true positive rate, each (257,), at the thresholds above 1 and 255 / 256 … 0, and the area under the
        curve in [0, 1]; None where there is no pixel of targets, or none of the background.
    """
    totals = counts.sum(axis=1, keepdims=True)
    if not totals.all():
        return None
    false, true = np.pad(np.cumsum(counts[:, ::-1], axis=1), ((0, 0), (1, 0))) / totals
    return false, true, float(trapezoid(true, false))


def counts_by_threshold(probabilities: np.ndarray, targets: Components) -> np.ndarray:
    """Detected targets and false alarm pixels of a frame where the pixels above a threshold are the prediction.

    Args:
        probabilities: float32 (H, W) in [0, 1], 0 where the truth is ignored.
        targets: The true ones.

    Returns:
        int64 (2, 15): detected targets, and pixels of components that no target took, at :data:`THRESHOLDS`.
    """
    return np.array(list(_counts_by_threshold(probabilities, targets)), np.int64).T


def _counts_by_threshold(probabilities: np.ndarray, targets: Components) -> Iterator[tuple[int, int]]:
    size, found = -1, (0, 0)
    for threshold in THRESHOLDS:
        above = probabilities > threshold
        # Each mask is a part of the one before: where they have equally many pixels they are the same.
        if (pixels := int(np.count_nonzero(above))) != size:
            predicted = find_components(above)
            taken = take_components(targets, predicted)
            size, found = pixels, (int(taken.sum()), int(predicted.areas[~taken].sum()))
        yield found
