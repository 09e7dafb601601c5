"""COCO JSON as labels: boxes, categories, crowds, and masks by polygons and run lengths."""
import os
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import numpy as np

from ...arguments import is_number, is_whole, shown
from ...errors import InputError, printable
from ...fields import require_dict, require_list, require_text
from ...reading import MAX_BYTES, read_bytes, read_json
from .coco_masks import Segmentation, draw, is_box_alone
from .files import FileIndex, is_frame, keys_of, list_files, one_suffix_each, shown_path
from .source import Labels, Note, Size, Source, SourceFrame, class_name, role_of, role_of_folders
from .splits import DRAWN, disjoint, given_splits


class CocoTarget(NamedTuple):
    """An annotation: the name of its category, its box (x, y, width, height), and its segmentation or None."""

    name: str
    bbox: tuple[float, float, float, float]
    segmentation: Segmentation | None


def read_coco(root: Path, images: str | None = None, labels: str | None = None, splits: str | None = None,
              masks: bool = True, apart: Collection[Path] = ()) -> Source:
    """Read COCO JSON files and their images.

    Args:
        root: The folder of the data set, or the one JSON file.
        images: Folder of the images; None finds them by name below ``root``.
        labels: The JSON file, or a folder of them; None takes all below ``root`` that look like it. Several files are
            splits: each is called by its name or folder, as ``instances_val.json``.
        splits: ``'draw'`` or a folder of lists instead of that; see :func:`given_splits`.
        masks: Draw segmentations.
        apart: Files and folders in which nothing is looked for: sky maps, and what is written where that may lie beside
            the one JSON file.

    Raises:
        InputError: If there is no JSON file or no image, or a file is no COCO JSON.
    """
    source = Source([], {})
    files, folder = _json_files(root, labels, source.notes)
    every = [file for file in list_files(folder, images, apart) if is_frame(file)]
    if not every:
        raise InputError(f'{printable(folder)}: no image; name their folder by --images')
    index = FileIndex(every)
    entries: dict[Path, tuple[dict, list[CocoTarget], Path]] = {}
    roles: dict[str, list[Path]] = {}
    contents = {file: _read_file(folder, file, source) for file in files}
    image_of = _images_of(contents, index)
    for file, content in contents.items():
        found = _by_image(folder, file, content, image_of, source.notes)
        role = role_of(file.stem) or role_of_folders(file.relative_to(folder) if file.is_relative_to(folder) else file)
        for image, (entry, targets) in found.items():
            if image in entries:
                source.notes.append(Note(shown_path(folder, image), 'image in several JSON files',
                                         f'its labels in {shown_path(folder, file)} are left out'))
            else:
                entries[image] = entry, targets, file
            if role is not None:
                roles.setdefault(role, []).append(image)
    _finish(source, folder, every, entries, roles, splits, masks, apart)
    return source


def _finish(source: Source, folder: Path, every: Sequence[Path], entries: dict, roles: dict[str, list[Path]],
            splits: str | None, masks: bool, apart: Collection[Path]) -> None:
    """Frames, splits and facts of what the JSON files say."""
    images = list(entries)
    source.notes += [Note(shown_path(folder, image), 'image in no JSON file', 'left out, for nobody has labelled it')
                     for image in every if image not in entries]
    segmented = [target for _, targets, _ in entries.values() for target in targets if target.segmentation is not None]
    if masks and segmented and all(is_box_alone(target.segmentation, target.bbox) for target in segmented):
        source.facts.append('masks: none, for every segmentation is the rectangle of its box')
        masks = False
    masks = masks and bool(segmented)
    keys = dict(zip(images, keys_of(folder, images), strict=True))
    for image, (entry, targets, file) in entries.items():
        stated = tuple(entry.get(side) for side in ('width', 'height'))
        source.frames.append(SourceFrame(image, keys[image], partial(read_coco_labels, targets, stated, masks,
                                                                     str(file)), (file, )))
    if splits is None and roles:
        lists = {role: [keys[image] for image in dict.fromkeys(found)] for role, found in roles.items()}
        source.splits = disjoint(lists, source.notes)
        source.facts.append('splits: the JSON files')
    elif splits != DRAWN:
        source.splits, facts = given_splits(folder, images, list(keys.values()), splits, source.notes,
                                             list_files(folder, apart=apart))
        source.facts += facts


def _json_files(root: Path, labels: str | None, notes: list[Note]) -> tuple[list[Path], Path]:
    """The JSON files, and the folder of the data set."""
    if root.is_file() and labels is None:
        return [Path(os.path.abspath(root))], Path(os.path.abspath(root.parent))
    named = [path for path in (root / labels, Path(labels)) if path.is_file()] if labels is not None else []
    if named:
        return [Path(os.path.abspath(named[0]))], Path(os.path.abspath(root))
    files = [file for file in list_files(root, labels) if file.suffix.lower() == '.json']
    found = [file for file in files if _names_images(file)]
    if not found:
        raise InputError(f'{printable(root)}: no COCO JSON (images, annotations, categories); name it by --labels')
    # Beside COCO's own instances there are captions and keypoints of the same images.
    chosen = [file for file in found if file.stem.startswith('instances')] or found
    notes += [Note(shown_path(root, file), 'JSON file left out', 'others are called instances' if file in found else
                   'it is no COCO JSON') for file in files if file not in chosen]
    return chosen, Path(os.path.abspath(root))


def _names_images(file: Path) -> bool:
    """Whether a JSON file may be COCO's, without parsing it; other JSON files of a folder are left alone."""
    return file.stat().st_size > MAX_BYTES or b'"images"' in read_bytes(file)


def _read_file(root: Path, file: Path, source: Source) -> list[tuple[dict, list[CocoTarget]]]:
    """Entry and annotations of each image of a JSON file; the source gets its classes and notes."""
    shown_file, notes = shown_path(root, file), source.notes
    try:
        content = require_dict(read_json(file, 'a COCO JSON'), 'it', ('images', 'annotations'))
        names = _categories(content.get('categories', []))
        entries: dict[str, dict] = {}
        for number, entry in enumerate(require_list(content['images'], 'images')):
            entry = require_dict(entry, f'images[{number}]', ('id', 'file_name'))
            require_text(entry['file_name'], f'images[{number}].file_name')
            entries[_new_id(entry['id'], f'images[{number}]', entries)] = entry
        annotations = [require_dict(item, f'annotations[{number}]')
                       for number, item in enumerate(require_list(content['annotations'], 'annotations'))]
    except InputError as error:
        reason = str(error).removeprefix(f'{printable(file)}: ')
        raise InputError(f'{printable(file)}: no COCO JSON: {reason}') from error
    source.classes += names.values()
    targets: dict[str, list[CocoTarget]] = {key: [] for key in entries}
    for number, item in enumerate(annotations):
        what, key = f'annotations[{number}]', _id(item.get('image_id'))
        if key not in targets:
            notes.append(Note(shown_file, 'annotation of no image',
                              f'{what}: image_id {shown(item.get("image_id"))}: left out'))
            continue
        target, problem = _target(item, names)
        if problem:
            notes.append(Note(shown_file, problem[0], f'{what}: {problem[1]}'))
        if target is not None:
            targets[key].append(target)
    return [(entry, targets[key]) for key, entry in entries.items()]


def _id(value: Any) -> str | None:
    """An id as text: programs write 7, 7.0 and "7" for one; None where it is none of these."""
    if is_number(value):
        return str(int(value)) if value == int(value) else str(value)
    return value if isinstance(value, str) else None


def _new_id(value: Any, what: str, others: Collection[str]) -> str:
    key = _id(value)
    if key is None or key in others:
        raise InputError(f'{what}.id {shown(value)} {"is no number or text" if key is None else "stands there twice"}')
    return key


def _images_of(contents: dict[Path, list[tuple[dict, list[CocoTarget]]]], index: FileIndex) -> dict[Path, list[Path]]:
    """The images that the file names of all JSON files lead to, by the path that each stands for.

    A name that leads to none may be percent-encoded, as a link. Names in other folders than an image that fits another
    name better lead to none.
    """
    paths = {_path_of(file, entry) for file, entries in contents.items() for entry, _ in entries} - {Path()}
    meant = {path: path if index.find(path) else Path(unquote(str(path))) for path in paths}
    found = index.pair(meant.values())
    return {path: found[there] for path, there in meant.items()}


def _path_of(file: Path, entry: dict) -> Path:
    """The path that a ``file_name`` stands for; without a name where it is none."""
    name = entry['file_name'].replace('\\', '/')
    return file.parent / name.lstrip('/') if '\0' not in name and name.strip('/') else Path()


def _by_image(root: Path, file: Path, entries: Sequence[tuple[dict, list[CocoTarget]]],
              image_of: dict[Path, list[Path]], notes: list[Note]) -> dict[Path, tuple[dict, list[CocoTarget]]]:
    found: dict[Path, tuple[dict, list[CocoTarget]]] = {}
    name_of: dict[Path, str] = {}
    for entry, targets in entries:
        images, name = image_of.get(_path_of(file, entry), []), entry['file_name']
        if len(images) > 1:
            images = one_suffix_each(root, images)[0]
        label = f'{shown_path(root, file)}: {printable(name[:200])}'
        if len(images) != 1:
            notes.append(Note(label, 'label without an image', 'several images of this name: left out' if images else
                              f'no such image, with {len(targets)} targets: left out'))
        elif images[0] not in found:
            found[images[0]], name_of[images[0]] = (entry, targets), name
        elif name == name_of[images[0]]:
            notes.append(Note(label, 'image named twice', 'its targets are put together'))
            found[images[0]][1].extend(targets)
        else:
            raise InputError(f'{label}: only {shown_path(root, images[0])} is called so, and '
                             f'{printable(name_of[images[0]][:200])} may be that as well; lay the images into the '
                             'folders that the file names have')
    return found


def _categories(values: Any) -> dict[str, str]:
    names: dict[str, str] = {}
    for number, item in enumerate(require_list(values, 'categories')):
        item = require_dict(item, f'categories[{number}]', ('id', 'name'))
        name = class_name(require_text(item['name'], f'categories[{number}].name'))
        names[_new_id(item['id'], f'categories[{number}]', names)] = name
    return names


def _target(item: dict, names: dict[str, str]) -> tuple[CocoTarget | None, tuple[str, str] | None]:
    """An annotation that can be used, and what is wrong with it."""
    if item.get('iscrowd') not in (None, 0, False):
        return None, ('crowd', 'a region of many targets and no single one: left out')
    category, bbox = _id(item.get('category_id')), item.get('bbox')
    if category not in names:
        return None, ('annotation of no category', f'category_id {shown(item.get("category_id"))}: left out')
    segmentation = Segmentation.from_json(item.get('segmentation'))
    if bbox in (None, []) and segmentation is not None:
        bbox = segmentation.bbox()
    if not isinstance(bbox, (list, tuple)) or len(bbox) != 4 or not all(map(is_number, bbox)):
        return None, ('box without four numbers', f'bbox {shown(bbox)}: left out')
    x, y, width, height = map(float, bbox)
    is_bad = bool(item.get('segmentation')) and segmentation is None
    return CocoTarget(names[category], (x, y, width, height), segmentation), (
        'segmentation', 'neither polygons nor run lengths: its box alone is taken') if is_bad else None


def read_coco_labels(targets: Sequence[CocoTarget], stated: tuple[Any, ...], masks: bool, file: str,
                     size: Size) -> Labels:
    """The labels of an image; a mask where each target has a segmentation.

    Raises:
        InputError: If the JSON gives the image another size.
    """
    if all(map(is_whole, stated)) and min(stated) > 0 and stated != size:
        raise InputError(f'{printable(file)}: says that the image is {shown(stated[0])}x{shown(stated[1])}, and it is '
                         f'{size[0]}x{size[1]}; its boxes may be of another image')
    boxes = np.array([target.bbox for target in targets], np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    labels = Labels([target.name for target in targets], boxes)
    if masks and all(target.segmentation is not None for target in targets):
        labels.mask = np.zeros(size[::-1], bool)
        for target in targets:
            if target.segmentation is not None:
                labels.mask |= draw(target.segmentation, size)
    elif masks:
        labels.notes.append(('frame without a mask', 'not all of its targets have a segmentation'))
    return labels
