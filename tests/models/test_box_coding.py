"""Sides as distributions over borders between pixels."""
import numpy as np
import torch
from mmengine.config import ConfigDict
from point_heads import SIZE, STRIDES, build, features, grid, instances, level_points, metas

from bafenet.models.box_coding import SideDistribution, to_whole_pixels

KNOTS = (1, 2, 3, 6, 16)
SIDES = dict(knots=KNOTS, loss=dict(type='DistributionFocalLoss', loss_weight=0.5))


def softmax(logits):
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    return shares / shares.sum(-1, keepdims=True)


def test_the_mean_distance_is_that_of_the_distribution():
    logits = torch.randn(2, 4 * len(KNOTS), 3, 5)
    means = SideDistribution(**SIDES).mean(logits)
    expected = softmax(logits.double().numpy().reshape(2, 4, len(KNOTS), 3, 5).transpose(0, 1, 3, 4, 2)) @ KNOTS
    np.testing.assert_allclose(means, expected, rtol=1e-5)


def test_a_distance_lies_between_its_two_knots():
    distances = np.array([[0.2, 1, 1.25, 2.5], [3, 4.5, 11, 40]], np.float32)
    positions = SideDistribution(**SIDES).position(torch.tensor(distances))
    np.testing.assert_allclose(positions, np.interp(distances, KNOTS, range(len(KNOTS))), rtol=1e-6)


def test_the_loss_is_the_cross_entropy_of_the_two_knots_around_the_distance():
    logits, weights = torch.randn(3, 4 * len(KNOTS)), torch.tensor([1.0, 0.5, 0.25])
    distances = np.array([[1, 2.25, 4.5, 3], [15, 6, 1.5, 2], [2, 2, 2, 11]])
    loss = SideDistribution(**SIDES)(logits, torch.tensor(distances, dtype=torch.float32), weights, 1.75)
    costs = -np.log(softmax(logits.double().numpy().reshape(3, 4, len(KNOTS))))
    position = np.interp(distances, KNOTS, range(len(KNOTS)))
    low = np.floor(position).astype(int)
    low_cost, high_cost = (np.take_along_axis(costs, low[..., None] + i, 2)[..., 0] for i in (0, 1))
    expected = ((1 - position + low) * low_cost + (position - low) * high_cost) * weights.numpy()[:, None]
    assert abs(loss.item() - 0.5 * expected.sum() / (4 * 1.75)) < 1e-5


def test_a_head_learns_sides_between_pixels_on_every_level():
    torch.manual_seed(0)
    boxes = [(10, 9, 15, 14), (40, 33, 56, 55), (0, 20, 36, 64)]
    head, x = build(box_coding='distribution', side_knots=(1, 2, 4, 8, 16, 32)), features()
    optimizer = torch.optim.Adam(head.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0, total_iters=200)
    for _ in range(200):
        losses = head.loss_by_feat(*head(x), [instances(boxes)], metas(1))
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        schedule.step()
    assert {'loss_sides', 'loss_bbox'} < losses.keys()
    head.eval()
    with torch.no_grad():
        _, distances, _ = head(x)
    labels, truth = head.get_targets(level_points(head), [instances(boxes)])
    learnt = set()
    for level, label, sides, stride in zip(distances, labels, truth, STRIDES, strict=True):
        assert tuple(level.shape) == (1, 4, SIZE // stride, SIZE // stride) and len(grid(stride)) == len(label)
        error = level[0].flatten(1).T[label == 0] - sides[label == 0]
        if len(error):
            assert error.abs().max() < 0.5
            learnt.add(stride)
    assert learnt == set(STRIDES)
    cfg = ConfigDict(nms_pre=10, min_bbox_size=0, score_thr=0.1, max_per_img=9, whole_pixels=True,
                     nms=dict(type='nms', iou_threshold=0.5))
    with torch.no_grad():
        found, = head.predict_by_feat(*head(x), batch_img_metas=metas(1), cfg=cfg)
    assert {tuple(box) for box in found.bboxes.tolist()} == set(boxes)


def test_sides_move_to_whole_pixels_and_every_box_keeps_one():
    boxes = torch.tensor([[1.4, 2.6, 4.6, 7.4], [3.1, 3.6, 3.4, 3.9], [9.8, 0.0, 10.0, 0.3], [10.0, 0.0, 10.0, 0.0]])
    expected = [[1, 3, 5, 7], [3, 3, 4, 4], [9, 0, 10, 1], [9, 0, 10, 1]]
    assert to_whole_pixels(boxes).tolist() == expected
