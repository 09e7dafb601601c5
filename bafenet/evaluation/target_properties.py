"""What a target measures, apart from any detection: size, local contrast, size of its frame; for recall by these."""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from ..devkit.frames import read_grey_frame
from ..devkit.stats_image import CONTRAST_MARGIN, local_contrast
from ..errors import InputError, printable

SIZE, CONTRAST, FRAME = 'size', 'contrast', 'frame'


class Quantity(NamedTuple):
    """A quantity of targets: its name with unit, and the edges of its bins, the last of which has no upper one."""

    label: str
    edges: tuple[float, ...]


QUANTITIES = {
    SIZE: Quantity('target size √area (px)', (0, 2, 2.5, 3, 3.5, 4, 5, 7, 10)),
    CONTRAST: Quantity(f'contrast (box / ring of {CONTRAST_MARGIN} px)',
                       (0, 1, 1.25, 1.5, 2, 2.5, 3, 4)),
    FRAME: Quantity('frame size √(W·H) (px)', (0, 256, 384, 512, 640, 800, 1000, 1280)),
}


@dataclass(frozen=True)
class Targets:
    """The quantities of the G targets of a split, in the order of its images.

    Attributes:
        values: By quantity, as far as it is known, float (G, ); NaN where it is not defined.
        notes: Why one is left out, a line each.
    """

    values: dict[str, np.ndarray]
    notes: tuple[str, ...] = ()


def measure_targets(images: Sequence[Mapping[str, Any]], folder: str | None = None) -> Targets:
    """Measure the targets of a file of results.

    ``size`` is the square root of the box's area in pixels; ``contrast`` is
    :func:`~bafenet.devkit.stats_image.local_contrast` in the frame's grey levels (a frame of more than 8 bits as the
    default percentiles bring it to 8), where the box is widened to whole pixels; ``frame`` is the square root of the
    frame's area.

    Args:
        images: ``gt_boxes`` and, where they are known, ``img_path``.
        folder: Where the frames are; where it is None, where ``img_path`` says.

    Raises:
        InputError: If a frame is there and does not decode, or a target lies outside.
    """
    boxes = [np.asarray(image['gt_boxes'], float).reshape(-1, 4) for image in images]
    sides = np.concatenate([np.zeros((0, 2)), *(part[:, 2:] - part[:, :2] for part in boxes)])
    values = {SIZE: np.sqrt(np.maximum(sides, 0).prod(axis=1))}
    paths = [_frame_path(image, folder) for image in images]
    absent = [index for index, path in enumerate(paths) if path is None]
    if absent:
        name = printable(images[absent[0]].get('img_path', images[absent[0]].get('img_id')))
        return Targets(values, (f'{len(absent)} of {len(images)} frames are not here ({name}): no recall by contrast '
                                'and frame size; --frames FOLDER says where they are', ))
    contrast, size = [], []
    for path, own in zip(tqdm(paths, desc='frames', disable=None), boxes, strict=True):
        assert path is not None
        frame = read_grey_frame(path)
        height, width = frame.shape
        contrast.append(local_contrast(frame, _whole(own, width, height, path)))
        size.append(np.full(len(own), np.sqrt(height * width)))
    return Targets({**values, CONTRAST: np.concatenate(contrast), FRAME: np.concatenate(size)})


def _frame_path(image: Mapping[str, Any], folder: str | None) -> Path | None:
    """The file of an image's frame, or None where there is none."""
    named = image.get('img_path')
    if not isinstance(named, str) or '\0' in named:
        return None
    path = Path(named) if folder is None else Path(folder, Path(named).name)
    return path if path.is_file() else None


def _whole(boxes: np.ndarray, width: int, height: int, path: Path) -> np.ndarray:
    """Boxes (n, 4) widened to whole pixels, int."""
    whole = np.concatenate([np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])], axis=1).astype(int)
    # With another box origin one may reach a pixel beyond the frame.
    clipped = np.clip(whole, 0, [width, height, width, height])
    if (np.abs(whole - clipped) > 1).any():
        box = boxes[np.abs(whole - clipped).max(axis=1).argmax()].tolist()
        raise InputError(f'{printable(path)}: the frame is of {width}x{height} pixels, and the true box {box} of the '
                         'results lies outside; name the folder of the frames that were tested by --frames')
    return clipped
