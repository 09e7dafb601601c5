"""Box coding: how the network's outputs become boxes, by side distributions or by centre and size."""
from collections.abc import Sequence

import torch
from mmdet.models.task_modules.coders import DistancePointBBoxCoder
from mmdet.registry import TASK_UTILS
from torch import Tensor

from bafenet.arguments import is_number, shown
from bafenet.errors import InputError

# A size is at most exp(MAX_LOG_SIZE) = 62.5 times its unit, as in mmdet's delta coders: a wild logit stays finite.
MAX_LOG_SIZE = 4.135


@TASK_UTILS.register_module()
class SideDistributionCoder(DistancePointBBoxCoder):
    """The distance of a point to each side of its box as a distribution over knots (GFL, Li et al., 2020).

    A side of a mask's extent lies between two pixels. Between which two it lies is a question with few answers, and a
    network learns it sooner as one; a single number, where two answers are likely, lies between them and is neither.

    Args:
        knots: K distances in pixels, ascending: each that a side of a small target can have, and a few larger ones.
        **kwargs: The arguments of mmdet's ``DistancePointBBoxCoder``.

    Raises:
        InputError: If the knots are fewer than two, below 0 or do not ascend.
    """

    def __init__(self, knots: Sequence[float], **kwargs) -> None:
        super().__init__(**kwargs)
        numbers = isinstance(knots, (list, tuple)) and all(map(is_number, knots))
        if not numbers or len(knots) < 2 or knots[0] < 0 or any(
                low >= high for low, high in zip(knots, knots[1:], strict=False)):
            raise InputError(f'bbox_head: side_knots={shown(knots)} must be two or more distances that ascend from 0 '
                             'or more')
        self.knots = tuple(knots)
        # What mmdet calls the number of channels of a coded box: left, top, right, bottom, K each.
        self.encode_size = 4 * len(knots)

    def distances(self, logits: Tensor) -> Tensor:
        """Mean distances (n, 4) in pixels of logits (n, 4 K)."""
        # A sum of products and no matrix product, which mixed precision would round to 1/64 px.
        return (logits.unflatten(1, (4, -1)).softmax(dim=2) * logits.new_tensor(self.knots)).sum(dim=2)

    def decode(self, points: Tensor, pred_bboxes: Tensor, max_shape: Sequence[int] | None = None) -> Tensor:
        """Mean boxes (n, 4) of logits (n, 4 K) at points (n, 2), clipped to ``max_shape`` (height, width)."""
        return super().decode(points, self.distances(pred_bboxes), max_shape)

    def position(self, distances: Tensor) -> Tensor:
        """Where distances in pixels lie among the knots: 1.25 is a quarter of the way from the second to the third.

        Distances before the first and beyond the last knot count as those.
        """
        knots = distances.new_tensor(self.knots)
        low = (torch.searchsorted(knots, distances.contiguous(), right=True) - 1).clamp(0, len(knots) - 2)
        share = (distances - knots[low]) / (knots[low + 1] - knots[low])
        return low + share.clamp(0, 1)


def centre_size_to_distances(predictions: Tensor, stride: int) -> Tensor:
    """Distances to the four sides from offset of the centre and log size, in units of half a stride.

    The centre lies at the first two channels from the point, in [-1, 1] if no other point is nearer to it; width and
    height are exp of the last two, so that 0 is about the size of a target that may fall between two points.

    Args:
        predictions: float32 (N, 4, H, W).
        stride: Stride of the level in pixels.

    Returns:
        (N, 4, H, W): left, top, right, bottom in pixels; negative towards sides that the point lies beyond.
    """
    offsets = predictions[:, :2]
    half_sizes = predictions[:, 2:].clamp(max=MAX_LOG_SIZE).exp() / 2
    return torch.cat((half_sizes - offsets, half_sizes + offsets), dim=1) * (stride / 2)


def to_whole_pixels(boxes: Tensor) -> Tensor:
    """Sides moved to the nearest border between two pixels; a box that would lose its width or height keeps one pixel.

    Args:
        boxes: float (n, 4), ``[x1, y1, x2, y2]`` in pixels, none below 0.

    Returns:
        (n, 4), same dtype.
    """
    low, high = boxes[:, :2].round(), boxes[:, 2:].round()
    last_pixel = (boxes[:, 2:].ceil() - 1).clamp(min=0)
    thin = high <= low
    low, high = low.where(~thin, last_pixel), high.where(~thin, last_pixel + 1)
    return torch.cat((low, high), dim=1)
