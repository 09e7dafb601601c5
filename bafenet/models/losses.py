"""Box losses that mmdet lacks: the normalised Wasserstein distance (NWD)."""

import torch
from mmdet.models.losses.utils import weighted_loss
from mmdet.registry import MODELS
from torch import Tensor, nn

from bafenet.arguments import require_choice, require_number


@MODELS.register_module()
class NormalisedWassersteinLoss(nn.Module):
    """Box loss 1 − exp(−W / C) of two boxes seen as Gaussians (NWD, Wang et al., 2021).

    A box with centre c and size (w, h) is N(c, diag(w² / 4, h² / 4)); W, the 2-Wasserstein distance of two of them, is
    ``sqrt(|c1 − c2|² + ((w1 − w2)² + (h1 − h2)²) / 4)``, in pixels. Unlike the IoU it does not weigh an error by the
    size of the target, and boxes that are apart have a gradient too.

    Args:
        constant: C in pixels of the network's input; the paper takes the mean size of the data set's targets, which is
            3.7 px (√area) in DenseSIRST at its own resolution.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``.
        loss_weight: Factor.

    Raises:
        InputError: If ``constant`` is not above 0, or another value is not one of these.
    """

    def __init__(self, constant: float = 3.7, reduction: str = 'mean', loss_weight: float = 1.0) -> None:
        super().__init__()
        require_number('NormalisedWassersteinLoss: constant', constant, 0, above=True, unit='pixels')
        require_number('NormalisedWassersteinLoss: loss_weight', loss_weight, 0)
        require_choice('NormalisedWassersteinLoss', ('none', 'mean', 'sum'), reduction=reduction)
        self.constant = constant
        self.reduction = reduction
        self.loss_weight = loss_weight

    def forward(self,
                pred: Tensor,
                target: Tensor,
                weight: Tensor | None = None,
                avg_factor: float | None = None,
                reduction_override: str | None = None) -> Tensor:
        """Loss of predicted boxes (n, 4) against true ones (n, 4), both (x1, y1, x2, y2).

        Args:
            pred: Predicted boxes.
            target: True boxes.
            weight: (n, ), or (n, 4), whose mean over the sides counts.
            avg_factor: The mean's divisor, instead of n.
            reduction_override: Instead of ``reduction``.

        Returns:
            The loss, (n, ) under ``'none'``, else a number.
        """
        if weight is not None and weight.dim() > 1:
            weight = weight.mean(dim=1)
        return self.loss_weight * normalised_wasserstein_loss(
            pred,
            target,
            weight=weight,
            reduction=reduction_override or self.reduction,
            avg_factor=avg_factor,
            constant=self.constant)


@weighted_loss
def normalised_wasserstein_loss(pred: Tensor, target: Tensor, constant: float) -> Tensor:
    """Loss (n, ) in [0, 1); see :class:`NormalisedWassersteinLoss`."""
    errors = pred - target
    centres, half_sizes = (errors[:, :2] + errors[:, 2:]) / 2, (errors[:, 2:] - errors[:, :2]) / 2
    # The gradient of the norm is 0 where its argument is, that of a square root would not be finite.
    return -torch.expm1(-torch.linalg.vector_norm(torch.cat((centres, half_sizes), dim=1), dim=1) / constant)
