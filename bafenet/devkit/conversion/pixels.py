"""Pixels of a frame as a PNG of 8 or 16 bits, without loss where that can be."""
import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ...errors import InputError, printable
from ...reading import read_bytes
from ..decode import MAX_BYTES, PNG_START, is_turned, read_pages
from ..frames import IMAGE, NUMPY, count_frames, kind_of
from ..grey_levels import PERCENTILES, as_frame
from ..sequences import read_numpy
from .source import Size

_TOP = 2**16 - 1
_FURTHEST = 30  # so many times the distance of the percentiles


def write_pixels(source: Path, path: Path, link: bool, value_range: Sequence[float] | None) -> dict[str, Any]:
    """Write a frame as PNG: a PNG as it is, anything else decoded and written anew.

    Integers that fit 16 bits, and floating point of such whole numbers, keep their values. Others are spread over 16
    bits.

    Args:
        source: Image or ``.npy`` file of one frame.
        path: PNG to write.
        link: Make a symbolic link where the source is a PNG.
        value_range: The values that become 0 and 65535 where numbers do not fit; None takes the lowest and the highest
            of each frame, less far where single pixels would leave the others few levels, see :func:`_extremes`.

    Returns:
        ``size`` (width, height), ``bits``, ``channels``, ``linked`` and ``spread``, the two values, or None.

    Raises:
        InputError: If it does not decode, or holds several frames.
    """
    kind = kind_of(source)
    if kind not in (IMAGE, NUMPY):
        raise InputError(f'{printable(source)}: is a video; write its frames as images first')
    if count_frames(source) > 1:
        raise InputError(f'{printable(source)}: holds several frames; write each to a file of its own')
    with closing(read_pages(source) if kind == IMAGE else read_numpy(source)) as frames:  # type: ignore[type-var]
        image = next(frames)
    try:
        image = as_frame(image)
    except InputError as error:
        raise InputError(f'{printable(source)}: {error}') from error
    deep, spread = _as_png_depth(image, value_range)
    data = read_bytes(source, MAX_BYTES)
    # OpenCV turns such an image, and the programs that labels come from may not have.
    if kind == IMAGE and is_turned(source):
        raise InputError(f'{printable(source)}: is turned by an EXIF tag; save it upright, as its labels see it')
    path.unlink(missing_ok=True)
    is_png = data.startswith(PNG_START)
    if is_png and link:
        path.symlink_to(os.path.abspath(source))
    elif is_png:
        path.write_bytes(data)
    else:
        path.write_bytes(cv2.imencode('.png', deep)[1].tobytes())
    size: Size = (image.shape[1], image.shape[0])
    return dict(size=size, bits=8 * deep.itemsize, channels=1 if deep.ndim == 2 else deep.shape[2],
                linked=is_png and link, spread=spread)


def _as_png_depth(image: np.ndarray, value_range: Sequence[float] | None) -> tuple[np.ndarray, list[float] | None]:
    """An image as uint8 or uint16, and the two values that became 0 and 65535 where others than its own had to."""
    if image.dtype in (np.uint8, np.uint16):
        return image, None
    finite = np.isfinite(image)
    values = np.where(finite, image, 0).astype(np.float64)
    if value_range is None and finite.all() and values.min() >= 0 and values.max() <= _TOP \
            and np.array_equal(values, np.rint(values)):
        return values.astype(np.uint16), None
    low, high = value_range if value_range is not None else _extremes(values[finite])
    with np.errstate(over='ignore'):
        share = np.clip((values - low) / ((high - low) or 1), 0, 1)
    # As for a network: GreyLevels gives an infinite pixel the highest level.
    share = np.where(finite, share, np.isposinf(image))
    return np.rint(share * _TOP).astype(np.uint16), [float(low), float(high)]


def _extremes(values: np.ndarray) -> tuple[float, float]:
    """The lowest and the highest value, but none further from the percentiles that a network sees than 30 times these
    are apart: a hot pixel would leave all others a level or two, and they keep a thousand so.

    Args:
        values: float64 (N,), finite.
    """
    if not values.size:
        return 0.0, 0.0
    low, high = np.percentile(values, PERCENTILES, method='nearest').tolist()
    apart = _FURTHEST * (high - low) or np.inf  # where nearly all are one value, its extremes
    return max(values.min(), low - apart), min(values.max(), high + apart)
