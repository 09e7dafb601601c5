"""Does an ONNX file give what PyTorch gives? Boxes, scores and sky of a few frames, and the time of both."""
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox_overlaps
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor

from ..models.box_coding import to_whole_pixels
from ..models.head_outputs import at_pixels
from ..models.onnx_file import SKY, TARGETS
from ..models.onnx_network import OnnxNetwork
from ..models.score_calibration import uncalibrate

# Largest differences that rounding explains: in float32 of anything, in float16 of a score and of the sky.
FLOAT32, FLOAT16 = 1e-4, 0.01
# Beyond it the places of a level's last candidates are a matter of rounding.
_BEST = 100
# Boxes and scores of the network itself are compared.
_AS_THEY_ARE = dict(whole_pixels=False, calibration=None)


@dataclass
class Comparison:
    """What two networks make of the same frames.

    Attributes:
        difference: The largest of scores, of probabilities of the sky and of targets, and where boxes are compared of
            their sides in pixels (of those beyond 100 px, of a hundredth of the coordinate).
        missing: How many boxes of one have no counterpart in the other.
        boxes: How many boxes PyTorch found.
        torch_ms: Median of a frame, NMS included.
        onnx_ms: The same of onnxruntime.
    """

    difference: float
    missing: int
    boxes: int
    torch_ms: float
    onnx_ms: float


class Reference:
    """A network as mmdet runs it, apart from the graph that is exported.

    Args:
        network: In eval mode.
        size: Width and height that its test pipeline resizes to, None for none.
    """

    def __init__(self, network: Any, size: Sequence[int] | None) -> None:
        self.network, self.size = network, size

    @torch.no_grad()
    def run(self, frame: np.ndarray) -> tuple[Any, DetDataSample]:
        """What the head gives for a frame, uint8 (H, W, C), and the frame's sample."""
        height, width = frame.shape[:2]
        image = frame if self.size is None else cv2.resize(frame, tuple(self.size), interpolation=cv2.INTER_LINEAR)
        image = np.broadcast_to(image.reshape(*image.shape[:2], -1), (*image.shape[:2], 3))
        meta = dict(img_shape=image.shape[:2], ori_shape=(height, width), img_id=0,
                    scale_factor=(image.shape[1] / width, image.shape[0] / height))
        inputs = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
        batch = self.network.data_preprocessor(
            dict(inputs=[inputs], data_samples=[DetDataSample(metainfo=meta)]), False)
        return self.network.bbox_head(self.network.extract_feat(batch['inputs'])), batch['data_samples'][0]

    def pick(self, run: tuple[Any, DetDataSample], with_nms: bool = True, **settings: Any) -> InstanceData:
        """Instances of what :meth:`run` gave, sides and scores as they are; ``settings`` change ``test_cfg``."""
        outputs, sample = run
        cfg = ConfigDict({**self.network.bbox_head.test_cfg, **_AS_THEY_ARE, **settings})
        found, = self.network.bbox_head.predict_by_feat(*outputs[:3], batch_img_metas=[sample.metainfo], cfg=cfg,
                                                        rescale=True, with_nms=with_nms)
        return found

    def maps(self, run: tuple[Any, DetDataSample]) -> dict[str, Tensor]:
        """Probabilities (H, W) of the sky and of targets, as far as there are, by the names of a file's outputs."""
        outputs, sample = run
        head = self.network.bbox_head
        found = {}
        if getattr(head, 'with_seg', False):
            found[SKY] = at_pixels(outputs[3][0], sample.metainfo, True, head.strides[0])[0].sigmoid()
        if getattr(head, 'with_mask', False):
            found[TARGETS] = at_pixels(outputs[4][0], sample.metainfo, True, 1)[0].sigmoid()
        return found


def compare(reference: Reference, exported: OnnxNetwork, frames: Sequence[np.ndarray], exact: bool) -> Comparison:
    """Compare a network with its ONNX file.

    Args:
        reference: The network.
        exported: Its file.
        frames: uint8 (H, W, C), C = 1 or 3.
        exact: Boxes have to be the same; else only scores of boxes that overlap are compared.
    """
    parts = [_compare_frame(reference, exported, frame, exact) for frame in frames]
    return Comparison(max(part.difference for part in parts), sum(part.missing for part in parts),
                      sum(part.boxes for part in parts), statistics.median(part.torch_ms for part in parts),
                      statistics.median(part.onnx_ms for part in parts))


def _compare_frame(reference: Reference, exported: OnnxNetwork, frame: np.ndarray, exact: bool) -> Comparison:
    start = time.perf_counter()
    run = reference.run(frame)
    picked = reference.pick(run)
    between = time.perf_counter()
    outputs, = exported.extract_feat([torch.from_numpy(np.ascontiguousarray(frame.transpose(2, 0, 1)))])
    found = _pick(exported, outputs, frame.shape[:2])
    end = time.perf_counter()
    candidates = reference.pick(run, with_nms=False, score_thr=0, min_bbox_size=-1)
    differences = [0.0, *(float((outputs[name] - map_of).abs().max()) for name, map_of in reference.maps(run).items())]
    head, theirs = exported.bbox_head, found
    rounds = head.has_nms and head.test_cfg.get('whole_pixels', False)
    if not head.has_nms:
        filled = outputs['class_scores'] > 0
        theirs = InstanceData(bboxes=outputs['boxes'][filled], scores=outputs['scores'][filled])
        distances = _distances if exact else _score_distances
        for few, many in ((candidates, theirs), (theirs, candidates)):
            best = few.scores.topk(min(_BEST, len(few))).indices
            differences.append(float(_nearest(distances(few[best], many)).max()) if len(best) else 0.0)
    if exact:
        pairs = (_rounded_distances if rounds else _distances)(picked, found)
        missing = int((_nearest(pairs) > FLOAT32).sum()) + int((_nearest(pairs.T) > FLOAT32).sum())
    else:
        missing = _lacking(picked, candidates, found, theirs, reference.network.bbox_head.test_cfg, rounds)
    return Comparison(max(differences), missing, len(picked), 1000 * (between - start), 1000 * (end - between))


def _lacking(picked: InstanceData, candidates: InstanceData, found: InstanceData, theirs: InstanceData,
             cfg: ConfigDict, rounds: bool) -> int:
    """How many boxes one lacks of the other: of PyTorch after and before NMS, of the file likewise."""
    own = picked
    if rounds:
        own = InstanceData(bboxes=to_whole_pixels(picked.bboxes), scores=picked.scores)
        # A side in the middle of a pixel may go either way.
        candidates = InstanceData(bboxes=torch.cat([candidates.bboxes, to_whole_pixels(candidates.bboxes)]),
                                  scores=candidates.scores.repeat(2))
    return (without_counterpart(own, theirs, _bar(cfg, found))
            + without_counterpart(found, candidates, _bar(cfg, picked)))


def _bar(cfg: ConfigDict, final: InstanceData) -> float:
    """The score that a box needs to be among ``final``: the threshold, or the lowest one where the maximum is full."""
    threshold = float(cfg.get('score_thr', 0))
    full = 0 < cfg.get('max_per_img', -1) <= len(final)
    return max(threshold, float(final.scores.min())) if full else threshold


def without_counterpart(own: InstanceData, others: InstanceData, bar: float, limit: float = FLOAT16) -> int:
    """How many boxes of one network the other lacks, beyond what rounding of scores explains.

    A box whose score is no more than ``limit`` above ``bar`` may come and go; any other one needs a box of the other
    network that overlaps it (IoU ≥ 0.5) with a score no further than ``limit`` from its own.

    Args:
        own: ``bboxes`` (n, 4) and ``scores`` (n), what is left after NMS.
        others: Those of the other network: before NMS where they are at hand, since NMS decides by scores this close.
        bar: The score that a box needs.
        limit: The allowed difference of scores.
    """
    far = _nearest(_score_distances(own, others)) > limit
    return int((far & (own.scores > bar + limit)).sum())


def _pick(exported: OnnxNetwork, outputs: dict[str, Tensor], shape: tuple) -> InstanceData:
    """Instances of what a file gives for a frame, scores of the network; sides, without NMS inside, as they are."""
    own = exported.bbox_head.test_cfg
    found, = exported.bbox_head.predict_by_feat([outputs], [dict(img_shape=shape, ori_shape=shape)],
                                                ConfigDict({**own, **_AS_THEY_ARE}))
    if exported.bbox_head.has_nms:
        # Calibrated in the file, so that a file that does it otherwise gives others than PyTorch.
        found.scores = torch.from_numpy(uncalibrate(found.scores.numpy(), own.get('calibration'))).float()
    return found


def _distances(one: InstanceData, other: InstanceData) -> Tensor:
    """The largest difference of each box and score of one from each of the other: (n, m)."""
    boxes = (one.bboxes[:, None] - other.bboxes).abs() / one.bboxes[:, None].abs().div(100).clamp(min=1)
    return torch.maximum(boxes.amax(2), (one.scores[:, None] - other.scores).abs())


def _rounded_distances(one: InstanceData, other: InstanceData) -> Tensor:
    """The same where the other's boxes lie on whole pixels; a side in the middle of one may go either way."""
    shifts = one.bboxes.new_tensor([0, FLOAT32, -FLOAT32])[:, None, None]
    rounded = torch.stack([to_whole_pixels(boxes.clamp(min=0)) for boxes in one.bboxes + shifts])
    boxes = (rounded[:, :, None] - other.bboxes).abs().amin(0).amax(2)
    return torch.maximum(boxes, (one.scores[:, None] - other.scores).abs())


def _score_distances(one: InstanceData, other: InstanceData) -> Tensor:
    """The difference of scores of each pair of boxes that overlap by half; of others the whole score."""
    overlap = bbox_overlaps(one.bboxes, other.bboxes) >= 0.5
    difference = (one.scores[:, None] - other.scores).abs()
    return torch.where(overlap, difference, torch.maximum(one.scores[:, None], other.scores))


def _nearest(distances: Tensor) -> Tensor:
    return distances.amin(1) if distances.shape[1] else distances.new_ones(len(distances))


def made_frames(seed: int = 0) -> list[np.ndarray]:
    """Three frames of clouds with bright spots, of two sizes that no stride divides: uint8 (H, W, 1)."""
    rng = np.random.default_rng(seed)
    frames = []
    for height, width in ((155, 203), (155, 203), (232, 171)):
        clouds = cv2.resize(rng.uniform(10, 150, (6, 8)).astype(np.float32), (width, height),
                            interpolation=cv2.INTER_CUBIC).clip(0, 255)
        spots = cv2.dilate((rng.random((height, width)) > 0.9995).astype(np.float32), np.ones((3, 3), np.uint8))
        noisy = clouds + 90 * spots + rng.normal(0, 2, (height, width))
        frames.append(noisy.clip(0, 255).astype(np.uint8)[..., None])
    return frames
