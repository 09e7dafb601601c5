"""Predictions of a batch, with the sky of large frames segmented twice: as they are, and made smaller."""
from collections.abc import Sequence
from typing import Any

import torch
from mmdet.structures import DetDataSample, SampleList
from mmdet.utils import OptConfigType
from torch import Tensor
from torch.nn import functional as F

from .head_outputs import Predictions

KEY = 'sky_side'  # in test_cfg


@torch.no_grad()
def predict_frames(network: Any, inputs: Tensor | Sequence[Tensor], samples: SampleList, rescale: bool = True,
                   cfg: OptConfigType = None, with_nms: bool = True) -> Predictions:
    """Boxes, sky logits and target logits of a batch, as the head's ``predict_with_maps`` gives them.

    A smooth road and a smooth sky are told apart by what is far away, and a network knows the distances of the windows
    that it was trained on. So where ``test_cfg.sky_side`` is set, a frame whose longer side is above it goes through
    the network once more, made smaller to this side, and its sky logits are the mean of both. Boxes and target logits
    are those of the frame as it is.

    Args:
        network: A ``BAFENet``, or an ``OnnxNetwork``.
        inputs: What its ``data_preprocessor`` gives: images (N, 3, H, W), or a list of uint8 (3, H, W).
        samples: Samples with ``img_shape`` and ``ori_shape``.
        rescale: Give all in the original frame and not in the network's input.
        cfg: Settings instead of the head's ``test_cfg``.
        with_nms: Pick boxes by NMS; else all candidates are given.
    """
    head = network.bbox_head
    found = head.predict_with_maps(network.extract_feat(inputs), samples, rescale, cfg, with_nms)
    cfg = head.test_cfg if cfg is None else cfg
    side = cfg.get(KEY)
    if side is None:
        return found
    logits = list(found.sky_logits)
    for index, (own, sample) in enumerate(zip(found.sky_logits, samples, strict=True)):
        height, width = sample.img_shape[:2]
        if own is not None and max(height, width) > side:
            reduced = _reduced_logits(network, inputs[index][:, :height, :width], side, cfg)
            logits[index] = (own + F.interpolate(reduced[None], own.shape[-2:], mode='bilinear')[0]) / 2
    return found._replace(sky_logits=logits)


def _reduced_logits(network: Any, image: Tensor, side: int, cfg: Any) -> Tensor:
    """Sky logits (1, h, w) of one image (3, H, W) whose longer side is made ``side`` pixels long."""
    size = [max(round(length * side / max(image.shape[-2:])), 1) for length in image.shape[-2:]]
    small = F.interpolate(image[None].float(), size, mode='bilinear', antialias=True)
    if not image.is_floating_point():
        small = small.round().to(image.dtype)
    else:
        # As a frame of this size is padded.
        divisor = getattr(network.data_preprocessor, 'pad_size_divisor', 1)
        small = F.pad(small.to(image.dtype), [0, -size[1] % divisor, 0, -size[0] % divisor])
    sample = DetDataSample(metainfo=dict(img_shape=tuple(size), ori_shape=tuple(size), scale_factor=(1.0, 1.0)))
    # Of its boxes none is wanted.
    no_boxes = {**cfg, 'score_thr': 1.0}
    found = network.bbox_head.predict_with_maps(network.extract_feat(small), [sample], True, type(cfg)(no_boxes))
    return found.sky_logits[0]
