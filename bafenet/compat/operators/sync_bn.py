"""Parts of batch normalization over several processes; mmcv exchanges the sums between them itself.

Features are (B, C, P), P pixels; means and all else of a channel are float32 (C, ).
"""
from torch import Tensor


def sync_bn_forward_mean(input: Tensor, mean: Tensor) -> None:
    """Write the mean of each channel of ``input`` (B, C, P) into ``mean`` (C, )."""
    mean.copy_(input.to(mean.dtype).mean((0, 2)))


def sync_bn_forward_var(input: Tensor, mean: Tensor, var: Tensor) -> None:
    """Write the mean square of each channel's difference to ``mean`` (C, ) into ``var`` (C, )."""
    var.copy_((input.to(var.dtype) - mean[:, None]).square().mean((0, 2)))


def sync_bn_forward_output(input: Tensor, mean: Tensor, var: Tensor, weight: Tensor, bias: Tensor,
                           running_mean: Tensor, running_var: Tensor, norm: Tensor, std: Tensor, output: Tensor,
                           eps: float, momentum: float, group_size: int) -> None:
    """Normalize, and move the running statistics.

    Args:
        input: (B, C, P).
        mean: (C, ), of all processes.
        var: (C, ), of all processes.
        weight: (C, ) or empty.
        bias: (C, ) or empty.
        running_mean: (C, ) or empty, moved in place by the share ``momentum``.
        running_var: (C, ) or empty, moved in place towards the unbiased variance.
        norm: float32 (B, C, P), written in place: the normalized values.
        std: (C, ), written in place: √(var + eps).
        output: (B, C, P), written in place: weight · norm + bias.
        eps: Added to the variance.
        momentum: Share of this batch in the running statistics.
        group_size: Number of processes.
    """
    std.copy_((var + eps).sqrt())
    norm.copy_((input.to(norm.dtype) - mean[:, None]) / std[:, None])
    output.copy_(norm * weight[:, None] + bias[:, None] if weight.numel() else norm)
    if running_mean.numel():
        count = input.size(0) * input.size(2) * group_size
        unbiased = var * count / (count - 1) if count > 1 else var
        running_mean.copy_(momentum * mean + (1 - momentum) * running_mean)
        running_var.copy_(momentum * unbiased + (1 - momentum) * running_var)


def sync_bn_backward_param(grad_output: Tensor, norm: Tensor, grad_weight: Tensor, grad_bias: Tensor) -> None:
    """Gradients of weight and bias.

    Args:
        grad_output: (B, C, P).
        norm: float32 (B, C, P), as ``sync_bn_forward_output`` wrote it.
        grad_weight: (C, ), written in place.
        grad_bias: (C, ), written in place.
    """
    wide = grad_output.to(norm.dtype)
    grad_weight.copy_((wide * norm).sum((0, 2)))
    grad_bias.copy_(wide.sum((0, 2)))


def sync_bn_backward_data(grad_output: Tensor, weight: Tensor, grad_weight: Tensor, grad_bias: Tensor, norm: Tensor,
                          std: Tensor, grad_input: Tensor) -> None:
    """Gradient of the features.

    Args:
        grad_output: (B, C, P).
        weight: (C, ).
        grad_weight: (C, ), the mean over the processes.
        grad_bias: (C, ), the mean over the processes.
        norm: float32 (B, C, P), as ``sync_bn_forward_output`` wrote it.
        std: (C, ), as it wrote it.
        grad_input: (B, C, P), written in place.
    """
    number = grad_output.size(0) * grad_output.size(2)
    common = (grad_weight[:, None] * norm + grad_bias[:, None]) / number
    grad_input.copy_(weight[:, None] * (grad_output.to(norm.dtype) - common) / std[:, None])
