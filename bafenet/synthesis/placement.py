"""Exact placement: every valid position is known before one is drawn, uniformly, among them.

Nothing is tried at random. Where nothing fits, that is known too, and nothing is placed.
"""
from typing import Optional, Sequence, Tuple, Union

import cv2
import numpy as np

from .gaussian import Rng


def draw_integers(rng: Rng, low: int, high: int, size: Union[int, Tuple[int, ...], None] = None) -> np.ndarray:
    """Uniform integers from ``low`` to ``high``, both included, from either kind of NumPy random source."""
    draw = rng.integers if hasattr(rng, 'integers') else rng.randint
    return draw(low, high + 1, size)


def draw_true(mask: np.ndarray, rng: Rng) -> Optional[Tuple[int, int]]:
    """Row and column of a pixel drawn uniformly from the true ones of a (H, W) bool mask; None if there is none."""
    if not mask.size:
        return None
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
    placed = []
    first_choices = draw_integers(rng, 0, len(gaps) - 1, len(sizes))
    for index, size in enumerate(np.asarray(sizes).tolist()):
        first = first_choices[index]
        for gap in (*gaps[first:], *gaps[:first]):
            corner = draw_true(_corners_at_gap(region, size, placed, gap), rng)
            if corner is not None:
                placed.append((corner, size))
                corners[index] = corner
                break
    return corners


def _corners_at_gap(region: Sequence[int], size: Sequence[int], placed: Sequence[Tuple],
                    gap: Sequence[int]) -> np.ndarray:
    """All corners (bool) at which a rectangle's nearest neighbour is exactly ``gap`` away; all if it has none."""
    shape = (max(region[0] - size[0] + 1, 0), max(region[1] - size[1] + 1, 0))
    if not placed:
        return np.ones(shape, bool)
    valid = np.zeros(shape, bool)
    for corner, placed_size in placed:
        valid[_corners_within(gap, size, corner, placed_size)] = True
    too_near = (gap[0] - 1, gap[1] - 1)
    for corner, placed_size in placed:
        valid[_corners_within(too_near, size, corner, placed_size)] = False
    return valid


def _corners_within(gap: Sequence[int], size: Sequence[int], corner: Sequence[int],
                    placed_size: Sequence[int]) -> Tuple[slice, slice]:
    """The corners at which a rectangle has at most ``gap`` empty rows and columns between it and a placed one."""
    row, col = corner
    return (slice(max(row - size[0] - gap[0], 0), max(row + placed_size[0] + gap[0] + 1, 0)),
            slice(max(col - size[1] - gap[1], 0), max(col + placed_size[1] + gap[1] + 1, 0)))
