"""Exact placement: every valid position is known before one is drawn, uniformly, among them.

Nothing is tried at random. Where nothing fits, that is known too, and nothing is placed.
"""
from typing import Optional, Sequence, Tuple, Union

import cv2
import numpy as np

from .gaussian import Rng

# Up to this many pixels a mask is searched at once; above, row by row.
_SMALL = 4096


def draw_integers(rng: Rng, low: int, high: int, size: Union[int, Tuple[int, ...], None] = None) -> np.ndarray:
    """Uniform integers from ``low`` to ``high``, both included, from either kind of NumPy random source."""
    draw = rng.integers if hasattr(rng, 'integers') else rng.randint
    return draw(low, high + 1, size)


def draw_true(mask: np.ndarray, rng: Rng) -> Optional[Tuple[int, int]]:
    """Row and column of a pixel drawn uniformly from the true ones of a (H, W) bool mask; None if there is none."""
    if mask.size <= _SMALL:
        found = np.flatnonzero(mask)
        return divmod(int(found[draw_integers(rng, 0, len(found) - 1)]), mask.shape[1]) if len(found) else None
    up_to_row = np.cumsum(cv2.reduce(mask.view(np.uint8), 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S))
    if not up_to_row[-1]:
        return None
    rank = int(draw_integers(rng, 0, up_to_row[-1] - 1))
    row = int(np.searchsorted(up_to_row, rank, side='right'))
    before_row = int(up_to_row[row - 1]) if row else 0
    return row, int(np.flatnonzero(mask[row])[rank - before_row])


def region_corners(allowed: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """Where the top left corner of a rectangle can be so that the rectangle lies wholly in the allowed pixels.

    Args:
        allowed: (H, W) bool or uint8, non-zero where allowed.
        size: Height and width of the rectangle in pixels.

    Returns:
        (H - height + 1, W - width + 1) bool, all valid corners; an axis along which nothing fits has length 0.
    """
    rows, cols = (max(have - need + 1, 0) for have, need in zip(allowed.shape, size, strict=True))
    if not rows or not cols:
        return np.zeros((rows, cols), bool)
    # With the anchor at its corner, the erosion of a pixel is the minimum over the rectangle that starts there.
    eroded = cv2.erode(np.asarray(allowed, np.uint8), np.ones(size, np.uint8), anchor=(0, 0))
    return eroded[:rows, :cols] > 0


def place_regions(allowed: np.ndarray, size: Tuple[int, int], count: int, rng: Rng, margin: int = 0) -> np.ndarray:
    """Draw up to ``count`` disjoint rectangles that lie wholly in the allowed pixels.

    Each is uniform over all positions that the ones before it have left; there are fewer than ``count``
    only if no position is left.

    Args:
        allowed: (H, W) bool or uint8, non-zero where allowed.
        size: Height and width of each rectangle in pixels.
        count: How many to draw.
        rng: Source of the draws.
        margin: The fewest empty pixels between two rectangles.

    Returns:
        (k, 2) int64, row and column of the top left corners, k <= count.
    """
    valid = region_corners(allowed, size)
    corners = []
    while len(corners) < count and (corner := draw_true(valid, rng)) is not None:
        corners.append(corner)
        valid[_corners_within((margin - 1, margin - 1), size, corner, size)] = False
    return np.array(corners, np.int64).reshape(-1, 2)


def place_targets(region: Tuple[int, int], sizes: np.ndarray, gaps: Sequence[Tuple[int, int]], rng: Rng) -> np.ndarray:
    """Pack rectangles into a region, each at an allowed distance from the nearest one that is there before it.

    The first goes anywhere. For each of the others one of ``gaps`` is drawn, and then one of all positions at which its
    nearest neighbour is exactly so far away; if there is none, the other gaps have their turn; if none serves,
    this rectangle is left out.

    Distance is counted in empty pixels: at a gap ``(g_y, g_x)`` there are, to every neighbour, at least ``g_y`` empty
    rows or at least ``g_x`` empty columns, and to some neighbour not more of either.

    Args:
        region: Height and width of the region in pixels.
        sizes: (n, 2) int, heights and widths of the rectangles.
        gaps: The allowed gaps in rows and columns, e.g. ``[(1, 1), (2, 2)]``.
        rng: Source of the draws.

    Returns:
        (n, 2) int64, row and column of each top left corner within the region; -1 where a rectangle did not fit.
    """
    corners = np.full((len(sizes), 2), -1, np.int64)
    margin = int(np.max(gaps, initial=0)) + 1
    occupied = np.zeros((region[0] + 2 * margin, region[1] + 2 * margin), np.uint8)
    sums = cv2.integral(occupied)
    first_choices = draw_integers(rng, 0, len(gaps) - 1, len(sizes)).tolist()
    for index, (height, width) in enumerate(np.asarray(sizes).tolist()):
        first = first_choices[index]
        for gap in (*gaps[first:], *gaps[:first]):
            corner = draw_true(_corners_at_gap(sums, margin, (height, width), gap), rng)
            if corner is not None:
                corners[index] = corner
                row, col = corner[0] + margin, corner[1] + margin
                occupied[row:row + height, col:col + width] = 1
                sums = cv2.integral(occupied)
                break
    return corners


def _corners_at_gap(sums: np.ndarray, margin: int, size: Tuple[int, int], gap: Tuple[int, int]) -> np.ndarray:
    """All corners (bool) at which a rectangle's nearest neighbour is exactly ``gap`` away; all if it has none.

    Args:
        sums: Integral image of the occupied pixels of the region and of ``margin`` pixels around it.
        margin: More than any gap.
        size: Height and width of the rectangle.
        gap: Empty rows and columns.
    """
    too_near = _window_sums(sums, margin, size, gap) > 0
    if not sums[-1, -1]:
        return ~too_near
    return (_window_sums(sums, margin, size, (gap[0] + 1, gap[1] + 1)) > 0) & ~too_near


def _window_sums(sums: np.ndarray, margin: int, size: Tuple[int, int], reach: Tuple[int, int]) -> np.ndarray:
    """Occupied pixels in a rectangle widened by ``reach``, for every corner that it can have in the region."""
    rows, cols = (max(length - 1 - 2 * margin - side + 1, 0) for length, side in zip(sums.shape, size, strict=True))
    top, left = margin - reach[0], margin - reach[1]
    bottom, right = margin + size[0] + reach[0], margin + size[1] + reach[1]
    strips = sums[bottom:bottom + rows] - sums[top:top + rows]
    return strips[:, right:right + cols] - strips[:, left:left + cols]


def _corners_within(gap: Sequence[int], size: Sequence[int], corner: Sequence[int],
                    placed_size: Sequence[int]) -> Tuple[slice, slice]:
    """The corners at which a rectangle has at most ``gap`` empty rows and columns between it and a placed one."""
    row, col = corner
    return (slice(max(row - size[0] - gap[0], 0), max(row + placed_size[0] + gap[0] + 1, 0)),
            slice(max(col - size[1] - gap[1], 0), max(col + placed_size[1] + gap[1] + 1, 0)))
