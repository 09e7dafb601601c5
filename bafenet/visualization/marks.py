"""Outlines of boxes and masks, marks and the edge of the sky, drawn around what they mark and never over it."""
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from bafenet.devkit.layout import SKY, TARGET

from .outcomes import FALSE_ALARM, FOUND, HIT, MISS

# RGB. Their lightness differs too (L* 88, 66, 74 and 89), so that they are told apart without red and green.
TRUE_COLOR = (112, 240, 128)
FOUND_COLOR = (255, 120, 0)
SKY_COLOR = (90, 190, 255)
PASTED_COLOR = (255, 224, 64)
CASING = (0, 0, 0)
LIGHT = (216, 216, 216)  # leaders, and frames of places
FAINT = (150, 150, 160)  # leaders that may cross other targets
OUTCOME_COLORS = {HIT: TRUE_COLOR, MISS: TRUE_COLOR, FALSE_ALARM: FOUND_COLOR, FOUND: FOUND_COLOR}
Color = tuple[int, int, int]
# Pixels of the picture between a box and the line around it: one of air, one of dark casing, then the line.
TRUE_GAPS, FOUND_GAPS = (3, ), (6, 7)
OUTER = FOUND_GAPS[-1] + 1  # the outermost line
MARK = 11  # side of a mark
TICK, TICK_STEP = 5, 20  # of the sky's edge: length of a tick, and from one to the next along it
_ARM = 7  # of a corner bracket
_FAR = 2**14  # beyond any picture; OpenCV's coordinates overflow later


class View(NamedTuple):
    """A part of a picture that shows a part of the frame.

    Attributes:
        pixels: uint8 (h, w, 3), RGB, a view of the picture.
        corner: x and y of the frame at its upper left corner.
        scale: Pixels of the picture per pixel of the frame.
    """

    pixels: np.ndarray
    corner: tuple[int, int]
    scale: float

    def place(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes of the frame, float (n, 4), in pixels of the view, int (n, 4) with exclusive ends."""
        placed = (np.asarray(boxes, np.float64).reshape(-1, 4) - (*self.corner, *self.corner)) * self.scale
        return np.rint(placed).clip(-_FAR, _FAR).astype(np.int32)

    def inside(self, boxes: np.ndarray) -> np.ndarray:
        """Which boxes of the frame have any of their pixels in the view, bool (n, )."""
        placed = self.place(boxes)
        height, width = self.pixels.shape[:2]
        return np.all((placed[:, :2] < (width, height)) & (placed[:, 2:] > 0), axis=1)


def outlines(boxes: np.ndarray, gap: int) -> np.ndarray:
    """Rectangles of one pixel's width that leave ``gap - 1`` pixels free around boxes.

    Args:
        boxes: int (n, 4), with exclusive ends.
        gap: At least 1.

    Returns:
        int32 (n, 4, 2), the corners x, y; their pixels included.
    """
    x1, y1, x2, y2 = (boxes + np.array([-gap, -gap, gap - 1, gap - 1])).T
    return np.stack([x1, y1, x2, y1, x2, y2, x1, y2], axis=1).reshape(-1, 4, 2).astype(np.int32)


def brackets(boxes: np.ndarray, gap: int, arm: int = _ARM) -> np.ndarray:
    """The corners of :func:`outlines` alone, with arms of at most ``arm`` pixels and a third of a side.

    Returns:
        int32 (4 n, 3, 2).
    """
    corners = outlines(boxes, gap)
    before, after = np.roll(corners, 1, axis=1), np.roll(corners, -1, axis=1)

    def towards(other: np.ndarray) -> np.ndarray:
        way = other - corners
        return corners + np.sign(way) * np.minimum(np.abs(way) // 3, arm)

    return np.stack([towards(before), corners, towards(after)], axis=2).reshape(-1, 3, 2).astype(np.int32)


def shared_area(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Areas that rectangles ``[x1, y1, x2, y2]`` share, (..., 4) and (..., 4)."""
    sides = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    return sides.clip(0).prod(axis=-1)


def draw_outlines(pixels: np.ndarray, boxes: np.ndarray, color: Color, gaps: Sequence[int] = TRUE_GAPS,
                  corners_only: bool = False) -> None:
    """Outline boxes, int (n, 4) in pixels of the picture, in place, in a colour with a dark casing on both sides."""
    shape = brackets if corners_only else outlines
    for gap, paint in ((gaps[0] - 1, CASING), (gaps[-1] + 1, CASING), *((gap, color) for gap in gaps)):
        cv2.polylines(pixels, list(shape(boxes, gap)), not corners_only, paint)


def draw_mark(pixels: np.ndarray, outcome: int, x: int, y: int) -> None:
    """Draw the mark of an outcome about (x, y) in place: a dot, a cross, a triangle; none of what is not judged."""
    color = OUTCOME_COLORS[outcome]
    if outcome == HIT:
        cv2.circle(pixels, (x, y), 5, CASING, -1, cv2.LINE_AA)
        cv2.circle(pixels, (x, y), 3, color, -1, cv2.LINE_AA)
    elif outcome == MISS:
        for paint, thickness in ((CASING, 5), (color, 2)):
            cv2.line(pixels, (x - 4, y - 4), (x + 4, y + 4), paint, thickness, cv2.LINE_AA)
            cv2.line(pixels, (x - 4, y + 4), (x + 4, y - 4), paint, thickness, cv2.LINE_AA)
    elif outcome == FALSE_ALARM:
        triangle = np.array([[0, -5], [5, 4], [-5, 4]], np.int32) + (x, y)
        cv2.polylines(pixels, [triangle.astype(np.int32)], True, CASING, 3, cv2.LINE_AA)
        cv2.fillPoly(pixels, [triangle.astype(np.int32)], color, cv2.LINE_AA)


def draw_leader(pixels: np.ndarray, corners: Sequence[tuple[int, int]], color: Color = LIGHT,
                casing: bool = True) -> None:
    """Draw a thin line through corners (x, y), in place, with a dark casing where that hides nothing."""
    line = [np.array(corners, np.int32)]
    if casing:
        cv2.polylines(pixels, line, False, CASING, 3)
    cv2.polylines(pixels, line, False, color, 1)


def draw_mask_edge(view: View, mask: np.ndarray, color: Color = TRUE_COLOR, gap: int = 0) -> None:
    """Draw a line of two pixels around the pixels of targets into a view, in place, with a dark casing outside.

    Args:
        view: Where.
        mask: (h, w) of the part of the frame that it shows, 1 = target.
        color: Of the line.
        gap: Pixels of the picture between the targets and the line.
    """
    height, width = view.pixels.shape[:2]
    # Where the view is smaller than its part, a pixel of it shows a target if any of its own does.
    how = cv2.INTER_NEAREST if view.scale >= 1 else cv2.INTER_AREA
    marked = cv2.resize((mask == TARGET) * np.float32(1), (width, height), interpolation=how) > 0
    inside, line, casing = (cv2.dilate(marked.view(np.uint8), np.ones((side, side), np.uint8)) > 0
                            for side in (2 * gap + 1, 2 * gap + 5, 2 * gap + 7))
    view.pixels[casing & ~line] = CASING
    view.pixels[line & ~inside] = color


def draw_sky_edge(view: View, sky: np.ndarray, color: Color = SKY_COLOR, dashed: bool = False) -> None:
    """Draw the edge of the sky into a view, in place: a line, solid or dashed, and ticks from it into the sky.

    Args:
        view: Where.
        sky: (h, w) of the part of the frame that it shows, 1 = sky.
        color: Of the line.
        dashed: Dash the line.
    """
    height, width = view.pixels.shape[:2]
    is_sky = cv2.resize((sky == SKY).astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    found, _ = cv2.findContours(is_sky, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    if not found:
        return
    lengths = np.array([len(line) for line in found])
    points = np.concatenate(found)[:, 0]
    along = np.arange(len(points)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    # Where the frame ends the sky has no edge.
    edge = (points > 0).all(axis=1) & (points < (width - 1, height - 1)).all(axis=1)
    if dashed:
        edge &= along % 10 < 5
    ticks = _ticks(is_sky, points[edge & (along % TICK_STEP == 0)])
    x, y = np.concatenate([points[edge], ticks]).T
    for away_x, away_y in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        view.pixels[y + away_y, x + away_x] = CASING
    view.pixels[y, x] = color


def _ticks(is_sky: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The pixels of ticks that go from points on the edge of the sky into it.

    Args:
        is_sky: uint8 (h, w), 0 or 1.
        starts: int (n, 2), x and y.

    Returns:
        int (k, 2), none at the border of the view.
    """
    height, width = is_sky.shape
    # Its slope points into the sky, whatever the steps of the edge.
    smooth = cv2.blur(is_sky * np.uint8(255), (9, 9)).astype(np.int32)
    x, y = starts.T
    left, right = (x - 2).clip(0), (x + 2).clip(max=width - 1)
    above, below = (y - 2).clip(0), (y + 2).clip(max=height - 1)
    slope = np.stack([smooth[y, right] - smooth[y, left], smooth[below, x] - smooth[above, x]], axis=1)
    length = np.linalg.norm(slope, axis=1)
    known = length > 0
    steps = np.arange(1, TICK + 1)[:, None, None]
    pixels = np.rint(starts[known] + steps * (slope[known] / length[known, None])).astype(int).reshape(-1, 2)
    return pixels[((pixels > 0) & (pixels < (width - 1, height - 1))).all(axis=1)]


def target_pixels(boxes: np.ndarray, others: np.ndarray, reach: float) -> np.ndarray:
    """The pixels of targets that nothing may be drawn on.

    Args:
        boxes: float (n, 4), of the targets in pixels of the frame.
        others: float (m, 4), all boxes that are outlined.
        reach: How far outlines are outside of boxes, in pixels of the frame.

    Returns:
        float (k, 4): boxes brought to whole pixels, at least one each. One that holds another with its outline is left
        out, for that outline could not be seen.
    """
    low = np.floor(boxes[:, :2] + 0.5)
    whole = np.concatenate([low, np.maximum(np.floor(boxes[:, 2:] + 0.5), low + 1)], axis=1)
    # No other box is inside one of a few pixels.
    large = np.flatnonzero((whole[:, 2:] - whole[:, :2]).min(axis=1) > 2 * reach)
    outer = others + (-reach, -reach, reach, reach)
    ahead, behind = whole[large, None, :2] <= outer[:, :2], whole[large, None, 2:] >= outer[:, 2:]
    holds = np.all(ahead & behind, axis=2)
    return np.delete(whole, large[np.any(holds, axis=1)], axis=0)


def keep_targets(view: View, boxes: np.ndarray, others: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """The pixels of targets in a view, before anything is drawn, for :func:`restore`.

    Args:
        view: Where.
        boxes: float (n, 4), of the targets in pixels of the frame.
        others: float (m, 4), all boxes that are outlined.
    """
    inside = boxes[view.inside(boxes)], others[view.inside(others)]
    placed = view.place(target_pixels(*inside, OUTER / view.scale))
    kept = []
    for x1, y1, x2, y2 in placed.clip(0).tolist():
        part = view.pixels[y1:max(y2, y1 + 1), x1:max(x2, x1 + 1)]
        kept.append((part, part.copy()))
    return kept


def restore(kept: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """Put pixels of targets back that something was drawn on, in place."""
    for part, before in kept:
        part[:] = before
