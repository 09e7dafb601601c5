"""Check a SIRSTdevkit: every file is read and compared with the others, and every problem is reported."""
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from ..arguments import MAX_WORKERS, require_number
from ..errors import InputError, printable
from ..fileio import require_writable_file, require_writable_folder, write_json
from ..parallel import map_with_progress
from .check_image import check_image
from .check_report import DevkitReport, Problem, print_summary
from .check_splits import binary_sky_maps, check_splits, identical_images, read_splits
from .fix_boxes import check_new_folder, write_fixed_boxes
from .layout import IMAGES, REQUIRED, SPLITS, SUFFIXES, file_below, image_names


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
        InputError: If ``devkit`` is not one, an argument is out of range or an output cannot be written.
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
