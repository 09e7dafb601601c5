"""The metric of DenseSIRST: mAP, recall, F1, AP by class, targets found, false alarms by side, sky IoU."""
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmdet.registry import METRICS
from mmdet.structures.bbox import get_box_tensor
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from ..errors import InputError, printable
from .centre_matching import CENTRE_DISTANCE, MAX_DISTANCE, found_metrics, match_centres
from .class_keys import class_keys, keys_of_classes
from .crowded import warn_of_crowded_images
from .matching import Counts, Instances, best_f1, counts_by_threshold, match, threshold_at_recall, to_scores, voc_scores
from .report import BOX_ROWS, FPPI_SCORE, LEGACY, WITHOUT_SIDES
from .sky import alarms_by_side, alarms_per_image, centre_in_sky, has_known_sky, sky_overlap

# What the keys of each IoU threshold end in.
IOU_SUFFIXES = {0.5: '', 0.75: '_iou75'}
RECALL_OF_FPPI = 0.9


@METRICS.register_module()
class DenseSIRSTMetric(BaseMetric):
    """Detection, false alarms in and out of the sky, and sky segmentation. All values are in [0, 1] but FPPI's and the
    numbers of targets.

    =====================================  =============================================================================
    ``mAP_07``, ``mAP_12``, ``recall``     Pascal VOC 2007's 11-point AP, VOC 2012's area AP and the recall over all
                                           detections, at IoU 0.5: means over the classes that have true boxes, equal
                                           to mmdet's ``eval_map``
    ``mAP_07_iou75``, ...                  The same three at IoU 0.75
    ``precision``, ``f1``                  At the score where F1 is highest, IoU 0.5, all classes together
    ``score_threshold``                    That score (the highest one if there are several; 1 if nothing is found)
    ``FPPI_sky``, ``FPPI_other``           False alarms per image at scores of at least ``fppi_score`` with their centre
                                           in and out of the true sky, of the images with a true sky map. A false alarm
                                           is a false positive at IoU 0.5, duplicates included. A centre outside the
                                           image counts at the nearest pixel; an ignored pixel counts as other, so that
                                           the two sum up to all false alarms
    ``FPPI``                               All false alarms per image, of all images; only where an image has no true
                                           sky map, for it is the sum of the two where all have one
    ``FPPI_sky_recall90``,                 The same at the highest score at which the recall of all classes together
    ``FPPI_other_recall90``,               reaches 0.9
    ``FPPI_recall90``
    ``found``                              Share of all targets found at scores of at least ``fppi_score``, by centres:
                                           :func:`~bafenet.evaluation.centre_matching.match_centres`
    ``found_FPPI_sky``,                    ``FPPI_sky``, ``FPPI_other`` and ``FPPI`` by this rule; duplicates are no
    ``found_FPPI_other``, ``found_FPPI``   false alarms. ``…_found95``: at the highest score where 95 % are found
    ``found_02``, ``found_02_score``       The highest share found at a score at which the first two are at most 0.2 and
                                           the third, if there is one, 0.5; and the highest such score
    ``sky_iou``                            Intersection over union of the sky, pixels summed over the set
    ``AP_07_NAME``, ``AP_12_NAME``,        Of each class that has true boxes, where there are two classes or more: the
    ``recall_NAME``, ``targets_NAME``,     same APs and recall, and the number of its true boxes; ``AP_12_iou75_NAME``
    ``AP_12_iou75_NAME``, ...              is at IoU 0.75. ``NAME``: :func:`~bafenet.evaluation.class_keys.class_keys`
    =====================================  =============================================================================

    A value that the data do not define is absent, and a line in the log says so: mAP, recall, precision, F1 and shares
    found without a true box, precision and its score without a detection, ``found_02_score`` where ``found_02`` is 0,
    ``FPPI_sky``, ``FPPI_other`` and the same of ``found`` without a true sky map, ``*_recall90`` where the recall stays
    below 0.9, ``*_found95`` where less is found, ``sky_iou`` without maps to compare or without any sky in them. A sky
    map that is 255 (ignored) everywhere counts as none. Images without a true sky map count in all other values. A
    warning counts the images with more true boxes than the network keeps detections.

    A sample is a dict, as mmengine's ``Evaluator`` makes it of a ``DetDataSample``: ``img_id``; ``gt_instances`` and
    ``ignored_instances`` (``bboxes`` (N, 4), ``labels`` (N,)); ``pred_instances`` (``scores`` (N,) too); if there are
    any, ``gt_sem_seg`` and ``pred_sem_seg`` (``sem_seg`` (1, H, W): 0 other, 1 sky, in the truth 255 ignored). Boxes
    and maps are in pixels of the original image.

    After the evaluation ``image_results`` holds one dict per image, on the main process: ``img_id``, ``img_path`` where
    the sample has it, ``boxes`` (lists of ``[x1, y1, x2, y2]``), ``scores`` and ``labels`` of the detections,
    ``in_sky`` where there is a true sky map (whether the centre of each detection is in it), and the truth,
    ``gt_boxes`` and ``gt_labels``; ``shape`` (height, width) where the sample has it, and ``sky_overlap`` (pixels of
    the intersection and of the union) where there are two sky maps; all as plain Python values.

    Args:
        fppi_score: The lowest score of a detection that counts in ``FPPI…`` and ``found…`` that do not name another.
        legacy_coordinates: Gives boxes sides of ``x2 - x1 + 1``, as mmdet's ``VOCMetric`` does (the paper's protocol).
            Every key but ``sky_iou`` and those of ``found`` then ends in ``_legacy``. To have both kinds in one
            evaluator give one of them another ``prefix``.
        collect_device: Where the results of several processes meet, ``'cpu'`` or ``'gpu'``.
        prefix: What the keys start with, before a slash. ``densesirst`` by default.
        collect_dir: A folder that all processes see, for ``collect_device='cpu'``.
        centre_distance: How far from a true box's centre one may be that is not in the box, for ``found`` and its false
            alarms, in pixels, 0 to 1000.

    Raises:
        InputError: If an argument is out of range; from ``process``, where a predicted sky map differs in size from the
            true one, or a predicted box or score is not finite.
    """

    default_prefix = 'densesirst'

    def __init__(self, fppi_score: float = FPPI_SCORE, legacy_coordinates: bool = False, collect_device: str = 'cpu',
                 prefix: str | None = None, collect_dir: str | None = None,
                 centre_distance: float = CENTRE_DISTANCE) -> None:
        _check_arguments(fppi_score, centre_distance, legacy_coordinates, collect_device, prefix)
        super().__init__(collect_device=collect_device, prefix=prefix, collect_dir=collect_dir)
        self.fppi_score = fppi_score
        self.legacy_coordinates = legacy_coordinates
        self.centre_distance = centre_distance
        self.image_results: list[dict] = []

    def keys(self) -> set[str]:
        """The keys of all values that the evaluation may give, with prefix; of single classes once these are known."""
        ending = LEGACY if self.legacy_coordinates else ''
        names = [*BOX_ROWS, *keys_of_classes((self.dataset_meta or {}).get('classes', ()))]
        return {f'{self.prefix}/{name}{"" if name in WITHOUT_SIDES else ending}' for name in names}

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Match the detections of each image and count the pixels of its sky maps; the maps are not kept.

        Args:
            data_batch: Not used.
            data_samples: The samples, as described above.
        """
        self.results.extend(self._evaluate_image(sample) for sample in data_samples)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Sum the images up.

        Args:
            results: What ``process`` has stored, of all processes, in the order of the dataset.

        Returns:
            The values, by key without prefix.
        """
        self.image_results = [_plain(result) for result in results]
        warn_of_crowded_images(results)
        of_all, of_classes = self._voc_metrics(results)
        metrics = {**of_all, **self._threshold_metrics(results), **of_classes}
        if self.legacy_coordinates:
            metrics = {f'{key}_legacy': value for key, value in metrics.items()}
        return {**metrics, **found_metrics(results, self.fppi_score), **_sky_metrics(results)}

    def _evaluate_image(self, sample: dict) -> dict:
        """Reduce one sample to what the sums need; ``is_tp`` and ``is_fp`` are (2, N), one row per IoU threshold."""
        num_classes = len(self.dataset_meta['classes'])
        detections = _instances(sample['pred_instances'])
        _require_finite(detections, sample['img_id'])
        truth = _instances(sample['gt_instances'])
        ignored = _instances(sample['ignored_instances'])
        matches = [match(detections, truth, ignored, num_classes, iou_thr, self.legacy_coordinates)
                   for iou_thr in IOU_SUFFIXES]
        is_tp, is_fp = np.stack(matches, axis=1)
        found, alarms = match_centres(detections, truth, ignored, num_classes, self.centre_distance)
        result = {key: sample[key] for key in ('img_id', 'img_path') if key in sample}
        if 'ori_shape' in sample:
            result['shape'] = [int(side) for side in sample['ori_shape'][:2]]
        result.update(detections._asdict(), gt_boxes=truth.boxes, gt_labels=truth.labels, is_tp=is_tp, is_fp=is_fp,
                      num_gt=np.array([np.count_nonzero(truth.labels == label) for label in range(num_classes)]),
                      found=found, alarms=alarms)
        return {**result, **_evaluate_sky(sample, detections.boxes)}

    def _voc_metrics(self, results: list[dict]) -> tuple[dict[str, float], dict[str, float]]:
        """AP and recall: means over the classes that have true boxes, and of each of several classes."""
        scores, labels, is_tp, is_fp = _pool(results)
        num_gt = sum(result['num_gt'] for result in results)
        present = np.flatnonzero(num_gt)
        if not len(present):
            _notice('No image has a true box: mAP and recall are left out, and so are precision, F1 and found.')
            return {}, {}
        names = class_keys(self.dataset_meta['classes'])
        of_all: dict[str, float] = {}
        of_classes = {f'targets_{names[label]}': float(num_gt[label]) for label in present}
        for row, suffix in enumerate(IOU_SUFFIXES.values()):
            by_class = [voc_scores(scores[own], is_tp[row, own], is_fp[row, own], num_gt[label])
                        for label in present for own in [labels == label]]
            of_all |= _named(('mAP_07', 'mAP_12', 'recall'), suffix, np.mean(by_class, axis=0))
            for label, values in zip(present, by_class, strict=True):
                of_classes |= _named(('AP_07', 'AP_12', 'recall'), f'{suffix}_{names[label]}', values)
        return of_all, of_classes if len(names) > 1 else {}

    def _threshold_metrics(self, results: list[dict]) -> dict[str, float]:
        """The values that hold at one score threshold, at IoU 0.5, over all classes together."""
        counts, num_gt = detection_counts(results)
        metrics = _best_f1(counts, num_gt)

        mapped = sum('in_sky' in result for result in results)
        if not mapped:
            _notice('No image has a true sky map: FPPI counts all false alarms, FPPI_sky and FPPI_other are left out.')
        elif mapped < len(results):
            _notice(f'{mapped} of {len(results)} images have a true sky map: FPPI_sky and FPPI_other count the false '
                    'alarms of these alone, FPPI those of all images.')
        metrics.update(_alarms_per_image(results, self.fppi_score, ''))
        threshold = threshold_at_recall(counts, num_gt, RECALL_OF_FPPI)
        if threshold is None:
            why = f'The recall stays below {RECALL_OF_FPPI}' if num_gt else 'Without a true box there is no recall'
            _notice(f'{why}: FPPI_sky_recall90, FPPI_other_recall90 and FPPI_recall90 are left out.')
            return metrics
        return {**metrics, **_alarms_per_image(results, threshold, '_recall90')}


def _check_arguments(fppi_score: float, centre_distance: float, legacy_coordinates: bool, collect_device: str,
                     prefix: str | None) -> None:
    for name, value, most in (('fppi_score', fppi_score, 1), ('centre_distance', centre_distance, MAX_DISTANCE)):
        if isinstance(value, bool) or not (isinstance(value, (int, float)) and 0 <= value <= most):
            raise InputError(f'DenseSIRSTMetric: {name}={value!r} must be a number from 0 to {most}')
    if not isinstance(legacy_coordinates, bool):
        raise InputError(f'DenseSIRSTMetric: legacy_coordinates={legacy_coordinates!r} must be True or False')
    if collect_device not in ('cpu', 'gpu'):
        raise InputError(f"DenseSIRSTMetric: collect_device={collect_device!r} must be 'cpu' or 'gpu'")
    if not isinstance(prefix, str | None):
        raise InputError(f'DenseSIRSTMetric: prefix={prefix!r} must be text, or None')


def _require_finite(detections: Instances, img_id: Any) -> None:
    numbers = (detections.boxes, ) if detections.scores is None else (detections.boxes, detections.scores)
    if not all(np.isfinite(values).all() for values in numbers):
        raise InputError(f'image {printable(img_id)}: a predicted box or score is NaN or infinite; the weights or the '
                         'network are broken, take another checkpoint')


def _instances(instances: dict) -> Instances:
    """Bring boxes, labels and, where there are any, scores to NumPy. No boxes at all may be an empty dict."""
    if not instances:
        return Instances(np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    boxes = get_box_tensor(instances['bboxes']).float().cpu().numpy()
    scores = to_scores(instances['scores']) if 'scores' in instances else None
    return Instances(boxes, instances['labels'].cpu().numpy(), scores)


def _evaluate_sky(sample: dict, boxes: np.ndarray) -> dict:
    """What the sums need of the sky maps; nothing of what the sample does not have."""
    if 'gt_sem_seg' not in sample:
        return {}
    truth = _sky_map(sample['gt_sem_seg'])
    if not has_known_sky(truth):
        return {}
    result: dict[str, Any] = {'in_sky': centre_in_sky(boxes, truth)}
    if 'pred_sem_seg' in sample:
        predicted = _sky_map(sample['pred_sem_seg'])
        if predicted.shape != truth.shape:
            raise InputError(
                f'image {sample["img_id"]}: the predicted sky map has {predicted.shape} pixels and the true one '
                f'{truth.shape}; in the test pipeline put LoadAnnotations after Resize')
        result['sky_overlap'] = sky_overlap(predicted, truth)
    return result


def _sky_map(pixel_data: dict) -> np.ndarray:
    return pixel_data['sem_seg'][0].cpu().numpy()


def _pool(results: list[dict]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Concatenate scores (N,), labels (N,), ``is_tp`` (2, N) and ``is_fp`` (2, N) of all images."""
    scores, labels, is_tp, is_fp = (np.concatenate([result[key] for result in results], axis=-1)
                                    for key in ('scores', 'labels', 'is_tp', 'is_fp'))
    return scores, labels, is_tp, is_fp


def detection_counts(results: list[dict]) -> tuple[Counts, int]:
    """Count detections by score threshold at IoU 0.5, all classes together.

    Args:
        results: What ``DenseSIRSTMetric.process`` has stored.

    Returns:
        The counts, and the number of true boxes.
    """
    scores, _, is_tp, is_fp = _pool(results)
    return counts_by_threshold(scores, is_tp[0], is_fp[0]), int(sum(result['num_gt'].sum() for result in results))


def false_alarms(results: list[dict], threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Find the detections that are false alarms at IoU 0.5, in and out of the true sky.

    Args:
        results: What ``DenseSIRSTMetric.process`` has stored of images with a true sky map.
        threshold: The lowest score that counts.

    Returns:
        Two bool (N,) over the detections of all images, one after the other.
    """
    scores, _, _, is_fp = _pool(results)
    in_sky = np.concatenate([result['in_sky'] for result in results])
    alarms = is_fp[0] & (scores >= threshold)
    return alarms & in_sky, alarms & ~in_sky


def _alarms_per_image(results: list[dict], threshold: float, suffix: str) -> dict[str, float]:
    """False alarms per image at scores of at least ``threshold``, in and out of the true sky as far as it is known."""
    scores, _, _, is_fp = _pool(results)
    rates = alarms_per_image(alarms_by_side(results, is_fp[0]), scores, threshold)
    return {f'{key}{suffix}': rate for key, rate in rates.items()}


def _best_f1(counts: Counts, num_gt: int) -> dict[str, float]:
    """Precision, F1 and the score where F1 is highest, as far as they are defined."""
    if not num_gt:
        return {}
    precision, f1, threshold = best_f1(counts, num_gt)
    if not (counts.tp + counts.fp).any():
        _notice('Nothing was detected: precision and score_threshold are left out.')
        return {'f1': f1}
    return {'precision': precision, 'f1': f1, 'score_threshold': threshold}


def _named(keys: Sequence[str], suffix: str, values: Sequence[float] | np.ndarray) -> dict[str, float]:
    return {f'{key}{suffix}': float(value) for key, value in zip(keys, values, strict=True)}


def _sky_metrics(results: list[dict]) -> dict[str, float]:
    overlaps = [result['sky_overlap'] for result in results if 'sky_overlap' in result]
    if not overlaps:
        _notice('No image has both a true and a predicted sky map: sky_iou is left out.')
        return {}
    intersection, union = np.sum(overlaps, axis=0)
    if not union:
        _notice('There is neither true nor predicted sky: sky_iou is left out.')
        return {}
    return {'sky_iou': float(intersection / union)}


def _plain(result: dict) -> dict:
    """The detections and the truth of one image in Python values, ready for JSON."""
    arrays = ('boxes', 'scores', 'labels', 'in_sky', 'gt_boxes', 'gt_labels')
    return {**{key: result[key] for key in ('img_id', 'img_path', 'shape') if key in result},
            **{key: result[key].tolist() for key in arrays if key in result},
            **{key: list(result[key]) for key in ('sky_overlap', ) if key in result}}


def _notice(message: str) -> None:
    print_log(message, logger='current')
