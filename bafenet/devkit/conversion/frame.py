"""Convert one frame: its image, box XML, target mask and sky map in the layout of a devkit, and a record of it."""
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...errors import InputError, one_line, printable
from ..images import read_mask, read_sky
from ..layout import BOXES, IMAGES, SKY, SKY_BINARY, SKY_PALETTE, TARGET_BINARY, TARGET_PALETTE, file_below
from ..write import TARGET_COLOURS, voc_palette, write_boxes, write_masks
from .boxes import fit_boxes
from .pixels import write_pixels
from .source import Labels, Size, SourceFrame

Record = dict[str, Any]
Stamp = list[list[int]]


@dataclass(frozen=True)
class FrameOptions:
    """How each frame is converted.

    Attributes:
        out: The devkit.
        one_class: The class of all targets; None keeps their own.
        masks: Write target masks where they are known.
        link: Link PNG images instead of copying them.
        value_range: See :func:`write_pixels`.
    """

    out: Path
    one_class: str | None
    masks: bool
    link: bool
    value_range: Sequence[float] | None


class Task(NamedTuple):
    """A frame to convert, its name in the devkit, and its sky map or None."""

    name: str
    frame: SourceFrame
    sky: Path | None

    def stamp(self) -> Stamp:
        """Size and time of change of each file that the frame comes from; InputError if one is not there."""
        files = [self.frame.image, *self.frame.files, *([self.sky] if self.sky else [])]
        try:
            return [[status.st_size, status.st_mtime_ns // 1000] for status in (file.stat() for file in files)]
        except OSError as error:
            raise InputError(f'{printable(error.filename)}: cannot be read ({error.strerror})') from error


def convert_frame(options: FrameOptions, task: Task) -> Record:
    """Write the files of a frame.

    Returns:
        What was written: ``name``, ``key``, ``stamp``, ``size``, ``bits``, ``linked``, ``spread``, ``mask``, ``sky``,
        ``classes`` (targets by class), ``sides`` (width and height of each) and ``notes``; or ``name``, ``key`` and
        ``skipped``, why there is nothing.
    """
    try:
        stamp = task.stamp()
        written = write_pixels(task.frame.image, _fresh(options, IMAGES, task.name), options.link, options.value_range)
        labels = fit_boxes(task.frame.read(written['size']), written['size'])
        sky = None if task.sky is None else _read_sky(task.sky, written['size'])
    except InputError as error:
        for folder in (IMAGES, BOXES, TARGET_BINARY, TARGET_PALETTE, SKY_BINARY, SKY_PALETTE):
            (options.out / file_below(folder, task.name)).unlink(missing_ok=True)
        return dict(name=task.name, key=task.frame.key, skipped=one_line(error))
    mask = labels.mask if options.masks else None
    _write(options, task.name, labels, mask, sky, written)
    names = [options.one_class] * len(labels.names) if options.one_class else labels.names
    return dict(name=task.name, key=task.frame.key, file=task.frame.image.name, stamp=stamp, size=written['size'],
                bits=written['bits'], linked=written['linked'], spread=written['spread'], mask=mask is not None,
                sky=sky is not None, classes=dict(Counter(names)),
                sides=np.round(labels.boxes[:, 2:] - labels.boxes[:, :2], 2).tolist(),
                notes=[list(note) for note in labels.notes])


def _write(options: FrameOptions, name: str, labels: Labels, mask: np.ndarray | None, sky: np.ndarray | None,
           written: dict[str, Any]) -> None:
    names = [options.one_class] * len(labels.names) if options.one_class else labels.names
    if mask is not None:
        write_masks(_fresh(options, TARGET_BINARY, name), _fresh(options, TARGET_PALETTE, name), mask, mask,
                    TARGET_COLOURS)
    if sky is not None:
        write_masks(_fresh(options, SKY_BINARY, name), _fresh(options, SKY_PALETTE, name), sky == SKY, sky,
                    voc_palette())
    write_boxes(_fresh(options, BOXES, name), name, written['size'][::-1], written['channels'], names, labels.boxes)


def _read_sky(path: Path, size: Size) -> np.ndarray:
    """A sky map (H, W) uint8 of 0, 1 and 255; 255 is sky where there is no 1 and the map is none of a devkit."""
    shape = size[::-1]
    is_palette = path.parent.as_posix().endswith(SKY_PALETTE) or bool((read_mask(path, shape) == SKY).any())
    return read_sky(path, shape, is_palette)


def _fresh(options: FrameOptions, folder: str, name: str) -> Path:
    """A file to write, its folder made; what stood there, perhaps a link to a source, is removed and not followed."""
    path = options.out / file_below(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    return path


def files_of(out: Path, record: Record) -> list[Path]:
    """The files that a record says were written."""
    folders = [IMAGES, BOXES, *((TARGET_BINARY, TARGET_PALETTE) if record['mask'] else ()),
               *((SKY_BINARY, SKY_PALETTE) if record['sky'] else ())]
    return [out / file_below(folder, record['name']) for folder in folders]
