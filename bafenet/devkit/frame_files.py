"""Find the files that a user means by files, folders, patterns and a list on standard input, in natural order."""
import glob
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError, printable
from .frames import SUFFIXES, starts_as_frames

STANDARD_INPUT = '-'
_MARK = '\ufeff'
_MARK_IN_ASCII = _MARK.encode().decode('ascii', 'surrogateescape')


class FoundFiles(NamedTuple):
    """What was found.

    Attributes:
        files: Paths, each once, in the order of the arguments and in a folder by name, numbers by their value.
        ignored: Files of folders that hold no frames.
    """

    files: list[str]
    ignored: list[str]


def find_frame_files(arguments: Sequence[str], lines: Iterable[str] = (), apart_from: str | None = None) -> FoundFiles:
    """Find the files of frames.

    Args:
        arguments: Files; folders, of which all files with frames are meant, those below too, hidden ones not; patterns,
            as ``'shots/*.png'``, where there is no file of that name; ``-`` for the lines of a list, each one of these.
        lines: The list, of standard input.
        apart_from: A folder whose files are not meant: that of the results.

    Raises:
        InputError: If there is nothing of that name, no frame in a folder, or no file at all, or if a folder is the one
            of the results.
    """
    found, ignored = FoundFiles([], []), []
    apart = os.path.realpath(apart_from) if apart_from else None
    for argument in arguments:
        names = _listed(lines) if argument == STANDARD_INPUT else [argument]
        for name in filter(None, names):
            for path in _matches(name):
                is_pattern = path != name
                if is_pattern and apart and _is_below(path, apart):
                    continue
                if not os.path.isdir(path):
                    found.files.append(path)
                    continue
                if os.path.realpath(path) == apart:
                    raise InputError(f'{printable(path)}: is the folder of the frames and that of the results too, '
                                     'which would be taken for frames the next time; give another --out')
                files = list(files_below(path, *([apart] if apart else [])))
                frames = list(filter(_is_meant, files))
                if not frames and not is_pattern:
                    raise InputError(f'{printable(path)}: there is no image, NumPy file or video in this folder')
                found.files.extend(frames)
                ignored += [file for file in files if file not in set(frames)]
    if not found.files:
        raise InputError('there is no frame: give files, folders, patterns, or a list of them on standard input')
    return FoundFiles(list(dict.fromkeys(found.files)), ignored)


def natural(text: str) -> list:
    """A key that sorts ``frame_10`` after ``frame_2``."""
    return [(0, int(part), '') if part.isdecimal() else (1, 0, part) for part in re.split(r'(\d+)', text) if part]


def _listed(lines: Iterable[str]) -> list[str]:
    """The lines of a list, without the mark that some editors put before the first one."""
    names = [line.rstrip('\r\n') for line in lines]
    return [name.removeprefix(_MARK).removeprefix(_MARK_IN_ASCII) for name in names[:1]] + names[1:]


def _matches(name: str) -> list[str]:
    if os.path.lexists(name):
        return [name]
    matches = sorted(glob.glob(name, recursive=True), key=natural) if glob.has_magic(name) else []
    if not matches:
        what = 'no file matches this pattern' if glob.has_magic(name) else 'no such file or folder'
        raise InputError(f'{printable(name)}: {what}')
    return matches


def _is_meant(path: str) -> bool:
    """Whether a file of a folder is meant: by its suffix, or by how it begins."""
    if Path(path).suffix.lower() in SUFFIXES:
        return True
    try:
        return starts_as_frames(path)
    except InputError:
        return True  # said when it is read


def _is_below(path: str, folder: str) -> bool:
    """Whether a path is a folder, given without links, or in it."""
    real = os.path.realpath(path)
    return real == folder or real.startswith(os.path.join(folder, ''))


def files_below(folder: str, *apart: str) -> Iterator[str]:
    """The regular files of a folder and of those below it, each folder once, wherever links lead."""
    seen = {*apart, os.path.realpath(folder)}
    for place, folders, names in os.walk(folder, followlinks=True):
        inner = []
        for name in sorted(folders, key=natural):
            real = os.path.realpath(os.path.join(place, name))
            if not name.startswith('.') and real not in seen:
                inner.append(name)
                seen.add(real)
        folders[:] = inner
        for name in sorted(names, key=natural):
            path = os.path.join(place, name)
            if not name.startswith('.') and os.path.isfile(path):
                yield path
