"""Operators on boxes: NMS, soft-NMS, NMS that tells what each kept box dropped, and IoU."""
import numpy as np
import torch
import torchvision
from torch import Tensor

from .precision import at_least_float32, in_own_precision, widened


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Greedy non-maximum suppression: drop a box whose IoU with a kept, higher-scored one exceeds the threshold.

    Equal scores are taken in the order of the input. The IoU of two boxes without area is undefined and drops neither.

    Args:
        boxes: (N, 4), ``[x1, y1, x2, y2]`` in pixels. Half precision is computed in float32.
        scores: (N,).
        iou_threshold: An IoU equal to it keeps the box.
        offset: Sides are ``x2 - x1 + offset``; 0 or 1.

    Returns:
        int64 (K,), the kept indices in order of falling score.
    """
    boxes = _with_plain_sides(boxes, offset)
    return torchvision.ops.nms(boxes, scores.to(boxes.dtype), _round_up_to_float32(iou_threshold))


def softnms(boxes: Tensor, scores: Tensor, dets: Tensor, iou_threshold: float, sigma: float, min_score: float,
            method: int, offset: int) -> Tensor:
    """Soft-NMS (Bodla et al., ICCV 2017): every pick lowers the scores of the boxes that overlap it.

    The highest-scored box is picked (the first one of equals), the scores of the others are multiplied by a weight of
    their IoU ``o`` with it, and those that fall below ``min_score`` leave; so on until no box is left. The weight is

    - 0, naive: 0 where o >= ``iou_threshold``, else 1;
    - 1, linear: 1 - o where o >= ``iou_threshold``, else 1;
    - 2, gaussian: exp(-o² / ``sigma``).

    Args:
        boxes: (N, 4), ``[x1, y1, x2, y2]`` in pixels.
        scores: (N,).
        dets: (N, 5), written in place: the first K rows get the picked boxes and their lowered scores.
        iou_threshold: Of the naive and the linear method.
        sigma: Of the gaussian method.
        min_score: A box of a lower score leaves. The very first pick is never asked for it.
        method: 0, 1 or 2, see above.
        offset: Sides are ``x2 - x1 + offset``; 0 or 1.

    Returns:
        int64 (K,), the picked indices in order of falling lowered score.
    """
    candidates = torch.arange(len(boxes), device=boxes.device)
    if not len(boxes):
        return candidates
    picked, picked_scores = [], []
    plain_boxes = _with_plain_sides(boxes, offset)
    scores = scores.to(at_least_float32(scores.dtype))
    # A pick depends on the one before it, so picks are a loop; each of them is a few steps on whole arrays.
    while len(candidates):
        best = scores.argmax()
        picked.append(candidates[best])
        picked_scores.append(scores[best])
        iou = torchvision.ops.box_iou(plain_boxes[best][None], plain_boxes)[0]
        scores = scores * _soft_weight(iou, iou_threshold, sigma, method).to(scores.dtype)
        stays = scores >= min_score
        stays[best] = False
        candidates, plain_boxes, scores = candidates[stays], plain_boxes[stays], scores[stays]
    inds = torch.stack(picked)
    dets[:len(inds), :4] = boxes[inds]
    dets[:len(inds), 4] = torch.stack(picked_scores)
    return inds


def nms_match(dets: Tensor, iou_threshold: float) -> list[list[int]]:
    """Greedy NMS that tells which boxes each kept one drops.

    A box is dropped whose IoU with a kept, higher-scored one is at least the threshold: one equal to it drops too,
    where ``nms`` keeps. Equal scores are taken in the order of the input.

    Args:
        dets: (N, 5), ``[x1, y1, x2, y2]`` in pixels and the score.
        iou_threshold: The least IoU that drops.

    Returns:
        A list for each kept box in order of falling score: its index, then those of the boxes that it drops, in order
        of falling score.
    """
    dets, = widened(dets)
    left = dets[:, 4].sort(descending=True, stable=True).indices
    groups = []
    # A pick depends on the one before it, so picks are a loop; each of them is a few steps on whole arrays.
    while len(left):
        best, others = left[0], left[1:]
        iou = torchvision.ops.box_iou(dets[best, None, :4], dets[others, :4])[0]
        dropped = iou >= iou_threshold
        groups.append([int(best), *others[dropped].tolist()])
        left = others[~dropped]
    return groups


@in_own_precision
def bbox_overlaps(bboxes1: Tensor, bboxes2: Tensor, ious: Tensor, mode: int, aligned: bool, offset: int) -> None:
    """IoU of boxes, or the intersection's share of the first box; of two boxes without area it is not a number.

    Args:
        bboxes1: (M, 4), ``[x1, y1, x2, y2]`` in pixels. Half precision is computed in float32.
        bboxes2: (N, 4).
        ious: (M, N), or (M, ) if ``aligned``; written in place.
        mode: 0, the intersection over the union; 1, over the area of the first box.
        aligned: Whether each box is compared with the one at its place; M is N then.
        offset: Sides are ``x2 - x1 + offset``; 0 or 1.
    """
    first, second = widened(bboxes1, bboxes2)
    first = first if aligned else first[:, None]
    sides = torch.minimum(first[..., 2:], second[..., 2:]) - torch.maximum(first[..., :2], second[..., :2]) + offset
    overlap = sides.clamp(min=0).prod(-1)
    area = (first[..., 2:] - first[..., :2] + offset).prod(-1)
    if mode == 0:
        area = area + (second[..., 2:] - second[..., :2] + offset).prod(-1) - overlap
    ious.copy_(overlap / area)


def _with_plain_sides(boxes: Tensor, offset: int) -> Tensor:
    """Boxes (N, 4) whose sides ``x2 - x1`` are those of ``boxes`` with ``offset``."""
    if offset == 0:
        return boxes.to(at_least_float32(boxes.dtype))
    # In float64, because x2 + 1 is rounded in float32 and would change the sides.
    return boxes.double() + boxes.new_tensor([0, 0, offset, offset], dtype=torch.float64)


def _round_up_to_float32(threshold: float) -> float:
    """The least float32 not below ``threshold``.

    torchvision compares a rounded IoU with a threshold that is float64 on the CPU and float32 on CUDA. Rounded up, an
    IoU that equals the threshold (3/5 and 0.6) exceeds it on neither.
    """
    nearest = np.float32(threshold)
    return float(nearest if float(nearest) >= threshold else np.nextafter(nearest, np.float32(np.inf)))


def _soft_weight(iou: Tensor, iou_threshold: float, sigma: float, method: int) -> Tensor:
    """The factors of the scores in soft-NMS, of the shape of ``iou``."""
    # Two boxes without area have an IoU of 0 / 0 and do not overlap.
    iou = iou.nan_to_num(0)
    if method == 2:
        return torch.exp(-iou**2 / sigma)
    lowered = 1 - iou if method == 1 else torch.zeros_like(iou)
    return torch.where(iou >= iou_threshold, lowered, torch.ones_like(iou))
