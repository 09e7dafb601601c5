"""TIDE: detection errors by type (misses, false alarms, localisation), and what fixing each is worth in mAP.

After TIDE (Bolya et al. 2020, "TIDE: A General Toolbox for Identifying Object Detection Errors"), for one class.
"""
from collections.abc import Sequence
from itertools import combinations
from math import factorial
from typing import NamedTuple

import numpy as np
from mmdet.evaluation.functional import bbox_overlaps

from ..evaluation.matching import Instances, match, voc_scores

# Below this overlap a detection has nothing to do with a target (TIDE's t_b).
BACKGROUND_IOU = 0.1
TRUE, LOCALISATION, DOUBLE, ALARM_SKY, ALARM_OTHER, ALARM, MISS = (
    'true', 'localisation', 'double answer', 'false alarm, sky', 'false alarm, not sky', 'false alarm',
    'miss')


class Frame(NamedTuple):
    """Detections and truth of one image.

    Attributes:
        boxes: float (N, 4), ``[x1, y1, x2, y2]`` in native pixels.
        scores: float (N,).
        truth: float (G, 4), the true boxes.
        in_sky: bool (N,), whether the centre of each detection is in the true sky; None without a true sky map.
    """

    boxes: np.ndarray
    scores: np.ndarray
    truth: np.ndarray
    in_sky: np.ndarray | None = None


class Errors(NamedTuple):
    """The detections and targets of all images, each with its type of error.

    Attributes:
        scores: float (N,).
        kinds: str (N,): ``TRUE`` or a type of error.
        fixable: bool (N,): the detections that become true when localisation is fixed.
        num_targets: Number of targets G.
        num_missed: How many of them no detection reaches.
        types: The types of error that are distinguished, misses last.
    """

    scores: np.ndarray
    kinds: np.ndarray
    fixable: np.ndarray
    num_targets: int
    num_missed: int
    types: tuple[str, ...]


def matched(frame: Frame, iou_thr: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Match the detections of an image as the metric does.

    Returns:
        bool (N,), the true positives; float (N,), each detection's best IoU with a target; int (N,), that target. With
        no target the IoU is 0 and the target -1.
    """
    boxes, truth = frame.boxes.reshape(-1, 4), frame.truth.reshape(-1, 4)
    nothing = Instances(np.zeros((0, 4), np.float32), np.zeros(0, int))
    is_true, _ = match(Instances(boxes, np.zeros(len(boxes), int), frame.scores),
                       Instances(truth, np.zeros(len(truth), int)), nothing, 1, iou_thr, False)
    if not len(boxes) or not len(truth):
        return is_true, np.zeros(len(boxes)), np.full(len(boxes), -1)
    ious = bbox_overlaps(boxes, truth)
    return is_true, ious.max(axis=1), ious.argmax(axis=1)


def classify(frames: Sequence[Frame], iou_thr: float) -> Errors:
    """Give each detection its type; each looks at the target that it overlaps most.

    - true: IoU of at least ``iou_thr``, and of the detections of its target the one with the best score;
    - double answer: IoU of at least ``iou_thr`` with a target that a better-scored detection took;
    - localisation: IoU from 0.1 to ``iou_thr``;
    - false alarm: IoU below 0.1; in or out of the sky by its centre, if every image has a true sky map;
    - miss: a target that no detection overlaps most with an IoU of at least 0.1.

    Args:
        frames: The images.
        iou_thr: Least overlap of a true detection, above 0.1.
    """
    split = all(frame.in_sky is not None for frame in frames)
    alarms = (ALARM_SKY, ALARM_OTHER) if split else (ALARM,)
    all_kinds, all_targets, offset = [], [], 0
    for frame in frames:
        is_true, iou, target = matched(frame, iou_thr)
        sky = np.ones(len(iou), bool) if frame.in_sky is None else frame.in_sky
        names = [np.array(name) for name in (TRUE, DOUBLE, LOCALISATION, alarms[0])]
        all_kinds.append(np.select([is_true, iou >= iou_thr, iou >= BACKGROUND_IOU, sky], names, np.array(alarms[-1])))
        # A target by its number in the whole set.
        all_targets.append(np.where(iou >= BACKGROUND_IOU, target + offset, -1))
        offset += len(frame.truth)
    kinds, targets = np.concatenate(all_kinds), np.concatenate(all_targets)
    scores = np.concatenate([frame.scores for frame in frames])
    return Errors(scores, kinds, _fixable(scores, kinds, targets), offset,
                  offset - len(np.unique(targets[targets >= 0])), (LOCALISATION, DOUBLE, *alarms, MISS))


def _fixable(scores: np.ndarray, kinds: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The best-scored misplaced detection of each target that has no true one; the others would be second answers."""
    free = (kinds == LOCALISATION) & ~np.isin(targets, targets[kinds == TRUE])
    candidates = np.flatnonzero(free)[np.argsort(-scores[free], kind='stable')]
    _, first = np.unique(targets[candidates], return_index=True)
    fixed = np.zeros(len(scores), bool)
    fixed[candidates[first]] = True
    return fixed


def fixed_ap(errors: Errors, types: frozenset[str]) -> float:
    """mAP_12 after fixing some types of error.

    A misplaced detection is put on its target if no other detection holds it, and else removed; double answers and
    false alarms are removed; a miss is struck from the targets. With all types fixed this is 1.

    Args:
        errors: The errors.
        types: Those to fix.
    """
    is_true = (errors.kinds == TRUE) | (errors.fixable & (LOCALISATION in types))
    keep = is_true | ~np.isin(errors.kinds, list(types))
    num_targets = errors.num_targets - (errors.num_missed if MISS in types else 0)
    if not num_targets:
        return float(not keep.any())
    return voc_scores(errors.scores[keep], is_true[keep], ~is_true[keep], num_targets)[1]


def gap(errors: Errors) -> dict:
    """Divide what is missing from an mAP_12 of 1 among the types of error.

    TIDE fixes each type alone, and these gains add up to more or less than the gap. A type's share is therefore what
    it gains on average over all orders in which the types can be fixed one after the other (its Shapley value): the
    shares add up to 1.

    Returns:
        ``mAP_12``; ``gap``, 1 less that; ``types``: by type ``count`` (of detections, or of targets for misses),
        ``fixed`` (mAP_12 with this type alone fixed), ``gain`` over mAP_12 and ``share`` of the gap (None if there
        is no gap).
    """
    values = {types: fixed_ap(errors, types) for types in _subsets(errors.types)}
    ap = values[frozenset()]
    rows = {}
    for kind in errors.types:
        fixed = values[frozenset([kind])]
        count = errors.num_missed if kind == MISS else np.count_nonzero(errors.kinds == kind)
        rows[kind] = dict(count=int(count), fixed=fixed, gain=fixed - ap,
                          share=_shapley(values, errors.types, kind) / (1 - ap) if ap < 1 else None)
    return dict(mAP_12=ap, gap=1 - ap, types=rows)


def _subsets(types: Sequence[str]) -> list[frozenset[str]]:
    return [frozenset(chosen) for size in range(len(types) + 1) for chosen in combinations(types, size)]


def _shapley(values: dict[frozenset[str], float], types: Sequence[str], kind: str) -> float:
    others = [other for other in types if other != kind]
    return sum(factorial(len(before)) * factorial(len(others) - len(before)) / factorial(len(types))
               * (values[before | {kind}] - values[before]) for before in _subsets(others))
