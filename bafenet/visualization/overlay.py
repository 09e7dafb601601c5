"""Overlay of a frame: boxes, their outcomes and the sky on the whole frame, and insets that enlarge each cluster."""
from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np

from bafenet.arguments import require_number, require_range
from bafenet.errors import InputError

from .caption import caption_of, draw_caption
from .contrast import contrast_limits, stretch
from .insets import (
    GUTTER,
    HEADING,
    SLOT_HEIGHT,
    SLOT_WIDTH,
    Layers,
    draw_boxes,
    draw_inset,
    draw_marks,
    draw_masks,
    draw_sky,
    place_marks,
)
from .marks import CASING, LIGHT, MARK, View, draw_leader, draw_mark, keep_targets, restore, shared_area
from .outcomes import FOUND, OUTCOME_NAMES, judge
from .places import cluster, rank, regions
from .text import Text, write_texts

STRETCH = (0.5, 99.9)  # percentiles of the frame
SIDE = 1280  # longer side of the frame in the picture, at most
INSETS = 8
MIN_SCORE = 0.3
BACKGROUND = (24, 24, 28)
_LARGEST_ZOOM = 8
_LEAST_WIDTH = 480  # so that the caption has room
_MARGIN = 16  # between the frame and the insets
_STEP, _NUMBER = MARK + 2, 14  # widths in the label of a place: of a mark, of its number
_LEAST_FRAME = 8  # side of what frames a place, in pixels of the picture


class Layout(NamedTuple):
    """Where things are in a picture.

    Attributes:
        scale: Pixels of the picture per pixel of the frame.
        frame: Width and height of the frame in the picture; its corner is that of the picture.
        slots: Corners x, y of the insets.
        size: Width and height of the picture above its caption.
    """

    scale: float
    frame: tuple[int, int]
    slots: list[tuple[int, int]]
    size: tuple[int, int]


def lay_out(width: int, height: int, slots: int, side: int = SIDE) -> Layout:
    """Lay a picture out: the frame, and right of it columns of insets.

    Args:
        width: Of the frame.
        height: Of the frame.
        slots: How many insets there are.
        side: The frame is enlarged by the largest whole factor, up to 8, that keeps it below this, and reduced where it
            is larger.
    """
    longest = max(width, height)
    scale = side / longest if longest > side else float(min(_LARGEST_ZOOM, max(1, (side - 1) // longest)))
    shown = max(1, round(width * scale)), max(1, round(height * scale))
    columns = -(-slots // min(4, max(2, round(shown[1] / SLOT_HEIGHT))))
    left = shown[0] + _MARGIN
    corners = [(left + SLOT_WIDTH * (i % columns), SLOT_HEIGHT * (i // columns)) for i in range(slots)]
    right = max([shown[0], *(x + SLOT_WIDTH for x, _ in corners)])
    bottom = max([shown[1], *(y + SLOT_HEIGHT for _, y in corners)])
    return Layout(scale, shown, corners, (max(right, _LEAST_WIDTH), bottom))


def draw_overlay(image: np.ndarray,
                 *,
                 true_boxes: np.ndarray | None = None,
                 boxes: np.ndarray | None = None,
                 scores: np.ndarray | None = None,
                 true_sky: np.ndarray | None = None,
                 sky: np.ndarray | None = None,
                 true_mask: np.ndarray | None = None,
                 mask: np.ndarray | None = None,
                 ignored_boxes: np.ndarray | None = None,
                 title: str = '',
                 min_score: float = 0.0,
                 iou_thr: float = 0.5,
                 insets: int = INSETS,
                 fixed_size: bool = False,
                 stretch_to: Sequence[float] | None = STRETCH,
                 levels: tuple[float, float] | None = None,
                 side: int = SIDE) -> np.ndarray:
    """Draw what was found in a frame, and what is there, so that targets of 3 pixels can be judged by eye.

    The whole frame is left, and right of it are insets that enlarge each cluster of boxes, or lone box, 8 to 12 times
    by nearest neighbour, with a leader to its place. True boxes are green lines, found ones orange corners, both
    outside the target's pixels, on which nothing is drawn. Hits have a dot, misses a cross, false alarms a triangle,
    and scores stand beside the inset. The predicted sky has a line on its edge, the true one a dashed line,
    with ticks that point into the sky. In insets a line follows the target pixels of masks.
    Where there are more places than insets, those with misses come first, then those with false alarms, then those
    with the highest score. A caption says how the contrast was stretched, and explains what occurs in the picture.

    Args:
        image: uint8 (H, W) grey or (H, W, 3) RGB.
        true_boxes: float (n, 4), ``[x1, y1, x2, y2]`` in pixels of the image with exclusive ends. None, unlike no
            boxes, means that the truth is not known, and found boxes are not judged.
        boxes: float (m, 4), found, likewise.
        scores: float (m, ), of the found boxes, in [0, 1].
        true_sky: (H, W), 1 = sky.
        sky: (H, W), 1 = sky, predicted.
        true_mask: (H, W), 1 = target.
        mask: (H, W), 1 = target, predicted.
        ignored_boxes: float (k, 4): what is found on them is neither right nor wrong.
        title: Name of the frame.
        min_score: Found boxes below it are not drawn, and their number is said.
        iou_thr: The least overlap of a hit.
        insets: Most insets; 0 draws the boxes on the frame instead.
        fixed_size: Make pictures of frames of one size all of one size, as a video needs it: with room for all insets.
        stretch_to: Percentiles of the grey levels that become black and white; None leaves the image. Insets, if it is
            not None, are stretched each by its own grey levels.
        levels: The two values of a frame of more than 8 bits that are 0 and 255 in ``image``, for the caption.
        side: See :func:`lay_out`.

    Returns:
        uint8 (height, width, 3), RGB; both sides are even.

    Raises:
        InputError: If an option is out of range, a box is none, or a sky or mask has another size than the image.
    """
    _check(min_score, iou_thr, insets, stretch_to, side)
    _check_arrays(image.shape[:2], dict(true_boxes=true_boxes, boxes=boxes, ignored_boxes=ignored_boxes),
                  dict(true_sky=true_sky, sky=sky, true_mask=true_mask, mask=mask))
    rgb = np.ascontiguousarray(image) if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    height, width = rgb.shape[:2]
    given = np.zeros((0, 4)) if boxes is None else np.asarray(boxes, np.float64).reshape(-1, 4)
    kept = np.ones(len(given), bool) if scores is None else np.asarray(scores).ravel() >= min_score
    outcomes = judge(true_boxes, given[kept], None if scores is None else np.asarray(scores).ravel()[kept],
                     ignored_boxes, iou_thr, (width, height))
    layers = Layers(rgb, outcomes, sky, true_sky, mask, true_mask)
    labels = cluster(outcomes.boxes)
    order = rank(labels, outcomes)
    areas, factors = regions(labels, outcomes.boxes, (width, height))
    chosen = _from_top(order[:insets], areas)
    layout = lay_out(width, height, insets if fixed_size else len(chosen), side)
    limits = (0, 255) if stretch_to is None else contrast_limits(image, stretch_to)
    caption = caption_of(layers, title, limits, levels, len(chosen), len(order), (~kept).sum(), min_score)
    lines = caption.lines(layout.size[0], fixed_size)
    picture = np.empty((layout.size[1] + lines.height, layout.size[0], 3), np.uint8)
    cv2.rectangle(picture, (0, 0), picture.shape[1::-1], BACKGROUND, -1)
    _draw_frame(picture, layers, layout, limits, labels, areas, chosen, insets)
    for number, (place, (x, y)) in enumerate(zip(chosen.tolist(), layout.slots, strict=False), 1):
        slot = picture[y:y + SLOT_HEIGHT, x:x + SLOT_WIDTH]
        write_texts(slot, draw_inset(slot, layers, areas[place], int(factors[place]), number,
                                     stretch_to is not None))
    draw_caption(picture[layout.size[1]:], lines)
    return np.pad(picture, ((0, picture.shape[0] % 2), (0, picture.shape[1] % 2), (0, 0)), 'edge')


def _check(min_score: float, iou_thr: float, insets: int, stretch_to: Sequence[float] | None, side: int) -> None:
    require_number('min_score', min_score, 0, 1)
    require_number('iou_thr', iou_thr, 0, 1, above=True)
    require_number('insets', insets, 0, 100, whole=True)
    require_number('side', side, 64, 2**14, whole=True)
    if stretch_to is not None:
        require_range('stretch_to', stretch_to, 0, 100)


def _check_arrays(size: tuple[int, ...], boxes: dict[str, Any], maps: dict[str, Any]) -> None:
    for name, value in boxes.items():
        array = np.zeros((0, 4)) if value is None else np.asarray(value)
        if array.dtype.kind not in 'uif' or array.size and (array.ndim != 2 or array.shape[1] != 4):
            raise InputError(f'{name} is {array.dtype} {"x".join(map(str, array.shape))}; give numbers, (n, 4)')
    for name, value in maps.items():
        if value is not None and np.shape(value) != tuple(size):
            raise InputError(f'{name} is of {"x".join(map(str, np.shape(value)))} and the image of '
                             f'{"x".join(map(str, size))} (height x width); give one of the same size')


def _from_top(places: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """Places in the order of their height in the frame, so that leaders cross little."""
    middles = areas[places, :2] + areas[places, 2:]
    return places[np.lexsort((middles[:, 0], middles[:, 1]))]


def _draw_frame(picture: np.ndarray, layers: Layers, layout: Layout, limits: tuple[int, int], labels: np.ndarray,
                areas: np.ndarray, chosen: np.ndarray, insets: int) -> None:
    """Draw the whole frame with its sky, the frames of all places, and the leaders of those that have an inset."""
    width, height = layout.frame
    pixels = picture[:height, :width]
    how = cv2.INTER_NEAREST if layout.scale >= 1 else cv2.INTER_AREA
    pixels[:] = stretch(cv2.resize(layers.image, (width, height), interpolation=how), limits)
    view = View(pixels, (0, 0), layout.scale)
    kept = keep_targets(view, layers.outcomes.targets, layers.outcomes.boxes)
    draw_sky(view, layers)
    if insets:
        _draw_places(picture, view, layers, layout, labels, areas, chosen)
    else:
        draw_boxes(view, layers.outcomes)
        draw_marks(view, layers.outcomes, place_marks(view, layers.outcomes))
    restore(kept)
    if not insets:
        draw_masks(view, layers)


def _draw_places(picture: np.ndarray, view: View, layers: Layers, layout: Layout, labels: np.ndarray,
                 areas: np.ndarray, chosen: np.ndarray) -> None:
    """Frame the places in a view, with the marks of what is in them; number and lead those that have an inset."""
    frames = view.place(areas)
    grown = np.maximum(_LEAST_FRAME - (frames[:, 2:] - frames[:, :2]), 0)
    frames = frames + np.concatenate([-(grown // 2), grown - grown // 2], axis=1)
    limit_x, limit_y = layout.frame[0] - 1, layout.frame[1] - 1
    columns = len({x for x, _ in layout.slots}) or 1
    for i, place in enumerate(chosen.tolist()):
        _draw_leader(picture, frames[place].tolist(), layout.frame[0], layout.slots[i], i % columns)
    kinds = np.zeros((len(frames), len(OUTCOME_NAMES)), bool)
    kinds[labels, layers.outcomes.outcome] = True
    kinds[:, FOUND] = False  # it has no mark
    numbers = np.zeros(len(frames), int)
    numbers[chosen] = np.arange(1, len(chosen) + 1)
    for x1, y1, x2, y2 in frames.tolist():
        cv2.rectangle(view.pixels, (x1 - 1, y1 - 1), (x2, y2), CASING, 1)
        cv2.rectangle(view.pixels, (x1, y1), (min(x2 - 1, limit_x), min(y2 - 1, limit_y)), LIGHT, 1)
    texts = []
    widths = kinds.sum(axis=1) * _STEP + (numbers > 0) * _NUMBER
    for place, (x, y) in enumerate(_label_spots(frames, widths, layout.frame).tolist()):
        marks = np.flatnonzero(kinds[place]).tolist()
        for j, outcome in enumerate(marks):
            draw_mark(view.pixels, outcome, x + MARK // 2 + j * _STEP, y)
        if numbers[place]:
            texts.append(Text(x + 2 + len(marks) * _STEP, y, str(numbers[place]), outlined=True))
    write_texts(view.pixels, texts)


def _label_spots(frames: np.ndarray, widths: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Where the labels of places go: above, below, right or left of each, where it hides the least of other places.

    Args:
        frames: int (n, 4), ``[x1, y1, x2, y2]``.
        widths: int (n, ), of the labels.
        size: Width and height of the view.

    Returns:
        int (n, 2), x of their left ends and y of their middles, inside the view.
    """
    half = MARK // 2 + 1
    x1, y1, x2, y2 = frames.T
    middle = (y1 + y2) // 2
    wanted = np.stack([x1, y1 - half - 2, x1, y2 + half + 2, x2 + 5, middle, x1 - widths - 4, middle], axis=1)
    wanted = wanted.reshape(-1, 4, 2)
    room = np.maximum(np.stack([size[0] - widths, np.full(len(frames), size[1] - half)], axis=1), (0, half))
    spots = np.clip(wanted, (0, half), room[:, None])
    low = spots - (0, half)
    high = np.stack([spots[..., 0] + widths[:, None], spots[..., 1] + half], axis=2)
    labels = np.concatenate([low, high], axis=2)
    hidden = shared_area(labels[:, :, None], frames).sum(axis=2) + 20 * np.abs(spots - wanted).sum(axis=2)
    return spots[np.arange(len(frames)), hidden.argmin(axis=1)]


def _draw_leader(picture: np.ndarray, frame: list[int], width: int, slot: tuple[int, int], column: int) -> None:
    """Draw a line from a place's frame through the gutters between the insets to its own."""
    x1, y1, x2, y2 = frame
    gutter = slot[1] + max(1, GUTTER - 4 - 2 * column)
    end = slot[0], slot[1] + GUTTER + HEADING - 1
    draw_leader(picture, [(x2, (y1 + y2) // 2), (width + 4, gutter), (slot[0] - 4, gutter), end])
