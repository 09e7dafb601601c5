"""The caption below an overlay: the frame's name, its contrast, what was found, and a legend of what occurs."""
from typing import NamedTuple

import cv2
import numpy as np

from bafenet.devkit.layout import SKY, TARGET

from .contrast import describe_limits
from .insets import Layers
from .marks import (
    FOUND_COLOR,
    FOUND_GAPS,
    LIGHT,
    MARK,
    SKY_COLOR,
    TICK,
    TRUE_COLOR,
    TRUE_GAPS,
    View,
    draw_mark,
    draw_mask_edge,
    draw_outlines,
)
from .outcomes import FALSE_ALARM, FOUND, HIT, MISS, OUTCOME_NAMES, OUTCOME_PLURALS, Outcomes
from .text import LINE, Text, shorten, text_width, write_texts

# What stands before a text of the legend, by name; outcomes are their numbers.
TRUE_BOX, FOUND_BOX, SKY_EDGE, TRUE_SKY_EDGE, PLACE = 'true box', 'found box', 'sky', 'true sky', 'place'
TRUE_MASK, MASK = 'true mask', 'mask'
_LEGEND = {TRUE_BOX: 'true box', FOUND_BOX: 'found box', TRUE_MASK: 'true target pixels',
           MASK: 'predicted target pixels', SKY_EDGE: 'predicted sky (ticks point into it)',
           TRUE_SKY_EDGE: 'true sky (ticks point into it)', PLACE: 'place of an inset'}
_SYMBOL, _BETWEEN, _EDGE = 26, 18, 8
# Of a caption whose height must not depend on the frame: its widest facts.
_WIDEST = ('99999×99999', 'grey 999999–999999 of 0–255', '99999 hits, 99999 misses, 99999 false alarms',
           '99 of 99999 places shown', '99999 below 0.0999 not drawn', 'sky 100 %', 'true sky 100 %')


class Item(NamedTuple):
    """A piece of the caption: a text, and the symbol before it, if any."""

    text: str
    symbol: str | int | None = None

    @property
    def width(self) -> int:
        """In pixels."""
        return text_width(self.text) + (0 if self.symbol is None else _SYMBOL)


class Lines(NamedTuple):
    """Items with their places.

    Attributes:
        items: Each with its left edge and the middle of its line.
        height: Of all lines in pixels.
    """

    items: list[tuple[Item, int, int]]
    height: int


class Caption(NamedTuple):
    """Facts of a frame, its legend, and its name."""

    title: str
    facts: list[Item]
    legend: list[Item]

    def lines(self, width: int, fixed_height: bool) -> Lines:
        """Break it into lines.

        Args:
            width: Of the picture.
            fixed_height: Take the height of the fullest caption, whatever the frame holds.
        """
        name = [Item(shorten(self.title, width - 2 * _EDGE))] if self.title else []
        lines = _flow([name, self.facts, self.legend], width)
        if not fixed_height:
            return lines
        everything = [Item(text, key) for key, text in _LEGEND.items()]
        everything += [Item(OUTCOME_NAMES[kind], kind) for kind in (HIT, MISS, FALSE_ALARM)]
        return Lines(lines.items, _flow([name, [Item(text) for text in _WIDEST], everything], width).height)


def _flow(paragraphs: list[list[Item]], width: int) -> Lines:
    """Items one after the other, each paragraph on a new line."""
    placed, y = [], _EDGE
    for paragraph in paragraphs:
        x = _EDGE
        for item in paragraph:
            if x > _EDGE and x + item.width > width - _EDGE:
                x, y = _EDGE, y + LINE + 2
            placed.append((item, x, y + LINE // 2))
            x += item.width + _BETWEEN
        y += LINE + 2 if paragraph else 0
    return Lines(placed, y + _EDGE)


def caption_of(layers: Layers, title: str, limits: tuple[int, int], levels: tuple[float, float] | None, shown: int,
               places: int, hidden: int, min_score: float) -> Caption:
    """What the caption of a frame says.

    Args:
        layers: What is drawn.
        title: Name of the frame.
        limits: Grey levels that became black and white.
        levels: What 0 and 255 were in a deep frame, or None.
        shown: How many places have an inset.
        places: How many there are.
        hidden: How many found boxes are not drawn for their scores.
        min_score: The score that they are below.
    """
    outcomes, (height, width) = layers.outcomes, layers.image.shape[:2]
    facts = [f'{width}×{height}', describe_limits(limits, levels), _counted(outcomes)]
    facts += [f'{shown} of {places} places shown'] if 0 < shown < places else []
    facts += [f'{hidden} below {min_score:.3g} not drawn'] if hidden else []
    facts += [f'sky {_share(layers.sky)}'] if layers.sky is not None else []
    facts += [f'true sky {_share(layers.true_sky)}'] if layers.true_sky is not None else []
    occurs = {TRUE_BOX: not outcomes.found.all(), FOUND_BOX: outcomes.found.any(), TRUE_MASK: _marks(layers.true_mask),
              MASK: _marks(layers.mask), PLACE: shown,
              SKY_EDGE: _has_edge(layers.sky), TRUE_SKY_EDGE: _has_edge(layers.true_sky)}
    legend = [Item(_LEGEND[key], key) for key, there in occurs.items() if there]
    counts = outcomes.counts()
    legend[2:2] = [Item(OUTCOME_NAMES[kind], kind) for kind in (HIT, MISS, FALSE_ALARM) if counts[kind]]
    return Caption(title, [Item(fact) for fact in facts if fact], legend)


def _counted(outcomes: Outcomes) -> str:
    """``2 hits, 1 miss``; ``3 found`` where there is no truth."""
    counts = outcomes.counts().tolist()
    named = [f'{count} {OUTCOME_NAMES[kind] if count == 1 else OUTCOME_PLURALS[kind]}'
             for kind, count in enumerate(counts) if count]
    return ', '.join(named) if named else f'nothing {OUTCOME_NAMES[FOUND]}'


def _has_edge(sky: np.ndarray | None) -> bool:
    return sky is not None and 0 < int(np.count_nonzero(sky == SKY)) < sky.size


def _marks(mask: np.ndarray | None) -> bool:
    return mask is not None and bool((mask == TARGET).any())


def _share(sky: np.ndarray) -> str:
    share = 100 * int(np.count_nonzero(sky == SKY)) / sky.size
    # What has an edge is neither all nor nothing.
    return '>99 %' if 99.5 <= share < 100 else '<1 %' if 0 < share < 0.5 else f'{share:.0f} %'


def draw_caption(pixels: np.ndarray, lines: Lines) -> None:
    """Draw a caption, in place, into uint8 (lines.height, width, 3) RGB."""
    for item, x, y in lines.items:
        if item.symbol is not None:
            _draw_symbol(pixels, item.symbol, x + (_SYMBOL - 6) // 2, y)
    write_texts(pixels, [Text(x + (0 if item.symbol is None else _SYMBOL), y, item.text)
                         for item, x, y in lines.items])


def _draw_symbol(pixels: np.ndarray, symbol: str | int, x: int, y: int) -> None:
    """Draw the symbol of the legend about (x, y), in place."""
    half = MARK // 2
    if isinstance(symbol, int):
        draw_mark(pixels, symbol, x, y)
    elif symbol == TRUE_BOX:
        gap = TRUE_GAPS[0]
        draw_outlines(pixels, np.array([[x - half + gap, y - half + gap, x + half - gap + 1, y + half - gap + 1]]),
                      TRUE_COLOR)
    elif symbol == FOUND_BOX:
        # As large as that of a true box: the gap is taken off its box.
        gap = FOUND_GAPS[-1]
        draw_outlines(pixels, np.array([[x - half + gap, y - half + gap, x + half - gap + 1, y + half - gap + 1]]),
                      FOUND_COLOR, FOUND_GAPS, corners_only=True)
    elif symbol in (TRUE_MASK, MASK):
        shape = np.array([[0, 1, 0], [1, 1, 1]], np.uint8)
        draw_mask_edge(View(pixels[y - 5:y + 6, x - 6:x + 8], (0, 0), 1), np.pad(shape.repeat(2, 0).repeat(2, 1), (
            (4, 3), (4, 4))), TRUE_COLOR if symbol == TRUE_MASK else FOUND_COLOR)
    elif symbol == PLACE:
        cv2.rectangle(pixels, (x - half, y - half), (x + half, y + half), LIGHT, 1)
    else:
        color = SKY_COLOR if symbol == SKY_EDGE else TRUE_COLOR
        dashes = ((0, 16), ) if symbol == SKY_EDGE else ((0, 4), (6, 10), (12, 16))
        for start, end in dashes:
            cv2.line(pixels, (x - 8 + start, y + 2), (x - 8 + end, y + 2), color, 1)
        for tick in (2, 14):
            cv2.line(pixels, (x - 8 + tick, y + 2), (x - 8 + tick, y + 2 - TICK), color, 1)
