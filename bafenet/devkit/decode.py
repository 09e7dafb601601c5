"""Decode image files of any depth: PNG, JPEG, BMP, PGM by OpenCV; pages of a TIFF by OpenCV, Pillow or tifffile."""
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import cv2
import numpy as np
import tifffile
from PIL import UnidentifiedImageError

from ..errors import InputError, first_line, printable
from ..reading import PathLike, open_file, read_bytes
from .images import _opened, is_deep, read_image, require_few_pixels

MAX_BYTES = 2**30
_MOST_CHANNELS = 4  # RGBA
_PACKED = (10, 12, 14)  # bits, without gaps between pixels, as cameras write them
# OpenCV would keep the high bytes of 16 bits, and say nothing.
_FLAGS = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH
_ORIENTATION = 0x0112  # an EXIF tag
JPEG_START, PNG_START = b'\xff\xd8\xff', b'\x89PNG'
_PNG_EXIF = b'eXIf', b'Raw profile type'
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


def is_turned(path: PathLike) -> bool:
    """Whether an EXIF tag turns or mirrors an image; OpenCV then does, and the programs that label may not.

    Raises:
        InputError: If the file is missing.
    """
    content = read_bytes(path, MAX_BYTES)
    # Pillow would decode a PNG to look behind its pixels.
    if content.startswith(PNG_START) and not any(mark in content for mark in _PNG_EXIF):
        return False
    try:
        with _opened(path, deep=True) as image:
            return image.getexif().get(_ORIENTATION, 1) in range(2, 9)
    except InputError:
        return False  # a TIFF of a kind that Pillow does not know


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
    with _opened(path, deep=True) as image:
        image.seek(page)
        image.load()
        if is_deep(image):
            # Pillow cuts some of them to 8 bits.
            raise ValueError('it is damaged, or of a kind that OpenCV does not know')
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
                yield _pages_of(tiff)
        except InputError:
            raise
        except Exception as error:
            raise InputError(f'{printable(path)}: does not decode as a TIFF ({first_line(error)}); replace the '
                             'file') from error


def _pages_of(tiff: tifffile.TiffFile) -> Iterator[Any]:
    pages: Any = tiff.pages
    images = (tiff.imagej_metadata or {}).get('images') if tiff.is_imagej else None
    if isinstance(images, int) and images > len(pages):
        # So it writes stacks of more than 4 GB.
        raise ValueError(f'ImageJ has written {images} frames to it, and lists {len(pages)}; save it in parts')
    seen = set()
    for page in pages:
        if page.offset in seen:
            raise ValueError('its list of pages leads back to itself')
        seen.add(page.offset)
        if not page.is_reduced:
            yield page


def _read_tiff(path: PathLike) -> Iterator[np.ndarray]:
    data: bytes | None = None
    with _tiff(path) as pages:
        for page in pages:
            require_few_pixels(path, page.imagewidth, page.imagelength)
            _require_channels(page)
            image = _by_tifffile(page) if page.bitspersample > 8 else None
            if image is None:
                data = read_bytes(path, MAX_BYTES) if data is None else data
                _require_whole(path, page.index)
                image = _by_opencv(data, page.index)
                if image is not None and page.bitspersample in _PACKED:
                    image >>= 16 - page.bitspersample  # OpenCV multiplies them up to 16 bits
            yield _by_pillow(path, page.index) if image is None else image


def _require_channels(page: Any) -> None:
    """Refuse what would be taken for RGB and is not."""
    if page.samplesperpixel > _MOST_CHANNELS:
        raise ValueError(f'it has {page.samplesperpixel} channels; give grey, RGB or RGBA')
    if page.photometric == tifffile.PHOTOMETRIC.SEPARATED and page.bitspersample > 8:
        raise ValueError('it is in CMYK; give grey or RGB')


def _require_whole(path: PathLike, page: int) -> None:
    """Refuse a page whose compressed data are damaged: OpenCV fills up what it cannot decode, and says nothing."""
    try:
        with _opened(path, deep=True) as image:
            image.seek(page)
            image.load()
    except InputError as error:
        # What Pillow does not know may be whole.
        if isinstance(error.__cause__, OSError) and not isinstance(error.__cause__, UnidentifiedImageError):
            raise


def _by_tifffile(page: Any) -> np.ndarray | None:
    """A page of more than 8 bits as (H, W) or (H, W, 3), BGR; None where tifffile lacks its compression."""
    try:
        image = page.asarray()
    except (ValueError, NotImplementedError) as error:
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
