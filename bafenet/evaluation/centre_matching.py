"""Match detections to targets by the distance of centres; share of targets found at few false alarms per image."""
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.logging import print_log
from scipy.spatial.distance import cdist

from .matching import Instances, counts_by_threshold, threshold_at_recall
from .sky import alarms_by_side, alarms_per_image

CENTRE_DISTANCE, MAX_DISTANCE = 3.0, 1000  # pixels; the metric's default, and the largest it takes
# The most false alarms per image of found_02: in the sky, out of it, and all where an image has no true sky map.
MOST_ALARMS = {'FPPI_sky': 0.2, 'FPPI_other': 0.2, 'FPPI': 0.5}
SHARE_FOUND = 0.95  # of found_FPPI…_found95


def match_centres(detections: Instances, truth: Instances, ignored: Instances, num_classes: int,
                  distance: float = CENTRE_DISTANCE) -> tuple[np.ndarray, np.ndarray]:
    """Tell which detections of one image find a target and which are false alarms, by their centres.

    A detection reaches a true box of its class if its centre is within ``distance`` of the box's centre, or in the box
    (``x1 <= x < x2``, ``y1 <= y < y2``). By descending score, of equal scores in the order given, each finds the
    nearest true box that it reaches and that no other has found. If all of these are found, it is a duplicate; with
    none in reach, it may reach an ignored box: both are neither right nor a false alarm, and so is a label outside
    the classes. All others are false alarms.

    Args:
        detections: The predicted boxes, with scores.
        truth: The true boxes.
        ignored: Boxes that are neither to be found nor wrong to find.
        num_classes: Labels are 0 to ``num_classes - 1``.
        distance: In pixels of the original image, Euclidean, at least 0.

    Returns:
        What finds a target, and false alarms: two bool arrays (N,), in the order of the detections.
    """
    known = (detections.labels >= 0) & (detections.labels < num_classes)
    apart, reached = _reach(detections, truth, distance)
    # A stable sort, so that equal scores keep their order.
    order = np.argsort(-np.asarray(detections.scores), kind='stable')
    is_found = np.zeros(len(order), bool)
    is_found[order] = _take_nearest_free(np.where(reached & known[:, None], apart, np.inf)[order])
    near = reached.any(axis=1) | _reach(detections, ignored, distance)[1].any(axis=1)
    return is_found, known & ~near


def _reach(detections: Instances, others: Instances, distance: float) -> tuple[np.ndarray, np.ndarray]:
    """Distances of centres in pixels, float (N, M), and which of the M boxes each of N detections reaches, bool."""
    boxes, targets = (np.asarray(one.boxes, float) for one in (detections, others))
    centres, middles = ((corners[:, :2] + corners[:, 2:]) / 2 for corners in (boxes, targets))
    apart = cdist(centres, middles)
    inside = ((centres[:, None] >= targets[:, :2]) & (centres[:, None] < targets[:, 2:])).all(axis=2)
    return apart, (inside | (apart <= distance)) & (detections.labels[:, None] == others.labels)


def _take_nearest_free(apart: np.ndarray) -> np.ndarray:
    """Which rows get a column, if each in turn takes the nearest one that is left.

    In rounds over all rows at once: each wants its nearest column, the first of those that want the same one keeps it,
    and the others strike it off. What is left when none must give way is what taking turns gives.

    Args:
        apart: float (N, M), infinite where a row may not have a column.

    Returns:
        bool (N,).
    """
    apart = apart.copy()
    while apart.size:
        wanted = apart.argmin(axis=1)
        wanting = np.flatnonzero(np.isfinite(apart[np.arange(len(apart)), wanted]))
        _, first = np.unique(wanted[wanting], return_index=True)
        late = np.delete(wanting, first)
        if not len(late):
            return np.isin(np.arange(len(apart)), wanting)
        apart[late, wanted[late]] = np.inf
    return np.zeros(len(apart), bool)


def found_metrics(results: Sequence[dict[str, Any]], score: float) -> dict[str, float]:
    """The share of targets found by their centres, and the false alarms of this rule per image.

    Args:
        results: What ``DenseSIRSTMetric.process`` has stored of each image, ``found`` and ``alarms`` of
            :func:`match_centres` included.
        score: The lowest score that counts in ``found`` and ``found_FPPI…``.

    Returns:
        The values that are defined; ``found_02`` is 0, without a score, where no score finds a target at so few
        false alarms (:data:`MOST_ALARMS`), and there is no ``found_FPPI…_found95`` where no score finds
        :data:`SHARE_FOUND` of the targets.
    """
    scores, found, alarms = (np.concatenate([result[key] for result in results])
                             for key in ('scores', 'found', 'alarms'))
    sides = alarms_by_side(results, alarms)
    metrics = {f'found_{key}': rate for key, rate in alarms_per_image(sides, scores, score).items()}
    num_gt = int(sum(result['num_gt'].sum() for result in results))
    if not num_gt:
        return metrics
    metrics |= {'found': float((found & (scores >= score)).sum() / num_gt), 'found_02': 0.0}
    counts = {key: counts_by_threshold(scores, found, flags) for key, (flags, _) in sides.items()}
    of_found = next(iter(counts.values()))
    threshold = threshold_at_recall(of_found, num_gt, SHARE_FOUND)
    if threshold is None:
        print_log(f'The share found stays below {SHARE_FOUND}: found_FPPI_sky_found95, found_FPPI_other_found95 and '
                  'found_FPPI_found95 are left out.', logger='current')
    else:
        metrics |= {f'found_{key}_found95': rate for key, rate in alarms_per_image(sides, scores, threshold).items()}
    few = np.all([counts[key].fp / images <= MOST_ALARMS[key] for key, (_, images) in sides.items()], axis=0)
    # Both only grow as the score sinks, so the first of the greatest is at the highest score.
    shares = np.where(few, of_found.tp, 0) / num_gt
    if not shares.any():
        print_log('No score finds a target at so few false alarms: found_02_score is left out.', logger='current')
        return metrics
    best = shares.argmax()
    return {**metrics, 'found_02': float(shares[best]), 'found_02_score': float(of_found.thresholds[best])}
