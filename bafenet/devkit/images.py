"""Reading a devkit's images, target masks and sky maps: 8 bits a channel, of bounded size, a problem is one line."""
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image, UnidentifiedImageError

from ..errors import InputError, first_line, printable
from ..reading import PathLike, open_file
from .layout import BINARY, IGNORED, OTHER, SKY, SKY_BINARY, SKY_PALETTE

MAX_PIXELS = 2**26  # of an image; Pillow only warns at 1.3 times as many

# Not those for which Pillow calls other programs, as it does for EPS.
FORMATS = ('PNG', 'JPEG', 'BMP', 'TIFF', 'PPM', 'WEBP', 'GIF')
TOO_DEEP = 'has more than 8 bits a pixel; convert the image to 8-bit grey first'
_BITS_PER_SAMPLE = 258  # a TIFF tag


@contextmanager
def _opened(path: PathLike, deep: bool = False) -> Iterator[Image.Image]:
    """An image file with its header read, of at most 8 bits a channel or ``deep``; what decoders raise is one line."""
    name = printable(path)
    with open_file(path) as file:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter('ignore', Image.DecompressionBombWarning)
                with Image.open(file, formats=FORMATS) as image:
                    require_few_pixels(path, image.width, image.height)
                    if not deep and is_deep(image):
                        raise InputError(f'{name}: {TOO_DEEP}')
                    yield image
        except InputError:
            raise
        except UnidentifiedImageError as error:
            raise InputError(f'{name}: does not decode as an image ({", ".join(FORMATS)}); replace the file') from error
        except Exception as error:
            raise InputError(f'{name}: does not decode as an image ({first_line(error)}); replace the file') from error


def require_few_pixels(path: PathLike, width: int, height: int) -> None:
    """Refuse an image that would fill the memory.

    Raises:
        InputError: If it has more than ``MAX_PIXELS``.
    """
    if width * height > MAX_PIXELS:
        raise InputError(f'{printable(path)}: is of {width}x{height} pixels, more than {MAX_PIXELS:,}; cut it into '
                         'smaller images')


def is_deep(image: Image.Image) -> bool:
    """Whether the header declares more than 8 bits a channel, some of which Pillow cuts to 8 without a warning."""
    if image.mode.startswith(('I', 'F')):
        return True
    tiles = getattr(image, 'tile', ())
    arguments = tiles[0][3] if tiles else ()
    arguments = arguments if isinstance(arguments, tuple) else (arguments, )
    if image.format == 'TIFF':
        return max(getattr(image, 'tag_v2', {}).get(_BITS_PER_SAMPLE, (1, ))) > 8
    if image.format == 'PPM':
        return any(isinstance(argument, int) and argument > 255 for argument in arguments)
    return image.format == 'PNG' and any(';16' in str(argument) for argument in arguments)


def image_size(path: PathLike) -> tuple[int, int]:
    """Width and height of an image file, from its header.

    Raises:
        InputError: If the file is no image, too large, or has more than 8 bits a channel.
    """
    with _opened(path) as image:
        return image.size


def read_image(path: PathLike) -> Image.Image:
    """An image file, wholly decoded.

    Raises:
        InputError: If the file does not decode, is too large, or has more than 8 bits a channel.
    """
    with _opened(path) as image:
        image.load()
        return image


def read_grey(path: PathLike) -> tuple[np.ndarray, bool]:
    """Read an image of 8 bits as grey.

    Returns:
        (H, W) uint8, and whether it had colours. An image of three equal channels has none; an alpha channel is left
        out. Pillow weighs colours by ITU-R 601.

    Raises:
        InputError: The file is no image, too large, or has more than 8 bits.
    """
    image = read_image(path)
    if image.mode == 'L':
        return np.asarray(image), False
    image = image.convert('RGB')
    red, green, blue = map(np.asarray, image.split())
    return np.asarray(image.convert('L')), not (np.array_equal(red, green) and np.array_equal(red, blue))


def read_mask(path: PathLike, size: tuple[int, int]) -> np.ndarray:
    """Read the mask of an image: palette indices, grey levels or colours, of which 0 is not in the mask.

    Args:
        path: Image file.
        size: Height and width that it must have.

    Returns:
        (H, W) uint8, palette indices or the highest of the channels.

    Raises:
        InputError: The file is no image, or of another size.
    """
    image = read_image(path)
    require_size(path, image.size, (size[1], size[0]))
    if image.mode in ('P', 'L', '1'):
        return np.asarray(image).astype(np.uint8)
    return np.asarray(image.convert('RGB')).max(axis=2)


def read_sky(path: PathLike, size: tuple[int, int], palette: bool = False) -> np.ndarray:
    """Read a sky map: 0 other, and sky where it is 1; where it holds no 1 and is no palette, where it is 255.

    Args:
        path: Image file.
        size: Height and width that it must have.
        palette: It is a devkit's ``SkySeg/PaletteMask``, in which 255 means ignored.

    Returns:
        (H, W) uint8: 0 other, 1 sky, 255 ignored.

    Raises:
        InputError: The file is no image, of another size, or holds other values or, where it is no palette, 1 and 255
            side by side, of which one must then mean something else.
    """
    values = read_mask(path, size)
    found = set(np.unique(values).tolist()) - {OTHER}
    if palette:
        fits, expected = found <= {SKY, IGNORED}, '0, 1 and 255 (ignored)'
    else:
        fits, expected = found in (set(), {SKY}, {BINARY}), '0 and 1, or 0 and 255'
    if not fits:
        raise InputError(f'{printable(path)}: a sky map holds {expected}, not {sorted(found)[:5]}; correct the file')
    return values if palette else np.where(values > 0, SKY, OTHER).astype(np.uint8)


def require_size(path: PathLike, size: tuple[int, int], expected: tuple[int, int]) -> None:
    """Refuse a mask whose (width, height) are not those of its image.

    Raises:
        InputError: If they are not.
    """
    if size != expected:
        raise InputError(f'{printable(path)}: is {size[0]}x{size[1]} and not of its image\'s size, '
                         f'{expected[0]}x{expected[1]}')


def require_palette_sky(paths: Iterable[PathLike]) -> None:
    """Refuse sky maps that hold 255 (ignored) and never a 1 (sky), as those of ``SkySeg/BinaryMask`` do.

    In a palette image 255 is meant: no binary mask is one.

    They are read until the first 1, so mostly one or two are. One that does not decode is named where it is used.

    Raises:
        InputError: If they are such.
    """
    ignored = None
    for path, values, is_palette in _sky_maps(paths):
        if (values == SKY).any():
            return
        if ignored is None and not is_palette and (values == IGNORED).any():
            ignored = path
    if ignored is not None:
        raise InputError(f'{printable(ignored)}: holds {IGNORED} (ignored), and no sky map beside it holds a {SKY} '
                         f'(sky), as in {SKY_BINARY}; give maps of {OTHER} and {SKY}, as in {SKY_PALETTE}')


def any_sky(paths: Iterable[PathLike]) -> bool:
    """Whether a sky map holds a 1 (sky). They are read until one does; what does not decode holds none."""
    return any((values == SKY).any() for _, values, _ in _sky_maps(paths))


def _sky_maps(paths: Iterable[PathLike]) -> Iterator[tuple[PathLike, np.ndarray, bool]]:
    """Sky maps that decode: file, values, whether these are indices of a palette."""
    for path in paths:
        try:
            image = read_image(path)
            yield path, np.asarray(image), image.mode == 'P'
        except InputError:
            continue
