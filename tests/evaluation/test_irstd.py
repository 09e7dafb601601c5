"""IRSTDMetric against its definitions in plain loops, pyirstdmetrics, and values worked out by hand."""
import json

import numpy as np
import pytest
import torch
from mask_samples import build, evaluate, expected, mask_sample, random_frames
from mmdet.structures import DetDataSample
from mmengine.evaluator import Evaluator
from mmengine.structures import PixelData
from scipy.stats import mannwhitneyu

from bafenet.errors import InputError
from bafenet.evaluation import print_metrics
from bafenet.evaluation.irstd import THRESHOLDS


def samples_of(frames):
    return [mask_sample(truth, prob > 0.5, prob, img_id=str(i)) for i, (truth, prob) in enumerate(frames)]


def draw(*pixels, shape=(12, 20)):
    mask = np.zeros(shape, np.uint8)
    for row, column in pixels:
        mask[row, column] = 1
    return mask


@pytest.mark.parametrize('seed', range(3))
def test_all_values_are_their_definitions(seed):
    frames = random_frames(seed)
    frames[0][0][:, :15] = 255  # ignored
    values, _ = evaluate(samples_of(frames))
    assert {key: values[key] for key in expected(frames)} == pytest.approx(expected(frames), abs=1e-9)
    assert values['F_a_legacy'] < values['F_a']


def test_p_d_and_f_a_at_each_threshold_are_those_of_the_thresholded_mask():
    frames = random_frames(5, count=4)
    _, metric = evaluate(samples_of(frames))
    curve = metric.curves['detection']
    assert curve['threshold'] == list(THRESHOLDS) and THRESHOLDS[7] == 0.5
    for index in (0, 7, 14):
        values = expected(frames, THRESHOLDS[index])
        assert (curve['P_d'][index], curve['F_a'][index]) == pytest.approx((values['P_d'], values['F_a']))


def test_the_roc_is_that_of_the_pooled_pixels_and_its_area_their_rank_statistic():
    frames = random_frames(6)
    frames[1][0][:, :20] = 255
    values, metric = evaluate(samples_of(frames))
    truth, prob = (np.concatenate([frame[part].ravel() for frame in frames]) for part in (0, 1))
    levels = np.floor(prob * 256)
    wins = mannwhitneyu(levels[truth == 1], levels[truth == 0]).statistic
    assert values['AUC'] == pytest.approx(wins / ((truth == 1).sum() * (truth == 0).sum()), abs=1e-12)
    curve = metric.curves['roc']
    assert len(curve['threshold']) == 257 and curve['threshold'][-1] == 0
    assert (curve['false_positive_rate'][0], curve['true_positive_rate'][0]) == (0, 0)
    for threshold in (0.25, 0.75):
        place = curve['threshold'].index(threshold)
        assert curve['true_positive_rate'][place] == pytest.approx((prob[truth == 1] >= threshold).mean())
        assert curve['false_positive_rate'][place] == pytest.approx((prob[truth == 0] >= threshold).mean())


def test_equal_to_pyirstdmetrics():
    theirs = pytest.importorskip('py_irstd_metrics')
    frames = random_frames(7, count=6)
    values, metric = evaluate(samples_of(frames))
    # Its only level is above 0.5; 16 levels begin at 0, at which all is one component.
    detection, levels = (theirs.ProbabilityDetectionAndFalseAlarmRate(num_bins=bins) for bins in (1, 16))
    matching, pixels = theirs.MatchingBasedMetrics(num_bins=1), theirs.CMMetrics(num_bins=257, threshold=0.5)
    pixels.add_handler('niou', theirs.IoUHandler(with_dynamic=False, sample_based=True))
    pixels.add_handler('iou', theirs.IoUHandler(with_dynamic=False, sample_based=False))
    for truth, prob in frames:
        for one in (detection, levels, matching, pixels):
            one.update(prob, truth == 1)
    found, overlaps = detection.get(), pixels.get()
    assert values['P_d'] / 100 == pytest.approx(found['probability_detection'][0], abs=1e-9)
    assert values['F_a'] / 1e6 == pytest.approx(found['false_alarm'][0], abs=1e-9)
    assert values['hIoU'] == pytest.approx(matching.get()['hiou'][0], abs=1e-9)
    assert values['IoU'] == pytest.approx(overlaps['iou']['binary'], abs=1e-9)
    assert values['nIoU'] == pytest.approx(overlaps['niou']['binary'], abs=1e-9)
    curve = metric.curves['detection']
    assert np.array(curve['P_d']) / 100 == pytest.approx(levels.get()['probability_detection'][1:], abs=1e-9)
    assert np.array(curve['F_a']) / 1e6 == pytest.approx(levels.get()['false_alarm'][1:], abs=1e-9)


def test_targets_choose_row_by_row_the_first_component_and_not_the_nearest():
    # The upper target takes the component at column 7, though the one at column 5 is nearer and no other target's.
    truth, mask = draw((4, 5), (6, 9)), draw((3, 7), (5, 5))
    values, metric = evaluate([mask_sample(truth, mask)])
    assert (values['P_d'], values['num_alarms']) == (50, 1)
    assert metric.image_results[0]['alarm_pixels'] == 1
    # By overlap and distance both could be had.
    assert values['hIoU'] == 0


def test_three_pixels_are_too_far_and_corners_connect():
    truth = draw((5, 5), (6, 6))
    assert evaluate([mask_sample(truth, draw((5, 8), (6, 9)))])[0]['P_d'] == 0
    values = evaluate([mask_sample(truth, draw((5, 7), (6, 8)))])[0]
    assert (values['P_d'], values['num_targets'], values['num_alarms']) == (100, 1, 0)


def test_the_old_rule_forgets_false_components_of_the_area_of_a_true_one():
    truth = draw((2, 2))
    values, _ = evaluate([mask_sample(truth, draw((2, 2), (9, 9), (9, 15), (10, 15)))])
    assert values['F_a'] == pytest.approx(3e6 / 240) and values['F_a_legacy'] == pytest.approx(2e6 / 240)


def test_what_the_data_do_not_define_is_left_out(notices):
    nothing, something = draw(), draw((3, 3))
    empty, _ = evaluate([mask_sample(nothing, nothing, nothing)])
    assert empty == {'F_a': 0, 'F_a_legacy': 0, 'num_frames': 1, 'num_targets': 0, 'num_detected': 0, 'num_alarms': 0}
    for part in ('IoU, nIoU and hIoU are left out', 'P_d is left out', 'AUC is left out'):
        assert any(part in notice for notice in notices)
    alarm, metric = evaluate([mask_sample(nothing, something, something)])
    assert (alarm['IoU'], alarm['nIoU'], alarm['hIoU']) == (0, 0, 0) and not {'P_d', 'AUC'} & set(alarm)
    assert metric.curves == {}
    missed, _ = evaluate([mask_sample(something, nothing)])
    assert (missed['IoU'], missed['P_d'], missed['F_a']) == (0, 0, 0) and 'AUC' not in missed
    ignored, _ = evaluate([mask_sample(np.full((4, 4), 255), np.ones((4, 4)), np.ones((4, 4)))])
    assert set(ignored) == {'num_frames', 'num_targets', 'num_detected', 'num_alarms'} and not ignored['num_alarms']


def test_a_frame_without_any_target_is_left_out_of_the_mean(notices):
    values, _ = evaluate([mask_sample(draw(), draw()), mask_sample(draw((3, 3)), draw((3, 3)))])
    assert values['nIoU'] == 1
    assert any(notice.startswith('1 of 2 frames have neither') for notice in notices)


@pytest.mark.parametrize(('change', 'message'), [
    (lambda one: one.pop('gt_target_mask'), 'image a: it has no gt_target_mask'),
    (lambda one: one.pop('pred_sem_seg'), 'image a: it has no pred_sem_seg'),
    (lambda one: one['pred_sem_seg'].update(sem_seg=torch.zeros(1, 12, 19)), '(12, 19) pixels and the true mask (12, '),
    (lambda one: one['pred_sem_seg'].update(prob=torch.full((1, 12, 20), torch.nan)), 'is not in [0, 1]'),
    (lambda one: one['pred_sem_seg'].update(prob=torch.full((1, 12, 20), 1.5)), 'is not in [0, 1]'),
])
def test_bad_samples_are_named(change, message):
    one = mask_sample(draw(), draw(), draw())
    change(one)
    with pytest.raises(InputError) as caught:
        build().process(None, [one])
    assert message in str(caught.value) and '\n' not in str(caught.value)


@pytest.mark.parametrize('settings', [dict(prediction=3), dict(prediction=''), dict(collect_device='tpu'),
                                      dict(prefix=1)])
def test_bad_arguments_are_named(settings):
    with pytest.raises(InputError, match=f'IRSTDMetric: {next(iter(settings))}='):
        build(**settings)


def test_data_samples_of_any_field_through_the_evaluator():
    truth, mask = draw((3, 3), (9, 9)), draw((3, 3))
    one = DetDataSample(metainfo={'img_id': 'a', 'img_path': 'images/a.png'})
    one.gt_target_mask = PixelData(sem_seg=torch.from_numpy(truth)[None])
    one.pred_small = PixelData(sem_seg=torch.from_numpy(mask)[None], prob=torch.from_numpy(mask)[None].half())
    evaluator = Evaluator({'type': 'mmdet.IRSTDMetric', 'prediction': 'pred_small', 'prefix': 'small'})
    evaluator.dataset_meta = {'classes': ('Target', )}
    evaluator.process([one])
    values = evaluator.evaluate(1)
    assert (values['small/P_d'], values['small/IoU'], values['small/AUC']) == (50, 0.5, 0.75)
    assert json.loads(json.dumps(evaluator.metrics[0].image_results)) == [
        {'img_id': 'a', 'img_path': 'images/a.png', 'shape': [12, 20], 'target_overlap': [1, 2], 'targets': 2,
         'detected': 1, 'alarms': 0, 'alarm_pixels': 0}]


def test_the_table_names_units_and_shows_no_rows_of_boxes(capsys):
    print_metrics({'irstd/P_d': 98.765, 'irstd/F_a': 1.5, 'irstd/F_a_legacy': 1.25, 'irstd/num_targets': 945.0})
    shown = capsys.readouterr().out
    for label, value in (('P_d, %', '98.765'), ('F_a, 1e-6', '1.500'), ("F_a by DNA-Net's code, 1e-6", '1.250'),
                         ('targets ', '945 ')):
        assert any(label in line and value in line for line in shown.splitlines()), label
    assert 'mAP' not in shown and 'sides' not in shown and 'Metrics of target masks' in shown
    print_metrics({'densesirst/mAP_12_legacy': 0.5})
    shown = capsys.readouterr().out
    assert 'P_d' not in shown and 'sides x2 - x1 + 1' in shown
