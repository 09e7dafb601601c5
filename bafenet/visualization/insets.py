"""An inset: a place of a frame enlarged by nearest neighbour, with its boxes and marks, and scores beside it."""
from typing import NamedTuple

import cv2
import numpy as np

from . import marks
from .contrast import contrast_limits, stretch
from .marks import MARK, OUTER, TRUE_GAPS, View, draw_leader, draw_mark, draw_outlines
from .outcomes import MISS, OUTCOME_NAMES, Outcomes
from .places import INSET
from .text import LINE, Text

STRETCH = (1, 98)  # percentiles of the grey levels of an inset
LINE_WIDTH = 1  # of the line around an inset
MASK_GAP = 2  # from true target pixels to the line around predicted ones, so that both lines are seen
# Of an inset with what belongs to it, in pixels of the picture: the strip beside it for scores, the heading above it
# and the gutter above that, in which leaders run.
STRIP, HEADING, GUTTER = 56, 16, 12
SLOT_WIDTH, SLOT_HEIGHT = INSET + STRIP + 12, GUTTER + HEADING + INSET + LINE_WIDTH


class Layers(NamedTuple):
    """What is drawn of a frame.

    Attributes:
        image: uint8 (H, W, 3), RGB, not stretched.
        outcomes: Its boxes.
        sky: (H, W), 1 = sky, predicted, or None.
        true_sky: (H, W), likewise, or None.
        mask: (H, W), 1 = target, predicted, or None.
        true_mask: (H, W), likewise, or None.
    """

    image: np.ndarray
    outcomes: Outcomes
    sky: np.ndarray | None
    true_sky: np.ndarray | None
    mask: np.ndarray | None = None
    true_mask: np.ndarray | None = None


def _shown(view: View) -> tuple[slice, slice]:
    """Rows and columns of the frame that a view shows."""
    x, y = view.corner
    height, width = (max(1, round(side / view.scale)) for side in view.pixels.shape[:2])
    return slice(y, y + height), slice(x, x + width)


def draw_masks(view: View, layers: Layers) -> None:
    """Outline the pixels of true targets, and of predicted ones, outside of these where both are known."""
    part = _shown(view)
    if layers.true_mask is not None:
        marks.draw_mask_edge(view, layers.true_mask[part], marks.TRUE_COLOR)
    if layers.mask is not None:
        marks.draw_mask_edge(view, layers.mask[part], marks.FOUND_COLOR, 0 if layers.true_mask is None else MASK_GAP)


def draw_sky(view: View, layers: Layers) -> None:
    """Outline the predicted sky, and with dashes the true one."""
    part = _shown(view)
    if layers.sky is not None:
        marks.draw_sky_edge(view, layers.sky[part], marks.SKY_COLOR)
    if layers.true_sky is not None:
        marks.draw_sky_edge(view, layers.true_sky[part], marks.TRUE_COLOR, dashed=True)


class Marked(NamedTuple):
    """The boxes of a view that have a mark, and where it goes.

    Attributes:
        indices: int (k, ), of the boxes.
        spots: int (k, 2), x and y of the middles of their marks, inside the view.
        corners: int (k, 2), the corners of their outlines that the marks are next to.
    """

    indices: np.ndarray
    spots: np.ndarray
    corners: np.ndarray


def draw_boxes(view: View, outcomes: Outcomes) -> None:
    """Outline the boxes of a view, in place."""
    shown, found = view.inside(outcomes.boxes), outcomes.found
    placed = view.place(outcomes.boxes)
    draw_outlines(view.pixels, placed[shown & ~found], marks.TRUE_COLOR, TRUE_GAPS)
    draw_outlines(view.pixels, placed[shown & found], marks.FOUND_COLOR, marks.FOUND_GAPS, corners_only=True)


def place_marks(view: View, outcomes: Outcomes) -> Marked:
    """Choose where the marks of the boxes of a view go."""
    shown, placed = view.inside(outcomes.boxes), view.place(outcomes.boxes)
    marked = np.flatnonzero(shown & outcomes.listed)
    height, width = view.pixels.shape[:2]
    return Marked(marked, *mark_spots(placed[shown], placed[marked], width, height))


def draw_marks(view: View, outcomes: Outcomes, marked: Marked) -> None:
    """Draw the marks of boxes in place."""
    for index, (x, y) in zip(marked.indices.tolist(), marked.spots.tolist(), strict=True):
        draw_mark(view.pixels, int(outcomes.outcome[index]), x, y)


def mark_spots(boxes: np.ndarray, marked: np.ndarray, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the marks of boxes go: beyond the corner of each where it hides least.

    Args:
        boxes: int (n, 4), all boxes of the view, in its pixels.
        marked: int (k, 4), those that get a mark.
        width: Of the view.
        height: Of the view.

    Returns:
        int (k, 2), x and y of their middles, inside the view, and int (k, 2), the corners of the outlines.
    """
    half = MARK // 2
    corners, spots = (marks.outlines(marked, gap)[:, [1, 0, 2, 3]] for gap in (TRUE_GAPS[0], OUTER + half + 3))
    inside = spots.clip(half, np.maximum((width - half - 1, height - half - 1), half))
    squares = np.concatenate([inside - half, inside + half + 1], axis=2)
    hidden = marks.shared_area(squares[:, :, None], boxes + (-OUTER, -OUTER, OUTER, OUTER)).sum(axis=2)
    hidden += np.abs(inside - spots).sum(axis=2)
    best = np.zeros(len(marked), int)
    for i in range(len(marked)):  # each makes room for those before it
        taken = squares[np.arange(i), best[:i]]
        best[i] = (hidden[i] + 4 * marks.shared_area(squares[i, :, None], taken).sum(axis=1)).argmin()
    chosen = np.arange(len(marked)), best
    return inside[chosen], corners[chosen]


def list_rows(wanted: np.ndarray, height: int) -> np.ndarray:
    """Heights of the lines of a list, each as near as can be to what it is of, none on another.

    Args:
        wanted: (k, ), in ascending order; k lines fit into ``height``.
        height: Of the list in pixels.

    Returns:
        int (k, ), the middle of each line.
    """
    steps = np.arange(len(wanted)) * LINE
    rows = np.maximum.accumulate(wanted - steps) + steps
    return np.clip(np.minimum(rows, height - LINE // 2 - steps[::-1]), LINE // 2 + steps, None).astype(int)


def draw_inset(slot: np.ndarray, layers: Layers, region: np.ndarray, factor: int, number: int,
               stretched: bool) -> list[Text]:
    """Draw an inset into its slot, in place.

    The enlarged part of the frame is stretched by its own grey levels, so that dim targets beside a bright one can be
    seen.

    Args:
        slot: uint8 (SLOT_HEIGHT, SLOT_WIDTH, 3), RGB, a view of the picture.
        layers: What is drawn.
        region: int (4, ), ``[x1, y1, x2, y2]``, the part of the frame.
        factor: How many times it is enlarged.
        number: What it is called.
        stretched: Whether its contrast is; else it has the grey levels of the image.

    Returns:
        Texts that belong to it, in pixels of the slot.
    """
    x1, y1, x2, y2 = region.tolist()
    part = layers.image[y1:y2, x1:x2]
    if stretched:
        part = stretch(part, contrast_limits(part, STRETCH))
    top = GUTTER + HEADING
    pixels = slot[top:top + part.shape[0] * factor, LINE_WIDTH:LINE_WIDTH + part.shape[1] * factor]
    pixels[:] = cv2.resize(np.ascontiguousarray(part), pixels.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    view = View(pixels, (x1, y1), factor)
    kept = marks.keep_targets(view, layers.outcomes.targets, layers.outcomes.boxes)
    draw_sky(view, layers)
    marked = place_marks(view, layers.outcomes)
    # Leaders first, so that none cuts the outline of a box that it crosses.
    texts = _draw_list(slot, layers.outcomes, marked, top)
    for spot, end in zip(marked.spots.tolist(), marked.corners.tolist(), strict=True):
        draw_leader(view.pixels, [spot, end], marks.FAINT, casing=False)
    draw_boxes(view, layers.outcomes)
    draw_marks(view, layers.outcomes, marked)
    marks.restore(kept)
    draw_masks(view, layers)
    cv2.rectangle(slot, (0, top - 1), (pixels.shape[1] + 1, top + pixels.shape[0]), marks.LIGHT, 1)
    return [Text(2, GUTTER + HEADING // 2 - 1, f'{number}   {factor}×   corner x {x1}  y {y1}'), *texts]


def _draw_list(slot: np.ndarray, outcomes: Outcomes, marked: Marked, top: int) -> list[Text]:
    """The scores of an inset in the strip beside it, and leaders to their marks, from the top to the bottom."""
    room = INSET // LINE
    left_out = len(marked.indices) - room + 1 if len(marked.indices) > room else 0
    # Where there is no room for all: misses, which have no score, and the highest scores.
    chosen = np.argsort(-np.nan_to_num(outcomes.scores[marked.indices], nan=2.0), kind='stable')
    chosen = chosen[:len(chosen) - left_out]
    order = chosen[np.lexsort((marked.spots[chosen, 0], marked.spots[chosen, 1]))]
    rows = list_rows(marked.spots[order, 1], INSET - (LINE if left_out else 0)) + top
    x = INSET + 14
    texts = []
    for (at_x, at_y), row in zip(marked.spots[order].tolist(), rows.tolist(), strict=True):
        draw_leader(slot, [(at_x + LINE_WIDTH, at_y + top), (x - 8, row)], marks.FAINT, casing=False)
    for index, row in zip(marked.indices[order].tolist(), rows.tolist(), strict=True):
        outcome, score = int(outcomes.outcome[index]), float(outcomes.scores[index])
        draw_mark(slot, outcome, x, row)
        text = OUTCOME_NAMES[MISS] if outcome == MISS else '' if np.isnan(score) else f'{score:.2f}'
        texts.append(Text(x + 9, row, text))
    if left_out:
        texts.append(Text(x, top + INSET - LINE // 2, f'+ {left_out}'))
    return texts
