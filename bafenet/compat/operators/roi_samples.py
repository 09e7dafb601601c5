"""Where pooling of regions looks: the sampling points of each bin of RoIAlign, in parts that fit the memory."""
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

# Numbers that one part of the regions may need at once: 128 MiB in float32.
_AT_ONCE = 2**25


class Bins(NamedTuple):
    """How regions are divided.

    Attributes:
        height: Bins of a region along y.
        width: Bins along x.
        scale: Pixels of the feature map per pixel of the frame.
        samples: Sampling points of a bin along each side; 0 or less: one a pixel of the region, rounded up.
        aligned: Whether pixel centres lie at halves in the frame, as they do. If not, regions lie half a pixel off,
            and none is smaller than a pixel of the map.
    """

    height: int
    width: int
    scale: float
    samples: int
    aligned: bool


class Regions(NamedTuple):
    """Regions of interest on a feature map, N of each: corner, sides of a bin, and points of a bin's grid."""

    image: Tensor
    x: Tensor
    y: Tensor
    bin_width: Tensor
    bin_height: Tensor
    grid_width: Tensor
    grid_height: Tensor


def regions_of(rois: Tensor, bins: Bins) -> Regions:
    """The regions on the map.

    Args:
        rois: (N, 5), index of the image and ``[x1, y1, x2, y2]`` in pixels of the frame.
        bins: How they are divided.
    """
    x1, y1, x2, y2 = (rois[:, 1:] * bins.scale - (0.5 if bins.aligned else 0)).unbind(1)
    width, height = x2 - x1, y2 - y1
    if not bins.aligned:
        width, height = width.clamp(min=1), height.clamp(min=1)
    bin_width, bin_height = width / bins.width, height / bins.height
    if bins.samples > 0:
        grid_width = grid_height = torch.full_like(rois[:, 0], bins.samples)
    else:
        grid_width, grid_height = bin_width.ceil().clamp(min=0), bin_height.ceil().clamp(min=0)
    return Regions(rois[:, 0].long(), x1, y1, bin_width, bin_height, grid_width, grid_height)


def points_of(regions: Regions, bins: Bins, shift: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """The sampling points of each bin, its grid filled up to the largest one's.

    Args:
        regions: N regions.
        bins: How they are divided.
        shift: (N, 2, bins.height, bins.width), x and y by which each bin lies off its place.

    Returns:
        y and x of the points (N, bins.height, bins.width, G), and whether a region has the point, bool (N, 1, 1, G).
    """
    down = _steps(regions.grid_height)
    right = _steps(regions.grid_width)
    along_y = (down + 0.5) * regions.bin_height[:, None] / regions.grid_height[:, None].clamp(min=1)
    along_x = (right + 0.5) * regions.bin_width[:, None] / regions.grid_width[:, None].clamp(min=1)
    start_x, start_y = regions.x[:, None, None], regions.y[:, None, None]
    if shift is not None:
        start_x, start_y = start_x + shift[:, 0], start_y + shift[:, 1]
    row = torch.arange(bins.height, device=down.device)[:, None]
    column = torch.arange(bins.width, device=down.device)
    y = (start_y + row * regions.bin_height[:, None, None])[..., None] + along_y[:, None, None]
    x = (start_x + column * regions.bin_width[:, None, None])[..., None] + along_x[:, None, None]
    used = (down < regions.grid_height[:, None])[:, :, None] & (right < regions.grid_width[:, None])[:, None]
    shape = (len(regions.image), bins.height, bins.width, len(down), len(right))
    y, x = y[..., :, None].expand(shape).flatten(3), x[..., None, :].expand(shape).flatten(3)
    return y, x, used.flatten(1)[:, None, None]


def parts_of(count: int, each: int) -> Iterator[slice]:
    """Slices of ``count`` regions, each of which needs ``each`` numbers at once; one region a slice at least."""
    step = max(1, _AT_ONCE // max(1, each))
    for start in range(0, count, step):
        yield slice(start, start + step)


def largest(sizes: Tensor) -> int:
    """The largest of whole numbers, 0 where there are none."""
    return int(sizes.max()) if sizes.numel() else 0


def _steps(sizes: Tensor) -> Tensor:
    return torch.arange(largest(sizes), device=sizes.device)
