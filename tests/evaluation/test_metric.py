import json
import logging
import multiprocessing
from multiprocessing.pool import ThreadPool

import numpy as np
import pytest
import torch

import bafenet  # noqa: F401  mmdet cannot be imported without it

# isort: split
from mmdet.evaluation import eval_map
from mmdet.registry import METRICS
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.evaluator import Evaluator
from mmengine.logging import MessageHub, MMLogger
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.structures import InstanceData, PixelData

from bafenet.errors import InputError
from bafenet.evaluation import DenseSIRSTMetric

SKY_ABOVE = np.repeat(np.array([1, 0], np.uint8), 5)[:, None].repeat(10, axis=1)


def instances(boxes, scores=None, labels=None):
    boxes = torch.as_tensor(np.asarray(boxes, np.float32).reshape(-1, 4))
    fields = {'bboxes': boxes, 'labels': torch.as_tensor(np.zeros(len(boxes)) if labels is None else labels).long()}
    if scores is not None:
        fields['scores'] = torch.as_tensor(np.asarray(scores, np.float32))
    return fields


def sky_map(array):
    return {'sem_seg': torch.as_tensor(array)[None]}


def sample(truth=(), detections=(), scores=(), true_sky=None, predicted_sky=None, ignored=(), img_id='0'):
    """One sample of one class as mmengine's Evaluator hands it over."""
    result = {'img_id': img_id, 'gt_instances': instances(truth), 'ignored_instances': instances(ignored),
              'pred_instances': instances(detections, scores)}
    if true_sky is not None:
        result['gt_sem_seg'] = sky_map(true_sky)
    if predicted_sky is not None:
        result['pred_sem_seg'] = sky_map(predicted_sky)
    return result


def build(num_classes=1, **kwargs):
    metric = METRICS.build(dict(type='DenseSIRSTMetric', **kwargs))
    metric.dataset_meta = {'classes': tuple('ABC'[:num_classes])}
    return metric


def evaluate(samples, num_classes=1, **kwargs):
    metric = build(num_classes, **kwargs)
    metric.process(None, samples)
    values = metric.evaluate(len(samples))
    assert all(type(value) is float for value in values.values())
    assert all(key.startswith('densesirst/') for key in values)
    return {key.removeprefix('densesirst/'): value for key, value in values.items()}


@pytest.fixture
def notices():
    messages = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    # The newest instance is the current one, which takes the notices.
    logger = MMLogger.get_instance(f'notices-{id(messages)}', log_level='INFO')
    logger.addHandler(handler)
    return messages


# Against mmdet's eval_map ---------------------------------------------------------------------------------------------

def random_samples(seed, num_images=12, num_classes=2, levels=None, num_truth=8, num_detections=30, num_ignored=0,
                   noise=0.6):
    """Random boxes of 3 to 9 px; the detections lie around true and ignored boxes or anywhere."""
    rng = np.random.default_rng(seed)

    def boxes(count):
        corner = rng.uniform(0, 60, (count, 2))
        return np.hstack((corner, corner + rng.uniform(3, 9, (count, 2))))

    def one(index):
        truth, ignored = boxes(rng.integers(0, num_truth + 1)), boxes(rng.integers(0, num_ignored + 1))
        detections = boxes(rng.integers(0, num_detections + 1))
        near = np.vstack((truth, ignored, truth))[:len(detections)]
        detections[:len(near)] = near + rng.normal(0, noise, near.shape)
        scores = rng.random(len(detections))
        labels = [rng.integers(0, num_classes, len(group)) for group in (truth, ignored, detections)]
        if levels:
            scores = np.ceil(scores * levels) / levels
        return {'img_id': str(index), 'gt_instances': instances(truth, labels=labels[0]),
                'ignored_instances': instances(ignored, labels=labels[1]),
                'pred_instances': instances(detections, scores, labels[2])}

    return [one(index) for index in range(num_images)]


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


# By hand --------------------------------------------------------------------------------------------------------------

TRUTH = [[1, 1, 4, 4], [6, 1, 9, 4]]
# True, its duplicate (sky), wrong (other), true, wrong (other).
DETECTIONS = [[1, 1, 4, 4], [1, 1, 4, 4], [1, 6, 4, 9], [6, 1, 9, 4], [6, 6, 9, 9]]
SCORES = [0.9, 0.8, 0.7, 0.6, 0.2]


def test_hand_case():
    values = evaluate([sample(TRUTH, DETECTIONS, SCORES, SKY_ABOVE, SKY_ABOVE)])
    # F1 is 2/3, 2/4, 2/5, 4/6, 4/7 down the scores: of the two best the higher threshold is taken.
    assert values == pytest.approx({
        'mAP_07': (6 + 5 * 0.5) / 11, 'mAP_12': 0.75, 'recall': 1,
        'mAP_07_iou75': (6 + 5 * 0.5) / 11, 'mAP_12_iou75': 0.75, 'recall_iou75': 1,
        'precision': 1, 'f1': 2 / 3, 'score_threshold': 0.9,
        'FPPI_sky': 1, 'FPPI_other': 1, 'FPPI_sky_recall90': 1, 'FPPI_other_recall90': 1, 'sky_iou': 1})


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


@pytest.mark.parametrize('text', [None, '', 5, 'max_per_img=' + '9' * 5000])
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
    dict(legacy_coordinates='yes'), dict(legacy_coordinates=1), dict(collect_device='tpu'), dict(prefix=3)])
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


def test_without_anything_found_the_keys_stay():
    values = evaluate([sample(TRUTH)])
    assert (values['mAP_07'], values['recall'], values['precision'], values['f1']) == (0, 0, 0, 0)
    assert values['score_threshold'] == 1


def test_without_any_true_box_map_and_recall_are_absent(notices):
    for one in (sample((), DETECTIONS, SCORES, SKY_ABOVE), sample()):
        notices.clear()
        values = evaluate([one])
        assert set(values) <= {'precision', 'f1', 'score_threshold', 'FPPI_sky', 'FPPI_other'}
        assert (values['precision'], values['f1'], values['score_threshold']) == (0, 0, 1)
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
        key if key == 'sky_iou' else f'{key}_legacy' for key in evaluate([perfect])}


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


def test_a_sky_map_of_another_size_is_refused():
    with pytest.raises(InputError, match=r'image 7: .*\(5, 10\).*\(10, 10\)'):
        evaluate([sample(true_sky=SKY_ABOVE, predicted_sky=SKY_ABOVE[:5], img_id='7')])


# In mmengine ----------------------------------------------------------------------------------------------------------

def data_sample(truth, detections, scores, img_id='a', dtype=torch.float32):
    one = DetDataSample(metainfo={'img_id': img_id, 'img_path': f'images/{img_id}.png', 'ori_shape': (10, 10)})
    one.gt_instances = InstanceData(bboxes=HorizontalBoxes(torch.tensor(truth).float()),
                                    labels=torch.zeros(len(truth)).long())
    one.ignored_instances = InstanceData()
    one.pred_instances = InstanceData(bboxes=torch.tensor(detections).to(dtype), scores=torch.tensor(scores).to(dtype),
                                      labels=torch.zeros(len(scores)).long())
    one.gt_sem_seg = PixelData(sem_seg=torch.from_numpy(SKY_ABOVE)[None])
    one.pred_sem_seg = PixelData(sem_seg=torch.from_numpy(SKY_ABOVE)[None])
    return one


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16])
def test_data_samples_through_the_evaluator(dtype):
    evaluator = Evaluator({'type': 'mmdet.DenseSIRSTMetric'})
    evaluator.dataset_meta = {'classes': ('Target',)}
    evaluator.process([data_sample(TRUTH, DETECTIONS, SCORES, name, dtype) for name in 'ab'])
    values = evaluator.evaluate(2)
    assert (values['densesirst/mAP_12'], values['densesirst/FPPI_sky']) == pytest.approx((0.75, 1))
    assert values['densesirst/sky_iou'] == 1


def test_image_results_are_plain_and_unrounded():
    metric = build()
    metric.process(None, [data_sample(TRUTH, [[0.1, 1, 4, 4.123456]], [0.123456789]).to_dict(), sample(img_id=5)])
    metric.evaluate(2)
    first, second = json.loads(json.dumps(metric.image_results))
    assert second == {'img_id': 5, 'boxes': [], 'scores': [], 'labels': [], 'gt_boxes': [], 'gt_labels': []}
    assert first['img_path'] == 'images/a.png' and first['labels'] == [0]
    assert np.float32(first['boxes']).tolist() == [np.float32([0.1, 1, 4, 4.123456]).tolist()]
    assert np.float32(first['scores'][0]) == np.float32(0.123456789)
    assert first['in_sky'] == [True]
    assert (first['gt_boxes'], first['gt_labels']) == (TRUTH, [0] * len(TRUTH))


def test_two_evaluations_do_not_mix():
    metric = build()
    for truth, recall in ((TRUTH, 1), ([[0, 5, 3, 8]], 0)):
        metric.process(None, [sample(truth, TRUTH, [0.9, 0.8])])
        assert metric.evaluate(1)['densesirst/recall'] == recall
        assert len(metric.image_results) == 1


def evaluate_a_share(rank, folder, samples, connection):
    """One of two processes; the sampler repeats the first image so that both get as many."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group('gloo', init_method=f'file://{folder}/init', rank=rank, world_size=2)
    metric = build(collect_dir=str(folder / 'parts'))
    for index in range(rank, len(samples) + 1, 2):
        metric.process(None, [samples[index % len(samples)]])
    values = metric.evaluate(len(samples))
    connection.send((values, metric.image_results))
    torch.distributed.destroy_process_group()


def test_two_processes_give_what_one_gives(tmp_path):
    samples = random_samples(30, num_images=5, num_classes=1, levels=6)
    for one in samples:
        one['gt_sem_seg'] = one['pred_sem_seg'] = sky_map(np.tri(64, dtype=np.uint8))
    metric = build()
    metric.process(None, samples)
    expected = metric.evaluate(5)

    context = multiprocessing.get_context('fork')
    pipes = [context.Pipe(duplex=False) for _ in range(2)]
    processes = [context.Process(target=evaluate_a_share, args=(rank, tmp_path, samples, pipes[rank][1]), daemon=True)
                 for rank in range(2)]
    for process in processes:
        process.start()
    try:
        assert all(receiver.poll(60) for receiver, _ in pipes), 'a process gave no answer'
        (values, image_results), (other_values, _) = (receiver.recv() for receiver, _ in pipes)
    finally:
        for process in processes:
            process.join(10)
            process.kill()
    assert values == other_values == expected
    assert image_results == metric.image_results


class TwoEpochs(BaseModel):
    """Finds 6 of 12 without a false alarm after the first epoch, and 7 after one false alarm after the second."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.epoch = 0

    def forward(self, inputs, mode='tensor'):
        if mode == 'loss':
            return {'loss': self.weight.sum()}
        self.epoch += 1
        truth = [[10 * k, 0, 10 * k + 3, 3] for k in range(12)]
        found = truth[:6] if self.epoch == 1 else [[0, 90, 3, 93], *truth[:7]]
        return [data_sample(truth, found, np.linspace(0.9, 0.2, len(found)).tolist())]


def test_save_best_on_both_maps(tmp_path):
    loader = {'dataset': torch.utils.data.TensorDataset(torch.zeros(1)), 'batch_size': 1, 'num_workers': 0,
              'sampler': {'type': 'DefaultSampler', 'shuffle': False}, 'collate_fn': {'type': 'pseudo_collate'}}
    metric = DenseSIRSTMetric()
    metric.dataset_meta = {'classes': ('Target',)}
    checkpoint = {'type': 'CheckpointHook', 'rule': 'greater', 'save_best': ['densesirst/mAP_07', 'densesirst/mAP_12']}
    Runner(TwoEpochs(), str(tmp_path), train_dataloader=loader, val_dataloader=loader, val_evaluator=[metric],
           train_cfg={'by_epoch': True, 'max_epochs': 2}, val_cfg={},
           optim_wrapper={'optimizer': {'type': 'SGD', 'lr': 1}}, default_hooks={'checkpoint': checkpoint},
           default_scope='mmdet', log_level='WARNING').train()
    # mAP_07 is 6/11 and then 6/11 · 7/8; mAP_12 is 1/2 and then 7/12 · 7/8 = 0.51.
    assert {path.name for path in tmp_path.glob('best*')} == {
        'best_densesirst_mAP_07_epoch_1.pth', 'best_densesirst_mAP_12_epoch_2.pth'}
