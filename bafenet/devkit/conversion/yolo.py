"""YOLO text files as labels: class, centre and size of each box as shares of the image, or polygons."""
import os
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError, printable
from ...plain_yaml import read_yaml
from ...reading import read_bytes
from ..read import MAX_OBJECTS
from .coco_masks import Segmentation, draw
from .files import MASK_ENDINGS, FileIndex, is_frame, keys_of, list_files, one_suffix_each, shown_path
from .masks import one_of, read_target_mask
from .source import TEST, TRAIN, VAL, Labels, Note, Size, Source, SourceFrame, class_name, no_labels, role_of
from .splits import given_splits

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
    index, mask_index, keys = FileIndex(texts), FileIndex(mask_files, MASK_ENDINGS), keys_of(root, frames)
    names, setup, fact = _class_names(root, every)
    source, used = Source([], {}, [fact], notes, classes=_declared(setup) or names), set()
    for image, key in zip(frames, keys, strict=True):
        text = one_of(root, index.find(image), image, 'text file', notes)
        mask = one_of(root, mask_index.find(image), image, 'mask', notes) if mask_files else None
        used |= {text}
        read = partial(read_yolo_labels, text, mask, names, threshold) if text or mask else partial(
            no_labels, masks=bool(mask_files))
        source.frames.append(SourceFrame(image, key, read, tuple(file for file in (text, mask) if file)))
    if used <= {None}:
        raise InputError(f'{printable(root)}: no text file goes with an image; name their folder by --labels')
    others = [file for file in texts if file not in used]
    notes += [Note(shown_path(root, file), 'label without an image', 'left out') for file in others
              if role_of(file.stem) is None]
    lists = _splits_of_yaml(root, setup, frames, keys, others) if splits is None else {}
    if lists:
        source.splits, facts = lists, ['splits: data.yaml']
    else:
        source.splits, facts = given_splits(root, frames, keys, splits, notes, others)
    source.facts += facts
    return source


def _class_names(root: Path, files: Sequence[Path]) -> tuple[list[str], dict, str]:
    """Class names by number, the content of data.yaml, and where the names come from."""
    top = [file for file in files if file.parent == Path(os.path.abspath(root))]
    for file in [file for file in top if file.suffix.lower() in ('.yaml', '.yml')]:
        content = read_yaml(file)
        names = content.get('names') if isinstance(content, dict) else None
        if isinstance(names, dict) and all(isinstance(key, int) and 0 <= key < _MOST_CLASSES for key in names):
            names = [names.get(number, f'class_{number}') for number in range(max(names, default=-1) + 1)]
        if isinstance(names, list) and names:
            return [class_name(str(name)) for name in names], content, f'classes: {file.name}'
    for file in [file for file in files if file.name in NAME_FILES]:
        lines = read_bytes(file, _MAX_BYTES).decode('utf-8-sig', 'replace').splitlines()
        return [class_name(line) for line in lines if line.strip()], {}, f'classes: {file.name}'
    return [], {}, 'classes: no data.yaml, classes.txt or obj.names names them; class 0 is called class_0'


def _declared(setup: dict) -> list[str]:
    """The classes that data.yaml names by number, without the gaps between the numbers; none where it has a list."""
    names = setup.get('names')
    return [class_name(str(name)) for name in names.values()] if isinstance(names, dict) else []


def _splits_of_yaml(root: Path, setup: dict, images: Sequence[Path], keys: Sequence[str],
                    texts: Sequence[Path]) -> dict[str, list[str]]:
    """The splits that data.yaml names by folders of images; lists and what lies elsewhere are found otherwise."""
    found: dict[str, list[str]] = {}
    taken: set[str] = set()
    for role, entry in ((TEST, 'test'), (VAL, 'val'), (TRAIN, 'train')):
        values: Any = setup.get(entry)
        for value in values if isinstance(values, list) else [values]:
            if not isinstance(value, str) or not isinstance(setup.get('path', ''), str):
                continue
            below = os.path.normpath(value.removeprefix('../'))
            members = [key for image, key in zip(images, keys, strict=True)
                       if f'/{key}/'.startswith(f'/{below}/') and key not in taken]
            found.setdefault(role, []).extend(members)
            taken.update(members)
    return {role: found[role] for role in (TRAIN, VAL, TEST) if found.get(role)}


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
