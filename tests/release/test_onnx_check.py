"""When a float16 file lacks a box: rounding of scores, at the threshold or in NMS, is no reason to refuse it."""
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

from bafenet.release.onnx_check import _bar, without_counterpart


def found(*rows):
    """Boxes of 4×4 px: (x, score) each."""
    boxes = torch.tensor([[x, 10., x + 4, 14.] for x, _ in rows]).reshape(-1, 4)
    return InstanceData(bboxes=boxes, scores=torch.tensor([float(score) for _, score in rows]))


@pytest.mark.parametrize(('own', 'others', 'lacking'), [
    ([(0, 0.059)], [], 0),  # beside the threshold
    ([(0, 0.061)], [], 1),
    ([(0, 0.061)], [(50, 0.061)], 1),  # far away
    ([(0, 0.5)], [(1, 0.505)], 0),  # IoU 12 / 20
    ([(0, 0.5)], [(2, 0.5)], 1),  # IoU 8 / 24
    ([(0, 0.5)], [(0, 0.52)], 1),
    ([(0, 0.5), (20, 0.4), (40, 0.051)], [(0, 0.5)], 1),
    ([], [(0, 0.9)], 0)])
def test_what_counts_as_lacking_above_a_threshold_of_0_05(own, others, lacking):
    assert without_counterpart(found(*own), found(*others), bar=0.05) == lacking


def test_the_last_of_a_full_frame_are_decided_by_its_lowest_score():
    boxes = found((0, 0.5), (20, 0.3))
    assert _bar(ConfigDict(score_thr=0.05, max_per_img=2), boxes) == pytest.approx(0.3)
    assert _bar(ConfigDict(score_thr=0.05, max_per_img=3), boxes) == 0.05
    assert _bar(ConfigDict(score_thr=0.4, max_per_img=2), boxes) == 0.4
