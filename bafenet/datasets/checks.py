"""The deep check of a SIRSTdevkit: every file is read and compared with the others, and every problem is told."""
import hashlib
import os
import shutil
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import Counter
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple, Union

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from tqdm import tqdm

from bafenet.errors import InputError, one_line
from bafenet.fileio import write_json
from bafenet.synthesis.devkit import (
    BOXES,
    CORNERS,
    IMAGES,
    POINTS,
    SKY_BINARY,
    SKY_PALETTE,
    SPLITS,
    TARGET_BINARY,
    TARGET_PALETTE,
    parallel_map,
)

from .densesirst import DenseSIRSTDataset

SUFFIXES = {
    IMAGES: '.png',
    BOXES: '.xml',
    TARGET_PALETTE: '.png',
    TARGET_BINARY: '_pixels0.png',
    POINTS: '_pixels0.txt',
    SKY_PALETTE: '.png',
    SKY_BINARY: '_pixels0.png',
}
# Without these DenseSIRSTDataset does not load.
REQUIRED = (IMAGES, BOXES, TARGET_PALETTE, SKY_PALETTE, SPLITS)
# 255 in a sky map means ignored.
MASK_VALUES = {TARGET_PALETTE: (0, 1), TARGET_BINARY: (0, 255), SKY_PALETTE: (0, 1, 255), SKY_BINARY: (0, 255)}
IGNORED = 255

ROLES = ('train', 'val', 'test', 'trainval')
DISJOINT_ROLES = (('train', 'val'), ('train', 'test'), ('val', 'test'), ('trainval', 'test'))

EIGHT_NEIGHBOURS = np.ones((3, 3), bool)
# A box is taken to mean a component that it overlaps, or else one whose corners are at most so many pixels away.
NEAR = 2

Shift = Tuple[float, float, float, float]
NO_SHIFT = (0., 0., 0., 0.)


@dataclass(frozen=True)
class Problem:
    """What is wrong with one file.

    Attributes:
        file: Path below the devkit.
        kind: Heading under which it is counted.
        message: What is wrong.
        severity: ``'error'``, or ``'warning'`` for what may be meant so.
    """

    file: str
    kind: str
    message: str
    severity: str = 'error'

    def __str__(self) -> str:
        return f'{self.file}: {"warning: " if self.severity == "warning" else ""}{self.message}'


@dataclass
class ImageReport:
    """What the files of one image say.

    Attributes:
        name: Image name.
        problems: What is wrong with its files.
        boxes: Number of readable boxes.
        compared: Whether the boxes could be compared with a target mask.
        components: Number of 8-connected components of the target mask.
        shifts: For each box that belongs to a component, box minus the component's extent, corner by corner.
        corrections: For each object of the XML (0-based) whose box is another than its component, the right box.
        digest: Digest of the image's pixels; None where it does not decode.
    """

    name: str
    problems: List[Problem] = field(default_factory=list)
    boxes: int = 0
    compared: bool = False
    components: int = 0
    shifts: List[Shift] = field(default_factory=list)
    corrections: Dict[int, List[int]] = field(default_factory=dict)
    digest: Optional[str] = None


@dataclass
class DevkitReport:
    """What a whole devkit says.

    Attributes:
        root: The devkit.
        images: Report of each image, by name.
        problems: All problems, those of images included, ordered by file.
        splits: Names in each split file.
    """

    root: Path
    images: List[ImageReport]
    problems: List[Problem]
    splits: Dict[str, List[str]]

    @property
    def errors(self) -> int:
        """Number of problems that are not mere warnings."""
        return sum(problem.severity == 'error' for problem in self.problems)

    def counts(self) -> Dict[str, int]:
        """Numbers of images, boxes and components, and how the boxes lie on their components."""
        shifts = self.shifts()
        compared = sum(image.boxes for image in self.images if image.compared)
        matched = sum(shifts.values())
        return {
            'images': len(self.images),
            'targets': sum(image.boxes for image in self.images),
            'mask components': sum(image.components for image in self.images),
            'boxes compared with their mask': compared,
            'boxes equal to their component': shifts[NO_SHIFT],
            'boxes that differ from their component': matched - shifts[NO_SHIFT],
            'boxes without a component': compared - matched,
        }

    def shifts(self) -> 'Counter[Shift]':
        """How often box minus component is what, over the boxes that belong to a component."""
        return Counter(shift for image in self.images for shift in image.shifts)

    def as_dict(self) -> Dict:
        """Everything, ready for JSON."""
        counts = self.counts()
        compared = max(counts['boxes compared with their mask'], 1)
        return {
            'devkit': str(self.root),
            'counts': counts,
            'shifts': [{'box minus component': list(shift), 'boxes': boxes, 'share': boxes / compared}
                       for shift, boxes in self.shifts().most_common()],
            'splits': {split: len(names) for split, names in self.splits.items()},
            'errors': self.errors,
            'warnings': len(self.problems) - self.errors,
            'problems': [asdict(problem) for problem in self.problems],
        }


def check(devkit: Union[str, Path],
          fix_boxes: Optional[str] = None,
          json_file: Optional[str] = None,
          workers: int = 1) -> int:
    """Check a devkit and print what was found; ``tools/dataset/check.py``.

    Args:
        devkit: The devkit.
        fix_boxes: Folder to create for corrected copies of the box XMLs.
        json_file: File for everything that was found.
        workers: Processes to use.

    Returns:
        Number of problems of severity ``'error'``.

    Raises:
        InputError: If ``devkit`` is none, an argument is out of range or an output cannot be written.
    """
    if fix_boxes is not None:
        check_new_folder(fix_boxes, devkit)
    report = check_devkit(devkit, workers)
    for problem in report.problems:
        print(problem)
    print_summary(report)
    if fix_boxes is not None:
        boxes, files = write_fixed_boxes(report, fix_boxes)
        print(f'{fix_boxes}: every box XML copied, {boxes} boxes in {files} of them corrected')
    if json_file is not None:
        try:
            write_json(json_file, report.as_dict())
        except OSError as error:
            raise InputError(f'{json_file}: cannot be written: {error.strerror}') from error
    return report.errors


def check_devkit(devkit: Union[str, Path], workers: int = 1) -> DevkitReport:
    """Read a whole devkit and compare its files with each other.

    Args:
        devkit: The devkit; nothing is written to it.
        workers: Processes to use; the report does not depend on it.

    Returns:
        Everything that was found; a problem never ends the check.

    Raises:
        InputError: If ``devkit`` has no images at all, or ``workers`` is below 1.
    """
    root = Path(devkit)
    names = image_names(root)
    folders = [folder for folder in SUFFIXES if (root / folder).is_dir()]
    images = list(map_with_progress(partial(check_image, root, folders), names, workers, 'check'))
    splits, problems = _read_splits(root)
    problems += _check_folders(root, folders, set(names))
    problems += _check_splits(splits, names)
    problems += _identical_images(images, splits)
    problems += (problem for image in images for problem in image.problems)
    return DevkitReport(root, images, sorted(problems, key=lambda problem: (problem.file, problem.kind)), splits)


def image_names(root: Path) -> List[str]:
    """Names of the images of a devkit, sorted.

    Raises:
        InputError: If there are none.
    """
    names = sorted(path.name.removesuffix('.png') for path in (root / IMAGES).glob('*.png'))
    if not names:
        raise InputError(f'{root / IMAGES}: no PNG image; give the folder that holds {IMAGES}, SIRST, SkySeg and '
                         f'{SPLITS}')
    return names


def map_with_progress(function: Callable, items: Sequence, workers: int, label: str) -> Iterator:
    """``map`` in so many processes, in order, with a progress bar on a terminal.

    Raises:
        InputError: If ``workers`` is below 1.
    """
    if workers < 1:
        raise InputError(f'--workers {workers}: give at least 1')
    bar = partial(tqdm, desc=label, total=len(items), unit='image', disable=None)
    yield from bar(parallel_map(function, items, workers))


def read_image(path: Union[str, Path]) -> Image.Image:
    """An image file, wholly decoded.

    Raises:
        InputError: If the file does not decode.
    """
    try:
        with Image.open(path) as image:
            image.load()
            return image
    # Decoders raise what they like on damaged files.
    except Exception as error:
        raise InputError(f'{path}: does not decode as an image ({one_line(error)})') from error


def extents(labels: np.ndarray) -> np.ndarray:
    """Extent of each component.

    Args:
        labels: (H, W) int, 0 for none and 1 to n for the components, as ``ndimage.label`` gives them.

    Returns:
        (n, 4) int64 ``[x1, y1, x2, y2]`` with exclusive ends.
    """
    slices = ndimage.find_objects(labels)
    return np.array([[x.start, y.start, x.stop, y.stop] for y, x in slices], np.int64).reshape(-1, 4)


def match_boxes(boxes: np.ndarray, components: np.ndarray) -> np.ndarray:
    """Say which box means which component: the equal ones first, the others one to one at the least total distance.

    The distance of two boxes is the largest difference among their four numbers. A box with no component that it
    overlaps, or that is within 2 pixels of it, stays alone.

    Args:
        boxes: (n, 4) float ``[x1, y1, x2, y2]``.
        components: (m, 4) int, extents likewise.

    Returns:
        (k, 2) int64, index of the box and of its component, ordered by box.
    """
    pairs, boxes_left, components_left = [], [], dict(enumerate(map(tuple, components.tolist())))
    by_extent = {extent: index for index, extent in components_left.items()}
    for index, box in enumerate(map(tuple, boxes.tolist())):
        component = by_extent.pop(box, None)
        if component is None:
            boxes_left.append(index)
        else:
            pairs.append((index, component))
            del components_left[component]
    rows, columns = np.array(boxes_left, int), np.array(list(components_left), int)
    distance, allowed = _distances(boxes[rows], components[columns])
    # Dear enough that no forbidden pair is ever taken in an allowed one's place.
    forbidden = 1 + distance.max(initial=0) * (1 + min(distance.shape))
    for row, column in zip(*linear_sum_assignment(np.where(allowed, distance, forbidden)), strict=True):
        if allowed[row, column]:
            pairs.append((rows[row], columns[column]))
    return np.array(sorted(pairs), np.int64).reshape(-1, 2)


def _distances(boxes: np.ndarray, components: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """(n, m) largest difference of corners, and whether a pair may belong together."""
    boxes, components = boxes[:, None], components[None]
    distance = np.abs(boxes - components).max(axis=2)
    overlap = np.minimum(boxes[..., 2:], components[..., 2:]) > np.maximum(boxes[..., :2], components[..., :2])
    return distance, overlap.all(axis=2) | (distance <= NEAR)


def check_image(root: Path, folders: Sequence[str], name: str) -> ImageReport:
    """Check the files of one image.

    Args:
        root: The devkit.
        folders: Those of its folders that exist; a kind of file that has no folder is not missed.
        name: Image name.

    Returns:
        The report.
    """
    return _ImageCheck(root, folders, name).run()


class _ImageCheck:
    """The check of one image, step by step; each step adds to ``report.problems``."""

    def __init__(self, root: Path, folders: Sequence[str], name: str) -> None:
        self.root = root
        self.folders = folders
        self.report = ImageReport(name)
        self.size: Optional[Tuple[int, int]] = None

    def run(self) -> ImageReport:
        image = self._read(IMAGES)
        if image is not None:
            self.size = image.size
            self.report.digest = _digest(np.asarray(image))
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

    def _tell(self, folder: str, kind: str, message: str) -> None:
        self.report.problems.append(Problem(_file(folder, self.report.name), kind, message))

    def _path(self, folder: str) -> Optional[Path]:
        """The file of this image in a folder; None if it is not there."""
        if folder not in self.folders:
            return None
        path = self.root / _file(folder, self.report.name)
        if path.is_file():
            return path
        self._tell(folder, 'file missing', f'is missing, but {_file(IMAGES, self.report.name)} is there')
        return None

    def _read(self, folder: str) -> Optional[Image.Image]:
        """An image file; None if it is missing or damaged."""
        path = self._path(folder)
        if path is None:
            return None
        try:
            return read_image(path)
        except InputError as error:
            self._tell(folder, 'unreadable', str(error).removeprefix(f'{path}: '))
            return None

    def _read_mask(self, folder: str) -> Optional[np.ndarray]:
        """A mask, (H, W) uint8; None if it is missing or not fit to be compared with anything."""
        image = self._read(folder)
        if image is None:
            return None
        expected = ', '.join(map(str, MASK_VALUES[folder]))
        if image.mode not in ('1', 'L', 'P'):
            self._tell(folder, 'mask values', f'has the mode {image.mode}; one channel of {expected} is expected')
            return None
        values = {value for _, value in image.getcolors(256)}
        strange = sorted(values - set(MASK_VALUES[folder]))
        if strange:
            some = ', '.join(map(str, strange[:5])) + (', …' if len(strange) > 5 else '')
            self._tell(folder, 'mask values', f'holds the values {some}; only {expected} are expected')
        if self.size is not None and image.size != self.size:
            self._tell(folder, 'size', f'is {_by(image.size)}, but the image is {_by(self.size)}')
            return None
        return None if strange else np.asarray(image, np.uint8)

    def _compare_masks(self, masks: Dict[str, Optional[np.ndarray]], palette: str, binary: str) -> None:
        first, second = masks[palette], masks[binary]
        # Without a sound image to go by, each may have another size.
        if first is None or second is None or first.shape != second.shape:
            return
        different = np.count_nonzero(((first == 1) != (second > 0)) & (first != IGNORED))
        if different:
            self._tell(binary, 'masks differ', f'{different} pixels differ from {_file(palette, self.report.name)}')

    def _read_boxes(self) -> Optional[Dict[int, List[float]]]:
        """Boxes by their object's number (0-based) where they have an area; None if there is no readable XML."""
        path = self._path(BOXES)
        if path is None:
            return None
        try:
            root = ElementTree.parse(path).getroot()
        except (ElementTree.ParseError, OSError, ValueError, LookupError) as error:
            self._tell(BOXES, 'XML', f'does not parse ({one_line(error)})')
            return None
        self._check_head(root)
        boxes = {}
        for index, item in enumerate(root.findall('object')):
            box = self._read_object(item, f'object {index + 1}')
            if box is not None:
                boxes[index] = box
        self.report.boxes = len(boxes)
        return boxes

    def _check_head(self, root: ElementTree.Element) -> None:
        """Check what an XML says about its image, where it says anything."""
        filename = root.findtext('filename')
        if filename is not None and filename.strip().removesuffix('.png') != self.report.name:
            self._tell(BOXES, 'XML', f'says that it belongs to the image {filename.strip()!r}')
        size = tuple((root.findtext(f'size/{side}') or '').strip() for side in ('width', 'height'))
        if root.find('size') is not None and self.size is not None and size != tuple(map(str, self.size)):
            self._tell(BOXES, 'XML', f'says that the image is {_by(size)}; it is {_by(self.size)}')

    def _read_object(self, item: ElementTree.Element, what: str) -> Optional[List[float]]:
        """The box of an object; None if it has none or one without area."""
        classes = DenseSIRSTDataset.METAINFO['classes']
        if item.findtext('name') not in classes:
            self._tell(BOXES, 'XML', f'{what} is of class {item.findtext("name")!r}, which is not among {classes}')
        try:
            box = [float(item.findtext(f'bndbox/{corner}', '')) for corner in CORNERS]
        except ValueError:
            box = [np.nan]
        if not np.isfinite(box).all():
            self._tell(BOXES, 'XML', f'{what} has no box of four numbers')
            return None
        if not (box[2] > box[0] and box[3] > box[1]):
            self._tell(BOXES, 'box', f'{what}: the box {_numbers(box)} has no area')
            return None
        if self.size is not None and not (min(box[:2]) >= 0 and box[2] <= self.size[0] and box[3] <= self.size[1]):
            self._tell(BOXES, 'box', f'{what}: the box {_numbers(box)} lies outside the {_by(self.size)} image')
        return box

    def _compare_boxes(self, boxes: Dict[int, List[float]], components: np.ndarray) -> None:
        objects = np.array(list(boxes), int)
        corners = np.array(list(boxes.values()), float).reshape(-1, 4)
        pairs = match_boxes(corners, components)
        shifts = corners[pairs[:, 0]] - components[pairs[:, 1]]
        self.report.compared = True
        self.report.shifts = list(map(tuple, shifts.tolist()))
        self._tell_shifts(objects[pairs[:, 0]] + 1)
        moved = pairs[shifts.any(axis=1)]
        self.report.corrections = dict(
            zip(objects[moved[:, 0]].tolist(), components[moved[:, 1]].tolist(), strict=True))
        for index in np.setdiff1d(np.arange(len(corners)), pairs[:, 0]):
            self._tell(BOXES, 'box without a component',
                       f'object {objects[index] + 1}: no mask component for the box {_numbers(corners[index])} alone')
        for index in np.setdiff1d(np.arange(len(components)), pairs[:, 1]):
            self._tell(BOXES, 'component without a box', f'no box for the mask component {_numbers(components[index])}')

    def _tell_shifts(self, objects: np.ndarray) -> None:
        """One problem for each way in which boxes differ from their components."""
        shifts = self.report.shifts
        for shift in sorted(set(shifts) - {NO_SHIFT}):
            numbers = [int(number) for number, other in zip(objects, shifts, strict=True) if other == shift]
            kind = 'box shifted' if len(set(shift)) == 1 else 'box differs'
            self._tell(BOXES, kind, f'{len(numbers)} of {self.report.boxes} boxes {describe_shift(shift)} against the '
                       f'mask component: object {", ".join(map(str, numbers))}')

    def _check_points(self, boxes: Optional[Dict[int, List[float]]]) -> None:
        path = self._path(POINTS)
        if path is None:
            return
        try:
            points = np.array([[float(x), float(y)] for x, y in map(str.split, _lines(path))]).reshape(-1, 2)
        except (OSError, ValueError) as error:
            self._tell(POINTS, 'unreadable', f'does not hold two numbers in each line ({one_line(error)})')
            return
        if boxes is None:
            return
        corners = np.array(list(boxes.values()), float).reshape(-1, 4)
        if len(points) != len(corners):
            self._tell(POINTS, 'point', f'{len(points)} points for {len(corners)} boxes')
        inside = ((points[:, None] >= corners[None, :, :2]) & (points[:, None] < corners[None, :, 2:])).all(axis=2)
        for point in points[~inside.any(axis=1)]:
            self._tell(POINTS, 'point', f'the point {_numbers(point)} lies in no box')
        for box in corners[~inside.any(axis=0)]:
            self._tell(POINTS, 'point', f'no point lies in the box {_numbers(box)}')


def describe_shift(shift: Shift) -> str:
    """A difference of four numbers in words."""
    if len(set(shift)) > 1:
        return 'wrong by ' + ', '.join(f'{corner} {number:+g}' for corner, number in zip(CORNERS, shift, strict=True))
    convention = ' (the convention of SIRST-V2)' if shift[0] == 1 else ''
    return f'shifted by {shift[0]:+g} in all four numbers{convention}'


def _digest(pixels: np.ndarray) -> str:
    """Digest of an image's content: alpha is left out, and grey is the same in one channel and in three equal ones."""
    if pixels.ndim == 3:
        pixels = pixels[..., :3] if pixels.shape[2] > 2 else pixels[..., :1]
        if (pixels == pixels[..., :1]).all():
            pixels = pixels[..., 0]
    head = f'{pixels.shape} {pixels.dtype}'.encode()
    return hashlib.blake2b(head + np.ascontiguousarray(pixels).tobytes(), digest_size=16).hexdigest()


def _check_folders(root: Path, folders: Sequence[str], names: set) -> Iterator[Problem]:
    """Absent folders, once each, and files that no image goes with."""
    for folder in (*SUFFIXES, SPLITS):
        if not (root / folder).is_dir():
            severity, why = ('error', 'the dataset needs it') if folder in REQUIRED else (
                'warning', 'its files are not checked')
            yield Problem(folder, 'folder absent', f'this folder is absent; {why}', severity)
    for folder in folders:
        suffix = SUFFIXES[folder]
        for file in sorted(path.name for path in (root / folder).iterdir()):
            if file.endswith(suffix) and file.removesuffix(suffix) not in names:
                yield Problem(f'{folder}/{file}', 'file without an image',
                              f'there is no {_file(IMAGES, file.removesuffix(suffix))}')
            elif folder == IMAGES and not file.endswith(suffix):
                yield Problem(f'{folder}/{file}', 'file ignored', f'is not a {suffix} file and never read', 'warning')


def _read_splits(root: Path) -> Tuple[Dict[str, List[str]], List[Problem]]:
    """Names in each readable split file."""
    splits, problems = {}, []
    for path in sorted((root / SPLITS).glob('*.txt')):
        try:
            splits[path.stem] = path.read_text(encoding='utf-8').split()
        except (OSError, UnicodeDecodeError) as error:
            problems.append(Problem(f'{SPLITS}/{path.name}', 'unreadable', f'is not a text file ({one_line(error)})'))
    return splits, problems


def _check_splits(splits: Dict[str, List[str]], names: Sequence[str]) -> Iterator[Problem]:
    for split, members in splits.items():
        if not members:
            yield Problem(_split_file(split), 'split', 'names no image')
        for name, times in Counter(members).items():
            if times > 1:
                yield Problem(_split_file(split), 'split', f'names {name} {times} times')
            if name not in set(names):
                yield Problem(_split_file(split), 'split name without a file', f'there is no {_file(IMAGES, name)}')
    for family in split_families(splits).values():
        yield from _check_family(family, splits)
    used = {name for members in splits.values() for name in members}
    for name in names:
        if name not in used:
            yield Problem(_file(IMAGES, name), 'image in no split', 'is in no split', 'warning')


def split_families(splits: Iterable[str]) -> Dict[str, Dict[str, str]]:
    """Splits that divide the same set among them.

    ``train_v2``, ``val_v2``, ``test_v2`` and ``trainval_v2`` are one family, ``v2``; another version may divide the
    same images otherwise.

    Args:
        splits: Stems of the split files.

    Returns:
        For each family the split of each role (train, val, test, trainval).
    """
    families: Dict[str, Dict[str, str]] = {}
    for split in splits:
        parts = split.split('_')
        role = next((part for part in parts if part in ROLES), None)
        if role is not None:
            parts.remove(role)
            families.setdefault('_'.join(parts), {})[role] = split
    return families


def _check_family(family: Dict[str, str], splits: Dict[str, List[str]]) -> Iterator[Problem]:
    """Names that are in two splits of a family that should be disjoint, and a trainval that is not train and val."""
    members = {role: set(splits[split]) for role, split in family.items()}
    parts = members.get('train', set()) | members.get('val', set())
    for first, second in DISJOINT_ROLES:
        both = members.get(first, set()) & members.get(second, set())
        # Those have been told of already, with the part that they come from.
        for name in sorted(both - parts if first == 'trainval' else both):
            yield Problem(_split_file(family[second]), 'duplicate across splits',
                          f'{name} is in {_split_file(family[first])} too')
    if {'train', 'val', 'trainval'} <= members.keys() and members['trainval'] != parts:
        different = len(members['trainval'] ^ parts)
        yield Problem(_split_file(family['trainval']), 'split',
                      f'is not {family["train"]} and {family["val"]} together; {different} names differ', 'warning')


def _identical_images(images: Sequence[ImageReport], splits: Dict[str, List[str]]) -> Iterator[Problem]:
    """Images of equal pixels that stand, under different names, in disjoint splits of a family."""
    groups: Dict[str, List[str]] = {}
    for image in images:
        if image.digest is not None:
            groups.setdefault(image.digest, []).append(image.name)
    groups = {digest: names for digest, names in groups.items() if len(names) > 1}
    families = split_families(splits).values()
    for names in groups.values():
        for family in families:
            members = {role: sorted(set(splits[split]) & set(names)) for role, split in family.items()}
            pairs = DISJOINT_ROLES[:3] if {'train', 'val'} & members.keys() else DISJOINT_ROLES[3:]
            for first, second in pairs:
                for name, other in ((a, b) for a in members.get(second, ()) for b in members.get(first, ()) if a != b):
                    yield Problem(_file(IMAGES, name), 'duplicate across splits', f'in {_split_file(family[second])}, '
                                  f'has the pixels of {_file(IMAGES, other)} in {_split_file(family[first])}')


def check_new_folder(out: Union[str, Path], devkit: Union[str, Path]) -> None:
    """Refuse a folder for corrected boxes that exists or lies in the devkit.

    Raises:
        InputError: If it does.
    """
    if os.path.lexists(out):
        raise InputError(f'{out}: exists; corrected boxes go to a new folder only')
    if Path(devkit).resolve() in Path(out).resolve().parents:
        raise InputError(f'{out}: lies in the devkit, which is never changed; choose a folder elsewhere')


def write_fixed_boxes(report: DevkitReport, out: Union[str, Path]) -> Tuple[int, int]:
    """Write a copy of every box XML, those boxes set right that differ from their mask component; all or nothing.

    Of a corrected XML only the four numbers of such boxes change. Any other XML is copied as it is, its other problems
    included.

    Args:
        report: The check of the devkit.
        out: Folder to create.

    Returns:
        Number of boxes and of files corrected.

    Raises:
        InputError: If ``out`` exists, lies in the devkit or cannot be written, or there are no boxes.
    """
    check_new_folder(out, report.root)
    source, out = report.root / BOXES, Path(out).resolve()
    if not source.is_dir():
        raise InputError(f'{source}: no such folder, so there are no boxes to correct')
    corrections = {f'{image.name}.xml': image.corrections for image in report.images if image.corrections}
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f'.{out.name}-') as temporary:
            new = Path(temporary) / 'new'
            new.mkdir()
            for path in sorted(source.glob('*.xml')):
                if path.name in corrections:
                    text = _corrected(path, corrections[path.name])
                    (new / path.name).write_text(text, encoding='utf-8')
                else:
                    shutil.copyfile(path, new / path.name)
            os.replace(new, out)
    except OSError as error:
        raise InputError(f'{out}: cannot be written: {error.strerror}') from error
    return sum(map(len, corrections.values())), len(corrections)


def _corrected(path: Path, boxes: Dict[int, List[int]]) -> str:
    """The text of an XML with the boxes of some objects (0-based) replaced."""
    root = ElementTree.parse(path).getroot()
    objects = root.findall('object')
    for index, box in boxes.items():
        for corner, number in zip(CORNERS, box, strict=True):
            objects[index].find(f'bndbox/{corner}').text = str(number)
    return ElementTree.tostring(root, encoding='unicode') + '\n'


def print_summary(report: DevkitReport) -> None:
    """Print what was counted, how the boxes lie and how many problems there are of each kind, as tables."""
    console = Console()
    counts = Table('counted', title=f'{report.root}')
    counts.add_column('number', justify='right')
    for what, number in report.counts().items():
        counts.add_row(what, f'{number:,}')
    for split, names in report.splits.items():
        counts.add_row(f'split {split}', f'{len(names):,}')
    console.print(counts)
    compared = max(report.counts()['boxes compared with their mask'], 1)
    shifts = Table('box minus mask component: ' + ', '.join(CORNERS))
    shifts.add_column('boxes', justify='right')
    shifts.add_column('share', justify='right')
    for shift, boxes in report.shifts().most_common():
        shifts.add_row(', '.join(f'{number:+g}' if number else '0' for number in shift), f'{boxes:,}',
                       f'{boxes / compared:.2%}')
    console.print(shifts)
    kinds = Counter((problem.severity, problem.kind) for problem in report.problems)
    if not kinds:
        console.print('no problem found')
        return
    problems = Table('problem', 'severity')
    problems.add_column('number', justify='right')
    for (severity, kind), number in sorted(kinds.items()):
        problems.add_row(kind, severity, f'{number:,}')
    console.print(problems)


def _file(folder: str, name: str) -> str:
    return f'{folder}/{name}{SUFFIXES[folder]}'


def _split_file(split: str) -> str:
    return f'{SPLITS}/{split}.txt'


def _lines(path: Path) -> List[str]:
    return [line for line in path.read_text(encoding='utf-8').splitlines() if line.strip()]


def _by(size: Sequence) -> str:
    return 'x'.join(map(str, size))


def _numbers(values: Iterable[float]) -> str:
    return '[' + ', '.join(f'{value:g}' for value in values) + ']'
