"""Halves of the frames of results that share no recording, also where several files have frames of one recording."""
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bafenet.errors import InputError, printable
from bafenet.parallel import map_with_progress
from bafenet.reading import read_bytes

from ..devkit.devkit_files import DevkitFiles
from ..devkit.near_duplicates import Scene, near_duplicates, read_scene
from ..devkit.recordings import divide, group_recordings

Image = Mapping[str, Any]
_HALVES = (0.5, 0.5)


def halves_of(files: Sequence[Sequence[Image]], recordings: str | None = None) -> tuple[list[np.ndarray] | None, str]:
    """Divide the frames of several results by recording; frames of one name are the same frame, or versions of it.

    Args:
        files: The images of each file, with ``img_id``, ``gt_boxes`` and, where it is known, ``img_path``.
        recordings: ``groups.txt`` of ``tools/dataset/recordings.py``; None to find the recordings by the frames
            (devkit/recordings.py) or, where these are not here, by their names.

    Returns:
        The half of each image, int (n, ) of 0 and 1, of each file; None where all frames are of one recording. And how
        recordings were found, in words.

    Raises:
        InputError: If ``recordings`` cannot be read, or lacks a frame.
    """
    first: dict[str, Image] = {}
    targets: dict[str, int] = {}
    for images in files:
        for image in images:
            name = str(image['img_id'])
            first.setdefault(name, image)
            targets[name] = targets.get(name, 0) + len(image['gt_boxes'])
    names = list(first)
    groups, words = _read(recordings, names) if recordings else _find(first)
    words = f'{len(set(groups.tolist()))} recordings among {len(names)} frames, {words}'
    if len(set(groups.tolist())) < len(_HALVES):
        return None, f'{words}: too few to cross-fit'
    values = np.column_stack([np.ones(len(names)), list(targets.values())])
    half = dict(zip(names, divide(groups, values, _HALVES).tolist(), strict=True))
    return [np.array([half[str(image['img_id'])] for image in images], np.int64) for images in files], words


def _read(file: str, names: Sequence[str]) -> tuple[np.ndarray, str]:
    try:
        lines = read_bytes(file).decode('utf-8').splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f'--recordings {printable(file)}: it is not UTF-8 text; give the groups.txt of '
                         'tools/dataset/recordings.py') from error
    known = {name: number for number, line in enumerate(lines) for name in line.split()}
    absent = next((name for name in names if name not in known), None)
    if absent is not None:
        raise InputError(f'--recordings {printable(file)}: the frame {printable(absent)} is in none of its groups: '
                         'give the groups.txt that tools/dataset/recordings.py made of these frames')
    return np.unique([known[name] for name in names], return_inverse=True)[1], f'as {printable(Path(file).name)} says'


def _find(first: Mapping[str, Image]) -> tuple[np.ndarray, str]:
    """The recording of each frame, by the frames where they are here."""
    names, paths = list(first), [str(image.get('img_path', '')) for image in first.values()]
    if not all(path and Path(path).is_file() for path in paths):
        return group_recordings(names, np.zeros((0, 2), np.int64)), 'by their names alone, since frames are not here'
    roots = [Path(os.path.abspath(path)).parents[1] for path in paths]
    devkits = {root: DevkitFiles(root) for root in roots}
    try:
        places = [(devkits[root], name) for root, name in zip(roots, names, strict=True)]
        scenes = list(map_with_progress(_read_scene, places, 1, 'keypoints'))
    except InputError as error:
        return (group_recordings(names, np.zeros((0, 2), np.int64)),
                f'by their names alone, since frames cannot be compared ({error})')
    return group_recordings(names, near_duplicates(scenes)[:, :2]), 'by their names and near-duplicates'


def _read_scene(place: tuple[DevkitFiles, str]) -> Scene:
    return read_scene(*place)
