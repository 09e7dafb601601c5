"""The deep check of a SIRSTdevkit: every file is read and compared with the others, and every problem is told."""
import os
import shutil
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from tqdm import tqdm

from bafenet.arguments import MAX_WORKERS, require_number
from bafenet.devkit import CORNERS
from bafenet.errors import InputError, printable
from bafenet.fileio import require_writable_file, require_writable_folder, temporary_folder, write_json
from bafenet.reading import open_file
from bafenet.synthesis.devkit import BOXES, IMAGES, SKY_PALETTE, SPLITS
from bafenet.synthesis.parallel import parallel_map

from .box_matching import NO_SHIFT, Shift, extents, match_boxes
from .image_check import SUFFIXES, ImageReport, Problem, check_image, file_below
from .split_check import binary_sky_maps, check_splits, identical_images, read_splits

__all__ = [
    'SUFFIXES', 'DevkitReport', 'ImageReport', 'Problem', 'check', 'check_devkit', 'check_image', 'check_new_folder',
    'extents', 'image_names', 'map_with_progress', 'match_boxes', 'print_summary', 'write_fixed_boxes',
]

# Without these DenseSIRSTDataset does not load.
REQUIRED = (IMAGES, BOXES, SKY_PALETTE, SPLITS)
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
    images: list[ImageReport]
    problems: list[Problem]
    splits: dict[str, list[str]]

    @property
    def errors(self) -> int:
        """Number of problems that are not mere warnings."""
        return sum(problem.severity == 'error' for problem in self.problems)

    def counts(self) -> dict[str, int]:
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

    def as_dict(self) -> dict:
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


def check(devkit: str | Path,
          fix_boxes: str | None = None,
          json_file: str | None = None,
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
    require_number('--workers', workers, 1, MAX_WORKERS, whole=True)
    require_writable_folder(fix_boxes, '--fix-boxes')
    require_writable_file(json_file, '--json')
    report = check_devkit(devkit, workers)
    for problem in report.problems:
        print(problem)
    print_summary(report)
    if fix_boxes is not None:
        boxes, files = write_fixed_boxes(report, fix_boxes)
        print(f'{printable(fix_boxes)}: every box XML copied, {boxes} boxes in {files} of them corrected')
    if json_file is not None:
        try:
            write_json(json_file, report.as_dict())
        except OSError as error:
            raise InputError(f'{printable(json_file)}: cannot be written: {error.strerror}') from error
    return report.errors


def check_devkit(devkit: str | Path, workers: int = 1) -> DevkitReport:
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
    splits, problems = read_splits(root)
    problems += _check_folders(root, folders, set(names))
    problems += check_splits(splits, names)
    problems += identical_images(images, splits)
    problems += binary_sky_maps(images, splits)
    problems += (problem for image in images for problem in image.problems)
    return DevkitReport(root, images, sorted(problems, key=lambda problem: (problem.file, problem.kind)), splits)


def image_names(root: Path) -> list[str]:
    """Names of the images of a devkit, sorted.

    Raises:
        InputError: If there are none.
    """
    names = sorted(path.name.removesuffix('.png') for path in (root / IMAGES).glob('*.png'))
    if not names:
        raise InputError(f'{printable(root / IMAGES)}: no PNG image; give the folder that holds {IMAGES}, SIRST, '
                         f'SkySeg and {SPLITS}')
    return names


def map_with_progress(function: Callable, items: Sequence, workers: int, label: str) -> Iterator:
    """``map`` in so many processes, in order, with a progress bar on a terminal.

    Raises:
        InputError: If ``workers`` is out of range.
    """
    require_number('--workers', workers, 1, MAX_WORKERS, whole=True)
    bar = partial(tqdm, desc=label, total=len(items), unit='image', disable=None)
    yield from bar(parallel_map(function, items, workers))


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
                              f'there is no {file_below(IMAGES, file.removesuffix(suffix))}')
            elif folder == IMAGES and not file.endswith(suffix):
                yield Problem(f'{folder}/{file}', 'file ignored', f'is not a {suffix} file and never read', 'warning')


def check_new_folder(out: str | Path, devkit: str | Path) -> None:
    """Refuse a folder for corrected boxes that exists or lies in the devkit.

    Raises:
        InputError: If it does.
    """
    if os.path.lexists(out):
        raise InputError(f'{printable(out)}: exists; corrected boxes go to a new folder only')
    if Path(devkit).resolve() in Path(out).resolve().parents:
        raise InputError(f'{printable(out)}: lies in the devkit, which is never changed; choose a folder elsewhere')


def write_fixed_boxes(report: DevkitReport, out: str | Path) -> tuple[int, int]:
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
        raise InputError(f'{printable(source)}: no such folder, so there are no boxes to correct')
    corrections = {f'{image.name}.xml': image.corrections for image in report.images if image.corrections}
    try:
        with temporary_folder(out) as temporary:
            new = temporary / 'new'
            new.mkdir()
            for path in sorted(source.glob('*.xml')):
                if path.name in corrections:
                    text = _corrected(path, corrections[path.name])
                    (new / path.name).write_text(text, encoding='utf-8')
                else:
                    open_file(path).close()  # a pipe would be waited for
                    shutil.copyfile(path, new / path.name)
            os.replace(new, out)
    except OSError as error:
        raise InputError(f'{printable(out)}: cannot be written: {error.strerror or error}') from error
    return sum(map(len, corrections.values())), len(corrections)


def _corrected(path: Path, boxes: dict[int, list[int]]) -> str:
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
    counts = Table('counted', title=escape(printable(report.root)))
    counts.add_column('number', justify='right')
    for what, number in report.counts().items():
        counts.add_row(what, f'{number:,}')
    for split, names in report.splits.items():
        counts.add_row(escape(printable(f'split {split}')), f'{len(names):,}')
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
