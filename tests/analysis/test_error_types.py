"""The gap to an mAP of 1 by type of error against sums by hand, and jitter that is given back."""
import json
from itertools import permutations

import numpy as np
import pytest
import torch
from conftest import load_tool
from mmdet.registry import METRICS

from bafenet.analysis import localisation
from bafenet.analysis import tide as types
from bafenet.analysis.error_types import report
from bafenet.analysis.tide import Frame, classify, fixed_ap, gap
from bafenet.datasets import DenseSIRSTDataset
from bafenet.errors import InputError

TARGETS = np.float32([[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10], [60, 0, 70, 10]])
# True; false alarm in the sky; IoU 1/3 with the second; the first again; true; false alarm out of the sky.
BOXES = np.float32([[0, 0, 10, 10], [80, 0, 90, 10], [25, 0, 35, 10], [0, 1, 10, 10], [40, 0, 50, 10],
                    [80, 90, 90, 99]])
SCORES = np.float32([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
IN_SKY = np.array([True] * 5 + [False])
# In order TP FP FP FP TP FP of 4 targets: precision 1 at a recall of 1/4, 2/5 at 2/4; and so on for the fixed lists.
FIXED = {types.LOCALISATION: (1 + 2 / 3 + 3 / 5) / 4, types.DOUBLE: (1 + 2 / 4) / 4, types.ALARM_SKY: (1 + 2 / 4) / 4,
          types.ALARM_OTHER: (1 + 2 / 5) / 4, types.MISS: (1 + 2 / 5) / 3}


def random_frames(seed, num_images=4, in_sky=True):
    """Jittered truth, doubled, with false alarms and misses; scores with ties."""
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(num_images):
        low = rng.integers(0, 40, (rng.integers(0, 8), 2))
        truth = np.concatenate([low, low + rng.integers(2, 8, low.shape)], axis=1).astype(np.float32)
        found = np.concatenate([truth, truth])[rng.random(2 * len(truth)) < 0.7]
        found = found + rng.normal(0, 0.7, found.shape)
        alarms = np.repeat(rng.uniform(0, 60, (5, 2)), 2, axis=0).reshape(5, 4) + [0, 0, 4, 4]
        boxes = np.concatenate([found, alarms]).astype(np.float32)
        scores = (rng.integers(1, 9, len(boxes)) / 10).astype(np.float32)
        frames.append(Frame(boxes, scores, truth, rng.random(len(boxes)) < 0.5 if in_sky else None))
    return frames


def write_results(path, frames, **changes):
    """What tools/test.py would write of the frames, by way of the metric."""
    metric = METRICS.build(dict(type='DenseSIRSTMetric'))
    metric.dataset_meta = {'classes': ('Target',)}
    empty = dict(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
    for number, frame in enumerate(frames):
        labels = [torch.zeros(len(boxes), dtype=torch.long) for boxes in (frame.truth, frame.boxes)]
        metric.process(None, [dict(
            img_id=str(number), gt_instances=dict(bboxes=torch.from_numpy(frame.truth), labels=labels[0]),
            ignored_instances=empty, pred_instances=dict(
                bboxes=torch.from_numpy(frame.boxes), scores=torch.from_numpy(frame.scores), labels=labels[1]))])
    metrics = metric.evaluate(len(frames))
    content = dict(checkpoint='a.pth', split='Splits/test_v2.txt', metrics=metrics, images=metric.image_results)
    path.write_text(json.dumps({**content, **changes}))
    return metrics


def test_each_type_is_worth_what_it_is_by_hand():
    errors = classify([Frame(BOXES, SCORES, TARGETS, IN_SKY)], 0.5)
    assert errors.kinds.tolist() == [types.TRUE, types.ALARM_SKY, types.LOCALISATION, types.DOUBLE, types.TRUE,
                                     types.ALARM_OTHER]
    result = gap(errors)
    assert result['mAP_12'] == pytest.approx((1 + 2 / 5) / 4)
    assert {kind: row['fixed'] for kind, row in result['types'].items()} == pytest.approx(FIXED)
    assert all(row['count'] == 1 for row in result['types'].values())
    assert all(row['gain'] == pytest.approx(FIXED[kind] - 0.35) for kind, row in result['types'].items())


def test_shares_are_the_mean_gain_over_all_orders_of_fixing():
    errors = classify([Frame(BOXES, SCORES, TARGETS, IN_SKY)], 0.5)
    gains = {kind: [] for kind in FIXED}
    for order in permutations(FIXED):
        for place, kind in enumerate(order):
            gains[kind].append(fixed_ap(errors, frozenset(order[:place + 1]))
                               - fixed_ap(errors, frozenset(order[:place])))
    shares = {kind: row['share'] for kind, row in gap(errors)['types'].items()}
    assert shares == pytest.approx({kind: np.mean(values) / 0.65 for kind, values in gains.items()})
    assert sum(shares.values()) == pytest.approx(1)
    # Scored below all that is true, it costs nothing.
    assert shares[types.ALARM_OTHER] == pytest.approx(0)


def test_the_iou_threshold_parts_true_from_misplaced():
    boxes = np.float32([[0, 0, 10, 6], [20, 0, 30, 8]])
    frame = Frame(boxes, np.float32([0.9, 0.8]), TARGETS[:2])
    assert classify([frame], 0.5).kinds.tolist() == [types.TRUE, types.TRUE]
    assert classify([frame], 0.75).kinds.tolist() == [types.LOCALISATION, types.TRUE]
    # IoU 0.09: nothing to do with the target, which nothing else reaches.
    errors = classify([Frame(np.float32([[0, 0, 10, 0.9]]), np.float32([0.9]), TARGETS[:1])], 0.5)
    assert (errors.kinds.tolist(), errors.num_missed) == ([types.ALARM], 1)


def test_of_several_misplaced_detections_one_is_fixable():
    # Two beside a free target, better-scored last; one beside a target that a lower-scored detection holds.
    boxes = np.float32([[0, 0, 10, 3], [0, 0, 10, 4], [20, 0, 30, 4], [20, 0, 30, 10]])
    errors = classify([Frame(boxes, np.float32([0.6, 0.7, 0.9, 0.5]), TARGETS[:2])], 0.5)
    assert errors.fixable.tolist() == [False, True, False, False]
    assert gap(errors)['types'][types.LOCALISATION]['fixed'] == 1


@pytest.mark.parametrize('in_sky', [True, False])
@pytest.mark.parametrize('iou_thr', [0.5, 0.75])
def test_all_fixable_is_one(iou_thr, in_sky):
    for seed in range(10):
        errors = classify(random_frames(seed, in_sky=in_sky), iou_thr)
        assert fixed_ap(errors, frozenset(errors.types)) == 1
        result = gap(errors)
        assert sum(row['share'] for row in result['types'].values()) == pytest.approx(1)
        assert result['mAP_12'] < 1
    assert (types.ALARM_SKY in errors.types) == in_sky


def test_nothing_found_is_all_misses_and_a_perfect_set_has_no_gap():
    nothing = Frame(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), TARGETS)
    result = gap(classify([nothing], 0.5))
    assert (result['mAP_12'], result['types'][types.MISS]['fixed'], result['types'][types.MISS]['share']) == (0, 1, 1)
    perfect = gap(classify([Frame(TARGETS, SCORES[:4], TARGETS)], 0.75))
    assert perfect['mAP_12'] == 1 and perfect['types'][types.MISS]['share'] is None


def scattered_truth(rng, num_images=100, sides=(3, 9)):
    """Boxes too far apart to be mistaken for each other."""
    low = np.stack(np.meshgrid(np.arange(5), np.arange(5)), axis=-1).reshape(-1, 2) * 30.0
    return [np.concatenate([low, low + rng.integers(*sides, low.shape)], axis=1) for _ in range(num_images)]


def test_jittered_truth_gives_back_its_jitter_and_bias():
    rng = np.random.default_rng(0)
    bias, std = np.array([0.3, -0.1, 0.0, 0.1]), np.array([0.2, 0.3, 0.4, 0.3])
    frames = [Frame((truth + bias + std * rng.normal(size=truth.shape)), np.full(len(truth), 0.5), truth)
              for truth in scattered_truth(rng)]
    result = localisation.describe(frames)
    assert result['pairs'] == 2500
    for index, side in enumerate(('left', 'top', 'right', 'bottom')):
        for key, value in (('mean', bias), ('median', bias), ('std', std), ('robust_std', std)):
            assert result['errors'][side][key] == pytest.approx(value[index], abs=0.03)
    for name, mean, spread in (('centre x', 0.15, np.hypot(0.2, 0.4) / 2), ('height', 0.2, np.hypot(0.3, 0.3))):
        assert result['errors'][name]['mean'] == pytest.approx(mean, abs=0.03)
        assert result['errors'][name]['std'] == pytest.approx(spread, abs=0.03)
    assert result['jitter']['std'] == pytest.approx(np.sqrt((std ** 2).mean()), abs=0.01)


@pytest.mark.parametrize('jitter', [0.25, 0.5])
def test_jittered_truth_keeps_as_many_boxes_as_its_jitter(jitter):
    rng = np.random.default_rng(1)
    frames = [Frame(truth + jitter * rng.normal(size=truth.shape), np.full(len(truth), 0.5), truth)
              for truth in scattered_truth(rng, sides=(2, 6))]
    result = localisation.describe(frames)
    for key in ('std', 'robust_std', 'same_iou_0.5', 'same_iou_0.75'):
        assert result['jitter'][key] == pytest.approx(jitter, abs=0.025), key
    assert result['shares'] == pytest.approx(result['jittered_truth'][f'{jitter:g}'], abs=0.02)


def test_the_worst_outliers_move_the_robust_values_little():
    rng = np.random.default_rng(2)
    truth = np.concatenate(scattered_truth(rng, sides=(20, 30)))
    detected = truth + 0.3 * rng.normal(size=truth.shape)
    detected[:100, 0] -= 8
    left = localisation.box_errors(detected, truth)['left']
    assert left['std'] > 1 and left['robust_std'] == pytest.approx(0.3, abs=0.03)
    assert left['median'] == pytest.approx(0, abs=0.03)


def test_what_jitter_leaves_of_the_real_boxes(real_data):
    """The issue's table: normal noise of this standard deviation on each side."""
    data = DenseSIRSTDataset(data_root=str(real_data), ann_file='Splits/test_v2.txt', pipeline=[], test_mode=True)
    truth = np.array([item['bbox'] for index in range(len(data)) for item in data.get_data_info(index)['instances']])
    shares = localisation.jittered_shares(truth.astype(float), localisation.JITTERS)
    table = {0.25: (1.00, 0.77), 0.4: (0.97, 0.36), 0.5: (0.89, 0.22), 0.6: (0.78, 0.13)}
    for jitter, expected in table.items():
        assert tuple(shares[jitter].values()) == pytest.approx(expected, abs=0.015)


def test_the_tool_prints_and_writes_what_the_metric_agrees_with(tmp_path, capsys):
    frames = random_frames(3, num_images=8, in_sky=False)
    metrics = write_results(tmp_path / 'results.json', frames)
    assert load_tool('analysis/error_types.py').main([str(tmp_path / 'results.json'), '--out',
                                                 str(tmp_path / 'out.json')]) == 0
    written = json.loads((tmp_path / 'out.json').read_text())
    for iou_thr, suffix in (('0.5', ''), ('0.75', '_iou75')):
        assert written['gaps'][iou_thr]['mAP_12'] == pytest.approx(metrics[f'densesirst/mAP_12{suffix}'])
    assert written['targets'] == sum(len(frame.truth) for frame in frames)
    printed = capsys.readouterr().out
    for word in ('localisation', 'double answer', 'false alarm', 'miss', 'jitter of 0.25 px'):
        assert word in printed


def test_no_detection_at_all_is_reported_too(tmp_path, capsys):
    write_results(tmp_path / 'results.json', [Frame(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), TARGETS)])
    result = report(str(tmp_path / 'results.json'))
    assert result['localisation']['pairs'] == 0 and result['gaps']['0.5']['mAP_12'] == 0
    assert 'IoU ≥ 0.75' in capsys.readouterr().out


@pytest.mark.parametrize(('changes', 'message'), [
    (dict(images=[dict(img_id=0, boxes=[], scores=[], labels=[])]),
     'it has no gt_boxes of its images, gt_labels of its images; test'),
    (dict(images=[dict(boxes=[], scores=[], labels=[], gt_boxes=[], gt_labels=[])]), 'no target in its 1 images'),
    (dict(images=[dict(boxes=[], scores=[], labels=[], gt_boxes=[[0, 0, 1, 1]], gt_labels=[1])]), 'several classes'),
    (dict(images=[dict(boxes=['a'], scores=[], labels=[], gt_boxes=[], gt_labels=[])]), 'not what tools/test.py'),
    (dict(images=[1]), 'not what tools/test.py'),
    (dict(metrics={'densesirst/mAP_12': 0.123}), 'its metrics say 0.123'),
])
def test_results_that_cannot_be_used_are_refused(tmp_path, changes, message):
    write_results(tmp_path / 'results.json', random_frames(4), **changes)
    with pytest.raises(InputError, match=message):
        report(str(tmp_path / 'results.json'))


def test_a_file_that_is_no_results_is_refused(tmp_path):
    (tmp_path / 'results.json').write_text('{')
    for path in ('results.json', 'absent.json'):
        with pytest.raises(InputError, match=f'{path}: not what'):
            report(str(tmp_path / path))
