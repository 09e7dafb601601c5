"""Detection curves against mmdet's eval_map and counts that are written out here."""
from multiprocessing.pool import ThreadPool

import cv2
import numpy as np
import pytest
from mmdet.evaluation.functional import eval_map
from scipy.stats import binomtest

from bafenet.errors import InputError
from bafenet.evaluation.detection_curves import numbers, require_one_truth
from bafenet.evaluation.matching import wilson_interval
from bafenet.evaluation.target_properties import measure_targets


def iou_matrix(a, b):
    """IoU of boxes (n, 4) and (m, 4), written out."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    common = np.maximum(high - low, 0).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (a, b)]
    return common / (areas[0][:, None] + areas[1][None] - common)


def random_results(seed=0, frames=25, classes=1):
    rng = np.random.default_rng(seed)
    images = []
    for index in range(frames):
        corner = rng.integers(0, 60, (rng.integers(0, 8), 2))
        truth = np.hstack((corner, corner + rng.integers(2, 9, corner.shape))).astype(np.float32)
        noise = rng.uniform(0, 60, (rng.integers(0, 8), 2))
        found = np.vstack((truth + rng.normal(0, 0.5, truth.shape), truth + rng.normal(0, 1, truth.shape),
                           np.hstack((noise, noise + 4)))).astype(np.float32)
        found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
        true_labels = rng.integers(0, classes, len(truth))
        labels = np.concatenate([true_labels, true_labels, rng.integers(0, classes, len(noise))])
        images.append(dict(img_id=str(index), boxes=found.tolist(), labels=labels.tolist(), gt_boxes=truth.tolist(),
                           scores=rng.random(len(found)).astype(np.float32).tolist(), gt_labels=true_labels.tolist(),
                           in_sky=(rng.random(len(found)) < 0.6).tolist()))
    return dict(images=images)


def as_arrays(image, *keys):
    return [np.array(image[key], np.float32).reshape(-1, *([4] if 'boxes' in key else [])) for key in keys]


@pytest.mark.parametrize('classes', [1, 3])
@pytest.mark.parametrize('iou', [0.5, 0.75])
def test_ap_is_that_of_mmdet(iou, classes, monkeypatch):
    # Threads instead of the processes that eval_map would fork.
    monkeypatch.setattr('mmdet.evaluation.functional.mean_ap.Pool', ThreadPool)
    results = random_results(1, classes=classes)
    detections, annotations = [], []
    for image in results['images']:
        boxes, scores, labels, truth, true_labels = as_arrays(image, 'boxes', 'scores', 'labels', 'gt_boxes',
                                                              'gt_labels')
        scored = np.column_stack((boxes, scores))
        detections.append([scored[labels == label] for label in range(classes)])
        annotations.append(dict(bboxes=truth, labels=true_labels.astype(int)))
    curve = numbers(results).precision_recall[iou]
    for mode, value in (('area', curve.ap_12), ('11points', curve.ap_07)):
        expected, _ = eval_map(detections, annotations, iou_thr=iou, eval_mode=mode, logger='silent', nproc=1)
        assert value == pytest.approx(expected, abs=1e-6)


def greedy(image, iou, threshold):
    """Matching of the detections above a threshold, box by box: which are true, and which targets are found."""
    boxes, scores, truth = as_arrays(image, 'boxes', 'scores', 'gt_boxes')
    overlap, is_true, found = iou_matrix(boxes, truth), np.zeros(len(boxes), bool), np.zeros(len(truth), bool)
    for index in np.argsort(-scores):
        if scores[index] >= threshold and len(truth):
            target = overlap[index].argmax()
            if overlap[index, target] >= iou and not found[target]:
                is_true[index] = found[target] = True
    return is_true, scores >= threshold, found


@pytest.mark.parametrize('threshold', [0.1, 0.5, 0.9])
def test_points_of_the_curves_are_counts_at_a_threshold(threshold):
    results = random_results(2)
    images = results['images']
    del images[0]['in_sky']  # a frame without a sky map counts in the recall and in all alarms alone
    matched = [greedy(image, 0.5, threshold) for image in images]
    tp, kept = (sum(one[i].sum() for one in matched) for i in (0, 1))
    total = sum(len(image['gt_boxes']) for image in images)
    run = numbers(results)
    curve = run.precision_recall[0.5]
    point = np.flatnonzero(curve.thresholds >= threshold)[-1]
    assert (curve.recall[point], curve.precision[point]) == pytest.approx((tp / total, tp / kept))
    for side, inside in (('sky', True), ('other', False)):
        alarms = sum((kept & ~true & (np.array(image['in_sky'], bool) == inside)).sum()
                     for (true, kept, _), image in zip(matched[1:], images[1:], strict=True))
        curve = run.alarms[side]
        assert curve.frames == len(images) - 1
        assert (curve.recall[point], curve.per_frame[point]) == pytest.approx((tp / total, alarms / (len(images) - 1)))
    assert run.alarms['all'].frames == len(images)
    assert run.alarms['all'].per_frame[point] == pytest.approx((kept - tp) / len(images))
    assert '24 of 25 frames have a true sky map' in run.notes[0]


def test_recall_by_size_counts_the_targets_that_are_found_at_the_score():
    results = random_results(3)
    binned = numbers(results, score=0.4, edges={'size': (0, 3, 5)}).recall_by['size']
    found = np.concatenate([greedy(image, 0.5, 0.4)[2] for image in results['images']])
    truth = np.concatenate([np.reshape(image['gt_boxes'], (-1, 4)) for image in results['images']])
    size = np.sqrt((truth[:, 2] - truth[:, 0]) * (truth[:, 3] - truth[:, 1]))
    for number, (low, high) in enumerate(((0, 3), (3, 5), (5, np.inf))):
        inside = (size >= low) & (size < high)
        assert (binned.targets[number], binned.found[number]) == (inside.sum(), found[inside].sum())
        interval = binomtest(int(found[inside].sum()), int(inside.sum())).proportion_ci(method='wilson')
        assert [ends[number] for ends in binned.interval()] == pytest.approx([interval.low, interval.high])
    assert binned.targets.sum() == len(truth) and 0 < found.sum() < len(truth)


def test_a_bin_without_targets_has_no_recall():
    low, high = wilson_interval(np.array([0, 0, 4]), np.array([0, 4, 4]))
    assert np.isnan([low[0], high[0]]).all() and low[1] == 0 and high[2] == 1 and 0 < high[1] < 1


def test_contrast_and_frame_size_are_read_off_the_frames(tmp_path):
    frame = np.full((40, 60), 50, np.uint8)
    frame[10:13, 20:24] = 100
    cv2.imwrite(str(tmp_path / 'a.png'), frame)
    image = dict(img_id='a', img_path='/moved/a.png', boxes=[], scores=[], labels=[], gt_labels=[0, 0],
                 gt_boxes=[[20, 10, 24, 13], [50.2, 30.2, 52.9, 32]])
    values = measure_targets([image], str(tmp_path)).values
    assert values['contrast'] == pytest.approx([2, 1])
    assert values['frame'] == pytest.approx([np.sqrt(2400)] * 2)
    assert values['size'] == pytest.approx([np.sqrt(12), np.sqrt(2.7 * 1.8)])
    absent = measure_targets([image])
    assert list(absent.values) == ['size'] and '/moved/a.png' in absent.notes[0] and '--frames' in absent.notes[0]
    image['gt_boxes'][0] = [70, 10, 74, 13]
    with pytest.raises(InputError, match=r'a\.png.*60x40.*outside'):
        measure_targets([image], str(tmp_path))


def test_numbers_in_json_are_points_of_the_curve_and_bounded():
    results = random_results(4, frames=150)
    run = numbers(results)
    curve, written = run.precision_recall[0.5], run.to_dict()['precision_recall']['0.5']
    assert len(curve.recall) > 1000 >= len(written['recall']) > 100
    place = {threshold: index for index, threshold in enumerate(curve.thresholds.tolist())}
    index = [place[threshold] for threshold in written['thresholds']]
    assert written['precision'] == curve.precision[index].tolist() and index[-1] == len(curve.recall) - 1
    assert written['recall'] == curve.recall[index].tolist() == sorted(set(written['recall']))


def test_without_a_sky_map_all_alarms_are_one_curve_and_a_note_says_so():
    results = random_results(5)
    assert set(numbers(results).alarms) == {'sky', 'other'}
    for image in results['images']:
        del image['in_sky']
    run = numbers(results)
    assert set(run.alarms) == {'all'} and 'no frame has a true sky map' in run.notes[0]


def test_refusals():
    results = random_results(6)
    empty = dict(images=[dict(image, gt_boxes=[], gt_labels=[]) for image in results['images']])
    with pytest.raises(InputError, match='no target in the 25 images'):
        numbers(empty)
    with pytest.raises(InputError, match='edges of size, 3, 2: give each once, the smallest first'):
        numbers(results, edges={'size': (3, 2)})
    fewer = dict(images=results['images'][:-2])
    with pytest.raises(InputError, match='a and b were tested on different frames .2 are'):
        require_one_truth({'a': results, 'b': fewer})
    with pytest.raises(InputError, match='other true boxes in .* frames'):
        require_one_truth({'a': results, 'b': empty})
    require_one_truth({'a': results, 'b': random_results(6)})
