"""Match detections to targets, and AP, recall and F1 from that. Matching and AP are mmdet's own."""
from typing import NamedTuple

import numpy as np
from mmdet.evaluation.functional.mean_ap import average_precision, tpfp_default
from scipy.stats import norm
from torch import Tensor, float64


class Instances(NamedTuple):
    """The boxes of one image; ``scores`` only where they are predicted.

    Attributes:
        boxes: float32 (N, 4), ``[x1, y1, x2, y2]`` in pixels of the original image.
        labels: int64 (N,), class indices.
        scores: float32 (N,), calibrated ones float64, in [0, 1], or ``None``.
    """

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray | None = None


def to_scores(scores: Tensor) -> np.ndarray:
    """Scores (N,) as an array: calibrated ones stay float64, which alone keeps them apart, others become float32."""
    return (scores if scores.dtype == float64 else scores.float()).cpu().numpy()


class Counts(NamedTuple):
    """Detections kept at each threshold, from the highest to the lowest.

    Attributes:
        thresholds: (T,), the distinct scores. A detection is kept where its score is at least the threshold.
        tp: (T,), true positives kept.
        fp: (T,), false positives kept.
    """

    thresholds: np.ndarray
    tp: np.ndarray
    fp: np.ndarray


def match(detections: Instances, truth: Instances, ignored: Instances, num_classes: int, iou_thr: float,
          legacy_coordinates: bool) -> tuple[np.ndarray, np.ndarray]:
    """Match the detections of one image as Pascal VOC does, class by class.

    Each detection looks at the true or ignored box that it overlaps most. Below ``iou_thr`` it is a false positive.
    Otherwise it is true if it has the highest score on a true box, a false positive (a duplicate) if it has not, and
    neither if the box is ignored. A label outside the classes makes it neither, too.

    Args:
        detections: The predicted boxes, with scores.
        truth: The true boxes.
        ignored: Boxes that are neither to be found nor wrong to find.
        num_classes: Labels are 0 to ``num_classes - 1``.
        iou_thr: The least overlap of a match.
        legacy_coordinates: Whether a box has sides of ``x2 - x1 + 1``, and not of ``x2 - x1``.

    Returns:
        True positives and false positives: two bool arrays (N,), in the order of the detections.
    """
    is_tp = np.zeros(len(detections.labels), dtype=bool)
    is_fp = np.zeros_like(is_tp)
    for label in range(num_classes):
        own = detections.labels == label
        scored_boxes = np.column_stack((detections.boxes[own], np.asarray(detections.scores)[own]))
        tp, fp = tpfp_default(scored_boxes, truth.boxes[truth.labels == label], ignored.boxes[ignored.labels == label],
                              iou_thr=iou_thr, use_legacy_coordinate=legacy_coordinates)
        is_tp[own], is_fp[own] = tp[0], fp[0]
    return is_tp, is_fp


def voc_scores(scores: np.ndarray, is_tp: np.ndarray, is_fp: np.ndarray, num_gt: int) -> tuple[float, float, float]:
    """Pascal VOC's figures for one class over the whole set.

    Args:
        scores: (N,), the detections of all images in the order of the images.
        is_tp: bool (N,), the true positives among them.
        is_fp: bool (N,), the false positives among them.
        num_gt: The number of true boxes, at least 1.

    Returns:
        VOC 2007's 11-point AP, VOC 2012's area AP and the recall over all detections.
    """
    # The very sort of mmdet's eval_map, so that equal scores fall in the same order.
    order = np.argsort(-scores)
    tp, fp = np.cumsum(is_tp[order]), np.cumsum(is_fp[order])
    recalls, precisions = tp / num_gt, tp / np.maximum(tp + fp, 1)
    ap_07, ap_12 = (float(average_precision(recalls, precisions, mode)) for mode in ('11points', 'area'))
    return ap_07, ap_12, float(is_tp.sum() / num_gt)


def counts_by_threshold(scores: np.ndarray, is_tp: np.ndarray, is_fp: np.ndarray) -> Counts:
    """Count what is kept at each distinct score: equal scores are kept or dropped together.

    Args:
        scores: (N,), the scores of the detections.
        is_tp: bool (N,), the true positives among them.
        is_fp: bool (N,), the false positives among them.

    Returns:
        The counts at each of the T <= N distinct scores.
    """
    negated, group = np.unique(-scores, return_inverse=True)
    tp, fp = (np.cumsum(np.bincount(group, weights=flags, minlength=len(negated))) for flags in (is_tp, is_fp))
    return Counts(-negated, tp, fp)


def best_f1(counts: Counts, num_gt: int) -> tuple[float, float, float]:
    """Find where F1 is highest; of equal values, at the highest threshold.

    Args:
        counts: What is kept at each threshold.
        num_gt: The number of true boxes.

    Returns:
        Precision, F1 and the threshold. Where nothing is found F1 is 0 at every threshold: then 0, 0 and 1.
    """
    if not counts.tp.any():
        return 0.0, 0.0, 1.0
    found = counts.tp + counts.fp
    # The greatest of 2 P R / (P + R), written in counts so that no denominator is 0.
    f1 = 2 * counts.tp / (found + num_gt)
    best = f1.argmax()
    return float(counts.tp[best] / found[best]), float(f1[best]), float(counts.thresholds[best])


def threshold_at_recall(counts: Counts, num_gt: int, recall: float) -> float | None:
    """Give the highest threshold at which the recall reaches ``recall``, ``None`` if it never does.

    Args:
        counts: What is kept at each threshold.
        num_gt: The number of true boxes.
        recall: The recall to reach, in (0, 1].

    Returns:
        The threshold.
    """
    reached = counts.tp / max(num_gt, 1) >= recall
    return float(counts.thresholds[reached.argmax()]) if reached.any() else None


def wilson_interval(found: np.ndarray, targets: np.ndarray, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's score interval of shares ``found / targets``.

    Args:
        found: int (B, ).
        targets: int (B, ), at least as many.
        confidence: In (0, 1).

    Returns:
        Lower and upper end, float (B, ) each; NaN without targets.
    """
    z = norm.ppf((1 + confidence) / 2)
    total = np.where(targets > 0, targets, np.nan)
    share = found / total
    centre = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * np.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    return np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)
