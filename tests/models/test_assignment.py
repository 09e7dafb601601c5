"""Label assignment: which point learns which target."""
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.registry import TASK_UTILS
from mmengine.structures import InstanceData
from point_heads import (
    CLASSES,
    NEAREST,
    RANGES,
    SIZE,
    STRIDES,
    area,
    assigned,
    build,
    build_fcos,
    features,
    grid,
    instances,
    level_points,
    metas,
    owners,
)
from scipy.linalg import sqrtm

from bafenet.models.assignment import kl_divergence, on_level, squared_wasserstein


def squared_distance(point, box):
    return (point[0] - (box[0] + box[2]) / 2)**2 + (point[1] - (box[1] + box[3]) / 2)**2


def plain_inside(boxes):
    """FCOS's rule, point by point."""
    result = []
    for stride, (low, high) in zip(STRIDES, RANGES, strict=True):
        level = []
        for x, y in grid(stride):
            sides = [(x - b[0], y - b[1], b[2] - x, b[3] - y) for b in boxes]
            holding = [t for t, s in enumerate(sides) if min(s) > 0 and low <= max(s) <= high]
            level.append(min(holding, key=lambda t: area(boxes[t]), default=-1))
        result.append(level)
    return result


def plain_level(box):
    side = max(box[2] - box[0], box[3] - box[1])
    return next((i for i, (_, high) in enumerate(RANGES) if side <= high), len(RANGES) - 1)


def plain_nearest(boxes, wanted):
    """The whole rule, claim by claim."""
    result = plain_inside(boxes)
    owned = [sum(level.count(t) for level in result) for t in range(len(boxes))]
    ranked = {t: sorted(range(len(grid(STRIDES[plain_level(box)]))),
                        key=lambda p, box=box: squared_distance(grid(STRIDES[plain_level(box)])[p], box))
              for t, box in enumerate(boxes) if owned[t] < wanted}
    for rank in range(wanted):
        claims = {}
        for t, order in ranked.items():
            if rank < len(order):
                claims.setdefault((plain_level(boxes[t]), order[rank]), []).append(t)
        for (level, p), targets in claims.items():
            if result[level][p] < 0:
                point = grid(STRIDES[level])[p]
                result[level][p] = min(
                    targets, key=lambda t, point=point: (area(boxes[t]), squared_distance(point, boxes[t]), t))
    return result


@st.composite
def clusters(draw):
    """Up to 12 boxes, on quarters of a pixel so that no arithmetic is rounded, most of them small and close."""
    boxes = []
    for x, y in draw(st.lists(st.tuples(st.integers(0, 240), st.integers(0, 240)), min_size=1, max_size=3)):
        for _ in range(draw(st.integers(1, 4))):
            left, top = min(x + draw(st.integers(0, 40)), 250), min(y + draw(st.integers(0, 40)), 250)
            largest = draw(st.sampled_from([16, 16, 60, 256]))
            right, bottom = (min(start + draw(st.integers(1, largest)), 4 * SIZE) for start in (left, top))
            boxes.append((left / 4, top / 4, right / 4, bottom / 4))
    return boxes


@settings(max_examples=60, deadline=None, derandomize=True)
@given(boxes=clusters(), wanted=st.sampled_from([1, 2, 4]))
def test_nearest_is_the_plain_rule(boxes, wanted):
    levels, distances = owners(boxes, **assigned('NearestAssigner', topk=wanted))
    assert [level.tolist() for level in levels] == plain_nearest(boxes, wanted)
    for stride, level, sides in zip(STRIDES, levels, distances, strict=True):
        points, learnt = grid(stride)[level >= 0], np.array(boxes)[level[level >= 0]]
        expected = np.concatenate([points - learnt[:, :2], learnt[:, 2:] - points], axis=1)
        np.testing.assert_array_equal(sides[level >= 0], expected)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(boxes=clusters(), wanted=st.sampled_from([1, 2, 4]))
def test_under_nearest_every_target_has_a_point_unless_another_took_it(boxes, wanted):
    inside, levels = owners(boxes)[0], owners(boxes, **assigned('NearestAssigner', topk=wanted))[0]
    for before, after in zip(inside, levels, strict=True):
        # Points that hold targets stay as they are.
        np.testing.assert_array_equal(after[before >= 0], before[before >= 0])
    for t, box in enumerate(boxes):
        if not any((level == t).any() for level in levels):
            level = plain_level(box)
            distances = [squared_distance(point, box) for point in grid(STRIDES[level])]
            assert levels[level][np.argmin(distances)] not in (-1, t)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(boxes=clusters(), radius=st.sampled_from([None, 0.25, 0.75, 1.5]))
def test_inside_is_mmdets_rule(boxes, radius):
    ours = build(num_classes=CLASSES, assign=dict(type='InsideAssigner', center_radius=radius))
    fcos = build_fcos(num_classes=CLASSES, center_sampling=radius is not None, center_sample_radius=radius)
    targets = [instances(boxes, torch.arange(len(boxes))), instances([])]
    for level, expected in zip(*(head.get_targets(level_points(head), targets) for head in (ours, fcos)), strict=True):
        assert all(torch.equal(value, other) for value, other in zip(level, expected, strict=True))
    if radius is None:
        assert [level.tolist() for level in owners(boxes)[0]] == plain_inside(boxes)


@pytest.mark.parametrize(('boxes', 'winner'), [
    # All are nearest to the point (12, 12) and none holds it.
    ([(8.5, 8.5, 11.5, 11.5), (12.5, 12.5, 14.5, 14.5)], 1),
    ([(12.5, 12.5, 14.5, 14.5), (8.5, 8.5, 11.5, 11.5)], 0),
    ([(13.5, 13.5, 15.5, 15.5), (12.5, 12.5, 14.5, 14.5)], 1),  # of one size: the nearer
    ([(13.5, 13.5, 15.5, 15.5), (12.5, 12.5, 14.5, 14.50001)], 1),  # the rounding of a resize decides nothing
    ([(12.5, 12.5, 14.5, 14.5), (9.5, 9.5, 11.5, 11.5)], 0),  # of one size, equally near: the first
    ([(11, 11, 15, 15), (12.5, 12.5, 14.5, 14.5)], 0),  # a point that holds a target keeps it
])
def test_a_contested_point(boxes, winner):
    (level, *_), _ = owners(boxes, **NEAREST)
    assert level[grid(8).tolist().index([12, 12])] == winner
    assert (level >= 0).sum() == 1


def test_levels_by_the_longer_side():
    boxes = torch.tensor([[0, 0, 2, 12.], [0, 0, 12.1, 1], [5, 5, 29, 9], [0, 0, 1, 24.5], [0, 0, 60, 60]])
    # One point a level.
    assert on_level(torch.tensor(RANGES), boxes).int().argmax(dim=1).tolist() == [0, 1, 1, 2, 2]
    assert on_level(torch.tensor(RANGES), boxes).sum(dim=1).tolist() == [1] * 5
    assert on_level(torch.tensor([[-1, 1e8]]), boxes).all()
    # 20 x 0.5 px between the rows of stride 16: no point inside, so the nearest of that level.
    levels, _ = owners([(10, 15.5, 30, 16)], **NEAREST)
    assert [np.flatnonzero(level >= 0).tolist() for level in levels] == [[], [grid(16).tolist().index([24, 8])], []]


def test_more_points_than_a_level_has():
    levels, _ = owners([(30, 30.5, 60, 31)], **assigned('NearestAssigner', topk=9))
    assert [(level >= 0).sum() for level in levels] == [0, 0, 4]


# --- Receptive fields (RFLA) ------------------------------------------------------------------------------------------


def plain_divergence(point, box, radius):
    """D(point || box) of two normal distributions, from means and covariance matrices."""
    of_point, of_box = radius**2 * np.eye(2), np.diag([(box[2] - box[0])**2 / 4, (box[3] - box[1])**2 / 4])
    offset = np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]) - point
    inverse = np.linalg.inv(of_box)
    return (np.trace(inverse @ of_point) + offset @ inverse @ offset - 2
            + np.log(np.linalg.det(of_box) / np.linalg.det(of_point))) / 2


def plain_wasserstein(point, box, radius):
    """Squared 2-Wasserstein distance of two normal distributions, from means and covariance matrices."""
    of_point, of_box = radius**2 * np.eye(2), np.diag([(box[2] - box[0])**2 / 4, (box[3] - box[1])**2 / 4])
    offset = np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]) - point
    root = sqrtm(of_point)
    return offset @ offset + np.trace(of_point + of_box - 2 * sqrtm(root @ of_box @ root).real)


PLAIN = dict(kl=plain_divergence, wasserstein=plain_wasserstein)


def random_boxes(seed, count):
    """Boxes in clusters; of such no two are equally far from a point."""
    rng = np.random.default_rng(seed)
    start = rng.uniform(5, SIZE - 15, (2, 2))[rng.integers(0, 2, count)] + rng.uniform(0, 8, (count, 2))
    largest = np.where(rng.random((count, 1)) < 0.8, 5, 40)
    # On a grid that float32 holds.
    return (np.concatenate([start, start + rng.uniform(1, largest, (count, 2))], axis=1) * 1024).round() / 1024


def plain_distances(boxes, radius, distance):
    """Of every target and point, in the order of the levels."""
    return np.array([[PLAIN[distance](point, box, radius * stride) for stride in STRIDES for point in grid(stride)]
                     for box in boxes])


def plain_receptive_field(distances, topk):
    """Claim by claim: who is nearest in rank, then in distance."""
    owner = [-1] * distances.shape[1]
    ranked = distances.argsort(axis=1)
    for rank in range(topk):
        claims = {}
        for t, points in enumerate(ranked):
            claims.setdefault(points[rank], []).append(t)
        for p, targets in claims.items():
            if owner[p] < 0:
                owner[p] = min(targets, key=lambda t, p=p: distances[t, p])
    return owner


@pytest.mark.parametrize(('measure', 'plain'), [(kl_divergence, plain_divergence),
                                                (squared_wasserstein, plain_wasserstein)])
def test_distances_are_those_of_normal_distributions(measure, plain):
    rng = np.random.default_rng(0)
    boxes, points, radii = random_boxes(0, 6), rng.uniform(0, SIZE, (9, 2)), rng.uniform(0.5, 20, 9)
    expected = [[plain(point, box, radius) for point, radius in zip(points, radii, strict=True)] for box in boxes]
    # Axis by axis.
    offsets = points - (boxes[:, None, :2] + boxes[:, None, 2:]) / 2
    deviations = (boxes[:, None, 2:] - boxes[:, None, :2]) / 2
    result = sum(measure(*(torch.tensor(value) for value in (offsets[..., axis], radii, deviations[..., axis])))
                 for axis in (0, 1))
    np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-9)
    # A point that is its target is no distance away.
    assert measure(torch.zeros(1, 1), torch.tensor([2.5]), torch.tensor([[2.5]])).item() == 0


@pytest.mark.parametrize('distance', ['kl', 'wasserstein'])
@pytest.mark.parametrize(('topk', 'radius'), [(1, 1.0), (3, 1.0), (3, 0.3), (5, 4.0)])
def test_receptive_field_is_the_plain_rule(distance, topk, radius):
    contested = 0
    for seed in range(4):
        boxes = random_boxes(seed, 12)
        distances = plain_distances(boxes, radius, distance)
        expected = plain_receptive_field(distances, topk)
        levels, _ = owners(boxes, **assigned('ReceptiveFieldAssigner', topk=topk, radius=radius, distance=distance))
        assert np.concatenate(levels).tolist() == expected
        contested += len(boxes) * topk - (np.array(expected) >= 0).sum()
    assert contested > 0


@settings(max_examples=40, deadline=None, derandomize=True)
@given(boxes=clusters(), topk=st.sampled_from([1, 3]))
def test_under_receptive_field_every_target_has_a_point_unless_others_took_them(boxes, topk):
    owner = np.concatenate(owners(boxes, **assigned('ReceptiveFieldAssigner', topk=topk))[0])
    distances = plain_distances(boxes, 1.0, 'kl')
    for t, row in enumerate(distances):
        assert (owner == t).sum() <= topk
        if not (owner == t).any():
            # Of points equally distant it may be either.
            surely = row < np.sort(row)[topk - 1] - 1e-5
            assert (owner[surely] >= 0).all()
            assert (owner[row <= np.sort(row)[0] + 1e-5] >= 0).any()


def test_crowded_targets_get_one_point_each_before_any_gets_a_second():
    boxes = [(18.5, 10.5, 21.5, 13.5), (19.5, 14.5, 22.5, 17.5)]
    levels, distances = owners(boxes, **assigned('ReceptiveFieldAssigner', topk=2, radius=0.2))
    # The first target is nearest to (20, 12), then both to (20, 20) or (20, 12): the second has it first.
    assert levels[0][[grid(8).tolist().index(point) for point in ([20, 12], [20, 20])]].tolist() == [0, 1]
    np.testing.assert_array_equal(distances[0][grid(8).tolist().index([20, 20])], [0.5, 5.5, 2.5, -2.5])


# --- By predictions (SimOTA) ------------------------------------------------------------------------------------------

BOXES = [[(8, 8, 21, 19), (9.5, 9.5, 11.5, 11.5), (40, 41, 43, 43)], [], [(0, 0, 40, 30), (17, 17, 19, 19)]]


@pytest.mark.parametrize('arguments', [{}, dict(center_radius=1.0, candidate_topk=4)])
def test_dynamic_is_mmdets_assigner_on_the_heads_predictions(arguments, monkeypatch):
    torch.manual_seed(0)
    head = build(**assigned('SimOTAAssigner', **arguments), num_classes=2)
    for layer in (head.conv_reg, head.conv_cls):
        torch.nn.init.normal_(layer.weight, std=0.2)
    targets = [instances(boxes, torch.arange(len(boxes)) % 2) for boxes in BOXES]
    seen = []
    get_targets = head.get_targets
    monkeypatch.setattr(head, 'get_targets', lambda *args: seen.append(get_targets(*args)) or seen[0])
    outputs = head(features(3))
    head.loss_by_feat(*outputs, targets, metas(3))
    assigner = TASK_UTILS.build(dict(type='SimOTAAssigner', **arguments))
    points = np.concatenate([grid(stride) for stride in STRIDES])
    priors = np.concatenate([points, np.repeat(STRIDES, [len(grid(s)) for s in STRIDES])[:, None].repeat(2, 1)], axis=1)
    for image, target in enumerate(targets):
        # mmdet's FCOS gives scores and distances level by level, row by row.
        logits, sides = (np.concatenate([level[image].detach().double().flatten(1).numpy().T for level in levels])
                         for levels in outputs[:2])
        predictions = InstanceData(
            priors=torch.tensor(priors).float(), scores=torch.tensor(1 / (1 + np.exp(-logits))).float(),
            bboxes=torch.tensor(np.concatenate([points - sides[:, :2], points + sides[:, 2:]], axis=1)).float())
        owner = assigner.assign(predictions, target).gt_inds.numpy() - 1
        expected = np.where(owner >= 0, target.labels.numpy()[owner] if len(target) else -1, 2)
        labels, distances = (np.concatenate([level.view(3, len(level) // 3, -1)[image].numpy() for level in levels])
                             for levels in seen[0])
        np.testing.assert_array_equal(labels[:, 0], expected)
        learnt = target.bboxes.numpy()[owner[owner >= 0]]
        np.testing.assert_array_equal(distances[owner >= 0], np.concatenate(
            [points[owner >= 0] - learnt[:, :2], learnt[:, 2:] - points[owner >= 0]], axis=1))
        assert (owner >= 0).any() == (len(target) > 0)
