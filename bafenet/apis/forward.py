"""One pass of a network over packed frames: boxes after NMS, or the candidates before it, and sky logits."""
import copy
from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.detectors import SingleStageDetector
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor, nn

from ..models.bafe_head import BAFEHead
from ..models.onnx_network import OnnxHead, OnnxNetwork
from ..models.score_calibration import uncalibrate
from ..models.small_target_head import SmallTargetHead
from .settings import Settings

Output = tuple[InstanceData, Tensor | None]
_ROUNDING = 1e-4  # of float32 through the flattest piece of a calibration


def has_candidates(model: nn.Module) -> bool:
    """Whether a network has one head, whose threshold and maximum can be set, and whose NMS can be left out."""
    return (isinstance(model, (SingleStageDetector, OnnxNetwork))
            and isinstance(getattr(model.bbox_head, 'test_cfg', None), dict))


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
        Instances (``bboxes``, ``scores``, ``labels``) and sky logits, float32 (1, H, W) or None, of each frame in its
        own pixels.
    """
    batch = {key: [sample[key] for sample in packed] for key in ('inputs', 'data_samples')}
    data = model.data_preprocessor(batch, False)
    inputs, samples = data['inputs'], data['data_samples']
    if cfg is None:
        predicted = model.predict(inputs, samples, rescale=True)
        return [(sample.pred_instances, None) for sample in predicted]
    features, head = model.extract_feat(inputs), model.bbox_head
    if isinstance(head, (BAFEHead, OnnxHead)) and head.with_seg:
        return list(zip(*head.predict_with_sky(features, samples, True, cfg, with_nms), strict=True))
    metas = [sample.metainfo for sample in samples]
    boxes = head.predict_by_feat(*head(features), batch_img_metas=metas, cfg=cfg, rescale=True, with_nms=with_nms)
    return [(instances, None) for instances in boxes]
