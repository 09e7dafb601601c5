"""Places that get an inset: clusters against SciPy's linkage, what comes first, and what is enlarged how much."""
import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage

from bafenet.visualization.outcomes import judge
from bafenet.visualization.places import ACROSS, AROUND, FACTORS, INSET, REACH, cluster, rank, regions

SIZE = (640, 512)


def some_boxes(count, seed=0, size=SIZE):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, np.array(size) - 6, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(1, 6, (count, 2))], axis=1)


def groups(labels):
    return {tuple(np.flatnonzero(labels == label)) for label in np.unique(labels)}


@pytest.mark.parametrize('count', [2, 30, 300])
def test_clusters_are_those_of_single_linkage(count):
    boxes = some_boxes(count)
    labels = cluster(boxes, across=1e9)
    expected = fcluster(linkage((boxes[:, :2] + boxes[:, 2:]) / 2, 'single'), REACH, 'distance')
    assert groups(labels) == groups(expected)
    assert sorted(set(labels.tolist())) == list(range(labels.max() + 1))


def test_a_long_chain_is_cut_into_places_that_fit():
    x = np.arange(0, 200, 8.0)
    boxes = np.column_stack([x, x * 0, x + 3, x * 0 + 3])
    labels = cluster(boxes)
    assert all(np.ptp(x[labels == label]) <= ACROSS for label in set(labels.tolist()))
    assert len(set(labels.tolist())) == np.ceil(np.ptp(x) / ACROSS)


def test_none_and_one():
    assert cluster(np.zeros((0, 4))).shape == (0, )
    assert cluster(np.array([[3, 3, 6, 6]])).tolist() == [0]
    assert cluster(np.array([[3, 3, 6, 6]] * 5)).tolist() == [0] * 5


def test_misses_come_first_then_false_alarms_then_scores():
    true = np.array([[10, 10, 13, 13], [100, 10, 103, 13], [200, 10, 203, 13]])
    found = np.array([[10, 10, 13, 13], [200, 10, 203, 13], [300, 10, 303, 13], [400, 10, 403, 13]])
    outcomes = judge(true, found, np.array([0.5, 0.9, 0.31, 0.99]), None, 0.5, SIZE)
    labels = cluster(outcomes.boxes)
    x = [outcomes.boxes[labels == place, 0].min() for place in rank(labels, outcomes)]
    assert x == [100, 400, 300, 200, 10]


@pytest.mark.parametrize('size', [SIZE, (20, 512), (5, 3), (1, 1)])
def test_regions_hold_their_boxes_and_stay_inside(size):
    boxes = some_boxes(80, size=np.maximum(size, 7))
    boxes = np.clip(boxes, 0, [*size, *size])
    labels = cluster(boxes)
    areas, factors = regions(labels, boxes, size)
    assert (areas[:, :2] >= 0).all() and (areas[:, 2:] <= size).all() and (areas[:, 2:] > areas[:, :2]).all()
    assert (areas[labels, :2] <= boxes[:, :2]).all() and (areas[labels, 2:] >= boxes[:, 2:]).all()
    sides = areas[:, 2:] - areas[:, :2]
    assert (sides == np.minimum(INSET // factors[:, None], size)).all()
    assert (factors >= 8).all()


def test_a_lone_target_of_3_pixels_is_enlarged_12_times_and_has_room_around():
    areas, factors = regions(np.zeros(1, int), np.array([[100.0, 50, 103, 53]]), SIZE)
    assert factors.tolist() == [12] and areas.tolist() == [[92, 42, 112, 62]]
    assert AROUND <= 8


def test_a_large_box_is_enlarged_less_and_one_that_fills_the_frame_not_at_all():
    for side, factor in ((34, 6), (70, 3), (500, 1)):
        _, factors = regions(np.zeros(1, int), np.array([[0.0, 0, side, 3]]), SIZE)
        assert factors.tolist() == [factor]
    assert (INSET % FACTORS == 0).all()
