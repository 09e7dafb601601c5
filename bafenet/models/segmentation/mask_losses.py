"""Losses of predicted target masks: Soft-IoU (SIRST-5K, Eq. 8) and the loss of sets of negatives (Eq. 9)."""
from collections.abc import Sequence

import torch
from mmdet.registry import MODELS
from mmdet.utils import ConfigType
from torch import Tensor, nn

from bafenet.arguments import is_number, require_choice, require_number, require_part, shown
from bafenet.devkit.layout import IGNORED
from bafenet.errors import InputError

REDUCTIONS, SET_REDUCTIONS = ('batch', 'mean', 'none'), ('mean', 'descent')


@MODELS.register_module()
class SoftIoULoss(nn.Module):
    """1 − (|σ(x) ∩ y| + s) / (|σ(x) ∪ y| + s) of logits x and a mask y (SIRST-5K, Eq. 8; s is its release's).

    The intersection is the sum of σ(x)·y, the union the sum of σ(x) + y − σ(x)·y.

    Args:
        smooth: s, in pixels; a frame without targets then has a gradient too.
        reduction: ``'batch'`` sums both over all frames first, as the release does, so that a frame counts by its
            target pixels; ``'mean'`` is the mean of the frames' losses; ``'none'`` gives these.
        loss_weight: Factor.

    Raises:
        InputError: If an argument is not one of these.
    """

    def __init__(self, smooth: float = 1.0, reduction: str = 'batch', loss_weight: float = 1.0) -> None:
        super().__init__()
        require_number('SoftIoULoss: smooth', smooth, 0, above=True, unit='pixels')
        require_choice('SoftIoULoss', REDUCTIONS, reduction=reduction)
        require_number('SoftIoULoss: loss_weight', loss_weight, 0)
        self.smooth, self.reduction, self.loss_weight = smooth, reduction, loss_weight

    def forward(self, logits: Tensor, masks: Tensor, reduction_override: str | None = None) -> Tensor:
        """Loss of predicted masks.

        Args:
            logits: (N, 1, H, W).
            masks: True masks (N, 1, H, W): 0 background, 1 target, 255 ignored.
            reduction_override: Instead of ``reduction``.

        Returns:
            float32, (N, ) under ``'none'``, else a number.
        """
        reduction = reduction_override or self.reduction
        # Thousands of pixels are summed: float32 whatever the network computes in.
        found = logits.float().sigmoid() * (masks != IGNORED)
        true = (masks == 1).float()
        pixels = tuple(range(0 if reduction == 'batch' else 1, logits.dim()))
        both = (found * true).sum(pixels)
        either = found.sum(pixels) + true.sum(pixels) - both
        loss = 1 - (both + self.smooth) / (either + self.smooth)
        return self.loss_weight * (loss.mean() if reduction == 'mean' else loss)


@MODELS.register_module()
class NegativeSetLoss(nn.Module):
    """Loss of sets of negatives, the same frame with its target at several angles (SIRST-5K, Eq. 9 and Algorithm 2).

    L_0 … L_4 are the losses of a set's frames, of which the first is not rotated. Eq. 9 is their sum, here their mean,
    so that its scale is a frame's. Algorithm 2 says another thing: its loss is the last L_i that is below L_(i − 1),
    and L_0 where there is none. The mean over the sets of a batch is taken.

    Args:
        loss_frame: Config of the loss of a frame, which gives one number a frame by ``reduction_override='none'``, such
            as :class:`SoftIoULoss`.
        weights: Weights of the terms by their place in the set, for ``'mean'``; None for equal ones.
        reduction: ``'mean'``, of Eq. 9, or ``'descent'``, of Algorithm 2.
        loss_weight: Factor.

    Raises:
        InputError: If an argument is not one of these.
    """

    def __init__(self,
                 loss_frame: ConfigType = dict(type='SoftIoULoss'),
                 weights: Sequence[float] | None = None,
                 reduction: str = 'mean',
                 loss_weight: float = 1.0) -> None:
        super().__init__()
        require_part('NegativeSetLoss', loss_frame=loss_frame)
        require_choice('NegativeSetLoss', SET_REDUCTIONS, reduction=reduction)
        require_number('NegativeSetLoss: loss_weight', loss_weight, 0)
        if weights is not None and (reduction == 'descent' or not _are_weights(weights)):
            raise InputError(f'NegativeSetLoss: weights={shown(weights)} must be None, or numbers of at least 0, the '
                             "first above 0, for reduction='mean'")
        self.loss_frame = MODELS.build(loss_frame)
        self.weights, self.reduction, self.loss_weight = weights, reduction, loss_weight

    def forward(self, logits: Tensor, masks: Tensor, sets: Tensor) -> Tensor:
        """Loss of a batch of sets.

        Args:
            logits: (N, 1, H, W).
            masks: True masks (N, 1, H, W): 0 background, 1 target, 255 ignored.
            sets: int64 (N, ), the number of each frame's set, from 0 without gaps; a set's frames are in the order of
                their terms, the one that is not rotated first.

        Returns:
            A number.

        Raises:
            InputError: If a set has more frames than there are ``weights``.
        """
        order = torch.argsort(sets, stable=True)
        losses, sets = self.loss_frame(logits, masks, reduction_override='none')[order], sets[order]
        sizes = torch.bincount(sets)
        indices = torch.arange(len(sets), device=sets.device)
        places = indices - (sizes.cumsum(0) - sizes)[sets]
        if self.reduction == 'descent':
            picked = (places == 0) | (losses < losses.roll(1))
            last = torch.zeros_like(sizes).scatter_reduce(0, sets, indices * picked, 'amax')
            return self.loss_weight * losses[last].mean()
        weights = torch.ones_like(losses) if self.weights is None else self._weights_at(places)
        sums, totals = (torch.zeros_like(sizes, dtype=losses.dtype).index_add(0, sets, value)
                        for value in (weights * losses, weights))
        return self.loss_weight * (sums / totals).mean()

    def _weights_at(self, places: Tensor) -> Tensor:
        assert self.weights is not None
        if int(places.max()) >= len(self.weights):
            raise InputError(f'NegativeSetLoss: a set has {int(places.max()) + 1} frames and there are '
                             f'{len(self.weights)} weights; give one for each term, or None')
        return torch.tensor(self.weights, device=places.device, dtype=torch.float32)[places]


def _are_weights(values: object) -> bool:
    return (isinstance(values, (list, tuple)) and len(values) > 0
            and all(is_number(value) and value >= 0 for value in values) and values[0] > 0)
