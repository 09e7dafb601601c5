"""YOLO text files as labels: class, centre and size of each box as shares of the image, or polygons."""
import os
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...arguments import shown
from ...errors import InputError, printable
from ...plain_yaml import read_yaml
from ...reading import read_bytes
from ..read import MAX_OBJECTS
from .coco_masks import Segmentation, draw
from .files import MASK_ENDINGS, FileIndex, is_frame, keys_of, list_files, one_suffix_each, shown_path
from .masks import one_each, read_target_mask
from .source import TEST, TRAIN, VAL, Labels, Note, Size, Source, SourceFrame, class_name, no_labels, role_of
from .splits import disjoint, given_splits

NAME_FILES = ('classes.txt', 'obj.names', 'names.txt')
_MAX_BYTES = 2**22
_MOST_CLASSES = 10_000


def read_yolo(root: Path, images: str | None = None, labels: str | None = None, masks: str | None = None,
              threshold: float | None = None, splits: str | None = None, apart: Collection[Path] = ()) -> Source:
    """Read a folder of images and YOLO text files.

    Args:
        root: The folder; ``data.yaml``, ``classes.txt`` or ``obj.names`` in it name the classes.
        images: Folder of the images.
        labels: Folder of the text files.
        masks: Folder of target masks, to be written too.
        threshold: Of the masks, see :func:`read_target_mask`.
        splits: See :func:`given_splits`; ``train``, ``val`` and ``test`` of ``data.yaml`` go before what is found.
        apart: Files and folders that hold no frames: sky maps.

    Raises:
        InputError: If there are no images or no text files.
    """
    mask_files = [] if masks is None else [file for file in list_files(root, masks) if is_frame(file)]
    apart, every = {*apart, *mask_files}, list_files(root)
    frames, notes = one_suffix_each(root, [file for file in list_files(root, images, apart) if is_frame(file)])
    if not frames:
        raise InputError(f'{printable(root)}: no image; name their folder by --images')
    texts = [file for file in (every if labels is None else list_files(root, labels))
             if file.suffix.lower() == '.txt' and file.name not in NAME_FILES]
    keys = keys_of(root, frames)
    names, setup, fact = _class_names(root, sorted({*every, *(list_files(root, labels) if labels is not None else [])}))
    source = Source([], {}, [fact], notes, classes=_declared(setup) or names)
    text_of, used = _texts_of(root, texts, frames, notes)
    mask_of = one_each(root, FileIndex(mask_files, MASK_ENDINGS), frames, 'mask', notes) if mask_files else {}
    for image, key in zip(frames, keys, strict=True):
        text, mask = text_of[image], mask_of.get(image)
        read = partial(read_yolo_labels, text, mask, names, threshold) if text or mask else partial(
            no_labels, masks=bool(mask_files))
        source.frames.append(SourceFrame(image, key, read, tuple(file for file in (text, mask) if file)))
    others = [file for file in texts if file not in used]
    notes += [Note(shown_path(root, file), 'label without an image', 'left out') for file in others
              if role_of(file.stem) is None]
    lists = _splits_of_yaml(setup, frames, keys, notes) if splits is None else {}
    if lists:
        source.splits, facts = lists, ['splits: data.yaml']
    else:
        source.splits, facts = given_splits(root, frames, keys, splits, notes, others)
    source.facts += facts
    return source


def _texts_of(root: Path, texts: Sequence[Path], images: Sequence[Path],
              notes: list[Note]) -> tuple[dict[Path, Path | None], list[Path]]:
    """The text file of each image, or None, and all that go with one."""
    text_of = one_each(root, FileIndex(texts), images, 'text file', notes)
    used = list(dict.fromkeys(text for text in text_of.values() if text is not None))
    if not used:
        raise InputError(f'{printable(root)}: no text file goes with an image; name their folder by --labels')
    return text_of, used


# --- Classes ----------------------------------------------------------------------------------------------------------


def _class_names(root: Path, files: Sequence[Path]) -> tuple[list[str], dict, str]:
    """Class names by number, the content of data.yaml, and where the names come from.

    Raises:
        InputError: If files name them differently, or names are no text.
    """
    top = Path(os.path.abspath(root))
    # A file of settings deeper down may be anything.
    for is_top in (True, False):
        setups = {file: content for file in files if file.suffix.lower() in ('.yaml', '.yml')
                  and (file.parent == top) == is_top for content in [_setup(file, is_top)] if content}
        if setups:
            names, file = _agreed(root, {file: _names_of(file, content['names']) for file, content in setups.items()})
            return names, setups[file], f'classes: {shown_path(root, file)}'
    listed = {file: _lines(file) for file in files if file.name.lower() in NAME_FILES}
    if any(listed.values()):
        names, file = _agreed(root, listed)
        return names, {}, f'classes: {shown_path(root, file)}'
    return [], {}, 'classes: no data.yaml, classes.txt or obj.names names them; class 0 is called class_0'


def _setup(file: Path, strict: bool) -> dict | None:
    """The content of a YAML file that names classes; None of any other."""
    try:
        content = read_yaml(file)
    except InputError:
        if strict:
            raise
        return None
    names = content.get('names') if isinstance(content, dict) else None
    return content if isinstance(names, (list, dict)) and names else None


def _names_of(file: Path, names: list | dict) -> list[str]:
    if isinstance(names, dict):
        if not all(isinstance(key, int) and 0 <= key < _MOST_CLASSES for key in names):
            raise InputError(f'{printable(file)}: names: {shown(next(iter(names)))} … must be the numbers of classes')
        names = [names.get(number, f'class_{number}') for number in range(max(names) + 1)]
    for name in names:
        # YAML makes a truth value of no, yes, on and off.
        if isinstance(name, bool) or not isinstance(name, (str, int, float)):
            raise InputError(f'{printable(file)}: names: {shown(name)} is no text; write it in quotes')
    return [class_name(str(name)) for name in names]


def _lines(file: Path) -> list[str]:
    """The names that a file has a line each for; an empty line is a number without a name."""
    lines = read_bytes(file, _MAX_BYTES).decode('utf-8-sig', 'replace').rstrip().splitlines()
    return [class_name(line) if line.strip() else f'class_{number}' for number, line in enumerate(lines)]


def _agreed(root: Path, names_of: dict[Path, list[str]]) -> tuple[list[str], Path]:
    """The longest of several lists of classes, which the others must begin, as labelling programs leave them."""
    longest = max(names_of, key=lambda file: len(names_of[file]))
    for file, names in names_of.items():
        if names != names_of[longest][:len(names)]:
            raise InputError(f'{shown_path(root, file)}: names other classes than {shown_path(root, longest)}, so '
                             'numbers mean different things; convert the folders one by one, or remove the wrong file')
    return names_of[longest], longest


def _declared(setup: dict) -> list[str]:
    """The classes that data.yaml names by number, without the gaps between the numbers; none where it has a list."""
    names = setup.get('names')
    return [class_name(str(name)) for name in names.values()] if isinstance(names, dict) else []


def _splits_of_yaml(setup: dict, images: Sequence[Path], keys: Sequence[str],
                    notes: list[Note]) -> dict[str, list[str]]:
    """The splits that data.yaml names by folders of images; lists and what lies elsewhere are found otherwise."""
    found: dict[str, list[str]] = {}
    for role, entry in ((TRAIN, 'train'), (VAL, 'val'), (TEST, 'test')):
        values: Any = setup.get(entry)
        for value in values if isinstance(values, list) else [values]:
            if not isinstance(value, str) or not isinstance(setup.get('path', ''), str):
                continue
            below = os.path.normpath(value.removeprefix('../'))
            found.setdefault(role, []).extend(key for image, key in zip(images, keys, strict=True)
                                              if f'/{key}/'.startswith(f'/{below}/'))
    return disjoint({role: list(dict.fromkeys(members)) for role, members in found.items() if members}, notes)


def read_yolo_labels(text: Path | None, mask: Path | None, names: Sequence[str], threshold: float | None,
                     size: Size) -> Labels:
    """The labels of a text file: rows ``class x y w h``, or polygons ``class x1 y1 x2 y2 x3 y3 …``.

    A mask is drawn of polygons where all rows are such.

    Raises:
        InputError: If a row is neither, or a file is damaged.
    """
    labels = Labels([], np.zeros((0, 4)))
    rows = [] if text is None else _rows(text)
    boxes, polygons = [], []
    for number, row in enumerate(rows, 1):
        label, values = int(row[0]), row[1:]
        if len(values) == 5:
            labels.notes.append(('row with a confidence', f'row {number}: {values[4]:g} is left out'))
        if len(values) in (4, 5):
            x, y, width, height = values[:4]
            boxes.append([x - width / 2, y - height / 2, x + width / 2, y + height / 2])
        else:
            points = values.reshape(-1, 2)
            boxes.append([*points.min(axis=0), *points.max(axis=0)])
            polygons.append(points * size)
        labels.names.append(names[label] if label < len(names) else f'class_{label}')
        if names and label >= len(names):
            labels.notes.append(('class without a name', f'row {number}: class {label} is called class_{label}'))
    labels.boxes = np.array(boxes, np.float64).reshape(-1, 4) * [*size, *size]
    if mask is not None:
        labels.mask, more = read_target_mask(mask, threshold, size)
        labels.notes += more
    elif polygons and len(polygons) == len(rows):
        labels.mask = draw(Segmentation(tuple(polygons)), size)
    elif polygons:
        labels.notes.append(('frame without a mask', 'not all of its rows are polygons'))
    return labels


def _rows(path: Path) -> list[np.ndarray]:
    """The numbers of each row that is not empty."""
    try:
        lines = read_bytes(path, _MAX_BYTES).decode('utf-8-sig').splitlines()
        rows = [np.array(line.split(), np.float64) for line in lines if line.strip()]
    except UnicodeDecodeError as error:
        raise InputError(f'{printable(path)}: not a YOLO text file: it is not UTF-8') from error
    except ValueError as error:
        raise InputError(f'{printable(path)}: not a YOLO text file: {printable(str(error)[:80])}') from error
    for number, row in enumerate(rows, 1):
        fits = len(row) in (5, 6) or len(row) >= 7 and len(row) % 2 == 1
        if not fits or not 0 <= row[0] < _MOST_CLASSES or row[0] != int(row[0]):
            raise InputError(f'{printable(path)}: not a YOLO text file: row {number} is not a class and 4 numbers, or '
                             'a class and a polygon')
    if len(rows) > MAX_OBJECTS:
        raise InputError(f'{printable(path)}: has more than {MAX_OBJECTS:,} rows')
    return rows
