"""What a BAFE-Head gives: maps of each level, and what is predicted of each sample, at every pixel of it."""
from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmdet.structures import SampleList
from mmdet.utils import InstanceList
from mmengine.structures import PixelData
from torch import Tensor
from torch.nn import functional as F

from .segmentation.masks import predicted_mask


class HeadOutputs(NamedTuple):
    """What a head that segments predicts, one tensor per level in each list; the first three are those of FCOS.

    Attributes:
        cls_scores: Class logits, float32 (N, num_classes, H_l, W_l).
        bbox_preds: Distances, float32 (N, 4, H_l, W_l) in pixels (or logits, (N, 4 K, H_l, W_l), under
            ``box_coding='distribution'``).
        centernesses: Centerness logits, float32 (N, 1, H_l, W_l).
        sky_logits: Sky logits, float32 (N, 1, H_l, W_l).
    """

    cls_scores: list[Tensor]
    bbox_preds: list[Tensor]
    centernesses: list[Tensor]
    sky_logits: list[Tensor]


class MaskOutputs(NamedTuple):
    """What a head with target masks predicts: :class:`HeadOutputs`, and the masks at the resolution of the input.

    Attributes:
        cls_scores: See :class:`HeadOutputs`.
        bbox_preds: Likewise.
        centernesses: Likewise.
        sky_logits: Likewise; an empty list of a head without a sky branch.
        mask_logits: Target logits of the finest level, of stride s, alone: one tensor, float32 (N, 1, s H_0, s W_0).
    """

    cls_scores: list[Tensor]
    bbox_preds: list[Tensor]
    centernesses: list[Tensor]
    sky_logits: list[Tensor]
    mask_logits: list[Tensor]


class Predictions(NamedTuple):
    """What is predicted of each sample, in lists of one length.

    Attributes:
        boxes: Instances: ``bboxes`` float32 (k, 4), ``scores`` and ``labels``.
        sky_logits: Sky logits of every pixel, float32 (1, H, W); None each without a sky branch.
        mask_logits: Target logits likewise; None each without target masks.
    """

    boxes: InstanceList
    sky_logits: list[Tensor | None]
    mask_logits: list[Tensor | None]


def at_pixels(logits: Tensor, img_meta: dict, rescale: bool, stride: int) -> Tensor:
    """Logits of every pixel of a sample; padding is cut before rescaling.

    Args:
        logits: float (1, 1, H_0, W_0), of a stride.
        img_meta: ``img_shape``, the image without padding, and ``ori_shape``, the frame.
        rescale: Give them in the frame and not in the image.
        stride: Pixels of the image to one of the logits.

    Returns:
        float32 (1, H, W), bilinear where there is no logit for each pixel.
    """
    height, width = img_meta['img_shape'][:2]
    logits = logits.float()
    if stride > 1:
        logits = F.interpolate(logits, scale_factor=stride, mode='bilinear', align_corners=False)
    logits = logits[..., :height, :width]
    if rescale and tuple(img_meta['ori_shape'][:2]) != (height, width):
        logits = F.interpolate(logits, size=img_meta['ori_shape'][:2], mode='bilinear', align_corners=False)
    return logits[0]


def finest_at_pixels(levels: Sequence[Tensor], img_metas: Sequence[dict], rescale: bool,
                     stride: int) -> list[Tensor | None]:
    """Logits of every pixel of each sample from the finest level's (N, 1, H_0, W_0); see :func:`at_pixels`.

    Where there are no levels it is None of each sample.
    """
    return [at_pixels(levels[0][index:index + 1], meta, rescale, stride) if levels else None
            for index, meta in enumerate(img_metas)]


def sky_map(logits: Tensor) -> PixelData:
    """The sky map of logits (1, H, W): ``sem_seg``, uint8 (1, H, W), 1 = sky, where they are at least 0."""
    return PixelData(sem_seg=(logits >= 0).to(torch.uint8))


def add_maps(samples: SampleList, sky_logits: Sequence[Tensor | None], mask_logits: Sequence[Tensor | None]) -> None:
    """Put the sky map of each sample into ``pred_sem_seg`` and its mask into ``pred_target_mask``, where there are any.

    Args:
        samples: The samples.
        sky_logits: See :class:`Predictions`.
        mask_logits: Likewise.
    """
    for sample, sky, mask in zip(samples, sky_logits, mask_logits, strict=True):
        if sky is not None:
            sample.pred_sem_seg = sky_map(sky)
        if mask is not None:
            sample.pred_target_mask = predicted_mask(mask)
