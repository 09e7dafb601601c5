"""An inset: a place of a frame enlarged by nearest neighbour, with its boxes, their marks, and their scores beside it."""
from typing import NamedTuple

import cv2
import numpy as np

from .contrast import contrast_limits, stretch
from .marks import (FOUND_COLOR, FOUND_GAPS, LIGHT, MARK, SKY_COLOR, TRUE_COLOR, TRUE_GAPS, View, draw_leader, draw_mark,
                    draw_outlines, draw_sky_edge, target_pixels)
from .outcomes import MISS, OUTCOME_NAMES, Outcomes
from .places import INSET
from .text import LINE, WHITE, Text

# Of an inset with what belongs to it, in pixels of the picture: the strip beside it for scores, the heading above it
# and the gutter above that, in which leaders run.
STRIP, HEADING, GUTTER = 56, 16, 12
SLOT_WIDTH, SLOT_HEIGHT = INSET + STRIP + 12, INSET + HEADING + GUTTER
_OUTER = FOUND_GAPS[-1] + 1


class Layers(NamedTuple):
    """What is drawn of a frame.

    Attributes:
        image: uint8 (H, W, 3), RGB, not stretched.
        outcomes: Its boxes.
        sky: (H, W), 1 = sky, predicted, or None.
        true_sky: (H, W), likewise, or None.
    """

    image: np.ndarray
    outcomes: Outcomes
    sky: np.ndarray | None
    true_sky: np.ndarray | None


def draw_sky(view: View, layers: Layers) -> None:
    """Outline the predicted sky, and with dashes the true one."""
    if layers.sky is not None:
        draw_sky_edge(view, layers.sky, color=SKY_COLOR)
    if layers.true_sky is not None:
        draw_sky_edge(view, layers.true_sky, dashed=True, color=TRUE_COLOR)


def draw_boxes(view: View, outcomes: Outcomes) -> np.ndarray:
    """Draw the boxes and marks of a view, in place.

    Returns:
        int (k, 2): where the marks of the boxes that are ``listed`` and in the view are, in their order.
    """
    shown = view.inside(outcomes.boxes)
    placed, found = view.place(outcomes.boxes[shown]), outcomes.found[shown]
    draw_outlines(view.pixels, placed[~found], TRUE_COLOR, TRUE_GAPS)
    draw_outlines(view.pixels, placed[found], FOUND_COLOR, FOUND_GAPS, corners_only=True)
    listed = outcomes.listed[shown]
    spots = mark_spots(placed, placed[listed], view.pixels.shape[1], view.pixels.shape[0])
    for outcome, (x, y) in zip(outcomes.outcome[shown][listed].tolist(), spots.tolist(), strict=True):
        draw_mark(view.pixels, outcome, x, y)
    return spots


def mark_spots(boxes: np.ndarray, marked: np.ndarray, width: int, height: int) -> np.ndarray:
    """Where the marks of boxes go: beyond the corner of each where it hides least.

    Args:
        boxes: int (n, 4), all boxes of the view, in its pixels.
        marked: int (k, 4), those that get a mark.
        width: Of the view.
        height: Of the view.

    Returns:
        int (k, 2), x and y of their middles, inside the view.
    """
    half = MARK // 2
    away = _OUTER + half + 1
    x1, y1, x2, y2 = (marked + (-away, -away, away - 1, away - 1)).T
    spots = np.stack([x2, y1, x1, y1, x2, y2, x1, y2], axis=1).reshape(-1, 4, 2)
    inside = spots.clip(half, np.maximum((width - half - 1, height - half - 1), half))
    low, high = inside[:, :, None] - half, inside[:, :, None] + half + 1
    shared = (np.minimum(high, boxes[None, None, :, 2:] + _OUTER) - np.maximum(low, boxes[None, None, :, :2] - _OUTER))
    hidden = shared.clip(0).prod(axis=3).sum(axis=2) + np.abs(inside - spots).sum(axis=2)
    return inside[np.arange(len(inside)), hidden.argmin(axis=1)] if len(inside) else np.zeros((0, 2), int)


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
               percentiles: tuple[float, float] | None) -> list[Text]:
    """Draw an inset into its slot, in place.

    The enlarged part of the frame is stretched by its own grey levels, so that a dim target in it can be seen.

    Args:
        slot: uint8 (SLOT_HEIGHT, SLOT_WIDTH, 3), RGB, a view of the picture.
        layers: What is drawn.
        region: int (4, ), ``[x1, y1, x2, y2]``, the part of the frame.
        factor: How many times it is enlarged.
        number: What it is called.
        percentiles: For its contrast; None leaves it.

    Returns:
        Texts that belong to it, in pixels of the slot.
    """
    x1, y1, x2, y2 = region.tolist()
    part = layers.image[y1:y2, x1:x2]
    if percentiles is not None:
        part = stretch(part, contrast_limits(part, (percentiles[0], 100)))
    top = GUTTER + HEADING
    pixels = slot[top:top + part.shape[0] * factor, :part.shape[1] * factor]
    pixels[:] = cv2.resize(np.ascontiguousarray(part), pixels.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    view = View(pixels, (x1, y1), factor)
    kept = keep_targets(view, layers.outcomes)
    draw_sky(view, layers)
    spots = draw_boxes(view, layers.outcomes)
    texts = _draw_list(slot, layers.outcomes, view, spots, top)
    restore(kept)
    cv2.rectangle(slot, (0, top - 1), (pixels.shape[1], top + pixels.shape[0]), LIGHT, 1)
    return [Text(2, GUTTER + HEADING // 2 - 1, f'{number}   {factor}×   at {x1}, {y1}'), *texts]


def _draw_list(slot: np.ndarray, outcomes: Outcomes, view: View, spots: np.ndarray, top: int) -> list[Text]:
    """The scores of an inset in the strip beside it, and leaders to them, from the top to the bottom."""
    shown = outcomes.listed & view.inside(outcomes.boxes)
    order = np.lexsort((spots[:, 0], spots[:, 1]))
    room = INSET // LINE
    left_out = max(0, len(order) - room)
    order = order[:room - 1] if left_out else order
    rows = list_rows(spots[order, 1], INSET - (LINE if left_out else 0)) + top
    x = INSET + 14
    texts = []
    for box, (at_x, at_y), row in zip(np.flatnonzero(shown)[order].tolist(), spots[order].tolist(), rows.tolist(),
                                      strict=True):
        outcome, score = int(outcomes.outcome[box]), float(outcomes.scores[box])
        cv2.line(slot, (at_x + MARK // 2, at_y + top), (x - 8, row), GREY, 1, cv2.LINE_AA)
        draw_mark(slot, outcome, x, row)
        text = OUTCOME_NAMES[MISS] if outcome == MISS else '' if np.isnan(score) else f'{score:.2f}'
        texts.append(Text(x + 9, row, text))
    if left_out:
        texts.append(Text(x, top + INSET - LINE // 2, f'+ {len(spots) - len(order)}', WHITE))
    return texts


def keep_targets(view: View, outcomes: Outcomes) -> list[tuple[np.ndarray, np.ndarray]]:
    """The pixels of the targets in a view, before anything is drawn: for :func:`restore`."""
    boxes = outcomes.boxes if outcomes.found.all() else outcomes.boxes[~outcomes.found]
    placed = view.place(target_pixels(boxes[view.inside(boxes)], _OUTER / view.scale))
    kept = []
    for x1, y1, x2, y2 in placed.clip(0).tolist():
        part = view.pixels[y1:max(y2, y1 + 1), x1:max(x2, x1 + 1)]
        kept.append((part, part.copy()))
    return kept


def restore(kept: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """Put pixels of targets back that something was drawn on, in place."""
    for part, before in kept:
        part[:] = before
