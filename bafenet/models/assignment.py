"""Which point learns which target, and boxes regressed from points outside them.

Points are (x, y), boxes (x1, y1, x2, y2), both in pixels of the network's input.
"""
from typing import Sequence, Tuple

import torch
from torch import Tensor

# A size is at most exp(MAX_LOG_SIZE) = 62.5 times its unit, as in mmdet's delta coders: a wild logit stays finite.
MAX_LOG_SIZE = 4.135


def target_levels(boxes: Tensor, regress_ranges: Sequence[Tuple[float, float]]) -> Tensor:
    """Level that each target's size belongs to: the one whose range holds its longer side.

    Args:
        boxes: (G, 4).
        regress_ranges: (low, high) per level, rising, in pixels; a side equal to ``high`` belongs to that level.

    Returns:
        int64 (G, ); sides beyond the last range belong to the last level.
    """
    sides = (boxes[:, 2:] - boxes[:, :2]).amax(dim=1)
    return torch.bucketize(sides, sides.new_tensor([high for _, high in regress_ranges[:-1]]))


def claim_nearest(owners: Tensor, points: Tensor, point_levels: Tensor, boxes: Tensor, levels: Tensor,
                  nearest_points: int = 1) -> Tensor:
    """Give each target that owns too few points those nearest to its centre, as far as they are free.

    Owned points stay with their owners. Of several targets that claim a free point the one to which it is nearest in
    rank wins (first the targets that have no nearer one), then the smaller box, then the nearer centre, then the
    first in order. Of points equally near a target claims the first.

    Args:
        owners: int64 (P, ), the target that each point learns, -1 for none.
        points: (P, 2).
        point_levels: int64 (P, ), level of each point.
        boxes: (G, 4).
        levels: int64 (G, ), level on which each target looks for points.
        nearest_points: Targets that own fewer points than this claim that many.

    Returns:
        The owners with the claims won.
    """
    wanting = (torch.bincount(owners[owners >= 0], minlength=len(boxes)) < nearest_points).nonzero().squeeze(1)
    boxes = boxes[wanting]
    # To a hundredth of a pixel: the rounding of a resize must not decide between targets of one size.
    areas = ((boxes[:, 2:] - boxes[:, :2]).prod(dim=1) * 100).round()
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    distances = (points - centres[:, None]).square().sum(dim=2)
    distances[levels[wanting, None] != point_levels] = torch.inf
    owners = owners.clone()
    for _ in range(nearest_points):
        distance, claimed = distances.min(dim=1)
        order = distance.argsort(stable=True)
        order = order[areas[order].argsort(stable=True)]
        # A level may have fewer points than are asked for.
        order = order[(owners[claimed[order]] < 0) & distance[order].isfinite()]
        won = order[_first_of_each(claimed[order], len(points))]
        owners[claimed[won]] = wanting[won]
        distances.scatter_(1, claimed[:, None], torch.inf)
    return owners


def _first_of_each(values: Tensor, count: int) -> Tensor:
    """Mask of the entries of ``values`` (n, ), integers in [0, count), that no equal entry precedes."""
    places = torch.arange(len(values), device=values.device)
    first = values.new_full((count, ), len(values)).scatter_reduce(0, values, places, 'amin')
    return first[values] == places


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
