"""Find the images, labels and masks of a data set, and which of them go together by name and folder."""
import os
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from ...errors import InputError, printable
from ..frame_files import files_below
from ..image_files import IMAGE_SUFFIXES
from .source import Note

# The one to take of several images that differ in their suffix alone: lossless ones first.
_BY_QUALITY = ('.png', '.tif', '.tiff', '.npy', '.bmp', '.pgm', '.ppm', '.pnm', '.webp', '.gif', '.jpg', '.jpeg')
FRAME_SUFFIXES = (*IMAGE_SUFFIXES, '.npy')
# What follows the image's name in that of its mask.
MASK_ENDINGS = ('_pixels0', '_mask', '-mask', '_gt', '_label', '_target')


def is_frame(path: Path) -> bool:
    """Whether a file is a frame, by its suffix."""
    return path.suffix.lower() in FRAME_SUFFIXES


def key_of(path: Path) -> str:
    """A relative path without the suffix of an image, in posix notation."""
    return (path.with_suffix('') if is_frame(path) else path).as_posix()


def list_files(root: Path, folder: str | None = None, apart: Collection[Path] = ()) -> list[Path]:
    """All files of a folder and of those below it, hidden ones not, as absolute paths in natural order.

    Args:
        root: The source.
        folder: Folder instead of the whole source, below it or anywhere.
        apart: Files that are left out, and folders with all that is in them.

    Raises:
        InputError: If it is no folder.
    """
    place = root if folder is None else next((path for path in (root / folder, Path(folder)) if path.is_dir()), None)
    if place is None or not place.is_dir():
        raise InputError(f'{printable(folder or root)}: no such folder; give the folder of the data set')
    apart = set(apart)
    files = files_below(os.path.abspath(place), *map(os.path.realpath, apart))
    return [path for path in map(Path, files) if path not in apart]


class FileIndex:
    """Files by their stem, to find the one that goes with another.

    A stem that no file has is looked for in either case and any Unicode form: other systems do not tell these apart.

    Args:
        files: Absolute paths.
        endings: What may follow the name itself in a stem, as ``_pixels0`` of masks.
    """

    def __init__(self, files: Iterable[Path], endings: Sequence[str] = ()) -> None:
        self._by_stem: dict[str, list[Path]] = {}
        self._by_folded: dict[str, list[Path]] = {}
        for file in files:
            stem = file.stem
            for ending in ('', *endings):
                if stem.endswith(ending) and stem != ending:
                    self._by_stem.setdefault(stem.removesuffix(ending), []).append(file)
                if _folded(stem).endswith(ending) and _folded(stem) != ending:
                    self._by_folded.setdefault(_folded(stem).removesuffix(ending), []).append(file)

    def find(self, reference: Path) -> list[Path]:
        """The files that go with a path: of its stem, and in folders of the same names, from either end.

        Args:
            reference: A path, absolute or not, with any suffix of an image or none.

        Returns:
            Those that fit best: none, one, or several that fit equally well.
        """
        parts = reference.parts
        stem = _stem(reference)
        found = self._by_stem.get(stem) or self._by_folded.get(_folded(stem), [])
        same = [file for file in found if file.suffix == reference.suffix and is_frame(file)]
        found = same or found
        if len(found) < 2:
            return found
        fits = [_folders_in_common(parts, file.parts) for file in found]
        return [file for file, fit in zip(found, fits, strict=True) if fit == max(fits)]

    def pair(self, references: Iterable[Path]) -> dict[Path, list[Path]]:
        """As :meth:`find` for each of several paths, but a file goes with those alone that it fits best.

        Otherwise frame 1 of a recording without labels would get those of another recording's frame 1.
        """
        found = {reference: self.find(reference) for reference in references}
        best: dict[Path, tuple] = {}
        for reference, files in found.items():
            for file in files:
                best[file] = max(best.get(file, ()), _fit(reference, file))
        return {reference: [file for file in files if _fit(reference, file) == best[file]]
                for reference, files in found.items()}


def one_name_each(index: FileIndex, paths: Mapping[str, Path]) -> dict[str, Path]:
    """The one image that each of several names means, as far as that is certain.

    Args:
        index: The images.
        paths: A path for each name.

    Returns:
        Images by name; of names that fit an image equally well none.
    """
    found = index.pair(paths.values())
    images = {name: found[path][0] for name, path in paths.items() if len(found[path]) == 1}
    times = Counter(images.values())
    return {name: image for name, image in images.items() if times[image] == 1}


def _stem(reference: Path) -> str:
    return reference.stem if is_frame(reference) else reference.name


def _folded(stem: str) -> str:
    return unicodedata.normalize('NFC', stem).casefold()


def _fit(reference: Path, file: Path) -> tuple[bool, int, bool]:
    """How well two paths fit, better is higher: by the case of their names, by their folders, by their suffixes."""
    return (file.stem.startswith(_stem(reference)), _folders_in_common(reference.parts, file.parts),
            file.suffix == reference.suffix)


def _folders_in_common(first: Sequence[str], second: Sequence[str]) -> int:
    return _in_common(first[:-1], second[:-1]) + _in_common(first[-2::-1], second[-2::-1])


def _in_common(first: Sequence[str], second: Sequence[str]) -> int:
    pairs = zip(first, second, strict=False)
    return next((number for number, (one, other) in enumerate(pairs) if one != other), min(len(first), len(second)))


def one_suffix_each(root: Path, images: Sequence[Path]) -> tuple[list[Path], list[Note]]:
    """Of images that differ in their suffix alone, one; the others are noted."""
    groups: dict[Path, list[Path]] = {}
    for image in images:
        groups.setdefault(image.with_suffix(''), []).append(image)
    kept, notes = [], []
    for group in groups.values():
        best, *others = sorted(group, key=lambda path: (_BY_QUALITY.index(path.suffix.lower()), path.suffix))
        kept.append(best)
        notes += [Note(shown_path(root, other), 'image of another suffix', f'left out, {printable(best.name)} is taken')
                  for other in others]
    return kept, notes


def shown_path(root: Path, path: Path) -> str:
    """A path below the source where it lies there, as a message names it."""
    root = Path(os.path.abspath(root))
    return printable(path.relative_to(root) if path.is_relative_to(root) else path)


def keys_of(root: Path, images: Sequence[Path]) -> list[str]:
    """The key of each image: its path below the source, or below the folder that all those elsewhere have in common."""
    root = Path(os.path.abspath(root))
    elsewhere = [str(image.parent) for image in images if not image.is_relative_to(root)]
    common = os.path.commonpath(elsewhere) if elsewhere else ''
    return [key_of(image.relative_to(root if image.is_relative_to(root) else common)) for image in images]
