"""Sides as distributions over borders between pixels."""
import numpy as np
import torch
from mmengine.config import ConfigDict
from point_heads import STRIDES, build, features, instances, level_points, metas

from bafenet.models.box_coding import SideDistributionCoder, to_whole_pixels

KNOTS = (1, 2, 3, 6, 16)
BOXES = [(10, 9, 15, 14), (40, 33, 56, 55), (0, 20, 36, 64)]


def softmax(logits):
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    return shares / shares.sum(-1, keepdims=True)


def test_a_box_is_the_mean_of_its_distributions():
    logits, points = torch.randn(7, 4 * len(KNOTS)), torch.rand(7, 2) * 30
    distances = softmax(logits.double().numpy().reshape(7, 4, len(KNOTS))) @ KNOTS
    expected = np.concatenate([points.numpy() - distances[:, :2], points.numpy() + distances[:, 2:]], axis=1)
    coder = SideDistributionCoder(KNOTS)
    np.testing.assert_allclose(coder.decode(points, logits), expected, rtol=1e-4, atol=1e-4)
    clipped = coder.decode(points, logits, max_shape=(20, 25))
    np.testing.assert_allclose(clipped, expected.clip(0, [25, 20, 25, 20]), rtol=1e-4, atol=1e-4)


def test_mixed_precision_does_not_round_distances():
    logits = torch.randn(50, 4 * len(KNOTS))
    coder = SideDistributionCoder(KNOTS)
    with torch.autocast('cpu', torch.bfloat16):
        mixed = coder.distances(logits)
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, coder.distances(logits), rtol=1e-6, atol=1e-6)


def test_a_distance_lies_between_its_two_knots():
    distances = np.array([[0.2, 1, 1.25, 2.5], [3, 4.5, 11, 40]], np.float32)
    positions = SideDistributionCoder(KNOTS).position(torch.tensor(distances))
    np.testing.assert_allclose(positions, np.interp(distances, KNOTS, range(len(KNOTS))), rtol=1e-6)


def test_the_loss_is_the_cross_entropy_of_the_two_knots_around_the_distance():
    head = build(box_coding='distribution', side_knots=KNOTS)
    outputs = head(features())
    result = head.loss_by_feat(*outputs, [instances(BOXES)], metas(1))
    labels, distances = (np.concatenate([level.numpy() for level in levels])
                         for levels in head.get_targets(level_points(head), [instances(BOXES)]))
    logits = torch.cat([level[0].flatten(1).T for level in outputs[1]]).detach().double().numpy()
    costs = -np.log(softmax(logits[labels == 0].reshape(-1, 4, len(KNOTS))))
    distances = distances[labels == 0].astype(float)
    position = np.interp(distances, KNOTS, range(len(KNOTS)))
    low = np.minimum(np.floor(position).astype(int), len(KNOTS) - 2)
    low_cost, high_cost = (np.take_along_axis(costs, low[..., None] + i, 2)[..., 0] for i in (0, 1))
    # FCOS's centerness weighs the points.
    left_top, right_bottom = distances[:, :2], distances[:, 2:]
    weights = np.sqrt((np.minimum(left_top, right_bottom) / np.maximum(left_top, right_bottom)).prod(1))
    expected = ((1 - position + low) * low_cost + (position - low) * high_cost) * weights[:, None]
    assert len(weights) >= 5
    assert abs(result['loss_sides'].item() - expected.sum() / (4 * weights.sum())) < 2e-3


def test_a_head_learns_sides_between_pixels_on_every_level():
    torch.manual_seed(0)
    head, x = build(box_coding='distribution', side_knots=(1, 2, 4, 8, 16, 32)), features()
    optimizer = torch.optim.Adam(head.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0, total_iters=200)
    for _ in range(200):
        losses = head.loss_by_feat(*head(x), [instances(BOXES)], metas(1))
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        schedule.step()
    assert {'loss_sides', 'loss_bbox'} < losses.keys()
    with torch.no_grad():
        _, codes, _ = head(x)
    labels, truth = head.get_targets(level_points(head), [instances(BOXES)])
    learnt = set()
    for level, label, sides, stride in zip(codes, labels, truth, STRIDES, strict=True):
        error = head.bbox_coder.distances(level[0].flatten(1).T[label == 0]) - sides[label == 0]
        if len(error):
            assert error.abs().max() < 0.5
            learnt.add(stride)
    assert learnt == set(STRIDES)
    cfg = ConfigDict(nms_pre=10, min_bbox_size=0, score_thr=0.1, max_per_img=9, whole_pixels=True,
                     nms=dict(type='nms', iou_threshold=0.5))
    with torch.no_grad():
        found, = head.predict_by_feat(*head(x), batch_img_metas=metas(1), cfg=cfg)
    assert {tuple(box) for box in found.bboxes.tolist()} == set(BOXES)


def test_sides_move_to_whole_pixels_and_every_box_keeps_one():
    boxes = torch.tensor([[1.4, 2.6, 4.6, 7.4], [3.1, 3.6, 3.4, 3.9], [9.8, 0.0, 10.0, 0.3], [10.0, 0.0, 10.0, 0.0]])
    expected = [[1, 3, 5, 7], [3, 3, 4, 4], [9, 0, 10, 1], [9, 0, 10, 1]]
    assert to_whole_pixels(boxes).tolist() == expected
