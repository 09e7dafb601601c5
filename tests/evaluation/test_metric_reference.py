"""DenseSIRSTMetric against mmdet's own eval_map and against plain loops."""
from multiprocessing.pool import ThreadPool

import numpy as np
import pytest
import torch

import bafenet  # noqa: F401  mmdet cannot be imported without it

# isort: split
from metric_samples import evaluate, random_samples, sky_map
from mmdet.evaluation import eval_map

CASES = {
    'random': {'seed': 0},
    'random_1_class': {'seed': 1, 'num_classes': 1},
    'score_ties': {'seed': 2, 'levels': 4, 'num_images': 25},
    'all_scores_equal': {'seed': 3, 'levels': 1},
    'ignored_boxes': {'seed': 4, 'num_ignored': 8},
    'only_ignored_boxes': {'seed': 5, 'num_truth': 0, 'num_ignored': 8},
    'no_truth': {'seed': 6, 'num_truth': 0},
    'no_detections': {'seed': 7, 'num_detections': 0},
    'nothing': {'seed': 8, 'num_truth': 0, 'num_detections': 0},
    'one_image': {'seed': 9, 'num_images': 1},
    'a_class_without_truth': {'seed': 10, 'num_images': 1, 'num_classes': 3, 'num_truth': 2},
}


def eval_map_of(samples, num_classes, iou_thr, mode, legacy):
    """The mean AP of mmdet, and the mean recall of the classes that have truth."""
    detections, annotations = [], []
    for one in samples:
        pred, truth, ignored = ({key: value.numpy() for key, value in one[f'{kind}_instances'].items()}
                                for kind in ('pred', 'gt', 'ignored'))
        rows = np.column_stack((pred['bboxes'], pred['scores']))
        detections.append([rows[pred['labels'] == label] for label in range(num_classes)])
        annotations.append({'bboxes': truth['bboxes'], 'labels': truth['labels'],
                            'bboxes_ignore': ignored['bboxes'], 'labels_ignore': ignored['labels']})
    mean_ap, by_class = eval_map(detections, annotations, iou_thr=iou_thr, eval_mode=mode, nproc=1, logger='silent',
                                 use_legacy_coordinate=legacy)
    recalls = [one['recall'][-1] if one['recall'].size else 0.0 for one in by_class if one['num_gts']]
    return mean_ap, np.mean(recalls) if recalls else 0.0


@pytest.mark.parametrize('legacy', [False, True])
@pytest.mark.parametrize('case', CASES)
def test_equals_eval_map(case, legacy, monkeypatch):
    # Threads instead of the processes that eval_map would fork.
    monkeypatch.setattr('mmdet.evaluation.functional.mean_ap.Pool', ThreadPool)
    samples = random_samples(**CASES[case])
    num_classes = CASES[case].get('num_classes', 2)
    values = evaluate(samples, num_classes, legacy_coordinates=legacy)
    end = '_legacy' if legacy else ''
    if not sum(len(one['gt_instances']['labels']) for one in samples):
        assert not any('mAP' in key or key.startswith('recall') for key in values)
        return
    for iou_thr, suffix in ((0.5, ''), (0.75, '_iou75')):
        for key, mode in (('mAP_07', '11points'), ('mAP_12', 'area')):
            mean_ap, recall = eval_map_of(samples, num_classes, iou_thr, mode, legacy)
            assert values[f'{key}{suffix}{end}'] == pytest.approx(mean_ap, abs=1e-6)
            assert values[f'recall{suffix}{end}'] == pytest.approx(recall, abs=1e-6)


def test_the_random_cases_are_neither_empty_nor_perfect():
    for case in ('random', 'random_1_class', 'score_ties', 'ignored_boxes'):
        values = evaluate(random_samples(**CASES[case]), CASES[case].get('num_classes', 2))
        assert 0.02 < values['mAP_12_iou75'] < values['mAP_12'] < 0.98


# Against plain loops --------------------------------------------------------------------------------------------------

def overlap(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def loop_counts(samples, threshold):
    """True positives, false alarms in the sky and others when only detections from ``threshold`` up exist."""
    found = in_sky = elsewhere = 0
    for one in samples:
        truth, ignored, pred = (one[f'{kind}_instances']['bboxes'].tolist() for kind in ('gt', 'ignored', 'pred'))
        taken = set()
        for score, box in sorted(zip(one['pred_instances']['scores'].tolist(), pred, strict=True), reverse=True):
            overlaps = [overlap(box, other) for other in truth + ignored]
            best = int(np.argmax(overlaps)) if overlaps else None
            matched = best is not None and overlaps[best] >= 0.5
            if score < threshold or (matched and best >= len(truth)):
                continue
            if matched and best not in taken:
                taken.add(best)
                found += 1
                continue
            x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
            sky = one['gt_sem_seg']['sem_seg'][0, min(max(int(y), 0), 63), min(max(int(x), 0), 63)] == 1
            in_sky, elsewhere = in_sky + int(sky), elsewhere + int(not sky)
    return found, in_sky, elsewhere


@pytest.mark.parametrize('seed', [20, 24, 51])
def test_thresholds_and_false_alarms_equal_plain_loops(seed):
    samples = random_samples(seed, num_images=6, num_classes=1, num_ignored=2, noise=0.4)
    rng = np.random.default_rng(seed)
    for one in samples:
        # Equal scores in different images only: the order of equal scores in one image is not defined.
        scores = one['pred_instances']['scores']
        scores[:] = torch.as_tensor(rng.permutation(40)[:len(scores)] / 40)
        one['gt_sem_seg'] = sky_map(rng.choice(np.array([0, 1, 255], np.uint8), (64, 64)))
    values = evaluate(samples, fppi_score=0.46)
    num_gt = sum(len(one['gt_instances']['labels']) for one in samples)
    thresholds = sorted({score for one in samples for score in one['pred_instances']['scores'].tolist()}, reverse=True)
    counts = [loop_counts(samples, threshold) for threshold in thresholds]

    precision = [found / (found + sky + other) if found + sky + other else 0 for found, sky, other in counts]
    recall = [found / num_gt for found, _, _ in counts]
    f1 = [2 * p * r / (p + r) if p + r else 0 for p, r in zip(precision, recall, strict=True)]
    best = int(np.argmax(f1))
    assert 0.2 < f1[best] < 0.95
    assert values['f1'] == pytest.approx(f1[best])
    assert values['precision'] == pytest.approx(precision[best])
    assert values['score_threshold'] == thresholds[best]

    _, sky, other = loop_counts(samples, 0.46)
    assert sky and other
    assert (values['FPPI_sky'], values['FPPI_other']) == pytest.approx((sky / 6, other / 6))
    _, sky, other = next(count for count, value in zip(counts, recall, strict=True) if value >= 0.9)
    assert (values['FPPI_sky_recall90'], values['FPPI_other_recall90']) == pytest.approx((sky / 6, other / 6))
