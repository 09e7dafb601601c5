"""Decode image files of any depth: PNG, JPEG, BMP, PGM by OpenCV; pages of a TIFF by OpenCV, Pillow or tifffile."""
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import cv2
import numpy as np
import tifffile

from ..errors import InputError, first_line, printable
from ..reading import PathLike, open_file, read_bytes
from .images import _opened, is_deep, read_image, require_few_pixels

MAX_BYTES = 2**30
# OpenCV would keep the high bytes of 16 bits, and say nothing.
_FLAGS = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH
JPEG_START = b'\xff\xd8\xff'
_TIFF_STARTS = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')
# Its warnings about odd files would stand beside our own line.
logging.getLogger('tifffile').addHandler(logging.NullHandler())


class Header(NamedTuple):
    """What the header of an image file says.

    Attributes:
        width: In pixels.
        height: In pixels.
        deep: More than 8 bits a channel.
    """

    width: int
    height: int
    deep: bool


def is_tiff(start: bytes) -> bool:
    """Whether a file that begins so is a TIFF."""
    return start[:4] in _TIFF_STARTS


def read_header(path: PathLike) -> Header:
    """Size and depth of an image file, of its first page where it has several.

    Raises:
        InputError: If the file is no image, or too large.
    """
    try:
        with _opened(path, deep=True) as image:
            return Header(*image.size, is_deep(image))
    except InputError:
        # Pillow does not know all kinds of pixels that a TIFF may have.
        with open_file(path) as file:
            if not is_tiff(file.read(4)):
                raise
        with _tiff(path) as pages:
            page = next(iter(pages))
            return Header(page.imagewidth, page.imagelength, page.bitspersample > 8)


def read_pages(path: PathLike) -> Iterator[np.ndarray]:
    """The image of a file, or the pages of a TIFF one by one.

    Yields:
        Integers or floating point, (H, W) grey or (H, W, 3) BGR, without alpha; what has at most 8 bits a channel is
        uint8, as OpenCV reads it.

    Raises:
        InputError: If the file is no image, does not decode, or is too large.
    """
    with open_file(path) as file:
        start = file.read(4)
    if is_tiff(start):
        yield from _read_tiff(path)
    else:
        read_header(path)
        if start.startswith(JPEG_START):
            read_image(path)  # OpenCV fills up what is cut off, and says nothing
        data = read_bytes(path, MAX_BYTES)
        image = _by_opencv(data)
        yield _by_pillow(path) if image is None else image


def count_pages(path: PathLike) -> int:
    """How many pages :func:`read_pages` gives.

    Raises:
        InputError: If the file is a TIFF, and none that can be read.
    """
    with open_file(path) as file:
        if not is_tiff(file.read(4)):
            return 1
    with _tiff(path) as pages:
        return sum(1 for _ in pages)


# --- OpenCV and Pillow ------------------------------------------------------------------------------------------------


def _by_opencv(data: bytes, page: int = 0) -> np.ndarray | None:
    """An image, or None where OpenCV does not decode it."""
    try:
        if page == 0:
            return cv2.imdecode(np.frombuffer(data, np.uint8), _FLAGS)
        pages = cv2.imdecodemulti(np.frombuffer(data, np.uint8), _FLAGS, range=(page, page + 1))[1]
        return pages[0] if pages else None
    except cv2.error:
        return None


def _by_pillow(path: PathLike, page: int = 0) -> np.ndarray:
    with _opened(path) as image:
        image.seek(page)
        if image.mode in ('L', '1'):
            return np.asarray(image.convert('L'))
        return np.ascontiguousarray(np.asarray(image.convert('RGB'))[..., ::-1])


# --- TIFF -------------------------------------------------------------------------------------------------------------


@contextmanager
def _tiff(path: PathLike) -> Iterator[Iterator[Any]]:
    """The pages of a TIFF but for its thumbnails; whatever tifffile raises is one line."""
    with open_file(path) as file:
        try:
            with tifffile.TiffFile(file, name=os.path.basename(path)) as tiff:
                pages: Any = tiff.pages
                yield (page for page in pages if not page.is_reduced)
        except InputError:
            raise
        except Exception as error:
            raise InputError(f'{printable(path)}: does not decode as a TIFF ({first_line(error)}); replace the '
                             'file') from error


def _read_tiff(path: PathLike) -> Iterator[np.ndarray]:
    data: bytes | None = None
    with _tiff(path) as pages:
        for page in pages:
            require_few_pixels(path, page.imagewidth, page.imagelength)
            image = _by_tifffile(page) if page.bitspersample > 8 else None
            if image is None:
                data = read_bytes(path, MAX_BYTES) if data is None else data
                image = _by_opencv(data, page.index)
            yield _by_pillow(path, page.index) if image is None else image


def _by_tifffile(page: Any) -> np.ndarray | None:
    """A page of more than 8 bits as (H, W) or (H, W, 3), BGR; None where tifffile lacks its compression."""
    try:
        image = page.asarray()
    except ValueError as error:
        if 'imagecodecs' in str(error):
            return None
        raise
    if page.axes == 'SYX':
        image = np.moveaxis(image, 0, 2)
    elif page.axes not in ('YX', 'YXS'):
        raise ValueError(f'it has the axes {page.axes} and no height and width alone')
    if image.ndim == 3:
        image = np.ascontiguousarray(image[..., 2::-1]) if image.shape[2] >= 3 else image[..., 0]
    if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        image = ~image if image.dtype.kind in 'ui' else -image
    return image.astype(image.dtype.newbyteorder('='), copy=False)
