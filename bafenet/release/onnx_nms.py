"""NMS inside an ONNX file: boxes above the threshold, the best of those that overlap; pixels and scores as wanted."""
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from bafenet.errors import InputError, printable

from ..models.box_coding import to_whole_pixels
from ..models.score_calibration import calibrate
from .onnx_graph import Candidates, DetectorGraph

PICKED = ('boxes', 'scores', 'labels', 'frame')
_SETTINGS = {'type', 'iou_threshold', 'iou_thr', 'class_agnostic', 'split_thr'}
# Scores lie in [0, 1]; what is not to be picked gets one below them.
_NEVER = -1.0


class NmsGraph(nn.Module):
    """A graph of candidates, followed by what the head's ``test_cfg`` asks for.

    Args:
        graph: The graph.
        test_cfg: ``score_thr``, ``min_bbox_size``, ``nms``, ``max_per_img``, ``whole_pixels`` and ``calibration``.

    Raises:
        InputError: If ``nms`` is not the plain one, which ONNX has.
    """

    def __init__(self, graph: DetectorGraph, test_cfg: Any) -> None:
        super().__init__()
        self.graph = graph
        nms: dict[str, Any] = dict(test_cfg.get('nms') or {})
        if nms.get('type', 'nms') != 'nms' or set(nms) - _SETTINGS:
            raise InputError(f'--nms: test_cfg.nms={printable(nms)} is not in ONNX, which has '
                             "dict(type='nms', iou_threshold=…) alone: export without --nms")
        self.iou = float(nms.get('iou_threshold', nms.get('iou_thr', 0.5)))
        self.by_class = not nms.get('class_agnostic', False)
        self.test_cfg = test_cfg

    @property
    def output_names(self) -> list[str]:
        """Names of what :meth:`forward` gives."""
        return [*PICKED, *self.graph.maps]

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """Boxes of all frames one after the other, and the maps of each.

        Args:
            frames: uint8 (N, H, W, C), C = 1 or 3.

        Returns:
            Boxes float32 (m, 4), scores float32 (m, ), calibrated where ``test_cfg`` says how, highest first in each
            frame, labels int64 (m, ), the number of the frame int64 (m, ), and the probabilities of the sky and of
            targets where the graph gives them, float32 (N, H, W) each.
        """
        outputs = self.graph(frames)
        found = Candidates(*outputs[:4])
        kept = found.class_scores > max(self.test_cfg.get('score_thr', 0), 0)
        smallest = self.test_cfg.get('min_bbox_size', -1)
        if smallest >= 0:
            kept = kept & (found.boxes[..., 2:] - found.boxes[..., :2] > smallest).all(-1)
        apart = found.boxes
        if self.by_class:
            # Boxes of different classes are moved where they cannot meet.
            apart = apart + (found.labels * (apart.amax((1, 2)).ceil().long() + 1)[:, None]).float()[..., None]
        scores = torch.where(kept, found.scores, _NEVER)
        limit = self.test_cfg.get('max_per_img', -1)
        picked = _Nms.apply(apart, scores[:, None], limit if limit > 0 else 2**31 - 1, self.iou, _NEVER / 2)
        frame = picked[:, 0]
        place = frame * scores.shape[1] + picked[:, 2]
        boxes, scores, labels = (values.flatten(0, 1).index_select(0, place)
                                 for values in (found.boxes, found.scores, found.labels))
        if self.test_cfg.get('whole_pixels', False):
            boxes = to_whole_pixels(boxes)
        scores = calibrate(scores, self.test_cfg.get('calibration')).float()
        return (boxes, scores, labels, frame, *outputs[4:])


class _Nms(torch.autograd.Function):
    """ONNX's ``NonMaxSuppression``."""

    @staticmethod
    def forward(ctx: Any, boxes: Tensor, scores: Tensor, limit: int, iou: float, score: float) -> Tensor:
        parts = [torch.empty(0, 3, dtype=torch.long)]
        for number, (found, values) in enumerate(zip(boxes, scores[:, 0], strict=True)):
            index = (values > score).nonzero()[:, 0]
            best = index[torchvision.ops.nms(found[index], values[index], iou)][:limit]
            parts.append(torch.stack((torch.full_like(best, number), torch.zeros_like(best), best), dim=1))
        return torch.cat(parts)

    @staticmethod
    def symbolic(g: Any, boxes: Any, scores: Any, limit: int, iou: float, score: float) -> Any:
        constants = (torch.tensor([limit]), torch.tensor([iou], dtype=torch.float32),
                     torch.tensor([score], dtype=torch.float32))
        return g.op('NonMaxSuppression', boxes, scores, *(g.op('Constant', value_t=value) for value in constants))
