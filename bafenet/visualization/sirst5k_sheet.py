"""A contact sheet of a development set of SIRST-5K: frame, frame with noise, the noise alone, and its negatives."""
from pathlib import Path

import cv2
import numpy as np

from bafenet.devkit.box_matching import component_centroids
from bafenet.devkit.frames import read_frame
from bafenet.devkit.images import read_mask
from bafenet.devkit.read import read_split
from bafenet.errors import InputError, printable
from bafenet.synthesis.build_sirst5k import IMAGE_FOLDER, MASK_FOLDER, SPLIT_FOLDER, Job, entries_of
from bafenet.synthesis.negatives import ROTATIONS, window_around

from .drawing import as_rgb, tile, write_image
from .text import Text, shorten, write_texts

CELL = 256  # screen pixels
NEAR = 16  # pixels of a frame around a target
HEADS = ('frame', 'with noise', 'noise alone', *(f'target at {rotation} degrees' for rotation in ROTATIONS))


def write_sirst5k_sheet(root: Path, split: str, alpha: float, out: str, count: int = 8) -> None:
    """Draw some frames of a set with what was made of them, a row each, spread evenly over those with targets.

    Args:
        root: A set of :func:`~bafenet.synthesis.build_sirst5k.build_sirst5k`.
        split: The list that it was made of.
        alpha: The share of noise that it was made with; the noise alone is ``(mixed - (1 - alpha) frame) / alpha``.
        out: PNG file to write.
        count: Rows at most.

    Raises:
        InputError: If no frame has a target, or a file does not decode.
    """
    names = [name for name in read_split(root / SPLIT_FOLDER / f'{split}_original.txt')
             if (root / IMAGE_FOLDER / f'{entries_of(Job(name, 1, 0))[1].file}.png').is_file()]
    if not names:
        raise InputError(f'{printable(root)}: no frame has a target, and so there is no negative to draw')
    count = min(count, len(names))
    chosen = [names[len(names) * row // count] for row in range(count)]
    cells = [cell for name in chosen for cell in _row(root, name, alpha)]
    for cell, head in zip(cells, HEADS, strict=False):
        write_texts(cell, [Text(8, 12, shorten(head, CELL - 16), outlined=True)])
    write_image(out, tile(cells, len(HEADS)))


def _row(root: Path, name: str, alpha: float) -> list[np.ndarray]:
    """The cells of a frame, uint8 (CELL, CELL, 3) RGB."""
    frame, mixed, *turned = (read_frame(root / IMAGE_FOLDER / f'{entry.file}.png').image
                             for entry in entries_of(Job(name, 1, 1)))
    noise = (mixed.astype(np.float32) - (1 - alpha) * frame) / max(alpha, 1e-6)
    centre = component_centroids(read_mask(root / MASK_FOLDER / f'{name}.png', frame.shape[:2]))[0]
    window = window_around(centre, NEAR, frame.shape)
    near = np.stack([image[window] for image in turned]).astype(np.float32)
    # The same stretch for all four, so that they can be compared.
    near = (near - near.min()) * (255 / max(near.max() - near.min(), 1))
    cells = [_cell(image) for image in (frame, mixed, noise, *near)]
    write_texts(cells[0], [Text(8, CELL - 12, shorten(name, CELL - 16), outlined=True)])
    return cells


def _cell(image: np.ndarray) -> np.ndarray:
    """An image of any levels in a square cell, enlarged or reduced as a whole."""
    levels = as_rgb(np.rint(image).clip(0, 255).astype(np.uint8))
    height, width = levels.shape[:2]
    scale = CELL / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    canvas = np.zeros((CELL, CELL, 3), np.uint8)
    canvas[:size[1], :size[0]] = cv2.resize(levels, size,
                                            interpolation=cv2.INTER_NEAREST if scale >= 1 else cv2.INTER_AREA)
    return canvas
