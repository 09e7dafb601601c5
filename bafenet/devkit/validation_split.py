"""A validation split for a devkit that has none: a tenth of the training frames, by recording, or one run of frames."""
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import InputError, printable
from .conversion.source import TRAIN, VAL
from .conversion.splits import draw_splits

SHARE = 0.1
# Of the frames: whole recordings that take more of them to validate would leave too few to train on.
LARGEST_SHARE = 0.5
# Frames with targets, one for each of the two.
FEWEST = 2
# How frames were drawn whose recordings lie on both sides.
FOLLOWING = ('drawn by frames that follow each other, for the recordings cannot be divided so: the validation shows '
             'scenes that are trained on, and its figures are too good')


def draw_validation(root: str | Path, names: Sequence[str], targets: Sequence[int], seed: int = 0,
                    workers: int = 1) -> tuple[list[str], list[str], str]:
    """Divide frames into those to train on and about a tenth to validate on.

    No recording lies in both (see recordings.py). Where that leaves no target to validate on, or takes more than
    half of the frames, as with one recording alone, a run of frames that follow each other by name is taken instead:
    the tenth whose share of the targets is nearest to a tenth. Same arguments, same lists.

    Args:
        root: Folder of the devkit.
        names: Image names, n of them.
        targets: How many targets each has.
        seed: Of the division by recording.
        workers: Processes that read images; the lists do not depend on it.

    Returns:
        Names to train on and to validate on, each sorted, and how they were drawn, ``'drawn by …'``, :data:`FOLLOWING`
        where recordings were cut.

    Raises:
        InputError: If fewer than 2 frames have targets, or a file is missing or bad.
    """
    count_of, total = dict(zip(names, targets, strict=True)), sum(targets)
    names = sorted(names)
    if sum(count > 0 for count in targets) < FEWEST:
        raise InputError(f'{printable(root)}: fewer than {FEWEST} of its {len(names)} training frames have targets, so '
                         'none can be kept back to validate on; add labelled frames, or train without a validation by '
                         '--trainval')
    lists, sentence = draw_splits(Path(root), names, {TRAIN: 1 - SHARE, VAL: SHARE}, seed, workers)
    chosen = lists.get(VAL, [])
    if len(chosen) <= max(LARGEST_SHARE * len(names), 1) and 0 < sum(map(count_of.__getitem__, chosen)) < total:
        how = sentence.removeprefix('splits: ')
    else:
        chosen = _run_of_frames(names, np.array([count_of[name] for name in names]))
        how = FOLLOWING
    held = set(chosen)
    return [name for name in names if name not in held], sorted(chosen), how


def _run_of_frames(names: Sequence[str], targets: np.ndarray) -> list[str]:
    """The tenth of sorted names whose share of the targets is nearest to a tenth, neither none nor all of them."""
    size = max(round(SHARE * len(names)), 1)
    starts = np.arange(len(names) - size, -1, -size)
    sums = np.array([targets[start:start + size].sum() for start in starts])
    miss = np.where((sums > 0) & (sums < targets.sum()), np.abs(sums - SHARE * targets.sum()), np.inf)
    start = int(starts[miss.argmin()])
    return list(names[start:start + size])
