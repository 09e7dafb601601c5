"""Hits, misses and false alarms: against IoU worked out here, and what is not judged."""
import numpy as np

from bafenet.visualization.outcomes import FALSE_ALARM, FOUND, HIT, MISS, judge

SIZE = (64, 48)


def iou(a, b):
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = sides.clip(0).prod()
    return shared / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared)


def test_a_box_is_a_hit_from_the_least_overlap_on():
    true = np.array([[10.0, 10, 13, 13]])
    for shift in np.arange(0, 3, 0.25):
        found = true + (shift, 0, shift, 0)
        outcomes = judge(true, found, np.array([0.9]), None, 0.5, SIZE)
        hit = iou(true[0], found[0]) >= 0.5
        assert outcomes.outcome.tolist() == ([HIT, HIT] if hit else [MISS, FALSE_ALARM])
        assert outcomes.found.tolist() == [False, True]


def test_the_second_box_on_a_target_is_a_false_alarm_and_scores_decide_which_is_second():
    true = np.array([[10, 10, 14, 14], [30, 30, 34, 34]])
    found = np.array([[10, 10, 14, 13], [10, 10, 14, 14], [50, 5, 54, 9]])
    outcomes = judge(true, found, np.array([0.4, 0.8, 0.9]), None, 0.5, SIZE)
    assert outcomes.outcome.tolist() == [HIT, MISS, FALSE_ALARM, HIT, FALSE_ALARM]
    assert outcomes.counts().tolist() == [1, 1, 2, 0]
    assert outcomes.listed.tolist() == [False, True, True, True, True]
    without = judge(true, found, None, None, 0.5, SIZE)
    assert without.outcome.tolist() == [HIT, MISS, HIT, FALSE_ALARM, FALSE_ALARM]


def test_without_truth_nothing_is_judged_and_on_ignored_boxes_neither():
    found = np.array([[10, 10, 14, 14]])
    assert judge(None, found, None, None, 0.5, SIZE).outcome.tolist() == [FOUND]
    assert judge(np.zeros((0, 4)), found, None, None, 0.5, SIZE).outcome.tolist() == [FALSE_ALARM]
    assert judge(np.zeros((0, 4)), found, None, found, 0.5, SIZE).outcome.tolist() == [FOUND]
    assert judge(found, None, None, None, 0.5, SIZE).outcome.tolist() == [MISS]
    assert judge(None, None, None, None, 0.5, SIZE).boxes.shape == (0, 4)


def test_boxes_that_are_no_boxes():
    found = [[np.nan, 0, 1, 1], [8, 9, 4, 5], [0, 0, np.inf, 4], [-1e9, 2, 1e9, 4]]
    outcomes = judge(None, found, [0.1, 0.2, 0.3, 0.4], None, 0.5, SIZE)
    assert outcomes.boxes.tolist() == [[4, 5, 8, 9], [-2, 2, 66, 4]]
    assert outcomes.scores.tolist() == [0.2, 0.4]


def test_targets_are_the_true_boxes_where_there_are_any():
    true, found = np.array([[1.0, 1, 4, 4]]), np.array([[9.0, 9, 12, 12]])
    np.testing.assert_array_equal(judge(true, found, None, None, 0.5, SIZE).targets, true)
    np.testing.assert_array_equal(judge(None, found, None, None, 0.5, SIZE).targets, found)
