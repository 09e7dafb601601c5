"""BorderAlign (Qiu et al., ECCV 2020): the largest of samples along each of a box's four sides."""
import torch
from torch import Tensor

from .precision import in_own_precision, widened
from .sampling import corners_on_edge, pixel_rows, weighted_rows


@in_own_precision
def border_align_forward(input: Tensor, boxes: Tensor, output: Tensor, argmax_idx: Tensor, pool_size: int) -> None:
    """The largest of ``pool_size + 1`` bilinear samples along each side, ends included.

    Args:
        input: (B, 4 · C, H, W), C channels for each of the sides top, left, bottom, right. Half precision is computed
            in float32.
        boxes: (B, N, 4), ``[x1, y1, x2, y2]`` in pixels of the map.
        output: (B, C, N, 4), written in place.
        argmax_idx: int32, as ``output``, written in place: which sample is the largest, counted from the top left
            corner along top and left, from the bottom right one along bottom and right.
        pool_size: Steps along a side.
    """
    features, corners = widened(input, boxes)
    batch, channels, height, width = features.shape
    y, x = _points(corners, pool_size)
    index, weights = corners_on_edge(y, x, height, width)
    # Rows of a table of (image, side, pixel), with the side's own channels.
    table = pixel_rows(features.reshape(batch * 4, channels // 4, height, width))
    plane = torch.arange(batch * 4, device=features.device).view(batch, 1, 4, 1, 1)
    values, places = weighted_rows(table, index + plane * height * width, weights).max(dim=3)
    output.copy_(values.permute(0, 3, 1, 2))
    argmax_idx.copy_(places.permute(0, 3, 1, 2))


@in_own_precision
def border_align_backward(grad_output: Tensor, boxes: Tensor, argmax_idx: Tensor, grad_input: Tensor,
                          pool_size: int) -> None:
    """Gradient of ``border_align_forward`` with respect to ``input``.

    Args:
        grad_output: (B, C, N, 4).
        boxes: (B, N, 4).
        argmax_idx: (B, C, N, 4), as ``border_align_forward`` wrote it.
        grad_input: (B, 4 · C, H, W), written in place.
        pool_size: Steps along a side.
    """
    grads, corners = widened(grad_output, boxes)
    batch, channels, height, width = grad_input.shape
    picked = argmax_idx.long().permute(0, 2, 3, 1)
    y, x = (places.gather(-1, picked) for places in _points(corners, pool_size))
    index, weights = corners_on_edge(y, x, height, width)
    side = torch.arange(4, device=grads.device)[:, None] * (channels // 4)
    plane = torch.arange(batch, device=grads.device).view(-1, 1, 1, 1) * channels + side
    plane = plane + torch.arange(channels // 4, device=grads.device)
    sums = grads.new_zeros(grad_input.numel())
    sums.index_add_(0, (index + plane[..., None] * height * width).flatten(),
                    (weights * grads.permute(0, 2, 3, 1)[..., None]).flatten())
    grad_input.copy_(sums.view_as(grad_input))


def _points(boxes: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Rows and columns, y and x, of the samples (B, N, 4, steps + 1) of the sides top, left, bottom, right."""
    x1, y1, x2, y2 = boxes.unbind(-1)
    step = torch.arange(steps + 1, device=boxes.device)
    along_x, along_y = ((end - start)[..., None] / steps * step for start, end in ((x1, x2), (y1, y2)))
    still = torch.zeros_like(along_x)
    x = torch.stack([x1[..., None] + along_x, x1[..., None] + still, x2[..., None] - along_x, x2[..., None] + still],
                    dim=2)
    y = torch.stack([y1[..., None] + still, y1[..., None] + along_y, y2[..., None] + still, y2[..., None] - along_y],
                    dim=2)
    return y, x
