"""One pass of a network over packed frames: boxes after NMS, or the candidates before it, sky and target logits."""
import copy
import inspect
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from mmdet.models.detectors import SingleStageDetector
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor, nn

from ..models.bafe_head import BAFEHead
from ..models.onnx_network import OnnxHead
from ..models.reduced_sky import predict_frames
from ..models.score_calibration import uncalibrate
from ..models.segmentation.masks import predicted_mask
from ..models.segmentation.segmentor import TargetSegmentor, component_instances
from ..models.small_target_head import SmallTargetHead
from .settings import Settings

_ROUNDING = 1e-4  # of float32 through the flattest piece of a calibration


class Output(NamedTuple):
    """What a network gives of one frame, in the frame's own pixels.

    Attributes:
        boxes: ``bboxes``, ``scores`` and ``labels``.
        sky_logits: float32 (1, H, W), or None.
        mask_logits: Of targets, likewise.
    """

    boxes: InstanceData
    sky_logits: Tensor | None = None
    mask_logits: Tensor | None = None


def has_candidates(model: nn.Module) -> bool:
    """Whether a network has one head, whose threshold and maximum can be set, and whose NMS can be left out."""
    head: Any = getattr(model, 'bbox_head', None)
    if not isinstance(getattr(head, 'test_cfg', None), dict):
        return False
    if isinstance(head, (BAFEHead, OnnxHead)):
        return True
    # Guided anchors and YOLACT take less of a call.
    return (isinstance(model, SingleStageDetector)
            and {'cfg', 'with_nms'} <= inspect.signature(head.predict_by_feat).parameters.keys())


def own_score(score: float, cfg: ConfigDict) -> float:
    """A score of the network below which no box has this score, calibrated where ``test_cfg`` says how; in [0, 1]."""
    calibration = cfg.get('calibration')
    return max(float(uncalibrate(score, calibration)) - _ROUNDING, 0) if calibration else score


def test_settings(model: nn.Module, settings: Settings, tiled: bool = False) -> ConfigDict:
    """The head's ``test_cfg`` with what is asked for: a copy, since other threads may predict otherwise.

    Args:
        model: A network that :func:`has_candidates`.
        settings: What is asked for.
        tiled: Of the candidates of a tile, which are not yet moved to whole pixels.
    """
    head: Any = getattr(model, 'bbox_head')  # noqa: B009
    cfg = copy.deepcopy(head.test_cfg)
    if not isinstance(head, (SmallTargetHead, OnnxHead)):
        cfg.pop('calibration', None)  # other heads know no such entry
    if settings.score is not None:
        cfg.score_thr = min(cfg.get('score_thr', 0), own_score(settings.score, cfg))
    if settings.max_detections is not None:
        cfg.max_per_img = settings.max_detections
        if 0 < cfg.get('nms_pre', -1) < settings.max_detections:
            cfg.nms_pre = settings.max_detections
    if settings.sky_only:
        cfg.max_per_img = 10**9  # counted once those on the ground are gone
    if tiled:
        cfg.whole_pixels = False
    return cfg


@torch.inference_mode()
def run_network(model: Any, packed: Sequence[dict], cfg: ConfigDict | None, with_nms: bool = True) -> list[Output]:
    """Predict a batch.

    Args:
        model: The network, on its device.
        packed: Frames as the pipeline packs them, of one size.
        cfg: See :func:`test_settings`; None for a network that has none, which predicts by its own.
        with_nms: False gives the candidates.

    Returns:
        What it gives of each frame.
    """
    batch = {key: [sample[key] for sample in packed] for key in ('inputs', 'data_samples')}
    data = model.data_preprocessor(batch, False)
    inputs, samples = data['inputs'], data['data_samples']
    if isinstance(model, TargetSegmentor):
        return [Output(component_instances(predicted_mask(logits)), mask_logits=logits)
                for logits in model.frame_logits(inputs, samples)]
    if cfg is None:
        predicted = model.predict(inputs, samples, rescale=True)
        return [Output(sample.pred_instances) for sample in predicted]
    head = model.bbox_head
    if isinstance(head, (BAFEHead, OnnxHead)):
        found = predict_frames(model, inputs, samples, True, cfg, with_nms)
        return [Output(*parts) for parts in zip(*found, strict=True)]
    metas = [sample.metainfo for sample in samples]
    outputs = head(model.extract_feat(inputs))
    boxes = head.predict_by_feat(*outputs, batch_img_metas=metas, cfg=cfg, rescale=True, with_nms=with_nms)
    return [Output(instances) for instances in boxes]
