"""Convolution at masked places alone, and CARAFE, upsampling by kernels of its own (Wang et al., ICCV 2019)."""
import torch
import torch.nn.functional as F
from torch import Tensor

from .precision import gradients, in_own_precision, widened


def masked_im2col_forward(im: Tensor, mask_h_idx: Tensor, mask_w_idx: Tensor, col: Tensor, kernel_h: int,
                          kernel_w: int, pad_h: int, pad_w: int) -> None:
    """What a convolution of stride 1 sees at some places.

    Args:
        im: (1, C, H, W).
        mask_h_idx: int64 (M, ), rows of the places in the convolution's output.
        mask_w_idx: int64 (M, ), columns.
        col: (C · kernel_h · kernel_w, M), written in place.
        kernel_h: Height of the kernel.
        kernel_w: Width of the kernel.
        pad_h: Zeros at the top and at the bottom.
        pad_w: Zeros at the left and at the right.
    """
    # As many behind as keep every place of the mask within, whatever the kernel.
    padded = F.pad(im[0], (pad_w, pad_w + kernel_w, pad_h, pad_h + kernel_h))
    rows = mask_h_idx + torch.arange(kernel_h, device=im.device)[:, None, None]
    columns = mask_w_idx + torch.arange(kernel_w, device=im.device)[:, None]
    col.copy_(padded[:, rows, columns].reshape(col.shape))


def masked_col2im_forward(col: Tensor, mask_h_idx: Tensor, mask_w_idx: Tensor, im: Tensor, height: int, width: int,
                          channels: int) -> None:
    """Put values at some places of a map.

    Args:
        col: (channels, M).
        mask_h_idx: int64 (M, ), rows of the places.
        mask_w_idx: int64 (M, ), columns.
        im: (1, channels, height, width), written in place there.
        height: Of the map.
        width: Of the map.
        channels: Of the map.
    """
    im[0, :, mask_h_idx, mask_w_idx] = col.to(im.dtype)


@in_own_precision
def carafe_forward(features: Tensor, masks: Tensor, rfeatures: Tensor, routput: Tensor, rmasks: Tensor,
                   output: Tensor, kernel_size: int, group_size: int, scale_factor: int) -> None:
    """Upsampling whose kernel is another one at each place.

    Args:
        features: (B, C, H, W). Half precision is computed in float32.
        masks: (B, group_size · kernel_size², H · scale_factor, W · scale_factor), the kernels of groups of channels.
        rfeatures: As ``features``, written in place: what ``carafe_backward`` gets.
        routput: Not used.
        rmasks: Not used.
        output: (B, C, H · scale_factor, W · scale_factor), written in place.
        kernel_size: Odd side of the kernel in pixels of ``features``; beyond these are zeros.
        group_size: Number of groups of channels.
        scale_factor: The factor of both sides.
    """
    rfeatures.copy_(features)
    wide, kernels = widened(features, masks)
    output.copy_(_reassemble(wide, kernels, kernel_size, group_size, scale_factor))


@in_own_precision
def carafe_backward(top_grad: Tensor, rfeatures: Tensor, masks: Tensor, rtop_grad: Tensor, rbottom_grad_hs: Tensor,
                    rbottom_grad: Tensor, rmask_grad: Tensor, bottom_grad: Tensor, mask_grad: Tensor,
                    kernel_size: int, group_size: int, scale_factor: int) -> None:
    """Gradients of ``carafe_forward``.

    Arguments are those of ``carafe_forward``; ``top_grad`` is as its ``output``, ``bottom_grad`` and ``mask_grad``
    are as ``features`` and ``masks`` and are written in place. Not used: ``rtop_grad``, ``rbottom_grad_hs``,
    ``rbottom_grad``, ``rmask_grad``.
    """
    carafe_naive_backward(top_grad, rfeatures, masks, bottom_grad, mask_grad, kernel_size, group_size, scale_factor)


@in_own_precision
def carafe_naive_forward(features: Tensor, masks: Tensor, output: Tensor, kernel_size: int, group_size: int,
                         scale_factor: int) -> None:
    """The same as ``carafe_forward``, whose arguments it takes but for those that are scratch."""
    wide, kernels = widened(features, masks)
    output.copy_(_reassemble(wide, kernels, kernel_size, group_size, scale_factor))


@in_own_precision
def carafe_naive_backward(top_grad: Tensor, features: Tensor, masks: Tensor, bottom_grad: Tensor, mask_grad: Tensor,
                          kernel_size: int, group_size: int, scale_factor: int) -> None:
    """The same as ``carafe_backward``, whose arguments it takes but for those that are scratch."""
    computed = gradients(lambda wide, kernels: _reassemble(wide, kernels, kernel_size, group_size, scale_factor),
                         widened(features, masks), top_grad)
    bottom_grad.copy_(computed[0])
    mask_grad.copy_(computed[1])


def _reassemble(features: Tensor, masks: Tensor, kernel: int, groups: int, factor: int) -> Tensor:
    """Sums over the taps (B, C, H · factor, W · factor), a tap at a time: all at once need kernel² times the memory."""
    batch, channels, height, width = features.shape
    around = F.pad(features, (kernel // 2, ) * 4).unflatten(1, (groups, channels // groups))
    kernels = masks.reshape(batch, groups, 1, kernel**2, height, factor, width, factor)
    output = features.new_zeros(batch, groups, channels // groups, height, factor, width, factor)
    for tap in range(kernel**2):
        row, column = divmod(tap, kernel)
        pixels = around[..., row:row + height, column:column + width]
        output = output + pixels[..., None, :, None] * kernels[:, :, :, tap]
    return output.reshape(batch, channels, height * factor, width * factor)
