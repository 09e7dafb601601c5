"""Check a SIRSTdevkit: every file is read and compared with the others, and every problem is reported."""
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path

from ..arguments import MAX_WORKERS, require_number
from ..errors import InputError, printable
from ..fileio import require_writable_file, require_writable_folder, write_json
from ..parallel import map_with_progress
from .check_image import check_image
from .check_report import DevkitReport, ImageReport, Problem, gather, print_summary
from .check_splits import binary_sky_maps, check_splits, identical_images, read_splits
from .devkit_files import DevkitFiles
from .fix_boxes import check_new_folder, require_target_masks, write_fixed_boxes
from .image_files import files_by_name
from .layout import BOXES, IMAGES, REQUIRED, SKY_PALETTE, SPLITS, SUFFIXES, TARGET_PALETTE, image_names

FOLDER_ABSENT = 'folder absent'
# What an absent folder means.
ABSENT = {
    SKY_PALETTE: "the dataset takes the images without sky maps by sky='none'",
    TARGET_PALETTE: 'boxes are not compared with masks',
    SPLITS: 'there are no lists of images to train and to test on',
}
# Objects from which on a class of a single one is told.
RARE = 1000


def check(devkit: str | Path,
          fix_boxes: str | None = None,
          json_file: str | None = None,
          workers: int = 1,
          classes: Sequence[str] | None = None) -> int:
    """Check a devkit and print what was found; ``tools/dataset/check.py``.

    Args:
        devkit: The devkit.
        fix_boxes: Folder to create for corrected copies of the box XMLs.
        json_file: File for everything that was found.
        workers: Processes to use.
        classes: The classes that there should be; None takes any.

    Returns:
        Number of problems of severity ``'error'``.

    Raises:
        InputError: If ``devkit`` is not one, an argument is out of range or an output cannot be written.
    """
    if fix_boxes is not None:
        check_new_folder(fix_boxes, devkit)
        require_target_masks(devkit)
    require_number('--workers', workers, 1, MAX_WORKERS, whole=True)
    require_writable_folder(fix_boxes, '--fix-boxes')
    require_writable_file(json_file, '--json')
    report = check_devkit(devkit, workers, classes)
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


def check_devkit(devkit: str | Path, workers: int = 1, classes: Sequence[str] | None = None) -> DevkitReport:
    """Read a whole devkit and compare its files with each other.

    An error is what the dataset class refuses whatever its arguments, or what contradicts another file; a warning what
    may be meant so. Warnings that several files of a folder share are one.

    Args:
        devkit: The devkit; nothing is written to it.
        workers: Processes to use; the report does not depend on it.
        classes: Any other class is an error; None takes any.

    Returns:
        Everything that was found; a problem never ends the check.

    Raises:
        InputError: If ``devkit`` has no images at all, or ``workers`` is below 1.
    """
    root = Path(devkit)
    files = DevkitFiles(root)
    if not files.names():
        image_names(root)  # says so
    folders = [folder for folder in SUFFIXES if files.has(folder)]
    for folder in folders:
        files.table(folder)  # once, and not in each process
    images = list(map_with_progress(partial(check_image, files, folders, classes), files.names(), workers, 'check'))
    splits, problems = read_splits(root)
    problems += _check_folders(files, folders)
    problems += check_splits(splits, files)
    problems += identical_images(images, splits, files)
    problems += binary_sky_maps(images, splits)
    problems += likely_slips(images, files)
    problems += (problem for image in images for problem in image.problems)
    ordered = sorted(gather(problems), key=lambda problem: (problem.file, problem.kind))
    return DevkitReport(root, images, ordered, splits)


def _check_folders(files: DevkitFiles, folders: Sequence[str]) -> Iterator[Problem]:
    """Absent folders, once each, and files that no image goes with."""
    for folder in (*SUFFIXES, SPLITS):
        if not files.has(folder):
            severity, why = ('error', 'the dataset needs it') if folder in REQUIRED else (
                'warning', ABSENT.get(folder, 'its files are not checked'))
            yield Problem(folder, FOLDER_ABSENT, f'this folder is absent; {why}', severity)
    names = set(files.names())
    for folder in folders:
        table = files.table(folder)
        if folder == IMAGES:
            yield from _check_images(files)
            continue
        for name in sorted(set(table) - names):
            yield Problem(f'{folder}/{table[name]}', 'file without an image',
                          f'there is no {files.shown(IMAGES, name)}')


def _check_images(files: DevkitFiles) -> Iterator[Problem]:
    """Files beside the images that are none, and second images of a name."""
    folder = files.root / IMAGES
    known = files_by_name(folder)
    for first, *others in known.values():
        for file in others:
            yield Problem(f'{IMAGES}/{file}', 'two images of one name', f'there is {first} too; remove one of them')
    used = set(chain(*known.values()))
    for file in sorted(path.name for path in folder.iterdir()):
        if file not in used:
            yield Problem(f'{IMAGES}/{file}', 'file ignored', 'is no image by its suffix and never read', 'warning')


def likely_slips(images: Sequence[ImageReport], files: DevkitFiles) -> Iterator[Problem]:
    """Class names that may be slips: equal but for case and blanks, or of one object among thousands."""
    counts: Counter[str] = sum((image.classes for image in images), Counter())
    alike: dict[str, list[str]] = {}
    for name in sorted(counts):
        alike.setdefault(''.join(re.split(r'[\s_-]+', name)).casefold(), []).append(name)
    for group in alike.values():
        if len(group) > 1:
            shown = ', '.join(f'{name!r} ({counts[name]:,})' for name in group)
            yield Problem(BOXES, 'classes alike', f'the classes {shown} differ in case and blanks alone', 'warning')
    for image in images:
        for name in image.classes if counts.total() >= RARE else ():
            if counts[name] == 1:
                yield Problem(files.shown(BOXES, image.name), 'rare class', f'has the only object of class {name!r} '
                              f'among {counts.total():,} objects; is it a slip?', 'warning')
