"""Bilinear sampling of feature maps: the four pixels around a point, their weights, weighted sums of table rows.

Coordinates are in pixels of the map and pixel centres are whole numbers. Operators differ in what lies beyond the
outermost centres: zeros (deformable convolution and attention), or the outermost pixel once more (pooling of regions).
"""
import torch
import torch.nn.functional as F
from torch import Tensor

Size = int | Tensor


def corners_in_zeros(y: Tensor, x: Tensor, height: Size, width: Size) -> tuple[Tensor, Tensor]:
    """The four pixels around each point of a map that zeros surround, and their weights.

    A point on or beyond the centres of that rim of zeros has no weight at all, hence no gradient either.

    Args:
        y: Rows, of any shape (...).
        x: Columns, of the same shape.
        height: Of the map; or of each point's map, in a shape that broadcasts.
        width: The same.

    Returns:
        int64 (..., 4), row · width + column of the pixels, top left, top right, bottom left and bottom right, 0 where
        there is no such pixel; and their weights (..., 4), 0 there.
    """
    top, left = y.floor(), x.floor()
    below, right = (y - top)[..., None], (x - left)[..., None]
    rows = torch.stack([top, top, top + 1, top + 1], dim=-1)
    columns = torch.stack([left, left + 1, left, left + 1], dim=-1)
    weights = torch.cat([(1 - below) * (1 - right), (1 - below) * right, below * (1 - right), below * right], dim=-1)
    height, width = (size[..., None] if isinstance(size, Tensor) else size for size in (height, width))
    inside = ((y > -1) & (x > -1))[..., None] & (y[..., None] < height) & (x[..., None] < width)
    valid = inside & (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    index = torch.where(valid, rows, 0).long() * width + torch.where(valid, columns, 0).long()
    return index, torch.where(valid, weights, 0)


def corners_on_edge(y: Tensor, x: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """The four pixels around each point of a map whose outermost pixels go on for one pixel, and their weights.

    A point more than a pixel above or left of the first centre, or beyond ``height`` or ``width``, has no weight.

    Args:
        y: Rows, of any shape (...).
        x: Columns, of the same shape.
        height: Of the map, at least 1.
        width: Of the map, at least 1.

    Returns:
        int64 (..., 4), row · width + column of the pixels, in the order of :func:`corners_in_zeros`; and their
        weights (..., 4).
    """
    inside = (y >= -1) & (y <= height) & (x >= -1) & (x <= width)
    # A coordinate that is not a number is nowhere, and no index may come of it.
    y = torch.where(inside, y, 0).clamp(0, height - 1)
    x = torch.where(inside, x, 0).clamp(0, width - 1)
    top, left = y.floor(), x.floor()
    below, right = y - top, x - left
    weights = torch.stack([(1 - below) * (1 - right), (1 - below) * right, below * (1 - right), below * right], dim=-1)
    top, left = top.long(), left.long()
    bottom, far_right = (top + 1).clamp(max=height - 1), (left + 1).clamp(max=width - 1)
    index = torch.stack([top * width + left, top * width + far_right, bottom * width + left,
                         bottom * width + far_right], dim=-1)
    return index, torch.where(inside[..., None], weights, 0)


def pixel_rows(features: Tensor) -> Tensor:
    """The pixels of feature maps (B, C, H, W) as rows of a table (B · H · W, C)."""
    return features.permute(0, 2, 3, 1).reshape(-1, features.size(1))


def weighted_rows(table: Tensor, index: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums of rows, without a copy of each row: an embedding bag.

    Args:
        table: (R, D).
        index: int64 (..., K), rows of the table.
        weights: (..., K), their weights, of the table's type.

    Returns:
        (..., D). Differentiable in the table and the weights.
    """
    shape = (*index.shape[:-1], table.size(1))
    if index.numel() == 0:
        return table.new_zeros(shape)
    bags, scales = (each.expand(index.shape).reshape(-1, index.size(-1)) for each in (index, weights))
    return F.embedding_bag(bags, table, mode='sum', per_sample_weights=scales).reshape(shape)
