"""The operators that mmcv compiles, on torchvision and PyTorch, so that ``mmcv-lite`` is enough.

mmcv's Python code calls its compiled operators through the module ``mmcv._ext``. :func:`install` puts a stand-in of
that name in place, unless a compiled one is installed: then that one is used and nothing is replaced. It has to happen
before anything imports ``mmcv.ops`` (all of mmdet does), hence first of all changes.

The functions below keep the argument lists of the compiled operators, outputs written in place included; call them as
``mmcv.ops.nms``, ``mmcv.ops.soft_nms`` and ``mmcv.ops.sigmoid_focal_loss``. They work on the CPU and on CUDA.
"""
import importlib.util
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType

import numpy as np
import torch
import torchvision
from torch import Tensor
from torch.nn.functional import logsigmoid

# What does the same as an operator that is not here. Forward names are enough: no backward runs before its forward.
_COUNTERPARTS = {
    'roi_align_forward': "torchvision.ops.roi_align (in a config RoIAlign's use_torchvision=True)",
    'roi_pool_forward': 'torchvision.ops.roi_pool',
    'deform_conv_forward': 'torchvision.ops.deform_conv2d',
    'modulated_deform_conv_forward': 'torchvision.ops.deform_conv2d',
    'bbox_overlaps': 'torchvision.ops.box_iou',
    'sync_bn_forward_mean': "torch.nn.SyncBatchNorm (in a config norm_cfg type 'SyncBN')",
}


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
    scores = scores.to(_at_least_float32(scores.dtype))
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


def sigmoid_focal_loss_forward(input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float,
                               alpha: float) -> None:
    """Focal loss on sigmoids (Lin et al., ICCV 2017, Eq. 5): -α_t (1 - p_t)^γ log(p_t), one value a row and class.

    p_t is sigmoid(x) and α_t is α in the column of the row's class; they are 1 - sigmoid(x) and 1 - α in all others.

    Args:
        input: Logits (N, C). Half precision is computed in float32.
        target: int64 (N,), the class of each row, 0 to C - 1; C is background, which makes all of the row negative.
        weight: (C,), the factor of the rows of each class, background having 1; or empty, for 1 everywhere.
        output: (N, C), written in place: the losses.
        gamma: The focusing parameter γ >= 0.
        alpha: The weight α of the positives, 0 to 1.
    """
    sign, scale = _focal_sign_and_scale(input, target, weight, alpha)
    logits = sign * input
    output.copy_(-scale * torch.sigmoid(-logits)**gamma * logsigmoid(logits))


def sigmoid_focal_loss_backward(input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, gamma: float,
                                alpha: float) -> None:
    """The derivative of each value of ``sigmoid_focal_loss_forward`` with respect to its own logit.

    With z = ±x the logit of the right answer, p_t = sigmoid(z), it is
    ±α_t (1 - p_t)^γ (γ p_t log(p_t) - (1 - p_t)), + in the column of the row's class, - in the others.

    Args:
        input: Logits (N, C). Half precision is computed in float32.
        target: int64 (N,), see ``sigmoid_focal_loss_forward``.
        weight: (C,) or empty, see ``sigmoid_focal_loss_forward``.
        grad_input: (N, C), written in place: the derivatives.
        gamma: The focusing parameter γ >= 0.
        alpha: The weight α of the positives, 0 to 1.
    """
    sign, scale = _focal_sign_and_scale(input, target, weight, alpha)
    logits = sign * input
    wrong = torch.sigmoid(-logits)
    grad_input.copy_(sign * scale * wrong**gamma * (gamma * torch.sigmoid(logits) * logsigmoid(logits) - wrong))


def get_compiler_version() -> str:
    """What mmcv's environment report says of its C++ compiler: there is none."""
    return 'n/a'


def get_compiling_cuda_version() -> str:
    """What mmcv's environment report says of the CUDA that it was compiled with: there is none."""
    return 'n/a'


def install() -> None:
    """Put the stand-in ``mmcv._ext`` in place, where no ``mmcv._ext`` is.

    Raises:
        ModuleNotFoundError: Neither mmcv nor mmcv-lite is installed.
    """
    if importlib.util.find_spec('mmcv._ext') is not None:
        return
    ext = ModuleType('mmcv._ext', 'Stand-in for the compiled operators of mmcv, see bafenet.compat.operators.')
    # With no spec pkgutil.find_loader raises; without a loader mmengine knows that nothing is compiled.
    ext.__spec__ = ModuleSpec('mmcv._ext', loader=None)
    for function in (nms, softnms, sigmoid_focal_loss_forward, sigmoid_focal_loss_backward, get_compiler_version,
                     get_compiling_cuda_version):
        setattr(ext, function.__name__, function)
    vars(ext)['__getattr__'] = _missing_operator
    sys.modules['mmcv._ext'] = ext


def _missing_operator(name: str) -> Callable:
    """Answer for an operator that is not here: a function that raises when called, never at import."""
    # Python and its tools ask every module for private names; no operator has one.
    if name.startswith('_'):
        raise AttributeError(f"module 'mmcv._ext' has no attribute '{name}'")

    def operator(*args, **kwargs):
        instead = f', or use {_COUNTERPARTS[name]} instead' if name in _COUNTERPARTS else ''
        raise NotImplementedError(
            f"mmcv's compiled operator '{name}' is not available with mmcv-lite: uninstall mmcv-lite and install a "
            f'compiled mmcv>=2.0.0,<2.2.0 that matches your PyTorch {torch.__version__}{instead}')

    operator.__name__ = name
    return operator


def _at_least_float32(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


def _with_plain_sides(boxes: Tensor, offset: int) -> Tensor:
    """Boxes (N, 4) whose sides ``x2 - x1`` are those of ``boxes`` with ``offset``."""
    if offset == 0:
        return boxes.to(_at_least_float32(boxes.dtype))
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


def _focal_sign_and_scale(input: Tensor, target: Tensor, weight: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Sign of the logits (+1 in the column of the row's class, else -1) and factor α_t · weight, both (N, C)."""
    classes = torch.arange(input.size(1), device=input.device)
    positive = target[:, None] == classes
    sign = (2 * positive - 1).to(_at_least_float32(input.dtype))
    scale = torch.full_like(sign, 1 - alpha).masked_fill_(positive, alpha)
    if weight.numel():
        # Background, class C, has no entry of its own in a weight of C classes.
        scale = scale * torch.cat([weight, weight.new_ones(1)]).to(sign.dtype)[target][:, None]
    return sign, scale
