"""Read a user's frames from any file: images of 8 or 16 bits or floating point, TIFF stacks, NumPy files, videos."""
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from ..errors import InputError, printable
from ..reading import PathLike, open_file
from .decode import JPEG_START, count_pages, is_tiff, read_header, read_pages
from .grey_levels import GreyLevels, as_frame
from .image_files import IMAGE_SUFFIXES
from .images import read_grey
from .sequences import VIDEO_SUFFIXES, count_numpy, count_video, is_numpy, is_video, read_numpy, read_video

IMAGE, NUMPY, VIDEO = 'image', 'numpy', 'video'
SUFFIXES = (*IMAGE_SUFFIXES, '.npy', *VIDEO_SUFFIXES)
DEFAULT_LEVELS = GreyLevels()
_START = 12  # bytes that tell what a file is
_READ = {IMAGE: read_pages, NUMPY: read_numpy, VIDEO: read_video}
_COUNT = {IMAGE: count_pages, NUMPY: count_numpy, VIDEO: count_video}


class Frame(NamedTuple):
    """A frame as a network takes it.

    Attributes:
        name: The file's name and, where it is one of several in it, ``#`` and its number.
        number: Its number in the file, from 0.
        image: uint8 (H, W) grey or (H, W, 3) BGR.
        levels: The two values that became 0 and 255, None where the frame had 8 bits.
    """

    name: str
    number: int
    image: np.ndarray
    levels: tuple[float, float] | None


def kind_of(path: PathLike) -> str:
    """``'image'``, ``'numpy'`` or ``'video'``, by a file's content; where that does not tell, by its suffix.

    Raises:
        InputError: If it is missing, or no regular file.
    """
    with open_file(path) as file:
        start = file.read(_START)
    if is_numpy(start):
        return NUMPY
    if is_video(start) or not is_image(start) and Path(path).suffix.lower() in VIDEO_SUFFIXES:
        return VIDEO
    return IMAGE


def is_image(start: bytes) -> bool:
    """Whether a file that begins so is an image of a kind that is read."""
    return is_tiff(start) or start.startswith((b'\x89PNG', JPEG_START, b'BM', b'GIF8')) \
        or start[:4] + start[8:12] == b'RIFFWEBP' or start[:1] == b'P' and start[1:2] in b'123456' \
        and start[2:3].isspace()


def starts_as_frames(path: PathLike) -> bool:
    """Whether a file begins as an image, a NumPy file or a video does.

    Raises:
        InputError: If it cannot be read.
    """
    with open_file(path) as file:
        start = file.read(_START)
    return is_image(start) or is_numpy(start) or is_video(start)


def read_frames(path: PathLike, levels: GreyLevels = DEFAULT_LEVELS,
                name: str | None = None) -> Generator[Frame, None, None]:
    """The frames of a file, one by one.

    An image, and a NumPy file of one frame, is one frame; pages of a TIFF, frames of a NumPy file (N, H, W) or
    (N, H, W, C) and of a video are several.

    Args:
        path: The file.
        levels: How deep frames are brought to 8 bits.
        name: What the file is called; its path where it is None.

    Raises:
        InputError: If the file, or one of its frames, does not decode or is too large, or there is none.
    """
    kind = kind_of(path)
    name = str(path) if name is None else name
    several = kind == VIDEO or _COUNT[kind](path) > 1
    number = -1
    for number, image in enumerate(_READ[kind](path)):
        try:
            grey, limits = levels.apply(as_frame(image))
        except InputError as error:
            raise InputError(f'{printable(path)}: {error}') from error
        yield Frame(f'{name}#{number}' if several else name, number, grey, limits)
    if number < 0:
        raise InputError(f'{printable(path)}: holds no frame; replace the file')


def count_frames(path: PathLike) -> int:
    """How many frames a file has; 0 where a video does not say.

    Raises:
        InputError: If the file cannot be read.
    """
    return _COUNT[kind_of(path)](path)


def read_frame(path: PathLike, levels: GreyLevels = DEFAULT_LEVELS) -> Frame:
    """The first frame of a file; see :func:`read_frames`."""
    with closing(read_frames(path, levels)) as frames:
        return next(frames)


def read_grey_frame(path: PathLike, levels: GreyLevels = DEFAULT_LEVELS) -> np.ndarray:
    """The first frame of a file as grey levels, uint8 (H, W); one of 8 bits as :func:`~.images.read_grey` gives it."""
    if kind_of(path) == IMAGE and not read_header(path).deep:
        return read_grey(path)[0]
    image = read_frame(path, levels).image
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
