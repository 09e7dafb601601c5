"""Fix the boxes of a devkit that differ from their mask component: corrected copies of its box XMLs."""
import os
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from ..errors import InputError, printable
from ..fileio import temporary_folder
from ..reading import open_file
from .check_report import DevkitReport
from .devkit_files import TARGET_MASKS, DevkitFiles
from .layout import BOXES, CORNERS, IMAGES, SUFFIXES, TARGET_PALETTE


def check_new_folder(out: str | Path, devkit: str | Path) -> None:
    """Refuse a folder for corrected boxes that exists or lies in the devkit.

    Raises:
        InputError: If it does.
    """
    if os.path.lexists(out):
        raise InputError(f'{printable(out)}: exists; corrected boxes go to a new folder only')
    if Path(devkit).resolve() in Path(out).resolve().parents:
        raise InputError(f'{printable(out)}: lies in the devkit, which is never changed; choose a folder elsewhere')


def require_target_masks(devkit: str | Path) -> None:
    """Refuse to fix boxes where there is no target mask to compare them with.

    Raises:
        InputError: If there is none.
    """
    files = DevkitFiles(devkit)
    if files.has(IMAGES) and not any(map(files.table, TARGET_MASKS)):
        raise InputError(f'{printable(devkit)}: no target masks ({TARGET_PALETTE}), by which boxes are corrected; '
                         'leave --fix-boxes out')


def write_fixed_boxes(report: DevkitReport, out: str | Path) -> tuple[int, int]:
    """Write a copy of every box XML, those boxes fixed that differ from their mask component; all or nothing.

    Of a corrected XML only the four numbers of such boxes change. Any other XML is copied as it is, its other problems
    included.

    Args:
        report: The check of the devkit.
        out: Folder to create.

    Returns:
        Number of boxes and of files corrected.

    Raises:
        InputError: If ``out`` exists, lies in the devkit or cannot be written, or there are no boxes or target masks.
    """
    check_new_folder(out, report.root)
    source, out = report.root / BOXES, Path(out).resolve()
    if not source.is_dir():
        raise InputError(f'{printable(source)}: no such folder, so there are no boxes to correct')
    require_target_masks(report.root)
    files = DevkitFiles(report.root).table(BOXES)
    corrections = {files[image.name]: image.corrections for image in report.images if image.corrections}
    try:
        with temporary_folder(out) as temporary:
            new = temporary / 'new'
            new.mkdir()
            for path in sorted(source.glob(f'*{SUFFIXES[BOXES]}')):
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
            next(objects[index].iterfind(f'bndbox/{corner}')).text = str(number)
    return ElementTree.tostring(root, encoding='unicode') + '\n'
