"""Reliability: who is right, bins and expected error against plain loops."""
import numpy as np
import pytest
from scipy.stats import binomtest

from bafenet.evaluation.calibration import judge, reliability


def image(found, truth, scores, labels=None, name='a'):
    return dict(img_id=name, boxes=found, scores=scores, labels=labels or [0] * len(found), gt_boxes=truth,
                gt_labels=[0] * len(truth))


def test_right_is_what_finds_a_target_and_duplicates_are_neither():
    a, beside, far = [10, 10, 13, 13], [12, 10, 15, 13], [40, 40, 43, 43]
    judged = judge([image([], [a], []), image([beside, a, far, a], [a], [0.5, 0.9, 0.7, 0.3], [0, 0, 0, 1])])
    # The best-scored box has the target, the one 2 px beside it is its duplicate; of another class is wrong.
    assert judged.scores.tolist() == pytest.approx([0.9, 0.7, 0.3], abs=1e-6)
    assert judged.is_right.tolist() == [True, False, False] and judged.image.tolist() == [1, 1, 1]
    assert [len(values) for values in judge([])] == [0, 0, 0]


@pytest.mark.parametrize('count', [7, 10, 95, 1000])
def test_bins_and_error_are_those_of_a_loop(count):
    rng = np.random.default_rng(count)
    scores, is_right = rng.random(count), rng.random(count) < 0.4
    scores[rng.random(count) < 0.2] = 0.5  # ties
    found = reliability(scores, is_right)
    pairs = sorted([(score, i) for i, score in enumerate(scores) if score >= 0.1])
    number, error, start = min(10, len(pairs)), 0.0, 0
    assert len(found.counts) == number and found.counts.max() - found.counts.min() <= 1
    assert found.counts.sum() == len(pairs)
    for index, size in enumerate(found.counts):
        own = pairs[start:start + size]
        start += size
        mean, share = sum(score for score, _ in own) / size, sum(is_right[i] for _, i in own) / size
        assert found.scores[index] == pytest.approx(mean) and found.shares[index] == pytest.approx(share)
        interval = binomtest(round(share * size), size).proportion_ci(0.95, 'wilson')
        assert (found.low[index], found.high[index]) == pytest.approx((interval.low, interval.high))
        error += size / len(pairs) * abs(mean - share)
    assert found.error == pytest.approx(error) == found.to_dict()['error']


def test_perfect_scores_have_a_small_error_and_no_box_has_none():
    rng = np.random.default_rng(0)
    scores = rng.random(200_000)
    assert reliability(scores, rng.random(len(scores)) < scores).error < 0.005
    assert reliability(scores, rng.random(len(scores)) < scores**2).error > 0.1
    assert reliability(np.array([0.05]), np.array([True])) is None is reliability(np.zeros(0), np.zeros(0, bool))
