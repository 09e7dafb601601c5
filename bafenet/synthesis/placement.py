"""Exact placement: every valid position is known before one is drawn, uniformly, among them.

Nothing is tried at random. Where nothing fits, that is known too, and nothing is placed. Where a target may be at all
is a map that the caller gives (``allowed``): in training that of ``BAGCopyPaste.allowed``, datasets/transforms.
"""
from collections.abc import Sequence

import cv2
import numpy as np

from .gaussian import Rng

# Up to this many pixels a mask is searched at once; above, row by row.
_SMALL = 4096


def draw_integers(rng: Rng, low: int, high: int, size: int | tuple[int, ...]) -> np.ndarray:
    """Uniform integers from ``low`` to ``high``, both included, from either kind of NumPy random source.

    Scaled from [0, 1): the integer draws of ``np.random`` take ten times as long for a single number.
    """
    return (low + rng.random(size) * (high + 1 - low)).astype(np.int64)


def draw_integer(rng: Rng, low: int, high: int) -> int:
    """One uniform integer from ``low`` to ``high``, both included."""
    return low + int(rng.random() * (high + 1 - low))


def draw_true(mask: np.ndarray, rng: Rng) -> tuple[int, int] | None:
    """Row and column of a pixel drawn uniformly from the true ones of a (H, W) bool mask; None if there is none."""
    if mask.size > _SMALL:
        return _draw_true_by_row(mask, _row_counts(mask), rng)
    found, = mask.ravel().nonzero()
    return divmod(int(found[draw_integer(rng, 0, len(found) - 1)]), mask.shape[1]) if len(found) else None


def _row_counts(mask: np.ndarray) -> np.ndarray:
    """True pixels in each row, (H,) int32."""
    if not mask.size:
        return np.zeros(len(mask), np.int32)
    return cv2.reduce(mask.view(np.uint8), 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel()


def _draw_true_by_row(mask: np.ndarray, row_counts: np.ndarray, rng: Rng) -> tuple[int, int] | None:
    """The same, where the number of true pixels is known for each row."""
    up_to_row = np.cumsum(row_counts)
    if not up_to_row.size or not up_to_row[-1]:
        return None
    rank = draw_integer(rng, 0, int(up_to_row[-1]) - 1)
    row = int(np.searchsorted(up_to_row, rank, side='right'))
    before_row = int(up_to_row[row - 1]) if row else 0
    return row, int(np.flatnonzero(mask[row])[rank - before_row])


def region_corners(allowed: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Where the top left corner of a rectangle can be so that the rectangle lies wholly in the allowed pixels.

    Args:
        allowed: (H, W) bool, or uint8 of 0 and 1, true where allowed.
        size: Height and width of the rectangle in pixels.

    Returns:
        (H - height + 1, W - width + 1) bool, all valid corners; an axis along which nothing fits has length 0.
    """
    rows, cols = (max(have - need + 1, 0) for have, need in zip(allowed.shape, size, strict=True))
    if not rows or not cols:
        return np.zeros((rows, cols), bool)
    # With the anchor at its corner, the erosion of a pixel is the minimum over the rectangle that starts there.
    eroded = cv2.erode(allowed.view(np.uint8), np.ones(size, np.uint8), anchor=(0, 0))
    return eroded[:rows, :cols].view(bool)


def place_regions(allowed: np.ndarray, size: tuple[int, int], count: int, rng: Rng, margin: int = 0) -> np.ndarray:
    """Draw up to ``count`` disjoint rectangles that lie wholly in the allowed pixels.

    Each is uniform over all positions that the ones before it have left; there are fewer than ``count``
    only if no position is left.

    Args:
        allowed: (H, W) bool, or uint8 of 0 and 1, true where allowed.
        size: Height and width of each rectangle in pixels.
        count: How many to draw.
        rng: Source of the draws.
        margin: The fewest empty pixels between two rectangles.

    Returns:
        (k, 2) int64, row and column of the top left corners, k <= count.
    """
    valid = region_corners(allowed, size)
    row_counts = _row_counts(valid)
    corners: list[tuple[int, int]] = []
    while len(corners) < count and (corner := _draw_true_by_row(valid, row_counts, rng)) is not None:
        corners.append(corner)
        rows, cols = _corners_within((margin - 1, margin - 1), size, corner, size)
        row_counts[rows] -= _row_counts(valid[rows, cols])
        valid[rows, cols] = False
    return np.array(corners, np.int64).reshape(-1, 2)


def place_targets(region: tuple[int, int], sizes: np.ndarray, gaps: Sequence[tuple[int, int]], rng: Rng) -> np.ndarray:
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
    sums = None
    first_choices = draw_integers(rng, 0, len(gaps) - 1, len(sizes)).tolist()
    for index, (height, width) in enumerate(np.asarray(sizes).tolist()):
        grid = max(region[0] - height + 1, 0), max(region[1] - width + 1, 0)
        first = first_choices[index]
        for gap in (*gaps[first:], *gaps[:first]):
            valid = np.ones(grid, bool) if sums is None else _corners_at_gap(sums, grid, margin, (height, width), gap)
            corner = draw_true(valid, rng)
            if corner is not None:
                corners[index] = corner
                row, col = corner[0] + margin, corner[1] + margin
                occupied[row:row + height, col:col + width] = 1
                sums = cv2.integral(occupied)
                break
    return corners


def _corners_at_gap(sums: np.ndarray, grid: tuple[int, int], margin: int, size: tuple[int, int],
                    gap: tuple[int, int]) -> np.ndarray:
    """All corners at which a rectangle's nearest neighbour is exactly ``gap`` away, bool of shape ``grid``.

    Args:
        sums: Integral image of the occupied pixels of the region and of ``margin`` pixels around it.
        grid: Rows and columns of corners that the rectangle can have in the region.
        margin: More than any gap.
        size: Height and width of the rectangle.
        gap: Empty rows and columns.
    """
    too_near = _window_sums(sums, grid, margin, size, gap)
    near = _window_sums(sums, grid, margin, size, (gap[0] + 1, gap[1] + 1))
    return (near > 0) & (too_near == 0)


def _window_sums(sums: np.ndarray, grid: tuple[int, int], margin: int, size: tuple[int, int],
                 reach: tuple[int, int]) -> np.ndarray:
    """Occupied pixels in a rectangle widened by ``reach``, for every corner that it can have in the region."""
    (rows, cols), (height, width), (reach_y, reach_x) = grid, size, reach
    top, left = margin - reach_y, margin - reach_x
    bottom, right = margin + height + reach_y, margin + width + reach_x
    strips = sums[bottom:bottom + rows] - sums[top:top + rows]
    return strips[:, right:right + cols] - strips[:, left:left + cols]


def _corners_within(gap: Sequence[int], size: Sequence[int], corner: Sequence[int],
                    placed_size: Sequence[int]) -> tuple[slice, slice]:
    """The corners at which a rectangle has at most ``gap`` empty rows and columns between it and a placed one."""
    row, col = corner
    return (slice(max(row - size[0] - gap[0], 0), max(row + placed_size[0] + gap[0] + 1, 0)),
            slice(max(col - size[1] - gap[1], 0), max(col + placed_size[1] + gap[1] + 1, 0)))
