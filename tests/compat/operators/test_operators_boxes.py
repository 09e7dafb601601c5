"""NMS that tells what it drops, and IoU, against plain NumPy statements of their definitions."""
import numpy as np
import pytest
import torch
from test_operators_nms import overlap, random_boxes

import bafenet  # noqa: F401

# isort: split
from mmcv import ops


def greedy_groups(boxes, scores, threshold):
    left = np.argsort(-np.asarray(scores, np.float64), kind='stable').tolist()
    groups = []
    while left:
        groups.append([left[0], *(i for i in left[1:] if overlap(boxes[left[0]], boxes[i], 0) >= threshold)])
        left = [i for i in left if i not in groups[-1]]
    return groups


class TestNMSMatch:

    @pytest.mark.parametrize('threshold', [0.3, 0.6])
    @pytest.mark.parametrize('dtype', [torch.float32, torch.float16])
    def test_equals_definition(self, threshold, dtype):
        boxes, scores = random_boxes(20, dtype=dtype)
        groups = ops.nms_match(torch.cat([boxes, scores[:, None]], dim=1), threshold)
        assert [group.tolist() for group in groups] == greedy_groups(boxes.double().numpy(), scores.double().numpy(),
                                                                     threshold)
        assert max(map(len, groups)) > 1

    def test_iou_equal_to_the_threshold_drops(self):
        dets = torch.tensor([[0., 0, 5, 1, .9], [0, 0, 3, 1, .8], [9, 9, 9, 9, .7], [9, 9, 9, 9, .6]])
        assert [group.tolist() for group in ops.nms_match(dets, 0.6)] == [[0, 1], [2], [3]]

    def test_empty_and_numpy(self):
        assert ops.nms_match(torch.zeros(0, 5), 0.5) == []
        assert ops.nms_match(np.array([[0., 0, 5, 1, .9]], np.float32), 0.5)[0].tolist() == [0]


class TestBoxOverlaps:

    @pytest.mark.parametrize('mode', ['iou', 'iof'])
    @pytest.mark.parametrize('offset', [0, 1])
    @pytest.mark.parametrize('aligned', [False, True])
    def test_equals_definition(self, mode, offset, aligned):
        first, second = (random_boxes(seed, 7)[0] for seed in (21, 22))
        pairs = [(i, i) for i in range(7)] if aligned else list(np.ndindex(7, 7))
        expected = []
        for i, j in pairs:
            a, b = (each.double().numpy() for each in (first[i], second[j]))
            iou = overlap(a, b, offset)
            areas = [(box[2] - box[0] + offset) * (box[3] - box[1] + offset) for box in (a, b)]
            # The intersection from the IoU: u = (A + B) / (1 + IoU).
            expected.append(iou if mode == 'iou' else iou * sum(areas) / (1 + iou) / areas[0])
        found = ops.bbox_overlaps(first, second, mode, aligned, offset)
        assert found.shape == ((7, ) if aligned else (7, 7))
        np.testing.assert_allclose(found.flatten(), expected, rtol=1e-5, atol=1e-7)
        half = ops.bbox_overlaps(first.half(), second.half(), mode, aligned, offset)
        np.testing.assert_allclose(half.flatten(), expected, atol=0.02)

    def test_empty(self):
        assert ops.bbox_overlaps(torch.zeros(0, 4), torch.zeros(3, 4)).shape == (0, 3)
