"""Multi-scale deformable attention (Zhu et al., ICLR 2021): a weighted sum of a few points of each feature level."""
import torch
from torch import Tensor

from .precision import gradients, in_own_precision, widened
from .sampling import corners_in_zeros, weighted_rows


@in_own_precision
def ms_deform_attn_forward(value: Tensor, value_spatial_shapes: Tensor, value_level_start_index: Tensor,
                           sampling_locations: Tensor, attention_weights: Tensor, im2col_step: int) -> Tensor:
    """Sums of bilinear samples of all levels, weighted by attention.

    Args:
        value: (B, S, M, D), the pixels of all levels, level after level, for M heads. Half precision is computed in
            float32.
        value_spatial_shapes: int64 (L, 2), height and width of the levels.
        value_level_start_index: int64 (L, ), where the levels begin among the S pixels.
        sampling_locations: (B, Q, M, L, P, 2), x and y of the points of Q queries, 0 and 1 being the outer edges of
            the frame. Beyond it are zeros.
        attention_weights: (B, Q, M, L, P).
        im2col_step: Not used: changes no value.

    Returns:
        (B, Q, M · D), of ``value``'s type.
    """
    wide, locations, attention = widened(value, sampling_locations, attention_weights)
    return _attend(wide, locations, attention, value_spatial_shapes, value_level_start_index).to(value.dtype)


@in_own_precision
def ms_deform_attn_backward(value: Tensor, value_spatial_shapes: Tensor, value_level_start_index: Tensor,
                            sampling_locations: Tensor, attention_weights: Tensor, grad_output: Tensor,
                            grad_value: Tensor, grad_sampling_loc: Tensor, grad_attn_weight: Tensor,
                            im2col_step: int) -> None:
    """Gradients of ``ms_deform_attn_forward``.

    Arguments beyond those of ``ms_deform_attn_forward``: ``grad_output`` (B, Q, M · D); ``grad_value``,
    ``grad_sampling_loc`` and ``grad_attn_weight``, as ``value``, ``sampling_locations`` and ``attention_weights``,
    written in place.
    """
    levels = (value_spatial_shapes, value_level_start_index)
    computed = gradients(lambda wide, locations, attention: _attend(wide, locations, attention, *levels),
                         widened(value, sampling_locations, attention_weights), grad_output)
    for target, gradient in zip((grad_value, grad_sampling_loc, grad_attn_weight), computed, strict=True):
        target.copy_(gradient)


def _attend(value: Tensor, locations: Tensor, attention: Tensor, shapes: Tensor, starts: Tensor) -> Tensor:
    batch, pixels, heads, channels = value.shape
    # Both over the levels of (B, Q, M, L, P).
    heights, widths = shapes[:, 0, None], shapes[:, 1, None]
    x, y = locations.unbind(-1)
    index, weights = corners_in_zeros(y * heights - 0.5, x * widths - 0.5, heights, widths)
    first = torch.arange(batch, device=value.device)[:, None, None, None, None] * pixels + starts[:, None]
    head = torch.arange(heads, device=value.device)[:, None, None, None]
    rows = (index + first[..., None]) * heads + head
    output = weighted_rows(value.reshape(-1, channels), rows.flatten(3), (weights * attention[..., None]).flatten(3))
    return output.flatten(2)
