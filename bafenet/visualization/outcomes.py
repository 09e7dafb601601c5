"""Which boxes of a frame are hits, misses and false alarms, as the metrics count them."""
from typing import NamedTuple

import numpy as np
from mmdet.evaluation.functional.bbox_overlaps import bbox_overlaps

from bafenet.evaluation.matching import Instances, match

# In the order in which a legend has them. FOUND: there is no truth to judge by, or it says not to.
HIT, MISS, FALSE_ALARM, FOUND = range(4)
OUTCOME_NAMES = ('hit', 'miss', 'false alarm', 'found')
OUTCOME_PLURALS = ('hits', 'misses', 'false alarms', 'found')


class Outcomes(NamedTuple):
    """The boxes of a frame, true ones first, and what became of each.

    Attributes:
        boxes: float64 (n, 4), ``[x1, y1, x2, y2]`` in pixels of the frame.
        found: bool (n, ), the others are true.
        scores: float64 (n, ), in [0, 1]; NaN of true boxes, and of found ones without a score.
        outcome: int (n, ), of :data:`HIT` … :data:`FOUND`; a true box and the found one on it are both a hit.
    """

    boxes: np.ndarray
    found: np.ndarray
    scores: np.ndarray
    outcome: np.ndarray

    @property
    def listed(self) -> np.ndarray:
        """One box for each hit, miss and false alarm, bool (n, )."""
        return self.found | (self.outcome == MISS)

    @property
    def targets(self) -> np.ndarray:
        """The boxes whose pixels are to be seen, float64 (k, 4): the true ones, and where there are none the found."""
        return self.boxes if self.found.all() else self.boxes[~self.found]

    def counts(self) -> np.ndarray:
        """How many there are of each outcome, int (4, )."""
        return np.bincount(self.outcome[self.listed], minlength=len(OUTCOME_NAMES))


def judge(true_boxes: np.ndarray | None, boxes: np.ndarray | None, scores: np.ndarray | None,
          ignored_boxes: np.ndarray | None, iou_thr: float, size: tuple[int, int]) -> Outcomes:
    """Match found boxes to true ones, all of one class, as :func:`~bafenet.evaluation.matching.match` does.

    Boxes that are not finite are left out, corners put in order, and what lies far outside the frame is brought to its
    edge, once they are matched.

    Args:
        true_boxes: float (n, 4); None where there is no truth, so that nothing is judged.
        boxes: float (m, 4), or None.
        scores: float (m, ), or None: then the first box on a target is its hit.
        ignored_boxes: float (k, 4), found or not without a judgement, or None.
        iou_thr: The least overlap of a hit.
        size: Width and height of the frame.

    Returns:
        The true boxes, then the found ones, in their order.
    """
    true, _ = _checked(true_boxes)
    found, kept = _checked(boxes)
    given = np.full(len(found), np.nan) if scores is None else np.asarray(scores, np.float64).ravel()[kept]
    outcome = np.full(len(true) + len(found), FOUND)
    if true_boxes is not None:
        outcome[:len(true)] = MISS
        order = -np.arange(len(found), dtype=float) if scores is None else given
        truth, ignored = (Instances(part, np.zeros(len(part), int)) for part in (true, _checked(ignored_boxes)[0]))
        is_tp, is_fp = match(Instances(found, np.zeros(len(found), int), order), truth, ignored, 1, iou_thr, False)
        outcome[len(true):][is_fp] = FALSE_ALARM
        outcome[len(true):][is_tp] = HIT
        if is_tp.any():
            outcome[bbox_overlaps(found[is_tp], true).argmax(axis=1)] = HIT
    width, height = size
    everything = np.concatenate([true, found]).clip(-2, (width + 2, height + 2, width + 2, height + 2))
    is_found = np.arange(len(everything)) >= len(true)
    return Outcomes(everything, is_found, np.concatenate([np.full(len(true), np.nan), given]), outcome)


def _checked(boxes: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Boxes that are finite, their corners in order, float64 (n, 4), and which these are."""
    given = np.asarray([] if boxes is None else boxes, np.float64).reshape(-1, 4)
    kept = np.all(np.isfinite(given), axis=1)
    corners = given[kept].reshape(-1, 2, 2)
    return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1), kept
