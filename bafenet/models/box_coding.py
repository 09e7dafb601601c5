"""What the network's outputs say of a box, beside FCOS's logarithms of distances."""
from typing import Sequence

import torch
from mmdet.registry import MODELS
from mmdet.utils import ConfigType
from torch import Tensor, nn

from bafenet.errors import InputError

# A size is at most exp(MAX_LOG_SIZE) = 62.5 times its unit, as in mmdet's delta coders: a wild logit stays finite.
MAX_LOG_SIZE = 4.135


class SideDistribution(nn.Module):
    """The distance of a point to each side of its box as a distribution over knots (GFL, Li et al., 2020).

    A side of a mask's extent lies between two pixels. Between which two it lies is a question with few answers, and a
    network learns it sooner as one; a single number, where two answers are likely, lies between them and is neither.

    Args:
        knots: K distances in pixels, ascending: each that a side of a small target can have, and a few larger ones.
        loss: Config of a loss that takes logits (m, K) and targets (m, ) in [0, K - 1).

    Raises:
        InputError: If the knots are fewer than two, below 0 or do not ascend.
    """

    def __init__(self, knots: Sequence[float], loss: ConfigType) -> None:
        super().__init__()
        if len(knots) < 2 or knots[0] < 0 or any(low >= high for low, high in zip(knots, knots[1:], strict=False)):
            raise InputError(f'bbox_head: side_knots={knots} must be two or more distances that ascend from 0 or more')
        self.register_buffer('knots', torch.tensor(knots, dtype=torch.float32), persistent=False)
        self.loss = MODELS.build(loss)

    @property
    def channels(self) -> int:
        """Logits a point: left, top, right, bottom, K each."""
        return 4 * len(self.knots)

    def mean(self, logits: Tensor) -> Tensor:
        """Mean distances (N, 4, ...) in pixels of logits (N, 4 K, ...)."""
        shares = logits.unflatten(1, (4, -1)).softmax(dim=2)
        return torch.einsum('nsk...,k->ns...', shares, self.knots)

    def position(self, distances: Tensor) -> Tensor:
        """Where distances in pixels lie among the knots: 1.25 is a quarter of the way from the second to the third.

        Distances before the first and beyond the last knot count as those.
        """
        low = (torch.searchsorted(self.knots, distances.contiguous(), right=True) - 1).clamp(0, len(self.knots) - 2)
        share = (distances - self.knots[low]) / (self.knots[low + 1] - self.knots[low])
        return low + share.clamp(0, 1)

    def forward(self, logits: Tensor, distances: Tensor, weight: Tensor, avg_factor: float) -> Tensor:
        """Loss of logits (n, 4 K) against true distances (n, 4) in pixels, weighed by (n, )."""
        # The loss looks at the knot after the target's, which the last one does not have.
        target = self.position(distances).clamp(max=len(self.knots) - 1.001)
        return self.loss(
            logits.view(-1, len(self.knots)),
            target.flatten(),
            weight=weight.repeat_interleave(4),
            avg_factor=4 * avg_factor)


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
