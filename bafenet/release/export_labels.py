"""Export the labels of a devkit, or predictions, as COCO or YOLO labels; ``tools/dataset/export_labels.py``."""
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..devkit import read_boxes, read_mask
from ..devkit.conversion.write_labels import COCO, COPY, LINK, NO_IMAGES, YOLO, LabelledFrame, write_coco, write_yolo
from ..devkit.decode import read_header
from ..devkit.devkit_files import TARGET_MASKS, DevkitFiles
from ..devkit.layout import BOXES, CLASSES, IMAGES, devkit_layout, image_names
from ..devkit.read import read_split
from ..errors import InputError, printable
from ..evaluation.results import read_results
from ..fields import require_dict, require_list, require_numbers, require_text, require_whole
from ..fileio import require_writable_folder, temporary_folder
from ..reading import read_json

PREDICTIONS = 'predictions'
ROLES = ('train', 'val', 'test')
_MAX_SIDE = 2**24


class Exported(NamedTuple):
    """What was written: frames and boxes by split, class names, frames left out, boxes below the score."""

    frames: dict[str, int]
    boxes: int
    classes: list[str]
    left_out: int
    below: int


@dataclass(frozen=True)
class ExportOptions:
    """Options of an export.

    Attributes:
        splits: Of a devkit, the lists ``train_SPLITS``, ``val_SPLITS``, ``test_SPLITS``; None takes all images as one.
        images: ``'link'``, ``'copy'`` or ``'none'``.
        classes: Class names in order; None takes those of the labels, sorted.
        min_score: Lowest score of a prediction.
        confidence: Write scores to YOLO files.
    """

    splits: str | None = 'v2'
    images: str = LINK
    classes: Sequence[str] | None = None
    min_score: float = 0.0
    confidence: bool = False


def export_labels(source: str | Path, out: str | Path, to: str, options: ExportOptions | None = None) -> Exported:
    """Write COCO or YOLO labels.

    Args:
        source: A devkit; ``predictions.json`` that ``predict`` wrote, or its folder; or the file of ``test --out``.
        out: Folder to create.
        to: ``'coco'`` or ``'yolo'``.
        options: What, and how.

    Returns:
        What was written.

    Raises:
        InputError: If the source is none of these, a file of it is bad, or ``out`` exists or cannot be written.
    """
    options, source, out = options or ExportOptions(), Path(source), Path(out)
    if to not in (COCO, YOLO) or options.images not in (LINK, COPY, NO_IMAGES):
        raise InputError(f'--to {printable(to)}, --images {printable(options.images)}: no such choice')
    if os.path.lexists(out) and not (out.is_dir() and not any(out.iterdir())):
        raise InputError(f'{printable(out)}: exists; labels are exported to a new folder only')
    require_writable_folder(out, 'OUT')
    below = left_out = 0
    if (source / IMAGES).is_dir():
        splits, left_out = _read_devkit(source, options)
    else:
        frames = list(_read_predictions(source, options.classes))
        below = sum(int((frame.scores < options.min_score).sum()) for frame in frames if frame.scores is not None)
        splits = {PREDICTIONS: [_above(frame, options.min_score) for frame in frames]}
    classes = _classes(splits, options.classes)
    try:
        with temporary_folder(out) as folder:
            new = folder / 'new'
            new.mkdir()
            if to == YOLO:
                boxes = write_yolo(new, splits, classes, options.images, options.confidence)
            else:
                boxes = sum(write_coco(new, split, frames, classes, options.images) for split, frames in splits.items())
            os.replace(new, out)
    except OSError as error:
        raise InputError(f'{printable(out)}: cannot be written: {error.strerror or error}') from error
    return Exported({split: len(frames) for split, frames in splits.items()}, boxes, classes, left_out, below)


def _classes(splits: dict[str, list[LabelledFrame]], given: Sequence[str] | None) -> list[str]:
    found = {name for frames in splits.values() for frame in frames for name in frame.names}
    if given is None:
        return sorted(found) or list(CLASSES)
    absent = sorted(found - set(given))
    if absent or len(set(given)) < len(given):
        raise InputError(f'--classes: {printable(", ".join(absent[:5]) or "a name")} '
                         f'{"is of a label and not among them" if absent else "stands there twice"}; name each once')
    return list(given)


# --- Devkit -----------------------------------------------------------------------------------------------------------


def _read_devkit(root: Path, options: ExportOptions) -> tuple[dict[str, list[LabelledFrame]], int]:
    """Frames by split, and how many are in none of them."""
    names, layout, files = image_names(root), devkit_layout(root), DevkitFiles(root)
    if options.splits is None:
        return {'all': [_read_frame(files, name) for name in names]}, 0
    there = layout.split_names()
    lists = {role: f'{role}_{options.splits}' for role in ROLES if f'{role}_{options.splits}' in there}
    if not lists:
        raise InputError(f'{printable(root)}: no list train_{printable(options.splits)}, val_… or test_…; there are: '
                         f'{printable(", ".join(there)) or "none"}; name others by --splits, or give --all-images')
    members = {role: read_split(layout.split(split)) for role, split in lists.items()}
    used = {name for found in members.values() for name in found}
    return {role: [_read_frame(files, name) for name in found] for role, found in members.items()}, len(
        set(names) - used)


def _read_frame(files: DevkitFiles, name: str) -> LabelledFrame:
    image, found = files.get(IMAGES, name), files.first_of(TARGET_MASKS, name)
    header = read_header(image)
    size = (header.width, header.height)
    classes, boxes = read_boxes(files.get(BOXES, name), size=size)
    mask = None if found is None else read_mask(found[1], size[::-1]) > 0
    return LabelledFrame(name, image, size, [label or CLASSES[0] for label in classes], boxes, mask=mask)


# --- Predictions ------------------------------------------------------------------------------------------------------


def _read_predictions(source: Path, classes: Sequence[str] | None) -> Iterator[LabelledFrame]:
    """Frames of ``predictions.json``, or of a file of results."""
    file = source / 'predictions.json' if source.is_dir() else source
    if not file.is_file():
        raise InputError(f'{printable(source)}: neither a devkit nor predictions; give a folder with {IMAGES}, '
                         'predictions.json of predict, or the file of test --out')
    content = read_json(file, 'predictions')
    if isinstance(content, dict) and 'annotations' in content:
        try:
            yield from _of_coco(content, file)
        except InputError as error:
            raise InputError(f'{printable(file)}: not the predictions.json of predict ({error})') from error
        return
    for number, image in enumerate(read_results(str(file), image_keys=('img_id', 'shape', 'boxes', 'scores', 'labels'))
                                   ['images']):
        labels = [_label(classes, label) for label in image['labels']]
        path = Path(image.get('img_path') or '')
        name = str(image['img_id']) if 'img_id' in image else str(number)
        yield LabelledFrame(name, path if path.is_file() else None, (image['shape'][1], image['shape'][0]), labels,
                            np.array(image['boxes'], np.float64).reshape(-1, 4), np.array(image['scores'], np.float64))


def _label(classes: Sequence[str] | None, label: int) -> str:
    """The name of a class by its number, which is all that a file of results has."""
    names = CLASSES if classes is None else classes
    return names[label] if label < len(names) else f'class_{label}'


def _of_coco(content: dict, file: Path) -> Iterator[LabelledFrame]:
    categories = {require_whole(item.get('id'), 'categories.id'): require_text(item.get('name'), 'categories.name')
                  for item in map(_dict, require_list(content.get('categories'), 'categories'))}
    found: dict[int, list[dict[str, Any]]] = {}
    for item in map(_dict, require_list(content['annotations'], 'annotations')):
        category = require_whole(item.get('category_id'), 'annotations.category_id')
        if category not in categories or 'score' not in item:
            raise InputError(f'an annotation has no score, or category_id {category}, which is none')
        found.setdefault(require_whole(item.get('image_id'), 'annotations.image_id'), []).append(item)
    for image in map(_dict, require_list(content.get('images'), 'images')):
        name = require_text(image.get('file_name'), 'images.file_name')
        size = tuple(require_whole(image.get(side), f'images.{side}', 1, _MAX_SIDE) for side in ('width', 'height'))
        items = found.get(require_whole(image.get('id'), 'images.id'), [])
        boxes = require_numbers([item.get('bbox') for item in items], 'annotations.bbox', 4).astype(np.float64)
        boxes[:, 2:] += boxes[:, :2]
        scores = require_numbers([item['score'] for item in items], 'annotations.score', None, 0, 1)
        path = Path(name)
        yield LabelledFrame(name, path if '\0' not in name and path.is_file() else None, (size[0], size[1]),
                            [categories[item['category_id']] for item in items], boxes, scores.astype(np.float64))


def _dict(value: Any) -> dict:
    return require_dict(value, 'an entry')


def _above(frame: LabelledFrame, min_score: float) -> LabelledFrame:
    """A frame with those boxes alone that have a score of at least so much."""
    if frame.scores is None:
        return frame
    kept = np.flatnonzero(frame.scores >= min_score)
    return LabelledFrame(frame.name, frame.file, frame.size, [frame.names[index] for index in kept], frame.boxes[kept],
                         frame.scores[kept], frame.mask)
