"""Localisation errors: detected against true boxes, in native pixels, and the jitter of true boxes that this equals."""
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from mmdet.structures.bbox import bbox_overlaps
from scipy.stats import median_abs_deviation

from .tide import BACKGROUND_IOU, Frame, matched

# Standard deviations in pixels at which the jitter of true boxes is tabled.
JITTERS = (0.25, 0.4, 0.5, 0.6)
IOU_THRS = (0.5, 0.75)
_CURVE = np.arange(0, 3.001, 0.02)  # pixels
_MIN_BOXES = 20_000  # so many jittered boxes give a share to half a per cent
# From the errors of [x1, y1, x2, y2] to each quantity.
_QUANTITIES = {
    'left': (1, 0, 0, 0), 'top': (0, 1, 0, 0), 'right': (0, 0, 1, 0), 'bottom': (0, 0, 0, 1),
    'centre x': (.5, 0, .5, 0), 'centre y': (0, .5, 0, .5), 'width': (-1, 0, 1, 0), 'height': (0, -1, 0, 1)}


def matched_pairs(frames: Sequence[Frame]) -> tuple[np.ndarray, np.ndarray]:
    """The best-scored detection of each target that it overlaps most, by an IoU of at least 0.1, and the target.

    Returns:
        Detected and true boxes, float64 (M, 4) each.
    """
    detected, truth = [np.zeros((0, 4))], [np.zeros((0, 4))]
    for frame in frames:
        is_true, _, target = matched(frame, BACKGROUND_IOU)
        detected.append(frame.boxes[is_true])
        truth.append(frame.truth[target[is_true]])
    return np.concatenate(detected), np.concatenate(truth)


def box_errors(detected: np.ndarray, truth: np.ndarray) -> dict[str, dict]:
    """The distribution of detected minus true, in pixels, for each side, the centre and the size.

    Args:
        detected: (M, 4), M at least 1.
        truth: (M, 4).

    Returns:
        By quantity: ``mean`` and ``median`` (the bias, plain and robust), ``std`` and ``robust_std`` (1.4826 times the
        median absolute deviation from the median).
    """
    errors = (detected - truth) @ np.array(list(_QUANTITIES.values())).T
    values = dict(mean=errors.mean(axis=0), median=np.median(errors, axis=0), std=errors.std(axis=0),
                  robust_std=median_abs_deviation(errors, axis=0, scale='normal'))
    return {name: {key: float(value[index]) for key, value in values.items()}
            for index, name in enumerate(_QUANTITIES)}


def iou_shares(detected: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Shares of the pairs (M, 4) and (M, 4) whose IoU is at least 0.5 and 0.75."""
    ious = bbox_overlaps(*map(torch.from_numpy, (detected, truth)), is_aligned=True).numpy()
    return {f'iou_{thr:g}': float((ious >= thr).mean()) for thr in IOU_THRS}


def jittered_shares(truth: np.ndarray, jitters: Iterable[float], seed: int = 0) -> dict[float, dict[str, float]]:
    """Shares of true boxes that keep their IoU when each side is moved by independent normal noise.

    Args:
        truth: float64 (G, 4), G at least 1; repeated so that the shares do not hang on the draws.
        jitters: Standard deviations of a side in pixels.
        seed: Of the draws, which are the same for all jitters.

    Returns:
        :func:`iou_shares` by jitter.
    """
    truth = np.tile(truth, (-(-_MIN_BOXES // len(truth)), 1))
    noise = np.random.default_rng(seed).normal(size=truth.shape)
    return {float(jitter): iou_shares(truth + jitter * noise, truth) for jitter in jitters}


def equal_jitter(truth: np.ndarray, shares: dict[str, float]) -> dict[str, float]:
    """The jitter in pixels, up to 3, at which as many true boxes keep each IoU as ``shares`` says."""
    curve = jittered_shares(truth, _CURVE)
    # np.interp wants rising abscissae: from the largest jitter to none.
    return {key: float(np.interp(share, np.maximum.accumulate([curve[jitter][key] for jitter in curve][::-1]),
                                 _CURVE[::-1])) for key, share in shares.items()}


def describe(frames: Sequence[Frame]) -> dict:
    """Everything that this module measures of a set of images.

    Returns:
        ``pairs``, their number; ``errors`` (:func:`box_errors`); ``shares`` (:func:`iou_shares`) of the pairs;
        ``jitter``: ``std`` and ``robust_std`` of a side about its bias, the root mean square and the pooled robust
        value over the four sides, and ``same_iou_0.5`` and ``same_iou_0.75`` (:func:`equal_jitter`);
        ``jittered_truth``: the shares at ``JITTERS``. Without pairs only ``pairs`` and, with targets, the last.
    """
    truth = np.concatenate([frame.truth for frame in frames]).astype(float)
    detected, targets = (boxes.astype(float) for boxes in matched_pairs(frames))
    result: dict[str, Any] = dict(pairs=len(targets))
    if len(truth):
        result['jittered_truth'] = {f'{key:g}': value for key, value in jittered_shares(truth, JITTERS).items()}
    if len(targets):
        errors, shares = box_errors(detected, targets), iou_shares(detected, targets)
        about_bias = (detected - targets) - np.median(detected - targets, axis=0)
        sides = [errors[side]['std'] for side in list(errors)[:4]]
        jitter = dict(std=float(np.sqrt(np.mean(np.square(sides)))),
                      robust_std=float(median_abs_deviation(about_bias, axis=None, scale='normal')),
                      **{f'same_{key}': value for key, value in equal_jitter(targets, shares).items()})
        result.update(errors=errors, shares=shares, jitter=jitter)
    return result
