"""Are scores calibrated? Of boxes with a score of s a share s should be right: reliability and its expected error.

Right is a box that finds a target by its centre, wrong one that is a false alarm by the same rule
(evaluation/centre_matching.py). A further box of a target that is found is neither and left out: whoever looks there
finds a target, and which of two boxes found it says nothing of the score. From what ``tools/test.py --out`` writes,
which does not hold ignored boxes: boxes at these count as wrong.
"""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .centre_matching import CENTRE_DISTANCE, match_centres
from .matching import Instances, wilson_interval
from .results import class_count, instances_of

BINS, LOWEST = 10, 0.1
_NOTHING = Instances(np.zeros((0, 4), np.float32), np.zeros(0, int))


class Judged(NamedTuple):
    """Boxes that are right or wrong.

    Attributes:
        scores: float64 (N, ), in [0, 1].
        is_right: bool (N, ).
        image: int64 (N, ), the number of the image that each is of.
    """

    scores: np.ndarray
    is_right: np.ndarray
    image: np.ndarray


@dataclass(frozen=True)
class Reliability:
    """Boxes in bins by their scores, ascending.

    Attributes:
        scores: float (B, ), the mean score of each bin.
        shares: float (B, ), the share of its boxes that is right.
        counts: int (B, ), its boxes.
        low: float (B, ), lower end of Wilson's 95 % interval of the share.
        high: float (B, ), the upper end.
        lowest: The lowest score that counts.
    """

    scores: np.ndarray
    shares: np.ndarray
    counts: np.ndarray
    low: np.ndarray
    high: np.ndarray
    lowest: float

    @property
    def error(self) -> float:
        """Expected calibration error: the mean distance of share and score over all boxes, bin by bin; in [0, 1].

        Naeini et al., Obtaining well calibrated probabilities using Bayesian binning, AAAI 2015; with bins of equal
        count (Nguyen and O'Connor, EMNLP 2015).
        """
        return float(np.average(np.abs(self.shares - self.scores), weights=self.counts))

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return dict(error=self.error, lowest=self.lowest, scores=self.scores.tolist(), shares=self.shares.tolist(),
                    counts=self.counts.tolist(), low=self.low.tolist(), high=self.high.tolist())


def judge(images: Sequence[Mapping[str, Any]], distance: float = CENTRE_DISTANCE) -> Judged:
    """Tell which boxes of results are right and which wrong; those that are neither are left out.

    Args:
        images: Of :func:`~bafenet.evaluation.results.read_results`, with ``boxes``, ``scores``, ``labels``,
            ``gt_boxes`` and ``gt_labels``.
        distance: Of centres, in pixels.
    """
    pairs = [instances_of(image) for image in images]
    classes = class_count(pairs)
    matched = [match_centres(found, truth, _NOTHING, classes, distance) for found, truth in pairs]
    scores, right, wrong = (np.concatenate([np.zeros(0, kind), *parts]) for kind, parts in (
        (float, [np.asarray(found.scores, float) for found, _ in pairs]),
        (bool, [one for one, _ in matched]), (bool, [one for _, one in matched])))
    image = np.repeat(np.arange(len(pairs)), [len(found.labels) for found, _ in pairs])
    kept = right | wrong
    return Judged(scores[kept], right[kept], image[kept])


def reliability(scores: np.ndarray, is_right: np.ndarray, bins: int = BINS,
                lowest: float = LOWEST) -> Reliability | None:
    """Put boxes into bins of equal count.

    Args:
        scores: float (N, ), in [0, 1].
        is_right: bool (N, ).
        bins: How many; fewer where there are fewer boxes.
        lowest: Boxes below this score do not count.

    Returns:
        The bins, whose counts differ by one at most; None where no box counts.
    """
    kept = scores >= lowest
    order = np.argsort(scores[kept], kind='stable')
    if not len(order):
        return None
    counts = np.array([len(part) for part in np.array_split(order, min(bins, len(order)))])
    starts = np.cumsum(counts) - counts
    mean, right = (np.add.reduceat(values[kept][order].astype(float), starts) for values in (scores, is_right))
    low, high = wilson_interval(right, counts)
    return Reliability(mean / counts, right / counts, counts, low, high, lowest)
