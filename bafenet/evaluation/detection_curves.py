"""Detection curves: precision-recall, recall against false alarms per frame, recall by target size and contrast.

From what ``tools/test.py --out`` writes; drawn by visualization/detection_figures.py.
"""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmdet.evaluation.functional import bbox_overlaps

from ..errors import InputError
from .calibration import Reliability, judge, reliability
from .matching import Instances, best_f1, counts_by_threshold, match, voc_scores, wilson_interval
from .results import class_count, instances_of
from .target_properties import QUANTITIES, Targets, measure_targets

IOUS = (0.5, 0.75)
SKY, OTHER, ALL = 'sky', 'other', 'all'
KEYS = ('img_id', 'boxes', 'scores', 'labels', 'gt_boxes', 'gt_labels')
MAX_POINTS = 1000  # of a curve in JSON
_NOTHING = Instances(np.zeros((0, 4), np.float32), np.zeros(0, int))


@dataclass(frozen=True)
class PrecisionRecall:
    """Precision and recall at each distinct score, from the highest to the lowest; classes pooled.

    Attributes:
        thresholds: float (T, ), the scores; a detection is kept where its score is at least the threshold.
        recall: float (T, ), in [0, 1].
        precision: float (T, ), in [0, 1].
        ap_07: VOC 2007's 11-point AP, the mean over the classes with targets; NaN without a target.
        ap_12: VOC 2012's area AP, likewise.
    """

    thresholds: np.ndarray
    recall: np.ndarray
    precision: np.ndarray
    ap_07: float
    ap_12: float


@dataclass(frozen=True)
class FalseAlarms:
    """Recall and false alarms per frame, on one side of the true horizon or all, at each distinct score; IoU 0.5.

    Attributes:
        thresholds: float (T, ), the scores, from the highest to the lowest.
        recall: float (T, ), of all targets.
        per_frame: float (T, ), false alarms whose centre is on this side, over the frames that have a true sky map; or
            all false alarms, over all frames.
        frames: Number of these frames.
    """

    thresholds: np.ndarray
    recall: np.ndarray
    per_frame: np.ndarray
    frames: int


@dataclass(frozen=True)
class BinnedRecall:
    """Recall of the targets in each bin of a quantity, at one score and IoU 0.5.

    Attributes:
        edges: float (B + 1, ), increasing; a bin holds its lower edge and not its upper one. The last may be infinite.
        targets: int (B, ), true boxes in each bin.
        found: int (B, ), how many of them are found.
        undefined: Targets whose quantity is not defined.
    """

    edges: np.ndarray
    targets: np.ndarray
    found: np.ndarray
    undefined: int

    @property
    def recall(self) -> np.ndarray:
        """Share of its targets that is found in each bin: float (B, ), NaN without targets."""
        return self.found / np.where(self.targets, self.targets, np.nan)

    def interval(self, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Wilson's interval of each bin's recall: float (B, ) each, NaN without targets."""
        return wilson_interval(self.found, self.targets, confidence)


@dataclass(frozen=True)
class DetectionCurves:
    """All curves of one run.

    Attributes:
        frames: Number of frames.
        targets: Number of true boxes.
        score: The lowest score of a detection that counts in ``recall_by``.
        precision_recall: By IoU.
        alarms: By side of the true horizon, ``'sky'`` and ``'other'``, where some frame has a true sky map, and
            ``'all'`` where some frame has none.
        recall_by: By quantity, see :data:`~bafenet.evaluation.target_properties.QUANTITIES`, as far as it is known.
        notes: Why something is left out, a line each.
        legacy_coordinates: Whether boxes have sides of ``x2 - x1 + 1``.
        reliability: Share of right boxes by score; None where no box has a score of 0.1.
    """

    frames: int
    targets: int
    score: float
    precision_recall: dict[float, PrecisionRecall]
    alarms: dict[str, FalseAlarms]
    recall_by: dict[str, BinnedRecall]
    notes: tuple[str, ...] = ()
    legacy_coordinates: bool = False
    reliability: Reliability | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it; curves as at most 1000 points, evenly spread over the recall."""
        return dict(
            frames=self.frames, targets=self.targets, score=self.score, legacy_coordinates=self.legacy_coordinates,
            precision_recall={f'{iou:g}': dict(mAP_07=_number(curve.ap_07), mAP_12=_number(curve.ap_12),
                                               **_points(curve, 'precision'))
                              for iou, curve in self.precision_recall.items()},
            alarms={side: dict(frames=curve.frames, **_points(curve, 'per_frame'))
                    for side, curve in self.alarms.items()},
            recall_by={name: _bins(binned) for name, binned in self.recall_by.items()},
            reliability=self.reliability and self.reliability.to_dict(),
            notes=list(self.notes))


def numbers(results: Mapping[str, Any],
            score: float | None = None,
            edges: Mapping[str, Sequence[float]] | None = None,
            folder: str | None = None,
            legacy_coordinates: bool = False,
            targets: Targets | None = None) -> DetectionCurves:
    """Compute the curves of one run.

    Args:
        results: What :func:`~bafenet.evaluation.results.read_results` gives, with the fields ``KEYS`` of its images.
        score: The lowest score that counts in ``recall_by``; None for the one where F1 is highest.
        edges: Edges of the bins by quantity, ascending, those of ``QUANTITIES`` by default; above the last one is a
            last bin.
        folder: Where the frames are, which local contrast is measured in, if not where the results say.
        legacy_coordinates: Give boxes sides of ``x2 - x1 + 1``, as the paper's protocol does.
        targets: What :func:`~bafenet.evaluation.target_properties.measure_targets` gives for these results, or for
            others with the same truth.

    Raises:
        InputError: If there is no target, edges do not ascend, or a frame is there and does not decode.
    """
    images = results['images']
    matched = _Matches(images, legacy_coordinates)
    if not len(matched.target_scores):
        raise InputError(f'there is no target in the {len(images)} images of the results; give those of another split')
    targets = measure_targets(images, folder) if targets is None else targets
    counts = counts_by_threshold(matched.scores, *matched.flags[0.5])
    if score is None:
        score = best_f1(counts, len(matched.target_scores))[2]
    found = matched.target_scores >= score
    binned = {name: _binned(values, found, bin_edges(name, edges)) for name, values in targets.values.items()}
    alarms, notes = matched.alarms(), list(targets.notes)
    if SKY not in alarms:
        notes.insert(0, 'no frame has a true sky map: no false alarms in and out of the sky')
    elif ALL in alarms:
        notes.insert(0, f'{alarms[SKY].frames} of {len(images)} frames have a true sky map: false alarms in and out of '
                     'the sky are theirs alone')
    judged = judge(images)
    return DetectionCurves(len(images), len(found), float(score), {iou: matched.curve(iou) for iou in IOUS}, alarms,
                           binned, tuple(notes), legacy_coordinates, reliability(judged.scores, judged.is_right))


class _Matches:
    """Detections and targets of all images of a run, matched.

    Attributes:
        scores: float (N, ).
        flags: By IoU, true positives and false positives, bool (N, ) each.
        target_scores: float (G, ), the score of the detection that finds each target at IoU 0.5; -1 of a missed one.
    """

    def __init__(self, images: Sequence[Mapping[str, Any]], legacy: bool) -> None:
        pairs = [instances_of(image) for image in images]
        classes = class_count(pairs)
        self.flags = {}
        for iou in IOUS:
            found = [match(detections, truth, _NOTHING, classes, iou, legacy) for detections, truth in pairs]
            self.flags[iou] = _joined([tp for tp, _ in found], bool), _joined([fp for _, fp in found], bool)
            if iou == IOUS[0]:
                self.target_scores = _joined([target_scores(*pair, tp, legacy)
                                              for pair, (tp, _) in zip(pairs, found, strict=True)], float)
        self.scores = _joined([detections.scores for detections, _ in pairs], float)
        self._labels = _joined([detections.labels for detections, _ in pairs], int)
        self._num_gt = np.bincount(_joined([truth.labels for _, truth in pairs], int), minlength=classes)
        mapped = ['in_sky' in image for image in images]
        self._frames, self._mapped_frames = len(images), sum(mapped)
        self._mapped = np.repeat(mapped, [len(detections.labels) for detections, _ in pairs])
        self._in_sky = _joined([image.get('in_sky', [False] * len(detections.labels))
                                for image, (detections, _) in zip(images, pairs, strict=True)], bool)

    def curve(self, iou: float) -> PrecisionRecall:
        """Precision and recall at an IoU."""
        is_tp, is_fp = self.flags[iou]
        counts = counts_by_threshold(self.scores, is_tp, is_fp)
        by_class = [voc_scores(self.scores[own], is_tp[own], is_fp[own], self._num_gt[label])
                    for label in np.flatnonzero(self._num_gt) for own in [self._labels == label]]
        ap_07, ap_12, _ = np.mean(by_class, axis=0)
        # Detections of ignored labels are neither.
        return PrecisionRecall(counts.thresholds, counts.tp / self._num_gt.sum(),
                               counts.tp / np.maximum(counts.tp + counts.fp, 1), float(ap_07), float(ap_12))

    def alarms(self) -> dict[str, FalseAlarms]:
        """Recall against false alarms per frame: on both sides of the horizon, and all where a frame has no map."""
        is_tp, is_fp = self.flags[0.5]
        sides = [(SKY, self._in_sky & self._mapped, self._mapped_frames),
                 (OTHER, ~self._in_sky & self._mapped, self._mapped_frames)] if self._mapped_frames else []
        if self._mapped_frames < self._frames:
            sides.append((ALL, np.ones_like(is_fp), self._frames))
        found = {}
        for side, here, frames in sides:
            counts = counts_by_threshold(self.scores, is_tp, is_fp & here)
            found[side] = FalseAlarms(counts.thresholds, counts.tp / self._num_gt.sum(), counts.fp / frames, frames)
        return found


def target_scores(detections: Instances, truth: Instances, is_tp: np.ndarray, legacy: bool = False) -> np.ndarray:
    """The score at which each target of an image is found.

    Args:
        detections: N detections, with scores.
        truth: G targets.
        is_tp: bool (N, ), the true positives of :func:`~bafenet.evaluation.matching.match`.
        legacy: Whether boxes have sides of ``x2 - x1 + 1``.

    Returns:
        float (G, ), -1 for a target that is missed.
    """
    scores = np.full(len(truth.boxes), -1.0)
    if is_tp.any():
        overlap = bbox_overlaps(detections.boxes[is_tp], truth.boxes, use_legacy_coordinate=legacy)
        overlap[detections.labels[is_tp, None] != truth.labels] = -1
        # As matching does: a detection looks at the target that it overlaps most, and one is true of each target.
        scores[overlap.argmax(axis=1)] = np.asarray(detections.scores)[is_tp]
    return scores


def bin_edges(quantity: str, edges: Mapping[str, Sequence[float]] | None = None) -> np.ndarray:
    """The edges of a quantity's bins, the last one infinite; see :func:`numbers`.

    Raises:
        InputError: If those that are given do not ascend.
    """
    given = np.append(np.asarray((edges or {}).get(quantity, QUANTITIES[quantity].edges), float), np.inf)
    if not (np.diff(given) > 0).all():
        raise InputError(f'edges of {quantity}, {", ".join(f"{edge:g}" for edge in given[:-1])}: give each once, the '
                         'smallest first')
    return given


def require_one_truth(runs: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse runs that were not tested on the same frames with the same true boxes.

    Args:
        runs: Results by label.

    Raises:
        InputError: If they differ; it says in what.
    """
    (first, reference), *others = ((label, _truth(run)) for label, run in runs.items())
    for label, truth in others:
        if truth.keys() != reference.keys():
            many = len(reference.keys() ^ truth.keys())
            raise InputError(f'{first} and {label} were tested on different frames ({many} are in one of them only): '
                             'give results of one split, or --different-splits to draw them all the same')
        differing = sum(truth[name] != reference[name] for name in truth)
        if differing:
            raise InputError(f'{first} and {label} have other true boxes in {differing} frames (another box_origin, or '
                             'another version of the data): give results of one split, or --different-splits to draw '
                             'them all the same')


def _truth(run: Mapping[str, Any]) -> dict[Any, tuple]:
    return {image['img_id']: (image['gt_boxes'], image['gt_labels']) for image in run['images']}


def _joined(parts: Sequence[Any], dtype: type) -> np.ndarray:
    return np.concatenate([np.zeros(0, dtype), *(np.asarray(part, dtype) for part in parts)])


def _binned(values: np.ndarray, found: np.ndarray, edges: np.ndarray) -> BinnedRecall:
    """Count the targets (G, ) of each bin, and those that are found."""
    inside = (values >= edges[0]) & (values < edges[-1])  # NaN is in no bin
    place = np.searchsorted(edges, values[inside], side='right') - 1
    total, hits = (np.bincount(place[flags], minlength=len(edges) - 1)
                   for flags in (np.ones(len(place), bool), found[inside]))
    return BinnedRecall(edges, total, hits, int(np.isnan(values).sum()))


def _points(curve: PrecisionRecall | FalseAlarms, other: str) -> dict[str, list]:
    """The first point that reaches each of up to 1000 recalls, and the last point."""
    kept = np.arange(len(curve.recall))
    if len(kept) > MAX_POINTS:
        levels = np.linspace(0, curve.recall[-1], MAX_POINTS - 1)
        kept = np.unique(np.append(np.searchsorted(curve.recall, levels), len(curve.recall) - 1))
    return {key: getattr(curve, key)[kept].tolist() for key in ('thresholds', 'recall', other)}


def _bins(binned: BinnedRecall) -> dict[str, Any]:
    low, high = binned.interval()
    numbers = {'recall': binned.recall, 'low': low, 'high': high, 'edges': binned.edges}
    return dict(targets=binned.targets.tolist(), found=binned.found.tolist(), undefined=binned.undefined,
                **{key: [_number(value) for value in values] for key, values in numbers.items()})


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
