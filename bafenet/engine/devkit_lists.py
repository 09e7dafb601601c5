"""Lists of a devkit's frames that a run draws and writes into its work dir, and what was understood of it in words."""
import os
from collections import Counter
from pathlib import Path

from bafenet.devkit import read_split
from bafenet.devkit.validation_split import FOLLOWING, draw_validation
from bafenet.errors import InputError, printable
from bafenet.fileio import write_text

from .devkit_data import TEST, TRAIN, VAL, DevkitData
from .splits import WORK_DIR


def write_lists(data: DevkitData, work_dir: str, seed: int, keep: bool) -> str | None:
    """Draw the validation split that a devkit lacks, and write the lists that are not in it; complete its parts.

    Args:
        data: What was found.
        work_dir: Its folder ``splits`` gets the lists.
        seed: Of the division.
        keep: Take the lists that are there, as the run that goes on has drawn them.

    Returns:
        How the frames to validate on were drawn, ``'drawn by recording'`` for one; None where they were not.

    Raises:
        InputError: If they cannot be drawn; see :func:`draw_validation`.
    """
    folder = Path(work_dir, 'splits')
    how = None
    if data.drawn_from is not None:
        there = [folder / f'{part}.txt' for part in (TRAIN, VAL)]
        if keep and all(map(os.path.isfile, there)):
            train, val = map(read_split, there)
            how = f'drawn as in {printable(folder)}'
            _require_of(data, folder, [*train, *val])
        else:
            train, val, how = draw_validation(data.root, data.drawn_from,
                                              [data.targets[name].total() for name in data.drawn_from], seed)
        data.parts[TRAIN].names, data.parts[VAL].names = train, val
        if data.parts[TEST].from_part == VAL:
            data.parts[TEST].names = val
    for part in data.parts.values():
        if part.file.startswith(WORK_DIR) and part.names and part.from_part is None:
            write_text(folder / Path(part.file).name, '\n'.join(part.names) + '\n')
    return how


def _require_of(data: DevkitData, folder: Path, names: list[str]) -> None:
    """Demand that the lists of a run that goes on name frames of the devkit."""
    absent = sorted(set(names) - set(data.drawn_from or ()))
    if absent:
        raise InputError(f'{printable(folder)}: the lists of the run that is resumed name {printable(absent[0])}, no '
                         f'frame to train on of --data {printable(data.root)} ({len(absent)} such in all): give the '
                         'data that the run began with, or another --work-dir')


def require_validation(data: DevkitData) -> None:
    """Demand targets to validate on.

    Raises:
        InputError: If there are none, so that no epoch could be picked.
    """
    val = data.parts.get(VAL)
    if val is not None and val.names is not None and not data.count(name for name in val.names if name in data.targets):
        raise InputError(f'{val.file}: none of its {len(val.names)} frames has a target, so no epoch can be picked by '
                         'a validation; name other lists by --splits, or train without a validation by --trainval')


def data_lines(data: DevkitData, how: str | None = None) -> list[str]:
    """What was understood, in a few lines."""
    parts = []
    for name, part in data.parts.items():
        if part.from_part is not None:
            parts.append(f'test as {part.from_part}, for want of a list of its own')
        elif part.names is not None:
            targets = data.count(frame for frame in part.names if frame in data.targets)
            parts.append(f'{name} {len(part.names)} frames, {targets} targets')
    found = Counter[str]()
    for counts in data.targets.values():
        found.update(counts)
    lists = f' ({printable(data.splits)})' if data.splits else ''
    classes = ', '.join(f'{printable(name)} ({found[name]})' for name in data.classes)
    with_sky, in_use = len(data.sky), len(data.targets)
    sky = 'none' if not with_sky else 'all frames' if with_sky == in_use else f'{with_sky} of {in_use} frames'
    lines = [f'data: {printable(data.root)}{lists}: {"; ".join(parts)}', f'classes: {classes}; sky maps: {sky}']
    if how:
        lines.append(f'{"warning: " if how == FOLLOWING else ""}validation split {how}')
    if data.parts[TEST].from_part == VAL and VAL in data.parts:
        lines.append('note: the epoch is picked on the frames that are tested on, so a test is a little too good')
    return lines + [f'note: {note}' for note in data.notes]
