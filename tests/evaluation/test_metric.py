"""The metric by hand: thresholds, false alarms, the sky, what is left out."""

import numpy as np
import pytest

import bafenet  # noqa: F401  mmdet cannot be imported without it

# isort: split
from metric_samples import DETECTIONS, SCORES, SKY_ABOVE, TRUTH, build, evaluate, sample
from mmengine.logging import MessageHub

from bafenet.errors import InputError
from bafenet.evaluation import DenseSIRSTMetric

# By hand --------------------------------------------------------------------------------------------------------------

def test_hand_case():
    values = evaluate([sample(TRUTH, DETECTIONS, SCORES, SKY_ABOVE, SKY_ABOVE)])
    # F1 is 2/3, 2/4, 2/5, 4/6, 4/7 down the scores: of the two best the higher threshold is taken.
    assert values == pytest.approx({
        'mAP_07': (6 + 5 * 0.5) / 11, 'mAP_12': 0.75, 'recall': 1,
        'mAP_07_iou75': (6 + 5 * 0.5) / 11, 'mAP_12_iou75': 0.75, 'recall_iou75': 1,
        'precision': 1, 'f1': 2 / 3, 'score_threshold': 0.9,
        'FPPI_sky': 1, 'FPPI_other': 1, 'FPPI_sky_recall90': 1, 'FPPI_other_recall90': 1, 'sky_iou': 1,
        # By centres the duplicate is no false alarm; the wrong one, one in one image, is too many.
        'found': 1, 'found_FPPI_sky': 0, 'found_FPPI_other': 1, 'found_02': 0.5, 'found_02_score': 0.9,
        'found_FPPI_sky_found95': 0, 'found_FPPI_other_found95': 1})


@pytest.mark.parametrize(('fppi_score', 'sky', 'other'), [(0.1, 1, 2), (0.2, 1, 2), (0.75, 1, 0), (0.85, 0, 0)])
def test_false_alarms_start_at_the_score_asked_for(fppi_score, sky, other):
    # The second image halves the rate.
    samples = [sample(TRUTH, DETECTIONS, SCORES, SKY_ABOVE), sample(true_sky=SKY_ABOVE)]
    values = evaluate(samples, fppi_score=fppi_score)
    assert (values['FPPI_sky'], values['FPPI_other']) == (sky / 2, other / 2)


def test_recall90_is_absent_where_it_is_not_reached(notices):
    truth = [[10 * k, 0, 10 * k + 3, 3] for k in range(10)]
    sky = np.ones((4, 100), np.uint8)
    scores = np.linspace(0.95, 0.05, 10)
    nine = evaluate([sample(truth, truth[:9], scores[:9], sky)])
    assert nine['FPPI_sky_recall90'] == 0 and not any('recall' in notice for notice in notices)
    eight = evaluate([sample(truth, truth[:8], scores[:8], sky)])
    assert 'FPPI_sky' in eight
    assert not any(key.endswith('recall90') for key in eight)
    assert any('FPPI_sky_recall90' in notice for notice in notices)


def test_equal_scores_are_kept_or_dropped_together():
    values = evaluate([sample([[1, 1, 4, 4]], [[1, 1, 4, 4], [1, 6, 4, 9], [6, 6, 9, 9]], [0.5] * 3, SKY_ABOVE)])
    assert (values['precision'], values['f1'], values['score_threshold']) == pytest.approx((1 / 3, 2 / 4, 0.5))
    assert (values['FPPI_sky_recall90'], values['FPPI_other_recall90']) == (0, 2)


def test_detections_on_ignored_boxes_are_no_false_alarms():
    values = evaluate([sample([[1, 1, 4, 4]], [[1, 1, 4, 4], [6, 1, 9, 4], [6, 1, 9, 4]], [0.7, 0.9, 0.8], SKY_ABOVE,
                              ignored=[[6, 1, 9, 4]])])
    assert values['FPPI_sky'] == values['FPPI_other'] == 0
    assert values['precision'] == values['f1'] == values['mAP_12'] == 1


def test_every_false_alarm_is_on_one_side_of_the_skyline():
    truth = np.array([[1, 0], [255, 1]], np.uint8)
    boxes = {'sky': [[0, 0, 1, 1], [-9, -9, -3, -3], [1, 1, 9, 9], [0.6, 0.6, 1.5, 1.5]],
             'other': [[1, 0, 2, 1], [0.5, 0, 1.5, 1], [0, 1, 1, 2], [-5, 3, -3, 5], [5, -5, 6, -3]]}
    for side, detections in boxes.items():
        values = evaluate([sample((), detections, np.full(len(detections), 0.5), truth)])
        other_side = 'other' if side == 'sky' else 'sky'
        assert (values[f'FPPI_{side}'], values[f'FPPI_{other_side}']) == (len(detections), 0)


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize('what', ['box', 'score'])
def test_a_prediction_that_is_not_finite_is_refused(what, value):
    boxes, scores = np.array(TRUTH, float), np.array([0.9, 0.8])
    if what == 'box':
        boxes[1, 2] = value
    else:
        scores[1] = value
    with pytest.raises(InputError, match=r'image fr\\x1b7: a predicted box or score is NaN or infinite') as caught:
        evaluate([sample(TRUTH, boxes, scores, img_id='fr\x1b7')])
    assert str(caught.value).isprintable()


def crowd(count, kept):
    boxes = [[5 * k, 0, 5 * k + 3, 3] for k in range(count)]
    return sample(boxes, boxes[:kept], np.linspace(0.9, 0.5, kept))


@pytest.fixture
def run_keeps():
    """Set what the config of the run keeps; the newest hub is the current one."""
    hub = MessageHub.get_instance(f'crowded-{id(object())}')
    return lambda text: hub.update_info('cfg', text)


def test_images_with_more_targets_than_are_kept_are_counted_once(notices, run_keeps):
    run_keeps('model = dict(test_cfg=dict(max_per_img=10, score_thr=0.05))')
    # The third image has as many detections, and no more targets than they.
    evaluate([crowd(12, 10), crowd(15, 4), crowd(10, 10)])
    warning, = (notice for notice in notices if 'max_per_img' in notice)
    assert '2 of 3 images have more true targets than model.test_cfg.max_per_img=10' in warning
    notices.clear()
    run_keeps('model = dict(test_cfg={"max_per_img": 10, \'max_per_img\': 100})')
    evaluate([crowd(12, 10)])
    assert not any('max_per_img' in notice for notice in notices)


@pytest.mark.parametrize('stages', ['rpn=dict(max_per_img=1000), rcnn=dict(max_per_img=10)',
                                    'rpn=None, rcnn={"max_per_img": 10, "nms": dict(type="nms")}'])
def test_of_two_stages_the_last_one_says_what_is_kept(notices, run_keeps, stages):
    run_keeps(f'model = dict(train_cfg=dict(rpn_proposal=dict(max_per_img=2000)), test_cfg=dict({stages}))\n'
              'test_cfg = dict(type="TestLoop", max_per_img=500)')
    evaluate([crowd(12, 10), crowd(10, 10)])
    warning, = (notice for notice in notices if 'max_per_img' in notice)
    assert '1 of 2 images have more true targets than model.test_cfg.rcnn.max_per_img=10: ' in warning
    assert warning.endswith('set model.test_cfg.rcnn.max_per_img to more')


@pytest.mark.parametrize('text', [None, '', 5, *(f'model = dict(test_cfg=dict(max_per_img={many}))'
                                                    for many in (-1, '9' * 5000))])
def test_crowded_images_outside_a_run_are_those_that_got_as_many_as_any(notices, run_keeps, text):
    run_keeps(text)
    evaluate([crowd(12, 10), crowd(5, 4), crowd(3, 0)])
    warning, = (notice for notice in notices if 'max_per_img' in notice)
    assert '1 of 3 images have more true targets than the 10 that were kept at most' in warning
    notices.clear()
    evaluate([crowd(4, 4), crowd(5, 3)])
    assert not any('max_per_img' in notice for notice in notices)


@pytest.mark.parametrize('arguments', [
    dict(fppi_score=2), dict(fppi_score=np.nan), dict(fppi_score='0.3'), dict(fppi_score=True),
    dict(legacy_coordinates='yes'), dict(legacy_coordinates=1), dict(collect_device='tpu'), dict(prefix=3),
    dict(centre_distance=-1), dict(centre_distance=np.inf), dict(centre_distance='3'), dict(centre_distance=True)])
def test_a_wrong_argument_is_named(arguments):
    name, = arguments
    with pytest.raises(InputError, match=f'DenseSIRSTMetric: {name}=') as caught:
        DenseSIRSTMetric(**arguments)
    assert str(caught.value).isprintable()


def test_a_label_outside_the_classes_counts_nowhere():
    one = sample(TRUTH, DETECTIONS, SCORES, SKY_ABOVE)
    one['pred_instances']['labels'][:3] = 7
    values = evaluate([one])
    assert (values['recall'], values['precision'], values['FPPI_sky'], values['FPPI_other']) == (0.5, 1, 0, 0)


def test_without_detections_what_they_define_is_absent(notices):
    values = evaluate([sample(TRUTH, true_sky=SKY_ABOVE, predicted_sky=SKY_ABOVE)])
    assert values == {'mAP_07': 0, 'mAP_12': 0, 'recall': 0, 'mAP_07_iou75': 0, 'mAP_12_iou75': 0, 'recall_iou75': 0,
                      'f1': 0, 'FPPI_sky': 0, 'FPPI_other': 0, 'sky_iou': 1, 'found': 0, 'found_FPPI_sky': 0,
                      'found_FPPI_other': 0, 'found_02': 0}
    assert sum('precision and score_threshold are left out' in notice for notice in notices) == 1
    # Detections on ignored boxes alone are neither right nor wrong.
    box = [[6, 6, 9, 9]]
    assert 'precision' not in evaluate([sample(TRUTH, box, [0.9], SKY_ABOVE, ignored=box)])


def test_without_a_true_detection_precision_is_none_of_all():
    values = evaluate([sample(TRUTH, [[6, 6, 9, 9]], [0.9], SKY_ABOVE)])
    assert (values['precision'], values['f1'], values['score_threshold']) == (0, 0, 1)


def test_without_any_true_box_map_and_recall_are_absent(notices):
    for one in (sample((), DETECTIONS, SCORES, SKY_ABOVE), sample()):
        notices.clear()
        values = evaluate([one])
        alarms = {'FPPI_sky', 'FPPI_other'} if 'gt_sem_seg' in one else {'FPPI'}
        assert set(values) == alarms | {f'found_{key}' for key in alarms}
        assert sum('mAP and recall are left out' in notice for notice in notices) == 1
        assert not any('stays below' in notice for notice in notices)
    # One image with a target defines them for the set.
    assert evaluate([sample(), sample(TRUTH)])['mAP_12'] == 0


# Legacy coordinates ---------------------------------------------------------------------------------------------------

def test_legacy_coordinates_and_their_keys():
    # True sides: 2 / 6 = 0.33. Sides + 1: 6 / 12 = 0.5, which is a match.
    one = sample([[0, 0, 2, 2]], [[1, 0, 3, 2]], [0.9], SKY_ABOVE, SKY_ABOVE)
    values, legacy = evaluate([one]), evaluate([one], legacy_coordinates=True)
    assert (values['recall'], values['FPPI_sky']) == (0, 1)
    assert (legacy['recall_legacy'], legacy['FPPI_sky_legacy']) == (1, 0)
    assert legacy['recall_iou75_legacy'] == 0
    assert legacy['sky_iou'] == 1
    perfect = sample(TRUTH, TRUTH, [0.9, 0.8], SKY_ABOVE, SKY_ABOVE)
    assert set(evaluate([perfect], legacy_coordinates=True)) == {
        key if key == 'sky_iou' or key.startswith('found') else f'{key}_legacy' for key in evaluate([perfect])}


# The sky --------------------------------------------------------------------------------------------------------------

def test_sky_iou_is_summed_over_the_set():
    rng = np.random.default_rng(0)
    truths = [rng.choice(np.array([0, 1, 255], np.uint8), shape, p=[0.5, 0.3, 0.2]) for shape in ((9, 13), (40, 30))]
    predictions = [rng.integers(0, 2, truth.shape, dtype=np.uint8) for truth in truths]
    values = evaluate([sample(true_sky=t, predicted_sky=p) for t, p in zip(truths, predictions, strict=True)])
    truth, predicted = (np.concatenate([array.ravel() for array in arrays]) for arrays in (truths, predictions))
    truth, predicted = truth[truth != 255], predicted[truth != 255]
    assert values['sky_iou'] == pytest.approx((truth * predicted).sum() / np.maximum(truth, predicted).sum())


def test_sky_iou_is_absent_without_sky_or_maps(notices):
    ground, unknown = np.zeros((4, 4), np.uint8), np.full((4, 4), 255, np.uint8)
    for maps in ((ground, ground), (unknown, SKY_ABOVE[:4, :4]), (ground, None), (None, None)):
        notices.clear()
        values = evaluate([sample(TRUTH, TRUTH, [0.9, 0.9], *maps)])
        assert 'sky_iou' not in values
        assert sum('sky_iou' in notice for notice in notices) == 1
    assert 'FPPI_sky' not in values and any('FPPI_sky' in notice for notice in notices)


def test_images_without_sky_maps_count_in_the_rest():
    samples = [sample(TRUTH, DETECTIONS, SCORES, SKY_ABOVE, SKY_ABOVE), sample(TRUTH, [[0, 0, 1, 1]], [0.5])]
    values = evaluate(samples)
    assert values['recall'] == 0.5
    assert (values['FPPI_sky'], values['FPPI_other'], values['sky_iou']) == (1, 1, 1)


UNKNOWN = np.full((10, 10), 255, np.uint8)


@pytest.mark.parametrize('no_map', [None, UNKNOWN])
def test_without_any_sky_map_all_false_alarms_count(no_map, notices):
    # Three of the five are false alarms; the second image halves their rate.
    samples = [sample(TRUTH, DETECTIONS, SCORES, no_map, SKY_ABOVE), sample(true_sky=no_map)]
    values = evaluate(samples, fppi_score=0.1)
    assert (values['FPPI'], values['FPPI_recall90']) == (3 / 2, 2 / 2)
    assert not any('sky' in key for key in values)
    assert sum('FPPI counts all false alarms' in notice for notice in notices) == 1


@pytest.mark.parametrize('no_map', [None, UNKNOWN])
def test_with_some_sky_maps_both_counts_are_given(no_map, notices):
    samples = [sample(TRUTH, DETECTIONS, SCORES, SKY_ABOVE, SKY_ABOVE, img_id='a'),
               sample(TRUTH, DETECTIONS, SCORES, no_map, SKY_ABOVE, img_id='b'), sample(true_sky=no_map, img_id='c')]
    values = evaluate(samples, fppi_score=0.65)
    assert (values['FPPI'], values['FPPI_sky'], values['FPPI_other']) == (4 / 3, 1, 1)
    assert (values['FPPI_recall90'], values['FPPI_sky_recall90'], values['FPPI_other_recall90']) == (4 / 3, 1, 1)
    assert values['sky_iou'] == 1  # of the one image whose sky is known
    assert sum('1 of 3 images have a true sky map' in notice for notice in notices) == 1


def test_with_all_sky_maps_the_sum_is_not_repeated(notices):
    values = evaluate([sample(TRUTH, DETECTIONS, SCORES, SKY_ABOVE)])
    assert {key for key in values if key.startswith('FPPI')} == {
        'FPPI_sky', 'FPPI_other', 'FPPI_sky_recall90', 'FPPI_other_recall90'}
    assert not any('have a true sky map' in notice for notice in notices)


def test_an_image_without_known_sky_says_nothing_of_it_in_the_results():
    metric = build()
    metric.process(None, [sample(TRUTH, DETECTIONS, SCORES, UNKNOWN, SKY_ABOVE)])
    metric.evaluate(1)
    assert not {'in_sky', 'sky_overlap'} & set(metric.image_results[0])


def test_a_sky_map_of_another_size_is_refused():
    with pytest.raises(InputError, match=r'image 7: .*\(5, 10\).*\(10, 10\)'):
        evaluate([sample(true_sky=SKY_ABOVE, predicted_sky=SKY_ABOVE[:5], img_id='7')])
