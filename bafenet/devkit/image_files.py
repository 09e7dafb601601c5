"""Image files of a folder by image name: any suffix of images, in either case, each name once."""
import os
from pathlib import Path

from ..errors import InputError, printable
from ..reading import PathLike

IMAGE_SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff', '.pgm', '.ppm', '.pnm', '.webp', '.gif')


def image_files(folder: PathLike, suffix: str | None = None) -> dict[str, str]:
    """The images of a folder, by name.

    Args:
        folder: The folder.
        suffix: What follows the names; None for any of :data:`IMAGE_SUFFIXES`, in either case. Hidden files, which are
            leavings of file managers, are none.

    Returns:
        The file name of each image by its name, sorted by name. A name is all before the last dot, so that
        ``frame.001.png`` is ``frame.001``; with ``suffix`` it is all before that.

    Raises:
        InputError: If there is no such folder, or two files have one name.
    """
    files = files_by_name(folder, suffix)
    double = next((found for found in files.values() if len(found) > 1), None)
    if double is not None:
        raise InputError(f'{printable(folder)}: {printable(double[0])} and {printable(double[1])} are two images of '
                         'one name; remove one of them')
    return {name: found[0] for name, found in files.items()}


def files_by_name(folder: PathLike, suffix: str | None = None) -> dict[str, list[str]]:
    """As :func:`image_files`, with all the files of a name: those of the suffixes first that come first there.

    Raises:
        InputError: If there is no such folder.
    """
    try:
        entries = sorted(os.listdir(folder))
    except OSError as error:
        raise InputError(f'{printable(folder)}: cannot be read as a folder ({error.strerror})') from error
    files: dict[str, list[str]] = {}
    for entry in entries:
        name = _name_of(entry, suffix)
        if name is not None and not entry.startswith('.'):
            files.setdefault(name, []).append(entry)
    return {name: sorted(files[name], key=_rank) for name in sorted(files)}


def _rank(file: str) -> int:
    ending = os.path.splitext(file)[1].lower()
    return IMAGE_SUFFIXES.index(ending) if ending in IMAGE_SUFFIXES else len(IMAGE_SUFFIXES)


def find_image(folder: PathLike, name: str) -> Path | None:
    """The image of a name in a folder, or None; for many of them :func:`image_files` is faster."""
    for suffix in IMAGE_SUFFIXES:
        for path in (Path(folder, name + suffix), Path(folder, name + suffix.upper())):
            if path.is_file():
                return path
    if not os.path.isdir(folder):
        return None
    found = image_files(folder).get(name)  # in mixed case
    return Path(folder, found) if found and Path(folder, found).is_file() else None


def _name_of(file: str, suffix: str | None) -> str | None:
    """The image name of a file, None where it is no image."""
    if suffix is not None:
        return file.removesuffix(suffix) if file.endswith(suffix) and len(file) > len(suffix) else None
    name, ending = os.path.splitext(file)
    return name if ending.lower() in IMAGE_SUFFIXES else None
