"""Write labels, or predictions, as COCO JSON or YOLO text files, with links to the images or copies of them."""
import filecmp
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ...errors import InputError, printable
from ...fileio import write_json, write_text
from ..box_matching import component_boxes, component_labels
from .names import safe_names
from .source import Size

COCO, YOLO = 'coco', 'yolo'
LINK, COPY, NO_IMAGES = 'link', 'copy', 'none'
ANNOTATIONS, RESULTS = 'annotations', 'results.json'


@dataclass
class LabelledFrame:
    """A frame and its boxes.

    Attributes:
        name: What it is called: a file name without suffix, or a path.
        file: Its image; None where that is not known.
        size: Width and height in pixels.
        names: Class of each of its n boxes.
        boxes: (n, 4) float ``[x1, y1, x2, y2]`` in pixels, 0-based with exclusive ends.
        scores: (n, ) float, of predictions; None of true boxes.
        mask: (H, W) bool, the pixels of all targets; None where they are not known.
    """

    name: str
    file: Path | None
    size: Size
    names: list[str]
    boxes: np.ndarray
    scores: np.ndarray | None = None
    mask: np.ndarray | None = None


def write_coco(out: Path, split: str, frames: Iterable[LabelledFrame], classes: Sequence[str], images: str) -> int:
    """Write ``annotations/SPLIT.json``, of predictions ``results.json`` too, and the images to ``images``.

    ``bbox`` is x, y, width and height; ``segmentation`` run lengths where there is a mask; predictions have a
    ``score``, and ``results.json`` holds predictions alone, as ``COCO.loadRes`` takes them.

    Args:
        out: Folder to write to.
        split: What the frames are called together.
        frames: The frames.
        classes: All class names: their categories are 1, 2 ….
        images: ``'link'``, ``'copy'`` or ``'none'``.

    Returns:
        The number of boxes.
    """
    content: dict[str, list[dict]] = dict(
        images=[], annotations=[], categories=[dict(id=number, name=name) for number, name in enumerate(classes, 1)])
    scored = False
    for number, frame in enumerate(frames, 1):
        _place(frame, out / 'images' / _base(frame), images)
        content['images'].append(dict(id=number, file_name=_base(frame), width=frame.size[0], height=frame.size[1]))
        pixels = _pixels(frame)
        for index, (x1, y1, x2, y2) in enumerate(frame.boxes.tolist()):
            item: dict[str, Any] = dict(
                id=len(content['annotations']) + 1, image_id=number, category_id=classes.index(frame.names[index]) + 1,
                bbox=[_number(side) for side in (x1, y1, x2 - x1, y2 - y1)],
                area=_number((x2 - x1) * (y2 - y1)), iscrowd=0)
            if pixels is not None:
                item.update(pixels[index])
            if frame.scores is not None:
                scored, item['score'] = True, float(frame.scores[index])
            content['annotations'].append(item)
    write_json(out / ANNOTATIONS / f'{split}.json', content)
    if scored:
        keys = ('image_id', 'category_id', 'bbox', 'score')
        write_json(out / RESULTS, [{key: item[key] for key in keys} for item in content['annotations']])
    return len(content['annotations'])


def write_yolo(out: Path, splits: Mapping[str, Sequence[LabelledFrame]], classes: Sequence[str], images: str,
               confidence: bool = False) -> int:
    """Write ``labels/SPLIT/NAME.txt``, ``images/SPLIT/NAME.png`` and ``data.yaml``.

    A row is ``class x y width height``, the centre and the size as shares of the image's width and height, with 8
    decimals; a frame without boxes gets an empty file. Boxes are cut at the edges of the frame.

    Args:
        out: Folder to write to.
        splits: Frames by split.
        classes: All class names.
        images: ``'link'``, ``'copy'`` or ``'none'``.
        confidence: Write the score as a sixth number.

    Returns:
        The number of boxes.
    """
    count = 0
    for split, frames in splits.items():
        (out / 'labels' / split).mkdir(parents=True)
        for name, frame in zip(safe_names([frame.name for frame in frames]), frames, strict=True):
            rows = _rows(frame, classes, confidence)
            (out / 'labels' / split / f'{name}.txt').write_text(''.join(f'{row}\n' for row in rows), encoding='utf-8')
            suffix = '' if frame.file is None else frame.file.suffix
            _place(frame, out / 'images' / split / f'{name}{suffix}', images)
            count += len(rows)
    setup = {**{split: f'images/{split}' for split in splits}, 'names': dict(enumerate(classes))}
    write_text(out / 'data.yaml', yaml.safe_dump(setup, sort_keys=False, allow_unicode=True))
    return count


def _rows(frame: LabelledFrame, classes: Sequence[str], confidence: bool) -> list[str]:
    size = np.array([*frame.size, *frame.size], np.float64)
    shares = np.clip(frame.boxes / size, 0, 1).reshape(-1, 2, 2)
    centres, extents = shares.mean(axis=1), shares[:, 1] - shares[:, 0]
    scores = frame.scores if confidence else None
    rows = []
    for index in np.flatnonzero(extents.all(axis=1)).tolist():
        numbers = [*centres[index], *extents[index], *([] if scores is None else [scores[index]])]
        rows.append(' '.join([str(classes.index(frame.names[index])), *(f'{number:.8f}' for number in numbers)]))
    return rows


def _pixels(frame: LabelledFrame) -> list[dict] | None:
    """Segmentation and area of each box: its component where it is the extent of one, else the target pixels in it."""
    if frame.mask is None:
        return None
    from pycocotools import mask as coco_mask
    labels, found = component_labels(frame.mask), []
    of_extent = {tuple(box): label for label, box in enumerate(component_boxes(frame.mask).tolist(), 1)}
    for box in frame.boxes.tolist():
        x1, y1, x2, y2 = np.rint(box).astype(int).tolist()
        one, label = np.zeros(frame.mask.shape, np.uint8, order='F'), of_extent.get(tuple(box))
        part = labels[y1:y2, x1:x2]
        one[y1:y2, x1:x2] = part > 0 if label is None else part == label
        runs = coco_mask.encode(one)
        found.append(dict(segmentation=dict(size=list(one.shape), counts=runs['counts'].decode('ascii')),
                          area=int(one.sum())))
    return found


def _base(frame: LabelledFrame) -> str:
    return frame.name if frame.file is None else frame.file.name


def _place(frame: LabelledFrame, path: Path, images: str) -> None:
    """Link or copy an image."""
    if frame.file is None or images == NO_IMAGES:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    real = os.path.realpath(frame.file)
    if os.path.lexists(path):  # a frame of two splits, or two of one name
        if not filecmp.cmp(real, path, shallow=False):
            raise InputError(f'{printable(frame.file)}: another frame is called {printable(path.name)} too; give '
                             '--images none, or frames of different names')
        return
    if images == LINK:
        path.symlink_to(real)
    else:
        shutil.copyfile(real, path)


def _number(value: float) -> float:
    """Whole numbers as such, others with 4 decimals."""
    return int(value) if value == int(value) else round(value, 4)
