"""Which frames went worst: missed targets, false alarms by score, wrong sky."""
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bafenet.evaluation.matching import Instances, best_f1, counts_by_threshold, match
from bafenet.evaluation.results import class_count, instances_of

from .collect import Run
from .numbers import LEGACY_SIDES, by_sides

IOU = 0.5
MISSES, ALARMS, SKY = 'misses', 'alarms', 'sky'
_NEEDED = ('boxes', 'scores', 'labels', 'gt_boxes', 'gt_labels')


@dataclass(frozen=True)
class Tally:
    """How a frame went, at a score threshold and IoU 0.5.

    Attributes:
        index: Its number in the results file.
        targets: True boxes.
        missed: Those that no detection finds.
        alarms: False alarms, duplicates included.
        highest_alarm: The highest score of a false alarm at or above the threshold; 0 where there is none.
        sky_iou: IoU of its sky, None where it has none or it was not recorded.
        wrong_sky: Pixels of wrong sky, over those of the frame where its size is known and of the union where not.
    """

    index: int
    targets: int
    missed: int
    alarms: int
    highest_alarm: float
    sky_iou: float | None
    wrong_sky: float


@dataclass(frozen=True)
class Tallies:
    """All frames of a run at one threshold, and the threshold."""

    frames: list[Tally]
    threshold: float
    legacy: bool


def tally(run: Run, threshold: float | None = None) -> Tallies | None:
    """Count what went wrong in each frame.

    Args:
        run: The run.
        threshold: The lowest score that counts; None for the one at which F1 is highest.

    Returns:
        None where its results do not hold boxes and truth of each frame.
    """
    images = run.images
    if not images or any(key not in image for image in images for key in _NEEDED):
        return None
    legacy = list(by_sides(run.metrics)) == [LEGACY_SIDES]
    instances = [instances_of(image) for image in images]
    classes = class_count(instances)
    nothing = Instances(np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    flags = [match(found, truth, nothing, classes, IOU, legacy) for found, truth in instances]
    if threshold is None:
        threshold = _best_threshold(instances, flags)
    return Tallies([_tally(i, image, one, own, threshold)
                    for i, (image, one, own) in enumerate(zip(images, instances, flags, strict=True))], threshold,
                   legacy)


def _best_threshold(instances: Sequence[tuple[Instances, Instances]],
                    flags: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    scores = np.concatenate([np.asarray(found.scores) for found, _ in instances])
    hits, alarms = (np.concatenate([one[row] for one in flags]) for row in (0, 1))
    return best_f1(counts_by_threshold(scores, hits, alarms), sum(len(truth.labels) for _, truth in instances))[2]


def _tally(index: int, image: dict, instances: tuple[Instances, Instances], flags: tuple[np.ndarray, np.ndarray],
           threshold: float) -> Tally:
    found, truth = instances
    scores = np.asarray(found.scores)
    kept = scores >= scores.dtype.type(threshold)
    hits, alarms = (flag & kept for flag in flags)
    intersection, union = image.get('sky_overlap', (0, 0))
    height, width = image.get('shape', (1, union))
    return Tally(index, len(truth.labels), len(truth.labels) - int(hits.sum()), int(alarms.sum()),
                 float(np.max(np.asarray(found.scores)[alarms], initial=0)),
                 intersection / union if union else None, (union - intersection) / max(height * width, 1))


def worst(tallies: Tallies, kind: str, count: int) -> list[Tally]:
    """The frames that went worst, the worst first; of equals, in the order of the file.

    Args:
        tallies: All frames.
        kind: ``'misses'``: the most missed targets, then the largest share of them; ``'alarms'``: the highest score of
            a false alarm, then their number; ``'sky'``: the largest share of wrong pixels.
        count: How many at most; frames in which nothing of the kind went wrong are left out.
    """
    keys = {MISSES: lambda one: (one.missed, one.missed / max(one.targets, 1)),
            ALARMS: lambda one: (one.highest_alarm, one.alarms),
            SKY: lambda one: (one.wrong_sky, )}
    wrong = [one for one in tallies.frames if any(keys[kind](one))]
    return sorted(wrong, key=keys[kind], reverse=True)[:count]
