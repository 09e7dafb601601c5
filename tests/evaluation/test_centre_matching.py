"""Targets found by their centres: by hand, and against plain loops."""
import math

import numpy as np
import pytest

import bafenet  # noqa: F401  mmdet cannot be imported without it

# isort: split
from metric_samples import SKY_ABOVE, build, evaluate, instances, random_samples, sample, sky_map

from bafenet.evaluation.centre_matching import MOST_ALARMS, SHARE_FOUND, match_centres
from bafenet.evaluation.matching import Instances
from bafenet.evaluation.report import print_metrics


def boxes_at(*centres, side=3):
    return [[x - side / 2, y - side / 2, x + side / 2, y + side / 2] for x, y in centres]


def matched(truth=(), detections=(), scores=None, ignored=(), distance=3.0, labels=None, truth_labels=None):
    """What finds a target and what is a false alarm, as lists; boxes as they are."""
    truth, detections, ignored = (np.asarray(boxes, np.float32).reshape(-1, 4)
                                  for boxes in (truth, detections, ignored))
    scores = np.linspace(0.9, 0.1, len(detections)) if scores is None else np.asarray(scores)
    labels, truth_labels = (np.zeros(len(boxes), int) if own is None else np.asarray(own)
                            for boxes, own in ((detections, labels), (truth, truth_labels)))
    pair = match_centres(Instances(detections, labels, scores), Instances(truth, truth_labels),
                         Instances(ignored, np.zeros(len(ignored), int)), 2, distance)
    return [flags.tolist() for flags in pair]


# By hand --------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(('centre', 'side', 'distance', 'found'), [
    ((23, 20), 3, 3.0, True),  # just as far as it may be
    ((23.01, 20), 3, 3.0, False),
    ((22.2, 22.2), 3, 3.0, False),  # Euclidean: 3.1 px
    ((22.1, 22.1), 3, 3.0, True),
    ((23, 20), 3, 2.9, False),
    ((15, 20), 10, 3.0, True),  # on the left edge of the box, which is in it
    ((25, 20), 10, 3.0, False),  # on the right edge, which is not
    ((20, 15), 10, 3.0, True),
    ((20, 25), 10, 3.0, False),
    ((24.9, 24.9), 10, 0.0, True),
])
def test_a_centre_near_the_truth_or_in_its_box_finds_it(centre, side, distance, found):
    assert matched(boxes_at((20, 20), side=side), boxes_at(centre), distance=distance) == [[found], [not found]]


def test_a_further_detection_of_a_found_target_is_neither():
    assert matched(boxes_at((20, 20)), boxes_at((21, 20), (20, 20), (40, 40))) == [
        [True, False, False], [False, False, True]]


def test_who_comes_late_takes_the_target_that_is_left():
    """Three targets 2 px apart: the last detection's nearest are taken, and the third is still in its reach."""
    truth = boxes_at((10, 10), (12, 10), (14, 10))
    assert matched(truth, boxes_at((10, 10), (12, 10), (11.4, 10), (9, 10)))[0] == [True, True, True, False]
    # By score, whatever the order.
    assert matched(truth[:1], boxes_at((10, 10), (12, 10)), [0.3, 0.4]) == [[False, True], [False, False]]


def test_of_equal_scores_the_first_finds():
    assert matched(boxes_at((10, 10)), boxes_at((12, 10), (10, 10), (11, 10)), [0.5] * 3)[0] == [True, False, False]


def test_near_an_ignored_box_a_detection_is_neither_unless_it_finds_a_target():
    ignored = [[30, 0, 60, 60]]
    assert matched(boxes_at((29, 30)), boxes_at((28, 30), (29, 29), (50, 5), (45, 30), (60, 30)), ignored=ignored) == [
        [True, False, False, False, False], [False, False, False, False, True]]


def test_classes_do_not_find_each_other():
    found, alarms = matched(boxes_at((10, 10), (10, 10)), boxes_at((10, 10), (10, 10), (10, 10), (10, 10)),
                            labels=[1, 0, 7, -1], truth_labels=[1, 7])
    assert (found, alarms) == ([True, False, False, False], [False, True, False, False])


def test_with_nothing_there_is_nothing():
    assert matched() == [[], []]
    assert matched(boxes_at((3, 3))) == [[], []]
    assert matched((), boxes_at((3, 3))) == [[False], [True]]


# The metric -----------------------------------------------------------------------------------------------------------

def found_of(samples, **kwargs):
    values = evaluate(samples, **kwargs)
    return {key: value for key, value in values.items() if key.startswith('found')}


def test_two_pixels_beside_a_small_target_are_found_and_have_no_overlap():
    one = sample([[1, 1, 3, 3]], [[3, 1, 5, 3]], [0.5], SKY_ABOVE)
    assert found_of([one]) == {'found': 1, 'found_FPPI_sky': 0, 'found_FPPI_other': 0, 'found_02': 1,
                               'found_02_score': 0.5, 'found_FPPI_sky_found95': 0, 'found_FPPI_other_found95': 0}
    assert evaluate([one])['recall'] == 0
    assert found_of([one], centre_distance=1.9)['found'] == 0
    assert found_of([one]) == found_of([one], legacy_coordinates=True)


def alarming(sky_alarms, other_alarms, true_sky=SKY_ABOVE):
    """A target found at 0.25, and false alarms at 0.5 before it."""
    alarms = [[6, 1, 9, 4]] * sky_alarms + [[6, 6, 9, 9]] * other_alarms
    return sample([[1, 1, 4, 4]], [*alarms, [1, 1, 4, 4]], [0.5] * len(alarms) + [0.25], true_sky)


@pytest.mark.parametrize(('sky', 'other', 'found'), [(1, 1, 1), (2, 0, 0), (0, 2, 0), (0, 0, 1)])
def test_a_fifth_of_a_false_alarm_is_allowed_on_each_side(sky, other, found):
    empty = [sample(true_sky=SKY_ABOVE)] * 4
    values = found_of([alarming(sky, other), *empty], fppi_score=0.3)
    assert (values['found'], values['found_02'], values.get('found_02_score')) == (0, found, 0.25 if found else None)
    assert (values['found_FPPI_sky'], values['found_FPPI_other']) == (sky / 5, other / 5)
    assert found_of([alarming(sky, other), *empty], fppi_score=0.25)['found'] == 1


@pytest.mark.parametrize(('alarms', 'found'), [(1, 1), (2, 0)])
def test_without_sky_maps_half_a_false_alarm_is_allowed(alarms, found):
    unknown = np.full((10, 10), 255, np.uint8)
    for no_map in (None, unknown):
        values = found_of([alarming(alarms, 0, no_map), sample(true_sky=no_map)])
        assert (values['found_FPPI'], values['found_02']) == (alarms / 2, found)
        assert not {'found_FPPI_sky', 'found_FPPI_other'} & set(values)


def test_images_without_a_sky_map_do_not_hide_false_alarms():
    mapped = [sample(true_sky=SKY_ABOVE)] * 3
    assert found_of([alarming(1, 1, None), *mapped])['found_02'] == 1  # 2 in 4 images
    values = found_of([alarming(2, 1, None), *mapped])
    assert (values['found_02'], values['found_FPPI'], values['found_FPPI_sky']) == (0, 3 / 4, 0)


def test_the_score_is_the_highest_of_those_that_find_as_many():
    one = sample([[1, 1, 4, 4]], [[1, 1, 4, 4], [1, 1, 4, 4], [2, 1, 5, 4]], [0.75, 0.5, 0.25], SKY_ABOVE)
    assert found_of([one])['found_02_score'] == 0.75


def test_false_alarms_count_at_the_highest_score_that_finds_95_percent(notices):
    # Twenty targets in twenty images, found at 0.9 down to 0.71; false alarms in the sky at 0.8 (two), out of it at
    # 0.725, and one below all that is needed.
    scores = [0.9 - 0.01 * k for k in range(20)]
    images = [sample([[1, 1, 4, 4]], [[1, 1, 4, 4]], [score], SKY_ABOVE) for score in scores]
    extra = sample((), [[6, 1, 9, 4], [6, 1, 9, 4], [6, 6, 9, 9], [6, 6, 9, 9]], [0.8, 0.8, 0.725, 0.7], SKY_ABOVE)
    values = found_of([*images, extra])
    # The nineteenth is found at 0.72; more than it takes is not counted.
    assert (values['found_FPPI_sky_found95'], values['found_FPPI_other_found95']) == (2 / 21, 1 / 21)
    assert 'found_FPPI_found95' not in values and not any('found95' in notice for notice in notices)
    unmapped = [sample([[1, 1, 4, 4]], [[1, 1, 4, 4]], [score]) for score in scores]
    only = found_of([*unmapped, sample((), [[6, 1, 9, 4]] * 3, [0.8, 0.72, 0.715])])
    assert only['found_FPPI_found95'] == 2 / 21 and not any('sky' in key for key in only)


def test_where_95_percent_are_never_found_it_is_left_out_with_a_line(notices):
    hit, missed = sample([[1, 1, 4, 4]], [[1, 1, 4, 4]], [0.5], SKY_ABOVE), sample([[1, 1, 4, 4]], true_sky=SKY_ABOVE)
    assert found_of([hit] * 19 + [missed])['found_FPPI_other_found95'] == 0
    assert not any('found95' in key for key in found_of([hit] * 18 + [missed] * 2))
    assert any('stays below 0.95: found_FPPI_sky_found95' in notice for notice in notices)
    assert not any('found95' in key for key in found_of([missed]))


def test_without_targets_there_are_false_alarms_alone():
    assert found_of([sample((), [[1, 1, 4, 4]], [0.5], SKY_ABOVE)]) == {'found_FPPI_sky': 1, 'found_FPPI_other': 0}
    assert found_of([sample(), sample((), [[1, 1, 4, 4]], [0.5])]) == {'found_FPPI': 0.5}


def test_every_value_is_among_the_keys():
    for one in (alarming(0, 0), alarming(0, 0, None)):
        for legacy in (False, True):
            values = evaluate([one], legacy_coordinates=legacy)
            keys = build(legacy_coordinates=legacy).keys()
            assert {f'densesirst/{key}' for key in values} <= keys


@pytest.mark.parametrize(('true_sky', 'absent'), [(SKY_ABOVE, 'all'), (None, 'side')])
def test_they_are_printed_in_one_line_each(true_sky, absent, capsys):
    values = evaluate([alarming(0, 0, true_sky)])
    print_metrics({f'densesirst/{key}': value for key, value in values.items()}, fppi_score=0.3)
    lines = [line for line in capsys.readouterr().out.splitlines() if 'by centre' in line]
    assert len(lines) == (7 if absent == 'all' else 5) and all('│' in line and '.' in line for line in lines)
    # Results of before there were any have no rows of them.
    print_metrics({key: value for key, value in values.items() if 'found' not in key})
    assert 'by centre' not in capsys.readouterr().out


# Against plain loops --------------------------------------------------------------------------------------------------

def centre(box):
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def loop_match(truth, ignored, detections, num_classes, distance):
    """By turns, as the rule is worded: lists of (box, label), detections with scores; one verdict for each."""
    def reaches(detection, other):
        x, y = centre(detection[0])
        inside = other[0][0] <= x < other[0][2] and other[0][1] <= y < other[0][3]
        return detection[1] == other[1] and (inside or math.dist((x, y), centre(other[0])) <= distance)

    verdicts, taken = [''] * len(detections), set()
    for k in sorted(range(len(detections)), key=lambda k: -detections[k][2]):
        reached = [g for g in range(len(truth)) if reaches(detections[k], truth[g])]
        free = [g for g in reached if g not in taken]
        if not 0 <= detections[k][1] < num_classes:
            continue
        if free:
            taken.add(min(free, key=lambda g: math.dist(centre(detections[k][0]), centre(truth[g][0]))))
            verdicts[k] = 'found'
        elif not reached and not any(reaches(detections[k], other) for other in ignored):
            verdicts[k] = 'alarm'
    return verdicts


def loop_verdicts(one, num_classes, distance):
    parts = [[*zip(*(one[f'{kind}_instances'][key].tolist() for key in ('bboxes', 'labels', *more)), strict=True)]
             for kind, more in (('gt', ()), ('ignored', ()), ('pred', ('scores', )))]
    return loop_match(*parts, num_classes, distance)


@pytest.mark.parametrize('distance', [0.0, 3.0, 12.0])
@pytest.mark.parametrize('case', [
    dict(seed=0), dict(seed=1, levels=3, num_truth=30, num_detections=90), dict(seed=2, num_ignored=10, noise=3),
    dict(seed=3, num_truth=0), dict(seed=4, num_detections=0), dict(seed=5, num_classes=1, num_truth=60, noise=4,
                                                                    num_detections=150, levels=10)])
def test_the_metric_equals_plain_loops(case, distance):
    samples = random_samples(**{'num_images': 8, 'num_classes': 2, **case})
    num_classes = case.get('num_classes', 2)
    rng = np.random.default_rng(case['seed'])
    for one in samples[:5]:
        one['gt_sem_seg'] = sky_map(rng.choice(np.array([0, 1, 255], np.uint8), (64, 64)))
    for part in (samples, samples[:5], samples[5:]):
        assert found_of(part, num_classes=num_classes, centre_distance=distance, fppi_score=0.4) == pytest.approx(
            loop_values(part, num_classes, distance, 0.4))


def loop_values(samples, num_classes, distance, score):
    verdicts = [loop_verdicts(one, num_classes, distance) for one in samples]
    num_gt = sum(len(one['gt_instances']['labels']) for one in samples)
    mapped = [one for one in samples if 'gt_sem_seg' in one]

    def at(threshold):
        count = dict.fromkeys(('found', 'FPPI', 'FPPI_sky', 'FPPI_other'), 0.0)
        for one, verdict in zip(samples, verdicts, strict=True):
            for box, its_score, what in zip(one['pred_instances']['bboxes'].tolist(),
                                            one['pred_instances']['scores'].tolist(), verdict, strict=True):
                if its_score < threshold or not what:
                    continue
                count['found'] += (what == 'found') / max(num_gt, 1)
                if what == 'alarm':
                    count['FPPI'] += 1 / len(samples)
                if what == 'alarm' and 'gt_sem_seg' in one:
                    x, y = (min(max(int(value), 0), 63) for value in centre(box))
                    side = 'FPPI_sky' if one['gt_sem_seg']['sem_seg'][0, y, x] == 1 else 'FPPI_other'
                    count[side] += 1 / len(mapped)
        if not mapped:
            del count['FPPI_sky'], count['FPPI_other']
        if len(mapped) == len(samples):
            del count['FPPI']
        return count

    values = {key if key == 'found' else f'found_{key}': value for key, value in at(score).items()}
    if not num_gt:
        del values['found']
        return values
    scores = {value for one in samples for value in one['pred_instances']['scores'].tolist()}
    few = [(count['found'], threshold) for threshold, count in ((one, at(one)) for one in scores)
           if all(count[key] <= MOST_ALARMS[key] + 1e-9 for key in count if key != 'found')]
    best, threshold = max(few, default=(0.0, None))
    if (enough := [one for one in scores if at(one)['found'] >= SHARE_FOUND - 1e-9]):
        values |= {f'found_{key}_found95': value for key, value in at(max(enough)).items() if key != 'found'}
    return {**values, 'found_02': best, **({'found_02_score': threshold} if best else {})}


def test_boxes_and_labels_stay_as_they_are():
    one = instances(boxes_at((3, 3), (8, 8)), [0.5, 0.4])
    parts = Instances(one['bboxes'].numpy(), one['labels'].numpy(), one['scores'].numpy())
    before = [np.array(part) for part in parts]
    match_centres(parts, parts, parts, 1)
    assert all(np.array_equal(*pair) for pair in zip(before, parts, strict=True))
