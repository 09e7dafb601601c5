"""NMS and soft-NMS against plain NumPy statements of their definitions."""
import numpy as np
import pytest
import torch

from bafenet.compat.operators import boxes as box_operators

# isort: split
from mmcv import ops

METHODS = ('naive', 'linear', 'gaussian')
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason='needs CUDA')


# The definitions, one pair or one value at a time, in float64.

def overlap(a, b, offset):
    """IoU of two boxes with sides x2 - x1 + offset; 0 where neither has an area."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    width = max(0., min(a[2], b[2]) - max(a[0], b[0]) + offset)
    height = max(0., min(a[3], b[3]) - max(a[1], b[1]) + offset)
    areas = [(box[2] - box[0] + offset) * (box[3] - box[1] + offset) for box in (a, b)]
    union = sum(areas) - width * height
    return width * height / union if union else 0.


def greedy_nms(boxes, scores, iou_threshold, offset=0):
    kept = []
    for i in np.argsort(-np.asarray(scores, np.float64), kind='stable'):
        if all(overlap(boxes[i], boxes[k], offset) <= iou_threshold for k in kept):
            kept.append(int(i))
    return kept


def greedy_soft_nms(boxes, scores, iou_threshold, sigma, min_score, method, offset=0):
    scores = {i: float(score) for i, score in enumerate(scores)}
    kept, kept_scores = [], []
    while scores:
        best = max(scores, key=lambda i: (scores[i], -i))
        kept.append(best)
        kept_scores.append(scores.pop(best))
        for i in list(scores):
            iou = overlap(boxes[best], boxes[i], offset)
            if method == 'gaussian':
                scores[i] *= np.exp(-iou**2 / sigma)
            elif iou >= iou_threshold:
                scores[i] *= {'naive': 0., 'linear': 1 - iou}[method]
            if scores[i] < min_score:
                del scores[i]
    return kept, kept_scores


def random_boxes(seed, number=60, dtype=torch.float32, whole=False):
    """Crowded boxes (N, 4) with sides of 10 to 25 px, and scores (N,)."""
    generator = np.random.default_rng(seed)
    corners, sides = generator.uniform(0, 25, (number, 2)), generator.uniform(10, 25, (number, 2))
    boxes = np.concatenate([corners, corners + sides], axis=1)
    boxes = np.floor(boxes) if whole else boxes
    return torch.tensor(boxes, dtype=dtype), torch.tensor(generator.uniform(0.05, 1, number), dtype=dtype)


class TestNMS:

    @pytest.mark.parametrize('offset', [0, 1])
    @pytest.mark.parametrize('threshold', [0.1, 0.5, 0.7])
    @pytest.mark.parametrize('whole', [False, True])
    def test_equals_definition(self, offset, threshold, whole):
        boxes, scores = random_boxes(1, whole=whole)
        dets, inds = ops.nms(boxes, scores, threshold, offset=offset)
        assert inds.tolist() == greedy_nms(boxes.numpy(), scores.numpy(), threshold, offset)
        assert 0 < len(inds) < len(boxes)
        assert torch.equal(dets, torch.cat([boxes[inds], scores[inds, None]], dim=1))

    def test_offset_decides(self):
        # IoU of the pixel extents: (1·4) / (2·4) with plain sides, (2·5) / (3·5) with one more.
        boxes, scores = torch.tensor([[0., 0, 2, 4], [0, 0, 1, 4]]), torch.tensor([.9, .8])
        assert ops.nms(boxes, scores, 0.6, offset=0)[1].tolist() == [0, 1]
        assert ops.nms(boxes, scores, 0.6, offset=1)[1].tolist() == [0]

    def test_offset_is_not_rounded_away(self):
        # 2**24 + 3 is no float32: with such ends the IoU would be 2/4, and it is 1/3.
        far = 2.**24
        boxes, scores = torch.tensor([[far, 0, far + 2, 0], [far + 2, 0, far + 2, 0]]), torch.tensor([.9, .8])
        assert ops.nms(boxes, scores, 0.4, offset=1)[1].tolist() == [0, 1]

    @pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
    @pytest.mark.parametrize('offset', [0, 1])
    @pytest.mark.parametrize('part', range(1, 10))
    def test_iou_equal_to_the_threshold_keeps(self, part, offset, dtype):
        boxes = torch.tensor([[0, 0, 10 - offset, 1 - offset], [0, 0, part - offset, 1 - offset]], dtype=dtype)
        scores = torch.tensor([.9, .8], dtype=dtype)
        assert ops.nms(boxes, scores, part / 10, offset=offset)[1].tolist() == [0, 1]
        assert ops.nms(boxes, scores, part / 10 - 1e-4, offset=offset)[1].tolist() == [0]

    @pytest.mark.parametrize('offset', [0, 1])
    def test_equal_scores_in_order_of_input(self, offset):
        boxes, scores = random_boxes(2)
        scores = (scores * 3).round() / 3
        inds = ops.nms(boxes, scores, 0.3, offset=offset)[1]
        assert inds.tolist() == greedy_nms(boxes.numpy(), scores.numpy(), 0.3, offset)

    @pytest.mark.parametrize('offset', [0, 1])
    def test_empty(self, offset):
        dets, inds = ops.nms(torch.zeros(0, 4), torch.zeros(0), 0.5, offset=offset)
        assert dets.shape == (0, 5)
        assert inds.shape == (0, )
        assert inds.dtype == torch.int64

    def test_boxes_without_area(self):
        boxes, scores = torch.tensor([[3., 3, 3, 3], [3, 3, 3, 3]]), torch.tensor([.5, .6])
        assert ops.nms(boxes, scores, 0.5, offset=0)[1].tolist() == [1, 0]
        assert ops.nms(boxes, scores, 0.5, offset=1)[1].tolist() == [1]

    @pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
    @pytest.mark.parametrize('offset', [0, 1])
    def test_half_precision(self, dtype, offset):
        # Times 8 the areas exceed 65504, float16's largest number.
        boxes, scores = random_boxes(3)
        boxes, scores = (8 * boxes).to(dtype), scores.to(dtype)
        with torch.autocast('cpu', dtype=dtype):
            dets, inds = ops.nms(boxes, scores, 0.4, offset=offset)
        assert dets.dtype == dtype
        assert inds.tolist() == greedy_nms(boxes.double().numpy(), scores.double().numpy(), 0.4, offset)

    def test_numpy_score_threshold_and_max_num(self):
        boxes, scores = (array.numpy() for array in random_boxes(4))
        dets, inds = ops.nms(boxes, scores, 0.4, score_threshold=0.3, max_num=5)
        expected = [i for i in greedy_nms(boxes, scores, 0.4) if scores[i] > 0.3][:5]
        assert inds.tolist() == expected
        assert isinstance(dets, np.ndarray)

    def test_batched_nms_keeps_classes_apart(self):
        boxes, scores = random_boxes(5)
        classes = torch.arange(len(boxes)) % 3
        dets, inds = ops.batched_nms(boxes, scores, classes, {'type': 'nms', 'iou_threshold': 0.3})
        expected = []
        for label in range(3):
            of_class = np.flatnonzero(classes.numpy() == label)
            expected += of_class[greedy_nms(boxes[of_class].numpy(), scores[of_class].numpy(), 0.3)].tolist()
        assert inds.tolist() == sorted(expected, key=lambda i: -scores[i])
        assert torch.equal(dets, torch.cat([boxes[inds], scores[inds, None]], dim=1))

    def test_batched_nms_class_agnostic(self):
        boxes, scores = random_boxes(5)
        classes = torch.arange(len(boxes)) % 3
        _, inds = ops.batched_nms(boxes, scores, classes, {'type': 'nms', 'iou_threshold': 0.3}, class_agnostic=True)
        assert inds.tolist() == greedy_nms(boxes.numpy(), scores.numpy(), 0.3)

    @needs_cuda
    @pytest.mark.parametrize('dtype', [torch.float16, torch.float32, torch.float64])
    @pytest.mark.parametrize('offset', [0, 1])
    def test_cuda_equals_cpu(self, offset, dtype):
        boxes, scores = random_boxes(6, 500, dtype, whole=True)
        for threshold in (0.3, 0.5, 0.7):
            on_cuda = ops.nms(boxes.cuda(), scores.cuda(), threshold, offset=offset)[1]
            assert on_cuda.is_cuda
            assert on_cuda.tolist() == ops.nms(boxes, scores, threshold, offset=offset)[1].tolist()


class TestSoftNMS:

    @pytest.mark.parametrize('method', METHODS)
    @pytest.mark.parametrize('offset', [0, 1])
    @pytest.mark.parametrize('min_score', [1e-3, 0.2])
    def test_equals_definition(self, method, offset, min_score):
        boxes, scores = random_boxes(7)
        given = boxes.clone(), scores.clone()
        dets, inds = ops.soft_nms(boxes, scores, 0.3, 0.5, min_score, method, offset)
        expected, expected_scores = greedy_soft_nms(boxes.numpy(), scores.numpy(), 0.3, 0.5, min_score, method, offset)
        assert inds.tolist() == expected
        assert torch.equal(dets[:, :4], boxes[inds])
        np.testing.assert_allclose(dets[:, 4], expected_scores, rtol=1e-5)
        assert torch.equal(boxes, given[0])
        assert torch.equal(scores, given[1])

    @pytest.mark.parametrize('method', METHODS)
    def test_equal_scores_first_of_input_first(self, method):
        boxes, _ = random_boxes(8, dtype=torch.float64)
        scores = torch.full((len(boxes), ), 0.5, dtype=torch.float64)
        dets, inds = ops.soft_nms(boxes, scores, 0.3, 0.5, 0.1, method)
        expected, expected_scores = greedy_soft_nms(boxes.numpy(), scores.numpy(), 0.3, 0.5, 0.1, method)
        assert inds.tolist() == expected
        np.testing.assert_allclose(dets[:, 4], expected_scores, rtol=1e-12)

    def test_iou_equal_to_the_threshold_lowers(self):
        boxes, scores = torch.tensor([[0., 0, 5, 1], [0, 0, 3, 1]]), torch.tensor([.9, .8])
        assert ops.soft_nms(boxes, scores, 0.6, method='naive')[1].tolist() == [0]
        assert ops.soft_nms(boxes, scores, 0.6, method='linear')[0][:, 4].tolist() == pytest.approx([.9, .8 * .4])

    def test_first_pick_needs_no_score(self):
        boxes, scores = torch.tensor([[0., 0, 2, 2], [5, 5, 7, 7]]), torch.tensor([.02, .01])
        assert ops.soft_nms(boxes, scores, min_score=0.5)[1].tolist() == [0]

    @pytest.mark.parametrize('method', METHODS)
    def test_boxes_without_area_do_not_overlap(self, method):
        boxes, scores = torch.tensor([[3., 3, 3, 3], [3, 3, 3, 3]]), torch.tensor([.5, .6])
        dets, inds = ops.soft_nms(boxes, scores, method=method)
        assert inds.tolist() == [1, 0]
        assert torch.equal(dets[:, 4], scores[inds])

    @pytest.mark.parametrize('method', METHODS)
    def test_empty(self, method):
        dets, inds = ops.soft_nms(torch.zeros(0, 4), torch.zeros(0), method=method)
        assert dets.shape == (0, 5)
        assert inds.shape == (0, )
        assert inds.dtype == torch.int64

    def test_half_precision(self):
        boxes, scores = (array.half() for array in random_boxes(9))
        with torch.autocast('cpu', dtype=torch.float16):
            dets, inds = ops.soft_nms(8 * boxes, scores, 0.3, method='linear')
        expected, expected_scores = greedy_soft_nms(8 * boxes.double().numpy(), scores.double().numpy(), 0.3, 0.5,
                                                    1e-3, 'linear')
        assert dets.dtype == torch.float16
        assert inds.tolist() == expected
        np.testing.assert_allclose(dets[:, 4].float(), expected_scores, rtol=1e-3)

    def test_in_batched_nms(self):
        boxes, scores = random_boxes(10)
        classes = torch.arange(len(boxes)) % 2
        config = {'type': 'soft_nms', 'iou_threshold': 0.3, 'min_score': 0.05}
        dets, inds = ops.batched_nms(boxes, scores, classes, config)
        expected = {}
        for label in range(2):
            of_class = np.flatnonzero(classes.numpy() == label)
            kept, kept_scores = greedy_soft_nms(boxes[of_class].numpy(), scores[of_class].numpy(), 0.3, 0.5, 0.05,
                                                'linear')
            expected.update(zip(of_class[kept].tolist(), kept_scores, strict=True))
        assert inds.tolist() == sorted(expected, key=lambda i: -expected[i])
        np.testing.assert_allclose(dets[:, 4], sorted(expected.values(), reverse=True), rtol=1e-5)

    @needs_cuda
    @pytest.mark.parametrize('method', METHODS)
    def test_cuda_equals_cpu(self, method):
        boxes, scores = random_boxes(11, 200)
        dets, inds = ops.soft_nms(boxes, scores, method=method)
        dets_cuda, inds_cuda = ops.soft_nms(boxes.cuda(), scores.cuda(), method=method)
        assert dets_cuda.is_cuda
        assert torch.equal(inds_cuda.cpu(), inds)
        torch.testing.assert_close(dets_cuda.cpu(), dets)

    @needs_cuda
    @pytest.mark.parametrize('method', range(3))
    def test_operator_itself_runs_on_cuda(self, method):
        boxes, scores = random_boxes(11, 200)
        results = []
        for device in ('cpu', 'cuda'):
            dets = torch.zeros(len(boxes), 5, device=device)
            inds = box_operators.softnms(boxes.to(device), scores.to(device), dets, 0.3, 0.5, 0.05, method, 1)
            results.append((dets.cpu(), inds.cpu()))
        torch.testing.assert_close(results[1], results[0])
