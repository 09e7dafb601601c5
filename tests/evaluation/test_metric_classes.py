"""Several classes: AP, recall and targets of each, their keys, rows and the choice of the best checkpoint."""
from multiprocessing.pool import ThreadPool

import numpy as np
import pytest

import bafenet  # noqa: F401  mmdet cannot be imported without it

# isort: split
from metric_samples import build, evaluate, random_samples
from mmdet.evaluation import eval_map

from bafenet.engine.checkpoint_hook import AtomicCheckpointHook
from bafenet.evaluation.class_keys import CLASS_ROWS, by_class, class_keys, keys_of_classes, split_class_key
from bafenet.evaluation.report import LEGACY, print_metrics


@pytest.mark.parametrize('legacy', [False, True])
@pytest.mark.parametrize('case', [dict(seed=0), dict(seed=2, levels=4), dict(seed=4, num_ignored=8), dict(seed=1),
                                  dict(seed=10, num_images=1, num_truth=2), dict(seed=7, num_detections=0)])
def test_classes_equal_eval_map(case, legacy, monkeypatch):
    # Threads instead of the processes that eval_map would fork.
    monkeypatch.setattr('mmdet.evaluation.functional.mean_ap.Pool', ThreadPool)
    samples, end = random_samples(**case, num_classes=3), LEGACY if legacy else ''
    values = evaluate(samples, 3, legacy_coordinates=legacy)
    expected = {}
    for iou, suffix in ((0.5, ''), (0.75, '_iou75')):
        for key, mode in (('AP_07', '11points'), ('AP_12', 'area')):
            for name, one in zip('ABC', results_of_eval_map(samples, iou, mode, legacy), strict=True):
                if one['num_gts']:
                    recall = one['recall'][-1] if one['recall'].size else 0
                    expected |= {f'{key}{suffix}_{name}{end}': one['ap'], f'recall{suffix}_{name}{end}': recall,
                                 f'targets_{name}{end}': one['num_gts']}
    found = {key: value for key, value in values.items() if split_class_key(key.removesuffix(LEGACY))}
    assert expected and found == pytest.approx(expected, abs=1e-6)
    if case['seed'] == 10:
        assert len(expected) < 3 * len(CLASS_ROWS)  # a class without targets is left out
    # The mean of the classes is the value of the set.
    aps = [value for key, value in found.items() if key.startswith('AP_12_') and 'iou75' not in key]
    assert values[f'mAP_12{end}'] == pytest.approx(np.mean(aps))


def results_of_eval_map(samples, iou, mode, legacy):
    detections, annotations = [], []
    for one in samples:
        pred, truth, ignored = ({key: value.numpy() for key, value in one[f'{kind}_instances'].items()}
                                for kind in ('pred', 'gt', 'ignored'))
        rows = np.column_stack((pred['bboxes'], pred['scores']))
        detections.append([rows[pred['labels'] == label] for label in range(3)])
        annotations.append({'bboxes': truth['bboxes'], 'labels': truth['labels'],
                            'bboxes_ignore': ignored['bboxes'], 'labels_ignore': ignored['labels']})
    return eval_map(detections, annotations, iou_thr=iou, eval_mode=mode, nproc=1, logger='silent',
                    use_legacy_coordinate=legacy)[1]


def test_one_class_has_no_rows_of_its_own():
    assert not by_class(evaluate(random_samples(1, num_classes=1)))
    assert keys_of_classes(['Target']) == []


@pytest.mark.parametrize(('classes', 'expected'), [
    (['drone', 'bird'], ['drone', 'bird']),
    (['fixed wing', 'a/b', 'bär-2+3.x'], ['fixed_wing', 'a_b', 'bär-2+3.x']),
    (['a b', 'a/b', 'c'], ['class0', 'class1', 'c']),
    (['Bird', 'bird'], ['class0', 'class1']),
    (['legacy', 'old_legacy', 'iou75', 'iou75_x', 'plegacy'], ['class0', 'class1', 'class2', 'class3', 'plegacy']),
    (['class1', 'class0'], ['class0', 'class1']),
    (['', '/', '\x1b[31m', '|x|'], ['class0', 'class1', '_31m', '_x_']),
    (['a' * 300, 'b' * 300], ['a' * 40, 'b' * 40]),
    (['a' * 300, 'a' * 301], ['class0', 'class1'])])
def test_names_of_classes_in_keys(classes, expected):
    assert class_keys(classes) == expected
    assert len(set(expected)) == len(expected)
    # Each key comes apart into what it was made of.
    assert [split_class_key(key) for key in keys_of_classes(classes)] == [
        (row, name) for name in expected for row in CLASS_ROWS]


@pytest.mark.parametrize('key', ['mAP_12', 'recall', 'recall_iou75', 'FPPI_sky_recall90', 'AP_12_', 'AP_12_a|b'])
def test_other_keys_are_of_no_class(key):
    assert split_class_key(key) is None


def test_keys_know_the_classes_once_they_are_known():
    metric = build(2)
    assert {'densesirst/AP_12_A', 'densesirst/recall_iou75_B', 'densesirst/mAP_12', 'densesirst/FPPI'} <= metric.keys()
    metric.process(None, random_samples(0))
    assert set(metric.evaluate(12)) <= metric.keys()
    legacy = build(2, legacy_coordinates=True)
    assert {'densesirst/AP_12_A_legacy'} <= legacy.keys()
    unknown = build(2)
    unknown.dataset_meta = None
    assert unknown.keys() == build(1).keys()


@pytest.mark.parametrize(('key', 'rule'), [
    ('densesirst/AP_12_drone', 'greater'), ('densesirst/AP_07_iou75_loss_legacy', 'greater'),
    ('densesirst/recall_FPPI', 'greater'), ('densesirst/FPPI', 'less'), ('densesirst/FPPI_recall90', 'less')])
def test_what_is_better_is_known(key, rule):
    assert AtomicCheckpointHook(save_best=key, max_keep_ckpts=2).rules == [rule]


def test_classes_are_printed_as_rows(capsys):
    print_metrics({'densesirst/mAP_12': 0.5, 'densesirst/targets_drone': 12.0, 'densesirst/AP_12_drone': 0.25,
                   'densesirst/targets_bird': 3.0, 'densesirst/AP_12_bird': 0.75, 'densesirst/recall_bird': 1.0})
    lines = [line for line in capsys.readouterr().out.splitlines() if 'drone' in line or 'bird' in line]
    assert [line.strip('│').replace(' ', '').split('│') for line in lines] == [
        ['drone', '12', '0.250', 'n/a'], ['bird', '3', '0.750', '1.000']]


@pytest.mark.parametrize(('given', 'shown', 'hidden'), [
    ({'FPPI': 1.0}, ['false alarms per image, at the'], ['in the sky', 'sky IoU']),
    ({'FPPI_sky': 1.0}, ['in the sky', 'sky IoU'], ['false alarms per image, at the']),
    ({'FPPI': 1.0, 'FPPI_sky': 1.0}, ['in the sky', 'sky IoU', 'false alarms per image, at the'], []),
    ({'mAP_12': 1.0}, ['in the sky', 'sky IoU'], ['false alarms per image, at the'])])
def test_a_set_without_sky_has_no_rows_of_it(given, shown, hidden, capsys):
    print_metrics({f'densesirst/{key}': value for key, value in given.items()})
    text = capsys.readouterr().out
    assert all(words in text for words in shown) and not any(words in text for words in hidden)
