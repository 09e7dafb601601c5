"""Deformable convolution, versions 1 and 2 (Dai et al., ICCV 2017; Zhu et al., CVPR 2019), on torchvision.

Version 1 is version 2 without a mask. Offsets are (B, 2 · D · kh · kw, H', W') for D deformable groups, y before x of
each tap, taps in rows; torchvision's are laid out alike.
"""
import functools
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import deform_conv2d

from bafenet.errors import InputError

from .precision import gradients, in_own_precision, must_repeat, widened
from .sampling import corners_in_zeros, pixel_rows, weighted_rows


class _Geometry(NamedTuple):
    """How the kernel moves: pairs of height and width, and the numbers of groups."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    deform_groups: int


@in_own_precision
def deform_conv_forward(input: Tensor, weight: Tensor, offset: Tensor, output: Tensor, columns: Tensor, ones: Tensor,
                        kW: int, kH: int, dW: int, dH: int, padW: int, padH: int, dilationW: int, dilationH: int,
                        group: int, deformable_group: int, im2col_step: int) -> None:
    """Deformable convolution, version 1.

    Args:
        input: (B, C, H, W). Half precision is computed in float32.
        weight: (C', C / group, kH, kW).
        offset: (B, 2 · deformable_group · kH · kW, H', W') in pixels.
        output: (B, C', H', W'), written in place.
        columns: Not used here.
        ones: Not used.
        kW: Width of the kernel, ``weight``'s.
        kH: Height of the kernel, ``weight``'s.
        dW: Stride along x.
        dH: Stride along y.
        padW: Zeros at the left and at the right.
        padH: Zeros at the top and at the bottom.
        dilationW: Pixels between taps along x.
        dilationH: Pixels between taps along y.
        group: Groups of channels that do not mix.
        deformable_group: Groups of channels with offsets of their own.
        im2col_step: Not used: changes no value.
    """
    geometry = _Geometry((dH, dW), (padH, padW), (dilationH, dilationW), group, deformable_group)
    input, offset, weight = widened(input, offset, weight)
    output.copy_(_convolve(input, offset, weight, None, None, geometry))


@in_own_precision
def deform_conv_backward_input(input: Tensor, offset: Tensor, gradOutput: Tensor, gradInput: Tensor,
                               gradOffset: Tensor, weight: Tensor, columns: Tensor, kW: int, kH: int, dW: int, dH: int,
                               padW: int, padH: int, dilationW: int, dilationH: int, group: int,
                               deformable_group: int, im2col_step: int) -> None:
    """Gradients of ``deform_conv_forward`` with respect to ``input`` and ``offset``.

    Arguments beyond those of ``deform_conv_forward``: ``gradOutput`` (B, C', H', W'); ``gradInput`` and
    ``gradOffset``, as ``input`` and ``offset``, written in place; ``columns``, scratch of any size, keeps the weight's
    gradient for ``deform_conv_backward_parameters``.
    """
    geometry = _Geometry((dH, dW), (padH, padW), (dilationH, dilationW), group, deformable_group)
    grad_input, grad_offset, _, grad_weight, _ = _gradients(gradOutput, input, offset, None, weight, geometry)
    gradInput.copy_(grad_input)
    gradOffset.copy_(grad_offset)
    # torchvision computes all gradients at once, and mmcv hands this scratch on to the call that wants the weight's.
    columns.resize_(grad_weight.shape).copy_(grad_weight)


@in_own_precision
def deform_conv_backward_parameters(input: Tensor, offset: Tensor, gradOutput: Tensor, gradWeight: Tensor,
                                    columns: Tensor, ones: Tensor, kW: int, kH: int, dW: int, dH: int, padW: int,
                                    padH: int, dilationW: int, dilationH: int, group: int, deformable_group: int,
                                    scale: float, im2col_step: int) -> None:
    """Gradient of ``deform_conv_forward`` with respect to ``weight``.

    Arguments beyond those of ``deform_conv_backward_input``: ``gradWeight`` (C', C / group, kH, kW), to which the
    gradient is added; its factor ``scale``; ``columns``, where ``deform_conv_backward_input`` may have left the
    gradient, emptied here.
    """
    grad_weight = columns.clone()
    if columns.shape != gradWeight.shape:
        geometry = _Geometry((dH, dW), (padH, padW), (dilationH, dilationW), group, deformable_group)
        # The gradient of a convolution's weight does not depend on the weight.
        grad_weight = _gradients(gradOutput, input, offset, None, torch.zeros_like(gradWeight), geometry)[3]
    columns.resize_(0)
    gradWeight.add_(grad_weight.to(gradWeight.dtype), alpha=scale)


@in_own_precision
def modulated_deform_conv_forward(input: Tensor, weight: Tensor, bias: Tensor, ones: Tensor, offset: Tensor,
                                  mask: Tensor, output: Tensor, columns: Tensor, kernel_h: int, kernel_w: int,
                                  stride_h: int, stride_w: int, pad_h: int, pad_w: int, dilation_h: int,
                                  dilation_w: int, group: int, deformable_group: int, with_bias: bool) -> None:
    """Deformable convolution, version 2: a factor for each tap at each place.

    Args:
        input: (B, C, H, W). Half precision is computed in float32.
        weight: (C', C / group, kernel_h, kernel_w).
        bias: (C', ), or anything where there is none.
        ones: Not used.
        offset: (B, 2 · deformable_group · kernel_h · kernel_w, H', W') in pixels. Of a larger map the first numbers of
            each image are taken, whatever place they had, as mmcv does: DyHead gives a coarser level the finer's.
        mask: (B, deformable_group · kernel_h · kernel_w, H', W'), the factors; the same holds.
        output: (B, C', H', W'), written in place.
        columns: Not used.
        kernel_h: Height of the kernel, ``weight``'s.
        kernel_w: Width of the kernel, ``weight``'s.
        stride_h: Stride along y.
        stride_w: Stride along x.
        pad_h: Zeros at the top and at the bottom.
        pad_w: Zeros at the left and at the right.
        dilation_h: Pixels between taps along y.
        dilation_w: Pixels between taps along x.
        group: Groups of channels that do not mix.
        deformable_group: Groups of channels with offsets and factors of their own.
        with_bias: Whether there is a bias.

    Raises:
        InputError: If offset or mask have fewer numbers than the output needs.
    """
    geometry = _Geometry((stride_h, stride_w), (pad_h, pad_w), (dilation_h, dilation_w), group, deformable_group)
    input, offset, weight, mask, bias = widened(input, offset, weight, mask, bias)
    offset, mask = (_first_of_each_image(each, output.shape[2:]) for each in (offset, mask))
    output.copy_(_convolve(input, offset, weight, mask, bias if with_bias else None, geometry).view_as(output))


@in_own_precision
def modulated_deform_conv_backward(input: Tensor, weight: Tensor, bias: Tensor, ones: Tensor, offset: Tensor,
                                   mask: Tensor, columns: Tensor, grad_input: Tensor, grad_weight: Tensor,
                                   grad_bias: Tensor, grad_offset: Tensor, grad_mask: Tensor, grad_output: Tensor,
                                   kernel_h: int, kernel_w: int, stride_h: int, stride_w: int, pad_h: int, pad_w: int,
                                   dilation_h: int, dilation_w: int, group: int, deformable_group: int,
                                   with_bias: bool) -> None:
    """Gradients of ``modulated_deform_conv_forward``.

    Arguments are those of ``modulated_deform_conv_forward``; ``grad_output`` is (B, C', H', W'), and the other
    ``grad_…`` have the shapes of what they are the gradients of and are written in place.
    """
    geometry = _Geometry((stride_h, stride_w), (pad_h, pad_w), (dilation_h, dilation_w), group, deformable_group)
    offset, mask = (_first_of_each_image(each, grad_output.shape[2:]) for each in (offset, mask))
    computed = _gradients(grad_output, input, offset, mask, weight, geometry)
    given = (grad_input, grad_offset, grad_mask, grad_weight, grad_bias)
    for target, gradient in zip(given if with_bias else given[:4], computed, strict=False):
        if gradient.shape != target.shape:
            # Those of a larger map: the numbers that were not taken get none.
            rest = target[:1].numel() - gradient[:1].numel()
            gradient = F.pad(gradient.flatten(1), (0, rest)).view(target.shape)
        target.copy_(gradient)


def _first_of_each_image(values: Tensor, out: Sequence[int]) -> Tensor:
    """The first numbers of each image (B, K, …) as maps (B, K, H', W')."""
    if tuple(values.shape[2:]) == tuple(out):
        return values
    number = values.size(1) * out[0] * out[1]
    if values[:1].numel() < number:
        raise InputError(f'a deformable convolution whose output is {out[0]}×{out[1]} got offsets or masks of '
                         f'{values.size(2)}×{values.size(3)}: give them the size of the output')
    return values.reshape(len(values), -1)[:, :number].unflatten(1, (values.size(1), *out))


def _convolve(input: Tensor, offset: Tensor, weight: Tensor, mask: Tensor | None, bias: Tensor | None,
              geometry: _Geometry) -> Tensor:
    return deform_conv2d(input, offset, weight, bias, geometry.stride, geometry.padding, geometry.dilation, mask)


def _gradients(grad_output: Tensor, input: Tensor, offset: Tensor, mask: Tensor | None, weight: Tensor,
               geometry: _Geometry) -> tuple[Tensor, ...]:
    """Gradients of input, offset, mask, weight and bias, in float32 at least."""
    grad_output, input, offset, weight = widened(grad_output, input, offset, weight)
    if must_repeat(input):
        factors = torch.ones_like(offset[:, ::2]) if mask is None else mask.to(input.dtype)
        computed = gradients(functools.partial(_convolve_in_order, geometry), (input, offset, factors, weight),
                             grad_output)
        return *computed, grad_output.sum((0, 2, 3))
    factors = input.new_zeros(input.size(0), 0) if mask is None else mask.to(input.dtype)
    grad_input, grad_weight, grad_offset, grad_mask, grad_bias = torch.ops.torchvision._deform_conv2d_backward(
        grad_output.contiguous(), input, weight, offset, factors, weight.new_zeros(weight.size(0)), *geometry.stride,
        *geometry.padding, *geometry.dilation, geometry.groups, geometry.deform_groups, mask is not None)
    beyond = _beyond_the_frame(*_places(offset, weight, geometry), input)
    taps = grad_offset.view(*beyond.shape[:3], 2, *beyond.shape[3:]).masked_fill(beyond[:, :, :, None], 0)
    return grad_input, taps.view_as(grad_offset), grad_mask, grad_weight, grad_bias


def _convolve_in_order(geometry: _Geometry, input: Tensor, offset: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """The same convolution, whose gradients PyTorch adds up in the same order each time."""
    (batch, channels, height, width), groups = input.shape, geometry.deform_groups
    y, x = _places(offset, weight, geometry)
    index, weights = corners_in_zeros(y, x, height, width)
    image = torch.arange(batch * groups, device=input.device).view(batch, groups, 1, 1, 1, 1)
    table = pixel_rows(input.reshape(batch * groups, channels // groups, height, width))
    samples = weighted_rows(table, index + image * height * width, weights * mask.reshape(y.shape)[..., None])
    # (B, D, taps, H', W', C / D): channels in their order, then taps, then places.
    columns = samples.movedim(-1, 2).reshape(batch, geometry.groups, -1, y[0, 0, 0].numel())
    kernels = weight.reshape(geometry.groups, weight.size(0) // geometry.groups, -1)
    return (kernels @ columns).reshape(batch, weight.size(0), *y.shape[3:])


def _places(offset: Tensor, weight: Tensor, geometry: _Geometry) -> tuple[Tensor, Tensor]:
    """Rows and columns, y and x, where the taps look, (B, D, taps, H', W')."""
    (kernel_h, kernel_w), (out_h, out_w) = weight.shape[2:], offset.shape[2:]
    moves = offset.reshape(len(offset), geometry.deform_groups, kernel_h * kernel_w, 2, out_h, out_w)
    tap = torch.arange(kernel_h * kernel_w, device=offset.device)[:, None, None]
    row = torch.arange(out_h, device=offset.device)[:, None] * geometry.stride[0] - geometry.padding[0]
    column = torch.arange(out_w, device=offset.device) * geometry.stride[1] - geometry.padding[1]
    return (row + tap // kernel_w * geometry.dilation[0] + moves[:, :, :, 0],
            column + tap % kernel_w * geometry.dilation[1] + moves[:, :, :, 1])


def _beyond_the_frame(y: Tensor, x: Tensor, input: Tensor) -> Tensor:
    """Which places lie on or beyond the zeros around the frame, bool, of their shape.

    mmcv gives these no gradient. torchvision gives those on the zeros' centres, which is where all taps of a fresh
    network's padding lie, the slope towards the frame.
    """
    height, width = input.shape[2:]
    return (y <= -1) | (x <= -1) | (y >= height) | (x >= width)
