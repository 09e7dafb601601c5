"""Text on pictures in DejaVu Sans, which comes with matplotlib: small, legible, and not ASCII alone."""
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.ft2font import FT2Font
from PIL import Image, ImageDraw, ImageFont

from bafenet.errors import printable

FONT_SIZE = 12
LINE = 16  # from line to line in pixels
WHITE = (235, 235, 235)
_DARK = (0, 0, 0)
_FONT = Path(matplotlib.get_data_path(), 'fonts', 'ttf', 'DejaVuSans.ttf')


class Text(NamedTuple):
    """A line of text.

    Attributes:
        x: Its left edge in pixels of the picture.
        y: Its vertical middle.
        text: What it says.
        color: RGB.
        outlined: Whether it has a dark outline, to be read on a frame.
    """

    x: int
    y: int
    text: str
    color: tuple[int, int, int] = WHITE
    outlined: bool = False


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(_FONT, size)


@lru_cache(maxsize=4096)
def text_width(text: str, size: int = FONT_SIZE) -> int:
    """Width of a line in pixels."""
    return int(np.ceil(_font(size).getlength(text)))


@lru_cache(maxsize=1)
def _letters() -> frozenset[int]:
    """The code points that the font has."""
    return frozenset(FT2Font(str(_FONT)).get_charmap())


def shorten(text: object, width: int, size: int = FONT_SIZE) -> str:
    r"""Text from outside as one line no wider than ``width`` pixels: its end, after ``…``.

    Control characters, and letters that the font does not have, are spelled out, as ``\u540d``.
    """
    line = ''.join(letter if ord(letter) in _letters() else ascii(letter)[1:-1] for letter in printable(text))
    if text_width(line, size) <= width:
        return line
    # A name's end tells it from others. A letter is at least a pixel wide.
    line = line[-max(1, width):]
    low, high = 0, len(line)
    while low < high:
        middle = (low + high) // 2
        if text_width(f'…{line[middle:]}', size) <= width:
            high = middle
        else:
            low = middle + 1
    return f'…{line[low:]}'


def write_texts(picture: np.ndarray, texts: Iterable[Text], size: int = FONT_SIZE) -> None:
    """Write lines into a picture, uint8 (H, W, 3) RGB, in place."""
    for x, y, text, color, outlined in texts:
        mask, (left, top) = _glyphs(text, size, outlined)
        _blend(picture, mask, x + left, y + top, _DARK if outlined else color)
        if outlined:
            mask, (left, top) = _glyphs(text, size, False)
            _blend(picture, mask, x + left, y + top, color)


@lru_cache(maxsize=4096)
def _glyphs(text: str, size: int, thick: bool) -> tuple[np.ndarray, tuple[int, int]]:
    """Coverage of a line, float32 (h, w, 1) in [0, 1], and its corner from its left edge and vertical middle."""
    stroke = 2 if thick else 0
    left, top, right, bottom = _font(size).getbbox(text, anchor='lm', stroke_width=stroke)
    corner = int(np.floor(left)), int(np.floor(top))
    image = Image.new('L', (max(1, int(np.ceil(right)) - corner[0]), max(1, int(np.ceil(bottom)) - corner[1])))
    ImageDraw.Draw(image).text((-corner[0], -corner[1]), text, 255, _font(size), anchor='lm', stroke_width=stroke)
    return np.asarray(image, np.float32)[..., None] / 255, corner


def _blend(picture: np.ndarray, mask: np.ndarray, x: int, y: int, color: tuple[int, int, int]) -> None:
    """Put a colour where a mask is, as far as it lies in the picture."""
    height, width = picture.shape[:2]
    x1, y1, x2, y2 = max(x, 0), max(y, 0), min(x + mask.shape[1], width), min(y + mask.shape[0], height)
    if x1 < x2 and y1 < y2:
        part, cover = picture[y1:y2, x1:x2], mask[y1 - y:y2 - y, x1 - x:x2 - x]
        part[:] = np.rint(part + (np.array(color, np.float32) - part) * cover)
