"""Picture files: a frame as RGB, pictures side by side as a sheet, an image file written atomically."""
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from bafenet.errors import InputError, printable
from bafenet.fileio import write_bytes

PathLike = str | Path


def as_rgb(image: np.ndarray) -> np.ndarray:
    """A frame, uint8 (H, W) grey or (H, W, 3) BGR, as RGB, uint8 (H, W, 3)."""
    return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB if image.ndim == 2 else cv2.COLOR_BGR2RGB)


def write_image(path: PathLike, image: np.ndarray) -> None:
    """Write an image atomically, in the format that its name says.

    OpenCV encodes it and does not write it: it would report a full disk by its return value, if at all.

    Args:
        path: File to write, such as ``.png`` or ``.jpg``.
        image: uint8 (H, W, 3), RGB.

    Raises:
        InputError: If there is no such format.
        OSError: If it cannot be written.
    """
    try:
        done, data = cv2.imencode(Path(path).suffix, np.ascontiguousarray(image[..., ::-1]))
    except cv2.error:
        done = False
    if not done:
        raise InputError(f'{printable(path)}: cannot be written as such a picture; give a name that ends in .png')
    write_bytes(path, data.tobytes())


def tile(pictures: Sequence[np.ndarray], columns: int, background: tuple[int, int, int] = (0, 0, 0)) -> np.ndarray:
    """Pictures in rows, all cells as large as the largest picture.

    Args:
        pictures: uint8 (H, W, 3) RGB each, at least one.
        columns: Pictures in a row.
        background: RGB, of what they leave free.

    Returns:
        uint8 (rows * H, columns * W, 3).
    """
    height, width = (max(picture.shape[axis] for picture in pictures) for axis in (0, 1))
    columns = min(columns, len(pictures))
    sheet = np.empty((-(-len(pictures) // columns) * height, columns * width, 3), np.uint8)
    sheet[:] = background
    for i, picture in enumerate(pictures):
        y, x = i // columns * height, i % columns * width
        sheet[y:y + picture.shape[0], x:x + picture.shape[1]] = picture
    return sheet
