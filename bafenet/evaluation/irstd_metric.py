"""IRSTDMetric: IoU, nIoU, P_d, F_a, hierarchical IoU and AUC of predicted target masks, and their curves."""
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from ..arguments import require_choice, shown
from ..devkit.layout import IGNORED, TARGET
from ..errors import InputError, printable
from .irstd import (
    ROC_LEVELS,
    THRESHOLDS,
    counts_by_threshold,
    find_components,
    legacy_alarm_pixels,
    level_counts,
    match_hierarchically,
    roc,
    take_components,
)
from .report import PIXEL_ROWS

_COUNTS = ('targets', 'detected', 'alarms', 'alarm_pixels')


@METRICS.register_module()
class IRSTDMetric(BaseMetric):
    """Pixel metrics of infrared small target detection, of a predicted target mask against the true one.

    ==================  ===============================================================================================
    ``IoU``             Intersection over union of the target pixels, in [0, 1]: both summed over the set
    ``nIoU``            Mean of the frames' IoU, in [0, 1]. A frame with neither a true nor a predicted target pixel has
                        none and is left out, where pyirstdmetrics and others count 0
    ``P_d``             Share of the targets that are detected, in %. Targets and predicted components are 8-connected;
                        row by row each target takes the first component left whose centroid, of its pixels without
                        weights, is closer than 3 pixels
    ``F_a``             Pixels of components that no target took, in a million pixels
    ``F_a_legacy``      The same as the code of DNA-Net and SIRST-5K counts it, and so most tables of the field: every
                        component is left out whose area equals that of a taken one in its frame. Never above ``F_a``
    ``hIoU``            Hierarchical IoU (arXiv 2509.16888), in [0, 1]: mean IoU of the matched pairs, times pairs over
                        pairs, missed targets and false components;
                        :func:`~bafenet.evaluation.irstd.match_hierarchically`
    ``AUC``             Area under the ROC of all pixels pooled, in [0, 1], at 256 thresholds
    ``num_frames``,     Frames, targets, targets detected, and components that no target took
    ``num_targets``,
    ``num_detected``,
    ``num_alarms``
    ==================  ===============================================================================================

    Frames may differ in size. A pixel whose truth is 255, ignored, counts nowhere. A value that the data do not define
    is absent, and a line in the log says so: IoU, nIoU and hIoU where there is neither a true nor a predicted target,
    P_d without targets, F_a and F_a_legacy without pixels, AUC without probabilities, without target pixels or without
    background.

    A sample is a dict, as mmengine's ``Evaluator`` makes it of a ``DetDataSample``: ``img_id``; ``gt_target_mask``
    (``sem_seg`` uint8 (1, H, W): 0 background, 1 target, 255 ignored); and the field that ``prediction`` names
    (``sem_seg`` (1, H, W), target where it is not 0; where it is there, ``prob`` float (1, H, W), in [0, 1]), both in
    pixels of the original frame.

    After the evaluation, on the main process, ``image_results`` holds one dict per frame: ``img_id``, ``img_path``
    where the sample has it, ``shape`` (height, width), ``target_overlap`` (pixels of the intersection and of the
    union), and the numbers ``targets``, ``detected``, ``alarms`` (components) and ``alarm_pixels``. ``curves`` holds,
    as far as they are defined, ``roc`` (``threshold``, ``false_positive_rate``, ``true_positive_rate``) and
    ``detection`` (``threshold``, ``P_d``, ``F_a``: where pixels above the threshold are the prediction), lists of equal
    length. The results file of a test has both.

    Args:
        prediction: The field of a sample that holds the predicted mask.
        collect_device: Where the results of several processes meet, ``'cpu'`` or ``'gpu'``.
        prefix: What the keys start with, before a slash. ``irstd`` by default.
        collect_dir: A folder that all processes see, for ``collect_device='cpu'``.

    Raises:
        InputError: If an argument is of a wrong type; from ``process``, where a sample has no such mask, the two differ
            in size, or a probability is not in [0, 1].
    """

    default_prefix = 'irstd'

    def __init__(self, prediction: str = 'pred_sem_seg', collect_device: str = 'cpu', prefix: str | None = None,
                 collect_dir: str | None = None) -> None:
        if not isinstance(prediction, str) or not prediction:
            raise InputError(f'IRSTDMetric: prediction={shown(prediction)} must be the name of a field, as '
                             'pred_sem_seg')
        require_choice('IRSTDMetric', ('cpu', 'gpu'), collect_device=collect_device)
        if not isinstance(prefix, str | None):
            raise InputError(f'IRSTDMetric: prefix={shown(prefix)} must be text, or None')
        super().__init__(collect_device=collect_device, prefix=prefix, collect_dir=collect_dir)
        self.prediction = prediction
        self.image_results: list[dict] = []
        self.curves: dict[str, dict[str, list[float]]] = {}

    def keys(self) -> set[str]:
        """The keys of all values that the evaluation may give, with prefix."""
        return {f'{self.prefix}/{name}' for name in PIXEL_ROWS}

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count what the sums need of each frame; its masks are not kept.

        Args:
            data_batch: Not used.
            data_samples: The samples, as described above.
        """
        self.results.extend(self._count(sample) for sample in data_samples)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Sum the frames up.

        Args:
            results: What ``process`` has stored, of all processes, in the order of the dataset.

        Returns:
            The values, by key without prefix.
        """
        shown_keys = ('img_id', 'img_path', 'shape', 'target_overlap', *_COUNTS)
        self.image_results = [{key: result[key] for key in shown_keys if key in result} for result in results]
        values = {**_overlap_values(results), **_target_values(results)}
        by_level, self.curves = _by_threshold(results)
        values |= by_level
        return {key: float(values[key]) for key in PIXEL_ROWS if key in values}

    def _count(self, sample: dict) -> dict:
        """Reduce one sample to what the sums need."""
        truth, mask, probabilities = self._masks(sample)
        known = truth != IGNORED
        mask &= known
        true = truth == TARGET
        targets, predicted = find_components(true), find_components(mask)
        taken = take_components(targets, predicted)
        pairs, pair_overlap = match_hierarchically(targets, predicted)
        result = {key: sample[key] for key in ('img_id', 'img_path') if key in sample}
        result.update(
            shape=list(truth.shape), pixels=int(np.count_nonzero(known)),
            target_overlap=[int(np.count_nonzero(true & mask)), int(np.count_nonzero(true | mask))],
            targets=len(targets.areas), detected=int(taken.sum()), alarms=int((~taken).sum()),
            alarm_pixels=int(predicted.areas[~taken].sum()), pairs=pairs, pair_overlap=pair_overlap,
            alarm_pixels_legacy=legacy_alarm_pixels(predicted.areas, taken))
        if probabilities is not None:
            result.update(levels=level_counts(probabilities, truth),
                          by_threshold=counts_by_threshold(np.where(known, probabilities, 0), targets))
        return result

    def _masks(self, sample: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """True mask (H, W), predicted one, bool, and probabilities, float32, where there are any."""
        name = printable(sample.get('img_id', 'a sample'))
        for key, remedy in (('gt_target_mask', 'put LoadTargetMask into the test pipeline, after Resize'),
                            (self.prediction, "take a network that predicts it, or name its field in prediction of "
                                              'test_evaluator')):
            if key not in sample:
                raise InputError(f'image {name}: it has no {printable(key)}, and IRSTDMetric needs it; {remedy}')
        truth, predicted = sample['gt_target_mask']['sem_seg'], sample[self.prediction]
        mask, *probabilities = [predicted[key].detach().cpu().float().numpy()
                                for key in ('sem_seg', *(['prob'] if 'prob' in predicted else []))]
        for part in (mask, *probabilities):
            if part.shape != tuple(truth.shape):
                raise InputError(f'image {name}: {self.prediction} has {part.shape[1:]} pixels and the true mask '
                                 f'{tuple(truth.shape[1:])}; in the test pipeline put LoadTargetMask after Resize')
        # Written so that NaN is refused too.
        if not all(bool(((part >= 0) & (part <= 1)).all()) for part in probabilities):
            raise InputError(f'image {name}: a probability of {self.prediction} is not in [0, 1]; the weights or the '
                             'network are broken, take another checkpoint')
        return truth[0].cpu().numpy(), mask[0] != 0, probabilities[0][0] if probabilities else None


def _sum(results: Sequence[dict], key: str) -> Any:
    return sum(result[key] for result in results)


def _overlap_values(results: Sequence[dict]) -> dict[str, float]:
    """IoU of all pixels and of the frames, as far as they are defined."""
    intersection, union = np.array([result['target_overlap'] for result in results], np.int64).reshape(-1, 2).T
    some = union > 0
    if not some.any():
        _notice('There is neither a true nor a predicted target pixel: IoU, nIoU and hIoU are left out.')
        return {}
    if not some.all():
        _notice(f'{np.count_nonzero(~some)} of {len(results)} frames have neither a true nor a predicted target pixel: '
                'nIoU is the mean of the others.')
    pairs, targets = _sum(results, 'pairs'), _sum(results, 'targets')
    # Pairs, missed targets and false components.
    union_of_targets = targets + _sum(results, 'detected') + _sum(results, 'alarms') - pairs
    return {'IoU': intersection.sum() / union.sum(), 'nIoU': (intersection[some] / union[some]).mean(),
            'hIoU': _sum(results, 'pair_overlap') / union_of_targets}


def _target_values(results: Sequence[dict]) -> dict[str, float]:
    """P_d, F_a and counts, as far as they are defined."""
    targets, pixels = _sum(results, 'targets'), _sum(results, 'pixels')
    values = {'num_frames': len(results), 'num_targets': targets, 'num_detected': _sum(results, 'detected'),
              'num_alarms': _sum(results, 'alarms')}
    if targets:
        values['P_d'] = 100 * values['num_detected'] / targets
    else:
        _notice('No frame has a target: P_d is left out.')
    if pixels:
        values |= {'F_a': 1e6 * _sum(results, 'alarm_pixels') / pixels,
                   'F_a_legacy': 1e6 * _sum(results, 'alarm_pixels_legacy') / pixels}
    else:
        _notice('All pixels are ignored: F_a is left out.')
    return values


def _by_threshold(results: Sequence[dict]) -> tuple[dict[str, float], dict[str, dict[str, list[float]]]]:
    """AUC, and the curves, as far as they are defined."""
    if not all('levels' in result for result in results):
        _notice('Not all frames have predicted probabilities: AUC and the curves are left out.')
        return {}, {}
    values, curves = {}, {}
    drawn = roc(_sum(results, 'levels')) if results else None
    if drawn is None:
        _notice('There is no target pixel, or no other: AUC is left out.')
    else:
        false, true, values['AUC'] = drawn
        # Nothing is above 1; infinity is no number of JSON.
        thresholds = [1 + 1 / ROC_LEVELS, *(np.arange(ROC_LEVELS)[::-1] / ROC_LEVELS).tolist()]
        curves['roc'] = dict(threshold=thresholds, false_positive_rate=false.tolist(), true_positive_rate=true.tolist())
    targets, pixels = _sum(results, 'targets'), _sum(results, 'pixels')
    if targets and pixels:
        detected, alarm_pixels = _sum(results, 'by_threshold')
        curves['detection'] = dict(threshold=list(THRESHOLDS), P_d=(100 * detected / targets).tolist(),
                                   F_a=(1e6 * alarm_pixels / pixels).tolist())
    return values, curves


def _notice(message: str) -> None:
    print_log(message, logger='current')
