"""How far brightness alone solves a set of scenes: two plain detectors, with the sky unknown and with it given."""
from collections.abc import Callable, Iterable

import cv2
import numpy as np
from scipy.ndimage import maximum_filter
from scipy.stats import rankdata

from ..errors import InputError
from .scenes import Scene


def _top_hat(image: np.ndarray) -> np.ndarray:
    """White top-hat of 7x7 px: how much brighter a pixel is than what is wider than a target."""
    return cv2.morphologyEx(image, cv2.MORPH_TOPHAT, np.ones((7, 7), np.uint8))


SCORES: dict[str, Callable[[np.ndarray], np.ndarray]] = {'brightness': np.asarray, 'local_contrast': _top_hat}
"""The scores of the detectors in :func:`brightness_report`."""


def brightness_report(scenes: Iterable[Scene]) -> dict[str, dict[str, float]]:
    """Measure how far brightness alone solves the task, with the sky unknown and with it given.

    Two detectors mark every local maximum of a score that passes a threshold: the grey level, and the local contrast.
    A mark in a target's box finds it, any other mark is a false alarm, and so is a second mark in the same box. With
    the sky given, marks outside of it are not made.

    Args:
        scenes: The scenes of a set.

    Returns:
        For each of :data:`SCORES`: ``auc``, the chance that a target's highest score exceeds a hot spot's (0.5: no
        difference); at the threshold of the best F1 over the whole set ``f1``, ``precision`` and ``recall``, and the
        same three with the sky given, named ``..._in_sky``.

    Raises:
        InputError: The scenes hold no target or no hot spot.
    """
    gathered: dict[str, list[tuple[np.ndarray, ...]]] = {name: [] for name in SCORES}
    for scene in scenes:
        for name, score in SCORES.items():
            gathered[name].append(_marks(scene, score(scene.image).astype(int)))
    return {name: _summary(*map(np.concatenate, zip(*marks, strict=True))) for name, marks in gathered.items()}


def _marks(scene: Scene, score: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The marks of a detector in one scene: score, hit, in the sky; the highest scores of targets and of hot spots."""
    owner = np.zeros(score.shape, int)
    for number, (x1, y1, x2, y2) in enumerate(scene.boxes, 1):
        owner[y1:y2, x1:x2] = number
    row, col = np.nonzero((score == maximum_filter(score, 3)) & (score > 0))
    order = np.argsort(-score[row, col], kind='stable')
    row, col = row[order], col[order]
    hit = np.zeros(len(row), bool)
    found, first = np.unique(owner[row, col], return_index=True)
    hit[first[found > 0]] = True
    targets, hot_spots = (np.array([score[y1:y2, x1:x2].max() for x1, y1, x2, y2 in boxes])
                          for boxes in (scene.boxes, scene.hot_spots))
    return score[row, col], hit, scene.sky[row, col], targets, hot_spots


def _summary(score: np.ndarray, hit: np.ndarray, in_sky: np.ndarray, targets: np.ndarray,
             hot_spots: np.ndarray) -> dict[str, float]:
    """AUC of targets against hot spots, and the best F1 of the marks with and without the sky."""
    if not len(targets) or not len(hot_spots):
        raise InputError('nothing to compare: the scenes hold no target or no hot spot; take more of them')
    ranks = rankdata(np.concatenate([targets, hot_spots]))[:len(targets)]
    auc = (ranks.sum() - len(targets) * (len(targets) + 1) / 2) / (len(targets) * len(hot_spots))
    summary = {'auc': float(auc)}
    for suffix, used in (('', np.ones_like(in_sky)), ('_in_sky', in_sky)):
        order = np.argsort(-score[used], kind='stable')
        hits = np.cumsum(hit[used][order])
        f1 = 2 * hits / (np.arange(1, len(hits) + 1) + len(targets))
        # A threshold takes all marks of the same score or none.
        last = np.append(np.diff(score[used][order]) != 0, True)
        best = np.argmax(np.where(last, f1, 0))
        summary.update({f'f1{suffix}': float(f1[best]), f'precision{suffix}': float(hits[best] / (best + 1)),
                        f'recall{suffix}': float(hits[best] / len(targets))})
    return summary
