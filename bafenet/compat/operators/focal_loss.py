"""Focal loss (Lin et al., ICCV 2017) on sigmoids and on a softmax, and its derivatives."""
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from .precision import at_least_float32, in_own_precision, widened


@in_own_precision
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


@in_own_precision
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


@in_own_precision
def softmax_focal_loss_forward(softmax: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float,
                               alpha: float) -> None:
    """Focal loss on a softmax: -α (1 - p)^γ log(p) for the probability p of the row's class, one value a row.

    Args:
        softmax: Probabilities (N, C). Half precision is computed in float32.
        target: int64 (N,), the class of each row, 0 to C - 1; a row of a negative one has no loss.
        weight: (C,), the factor of the rows of each class; or empty, for 1 everywhere.
        output: (N,), written in place: the losses.
        gamma: The focusing parameter γ >= 0.
        alpha: The weight α of all rows.
    """
    probability, scale = _own_probability_and_scale(softmax, target, weight, alpha)
    output.copy_(-scale * (1 - probability)**gamma * _log(probability))


@in_own_precision
def softmax_focal_loss_backward(softmax: Tensor, target: Tensor, weight: Tensor, buff: Tensor, grad_input: Tensor,
                                gamma: float, alpha: float) -> None:
    """The derivatives of each row's ``softmax_focal_loss_forward`` with respect to the logits of the row.

    With p the probability of the row's class they are α (γ (1 - p)^(γ - 1) p log(p) - (1 - p)^γ) (δ - softmax), δ being
    1 in the column of the row's class and 0 in the others.

    Args:
        softmax: Probabilities (N, C). Half precision is computed in float32.
        target: int64 (N,), see ``softmax_focal_loss_forward``.
        weight: (C,) or empty, see ``softmax_focal_loss_forward``.
        buff: (N,), written in place: the factor of each row.
        grad_input: (N, C), written in place: the derivatives.
        gamma: The focusing parameter γ >= 0.
        alpha: The weight α of all rows.
    """
    probability, scale = _own_probability_and_scale(softmax, target, weight, alpha)
    wrong = 1 - probability
    # At p = 1 the power may be infinite and the logarithm is 0; the product goes to 0 for γ > 0.
    pull = torch.where(wrong > 0, gamma * wrong**(gamma - 1) * probability * _log(probability), 0)
    factor = scale * (pull - wrong**gamma)
    buff.copy_(factor)
    own = (target[:, None] == torch.arange(softmax.size(1), device=softmax.device)).to(factor.dtype)
    grad_input.copy_(factor[:, None] * (own - softmax))


def _focal_sign_and_scale(input: Tensor, target: Tensor, weight: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Sign of the logits (+1 in the column of the row's class, else -1) and factor α_t · weight, both (N, C)."""
    classes = torch.arange(input.size(1), device=input.device)
    positive = target[:, None] == classes
    sign = (2 * positive - 1).to(at_least_float32(input.dtype))
    scale = torch.full_like(sign, 1 - alpha).masked_fill_(positive, alpha)
    if weight.numel():
        # Background, class C, has no entry of its own in a weight of C classes.
        scale = scale * torch.cat([weight, weight.new_ones(1)]).to(sign.dtype)[target][:, None]
    return sign, scale


def _own_probability_and_scale(softmax: Tensor, target: Tensor, weight: Tensor,
                               alpha: float) -> tuple[Tensor, Tensor]:
    """Probability of each row's class, and factor α · weight, 0 where there is no class, both (N,)."""
    softmax, = widened(softmax)
    known = target >= 0
    label = torch.where(known, target, 0)
    scale = known.to(softmax.dtype) * alpha
    if weight.numel():
        scale = scale * weight.to(softmax.dtype)[label]
    return softmax.gather(1, label[:, None])[:, 0], scale


def _log(probability: Tensor) -> Tensor:
    """The logarithm, finite at 0."""
    return probability.clamp(min=torch.finfo(torch.float32).tiny).log()
