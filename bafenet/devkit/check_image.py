"""Check one image of a devkit: image, masks, sky maps, box XML and points, each by itself and against the others."""
import hashlib
import os
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

from ..errors import InputError, one_line, printable
from ..reading import open_file, read_bytes
from .box_matching import EIGHT_NEIGHBOURS, MAX_PAIRS, NO_SHIFT, describe_shift, extents, match_boxes
from .check_report import ImageReport, Problem
from .decode import is_tiff, is_turned, read_header, read_pages
from .devkit_files import DevkitFiles
from .frames import count_frames
from .grey_levels import as_frame
from .image_files import IMAGE_SUFFIXES
from .images import read_image
from .layout import (
    BOXES,
    IGNORED,
    IMAGES,
    MASK_VALUES,
    POINTS,
    REQUIRED,
    SKY_BINARY,
    SKY_PALETTE,
    TARGET_BINARY,
    TARGET_PALETTE,
)
from .read import FARTHEST, MAX_OBJECTS, Annotation, BoxObject, read_annotation, without_area

MAX_POINTS_BYTES = 2**20


def check_image(files: DevkitFiles, folders: Sequence[str], classes: Sequence[str] | None, name: str) -> ImageReport:
    """Check the files of one image.

    Args:
        files: The devkit's.
        folders: Those of its folders that are looked at; a kind of file that has no folder is not missed.
        classes: The classes that an object may have; None for any.
        name: Image name.

    Returns:
        The report.
    """
    return _ImageCheck(files, folders, classes, name).run()


class _ImageCheck:
    """The check of one image, step by step; each step adds to ``report.problems``."""

    def __init__(self, files: DevkitFiles, folders: Sequence[str], classes: Sequence[str] | None, name: str) -> None:
        self.files = files
        self.folders = folders
        self.classes = classes
        self.report = ImageReport(name)
        self.size: tuple[int, int] | None = None

    def run(self) -> ImageReport:
        self._check_pixels()
        masks = {folder: self._read_mask(folder) for folder in MASK_VALUES}
        self._compare_masks(masks, TARGET_PALETTE, TARGET_BINARY)
        self._compare_masks(masks, SKY_PALETTE, SKY_BINARY)
        boxes = self._read_boxes()
        mask = masks[TARGET_BINARY] if masks[TARGET_PALETTE] is None else masks[TARGET_PALETTE]
        if mask is not None:
            components = extents(ndimage.label(mask, EIGHT_NEIGHBOURS)[0])
            self.report.components = len(components)
            if boxes is not None:
                self._compare_boxes(boxes, components)
        if POINTS in self.folders:
            self._check_points(boxes)
        return self.report

    def _add(self, folder: str, kind: str, message: str, severity: str = 'error') -> None:
        self.report.problems.append(Problem(self.files.shown(folder, self.report.name), kind, message, severity))

    def _path(self, folder: str) -> Path | None:
        """The file of this image in a folder; None if it is not there."""
        if folder not in self.folders:
            return None
        path = self.files.find(folder, self.report.name)
        if path is None:
            severity = 'error' if folder in REQUIRED else 'warning'
            self._add(folder, 'file missing', 'is missing, but its image is there', severity)
        elif not path.is_file():
            self._add(folder, 'unreadable', 'is no regular file')
            return None
        return path

    def _check_pixels(self) -> None:
        """Decode the image, of any depth, as training and prediction do."""
        path = self._path(IMAGES)
        if path is None:
            return
        try:
            header, frames = read_header(path), count_frames(path)
            pixels = _native(path, header.deep)
        except InputError as error:
            self._add(IMAGES, 'unreadable', _reason(error, path))
            return
        if frames > 1:
            self._add(IMAGES, 'several frames', f'holds {frames} frames, of which only the first is used', 'warning')
        if is_turned(path):
            self._add(IMAGES, 'turned by a tag', 'an EXIF tag turns it and no box or mask; save it upright')
        self.size = (header.width, header.height)
        self.report.deep = header.deep
        self.report.digest = _digest(pixels)

    def _read(self, folder: str) -> Image.Image | None:
        """An image file; None if it is missing or damaged."""
        path = self._path(folder)
        if path is None:
            return None
        try:
            return read_image(path)
        except InputError as error:
            self._add(folder, 'unreadable', _reason(error, path))
            return None

    def _read_mask(self, folder: str) -> np.ndarray | None:
        """A mask, (H, W) uint8; None if it is missing or not fit to be compared with anything."""
        image = self._read(folder)
        if image is None:
            return None
        expected = ', '.join(map(str, MASK_VALUES[folder]))
        if image.mode not in ('1', 'L', 'P'):
            self._add(folder, 'mask values', f'has the mode {image.mode}; one channel of {expected} is expected')
            return None
        values: set[Any] = {value for _, value in image.getcolors(256) or ()}
        if folder == SKY_PALETTE:
            self.report.sky_values = frozenset(values)
        strange = sorted(values - set(MASK_VALUES[folder]))
        if strange:
            some = ', '.join(map(str, strange[:5])) + (', …' if len(strange) > 5 else '')
            self._add(folder, 'mask values', f'holds the values {some}; only {expected} are expected')
        if self.size is not None and image.size != self.size:
            self._add(folder, 'size', f'is {_by(image.size)}, but the image is {_by(self.size)}')
            return None
        return None if strange else np.asarray(image, np.uint8)

    def _compare_masks(self, masks: dict[str, np.ndarray | None], palette: str, binary: str) -> None:
        first, second = masks[palette], masks[binary]
        # Without a sound image to go by, each may have another size.
        if first is None or second is None or first.shape != second.shape:
            return
        different = np.count_nonzero(((first == MASK_VALUES[palette][1]) != (second > 0)) & (first != IGNORED))
        if different:
            self._add(binary, 'masks differ',
                       f'{different} pixels differ from {self.files.shown(palette, self.report.name)}')

    def _read_boxes(self) -> dict[int, list[float]] | None:
        """Boxes by their object's number (0-based) where they have an area; None if there is no readable XML."""
        path = self._path(BOXES)
        if path is None:
            return None
        try:
            annotation = read_annotation(path)
        except InputError as error:
            self._add(BOXES, 'XML', _reason(error, path))
            return None
        self._check_head(annotation)
        boxes = {}
        for index, item in enumerate(annotation.objects):
            box = self._check_object(item, f'object {index + 1}')
            if box is not None:
                boxes[index] = box
        self.report.boxes = len(boxes)
        return boxes

    def _check_head(self, annotation: Annotation) -> None:
        """Check what an XML says about its image, where it says anything."""
        filename, size = annotation.filename, annotation.size
        if filename is not None and not _is_named(filename, self.report.name):
            self._add(BOXES, 'XML', f'says that it belongs to the image {filename!r}')
        if size is not None and self.size is not None and size != tuple(map(str, self.size)):
            self._add(BOXES, 'XML', f'says that the image is {_by(size)}; it is {_by(self.size)}')

    def _check_object(self, item: BoxObject, what: str) -> list[float] | None:
        """The box of an object; None if it has none, one without area or one that is nowhere near an image."""
        if item.name is None:
            self._add(BOXES, 'XML', f'{what} has not one class name')
        else:
            self.report.classes[item.name] += 1
            if self.classes is not None and item.name not in self.classes:
                self._add(BOXES, 'XML', f'{what} is of class {item.name!r}, which is not among {tuple(self.classes)}')
        box = item.corners
        if box is None or not np.isfinite(box).all():
            self._add(BOXES, 'XML', f'{what} has no box of four numbers ({item.problem or _numbers(box or ())})')
            return None
        if without_area(np.array([box])).any():
            self._add(BOXES, 'box', f'{what}: the box {_numbers(box)} has no area')
            return None
        far = max(map(abs, box)) > FARTHEST
        if self.size is not None and not (min(box[:2]) >= 0 and box[2] <= self.size[0] and box[3] <= self.size[1]):
            self._add(BOXES, 'box', f'{what}: the box {_numbers(box)} lies outside the {_by(self.size)} image')
        elif far:
            self._add(BOXES, 'box', f'{what}: the box {_numbers(box)} lies outside of any image')
        return None if far else list(box)

    def _compare_boxes(self, boxes: dict[int, list[float]], components: np.ndarray) -> None:
        objects = np.array(list(boxes), int)
        corners = np.array(list(boxes.values()), float).reshape(-1, 4)
        try:
            pairs = match_boxes(corners, components)
        except InputError as error:
            self._add(BOXES, 'box differs', str(error))
            return
        shifts = corners[pairs[:, 0]] - components[pairs[:, 1]]
        self.report.compared = True
        self.report.shifts = list(map(tuple, shifts.tolist()))
        self._report_shifts(objects[pairs[:, 0]] + 1)
        moved = pairs[shifts.any(axis=1)]
        self.report.corrections = dict(
            zip(objects[moved[:, 0]].tolist(), components[moved[:, 1]].tolist(), strict=True))
        for index in np.setdiff1d(np.arange(len(corners)), pairs[:, 0]):
            self._add(BOXES, 'box without a component',
                       f'object {objects[index] + 1}: no mask component for the box {_numbers(corners[index])} alone')
        for index in np.setdiff1d(np.arange(len(components)), pairs[:, 1]):
            self._add(BOXES, 'component without a box', f'no box for the mask component {_numbers(components[index])}')

    def _report_shifts(self, objects: np.ndarray) -> None:
        """One problem for each way in which boxes differ from their components."""
        shifts = self.report.shifts
        for shift in sorted(set(shifts) - {NO_SHIFT}):
            numbers = [int(number) for number, other in zip(objects, shifts, strict=True) if other == shift]
            kind = 'box shifted' if len(set(shift)) == 1 else 'box differs'
            self._add(BOXES, kind, f'{len(numbers)} of {self.report.boxes} boxes {describe_shift(shift)} against the '
                       f'mask component: object {", ".join(map(str, numbers))}')

    def _check_points(self, boxes: dict[int, list[float]] | None) -> None:
        path = self._path(POINTS)
        if path is None:
            return
        try:
            lines = read_bytes(path, MAX_POINTS_BYTES).decode('utf-8').splitlines()
            pairs = [[float(x), float(y)] for x, y in (line.split() for line in lines if line.strip())]
        except InputError as error:
            self._add(POINTS, 'unreadable', _reason(error, path))
            return
        except ValueError as error:
            self._add(POINTS, 'unreadable', f'does not hold two numbers in each line ({one_line(error)})')
            return
        points = np.array(pairs).reshape(-1, 2)
        if boxes is None:
            return
        corners = np.array(list(boxes.values()), float).reshape(-1, 4)
        if len(points) != len(corners):
            self._add(POINTS, 'point', f'{len(points)} points for {len(corners)} boxes')
        if len(points) > MAX_OBJECTS or len(points) * len(corners) > MAX_PAIRS:
            self._add(POINTS, 'point', f'{len(points)} points and {len(corners)} boxes are too many to be compared')
            return
        inside = np.all((points[:, None] >= corners[None, :, :2]) & (points[:, None] < corners[None, :, 2:]), axis=2)
        for point in points[~np.any(inside, axis=1)]:
            self._add(POINTS, 'point', f'the point {_numbers(point)} lies in no box')
        for box in corners[~np.any(inside, axis=0)]:
            self._add(POINTS, 'point', f'no point lies in the box {_numbers(box)}')


def _native(path: Path, deep: bool) -> np.ndarray:
    """The pixels of an image, or of its first frame, as they are in the file: (H, W) or (H, W, C), RGB."""
    with open_file(path) as file:
        tiff = is_tiff(file.read(4))
    if not deep and not tiff:
        return np.asarray(read_image(path))
    with closing(read_pages(path)) as pages:  # type: ignore[type-var]
        image = as_frame(next(pages))
    return image if image.ndim == 2 else image[..., ::-1]


def _is_named(file: str, name: str) -> bool:
    """Whether a file name in an XML is that of an image: with any suffix of images, or without."""
    stem, suffix = os.path.splitext(file)
    return file == name or stem == name and suffix.lower() in IMAGE_SUFFIXES


def _digest(pixels: np.ndarray) -> str:
    """Digest of an image's content: alpha is left out, and grey is the same in one channel and in three equal ones."""
    if pixels.ndim == 3:
        pixels = pixels[..., :3] if pixels.shape[2] > 2 else pixels[..., :1]
        if (pixels == pixels[..., :1]).all():
            pixels = pixels[..., 0]
    head = f'{pixels.shape} {pixels.dtype}'.encode()
    return hashlib.blake2b(head + np.ascontiguousarray(pixels).tobytes(), digest_size=16).hexdigest()


def _by(size: Sequence) -> str:
    return 'x'.join(map(str, size))


def _numbers(values: Iterable[float]) -> str:
    return '[' + ', '.join(f'{value:g}' for value in values) + ']'


def _reason(error: InputError, path: Path) -> str:
    """An error's message without the file, which a problem names in its own way."""
    return str(error).removeprefix(f'{printable(path)}: ')
