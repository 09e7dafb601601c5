"""Masks of targets on samples: true ones and their losses, and predicted ones."""
from collections.abc import Sequence
from typing import Any

import torch
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmdet.utils import ConfigType
from mmengine.structures import PixelData
from torch import Tensor, nn
from torch.nn import functional as F

from bafenet.arguments import require_part
from bafenet.devkit.layout import IGNORED
from bafenet.errors import InputError, printable

from .mask_losses import NegativeSetLoss


def build_losses(owner: str, loss_mask: ConfigType | Sequence[ConfigType]) -> nn.ModuleList:
    """The losses of a config, or of a list of configs, each of logits and true masks, both (N, 1, H, W).

    Raises:
        InputError: If one is no config of a part; ``owner`` is who wants it, for the message.
    """
    losses = list(loss_mask) if isinstance(loss_mask, (list, tuple)) else [loss_mask]
    for loss in losses:
        require_part(owner, loss_mask=loss)
    return nn.ModuleList(MODELS.build(loss) for loss in losses)


def true_masks(owner: str, samples: SampleList, size: Sequence[int] | None = None) -> Tensor:
    """The true masks of a batch.

    Args:
        owner: Who learns from them, for the message.
        samples: Samples with ``gt_target_mask.sem_seg``, uint8 (1, h, w): 0 background, 1 target, 255 ignored.
        size: Height and width of the batch, to which smaller masks are padded at the bottom and the right with 255;
            None where they are all of one size.

    Returns:
        uint8 (N, 1, H, W).

    Raises:
        InputError: If a sample has no mask.
    """
    masks = []
    for sample in samples:
        if 'gt_target_mask' not in sample:
            raise InputError(f'{printable(sample.metainfo.get("img_path", "a sample"))}: {owner} learns from masks of '
                             'targets, and this sample has none: put LoadTargetMask into the training pipeline')
        mask = sample.gt_target_mask.sem_seg
        bottom, right = (0, 0) if size is None else (max(all_of - own, 0) for all_of, own in zip(
            size, mask.shape[-2:], strict=True))
        masks.append(F.pad(mask, (0, right, 0, bottom), value=IGNORED))
    return torch.stack(masks)


def loss_values(losses: nn.ModuleList, outputs: Sequence[Tensor], masks: Tensor, samples: SampleList,
                weights: Sequence[float] = (1.0, )) -> dict[str, Tensor]:
    """Losses of a batch.

    Args:
        losses: See :func:`build_losses`.
        outputs: Logits of each output, (N, 1, H, W).
        masks: True masks (N, 1, H, W): 0 background, 1 target, 255 ignored.
        samples: The samples, of which :class:`NegativeSetLoss` reads ``set_id``.
        weights: Weight of each output.

    Returns:
        ``loss_mask``, summed over the outputs; of several losses each by its number, ``loss_mask_1`` and so on.

    Raises:
        InputError: If a sample has no ``set_id`` in its meta data, where a loss needs it.
    """
    result = {}
    for number, loss in enumerate(losses, 1):
        more = (_sets(samples, masks.device), ) if isinstance(loss, NegativeSetLoss) else ()
        terms = [weight * loss(output, masks, *more) for weight, output in zip(weights, outputs, strict=True) if weight]
        result['loss_mask' if len(losses) == 1 else f'loss_mask_{number}'] = torch.stack(terms).sum()
    return result


def _sets(samples: SampleList, device: torch.device) -> Tensor:
    """The number of each sample's set, int64 (N, ), in the order in which sets first come."""
    numbers: dict[Any, int] = {}
    for sample in samples:
        if 'set_id' not in sample.metainfo:
            raise InputError(f'{printable(sample.metainfo.get("img_path", "a sample"))}: NegativeSetLoss needs sets of '
                             'negatives: put NegativeAugmentation into the training pipeline and set '
                             'train_dataloader.sampler.type=NegativeSetSampler, or take SoftIoULoss')
        numbers.setdefault(str(sample.set_id), len(numbers))
    return torch.tensor([numbers[str(sample.set_id)] for sample in samples], device=device)


def predicted_mask(logits: Tensor) -> PixelData:
    """The mask of logits, float (1, H, W): ``sem_seg``, uint8, 1 where they are above 0, and ``prob``, in [0, 1]."""
    return PixelData(sem_seg=(logits > 0).to(torch.uint8), prob=logits.sigmoid())
