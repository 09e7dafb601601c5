"""How a VOC-style file counts pixels: from 0 or 1, with inclusive or exclusive ends; found out from masks or boxes."""
from collections.abc import Iterable, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

INCLUSIVE, EXCLUSIVE = 'inclusive', 'exclusive'
# Of the boxes that are compared with masks; below it the masks say nothing.
_SHARE = 0.5


class Convention(NamedTuple):
    """How boxes are written.

    Attributes:
        origin: What the first pixel is called, 0 or 1.
        ends: ``'inclusive'`` where xmax is the last pixel of the target, ``'exclusive'`` where it is the next one.
    """

    origin: int
    ends: str

    def to_devkit(self, corners: np.ndarray) -> np.ndarray:
        """Boxes (n, 4) as 0-based with exclusive ends."""
        return corners - self.origin + np.array([0, 0, 1, 1]) * (self.ends == INCLUSIVE)

    def __str__(self) -> str:
        return f'pixels count from {self.origin}, xmax and ymax are {self.ends}'


# In the order in which one is preferred where several fit equally well.
CONVENTIONS = tuple(Convention(*pair) for pair in product((0, 1), (EXCLUSIVE, INCLUSIVE)))
VOC = Convention(1, INCLUSIVE)


def allowed(origin: int | None, ends: str | None) -> list[Convention]:
    """The conventions that two options leave, None for either."""
    return [one for one in CONVENTIONS if origin in (None, one.origin) and ends in (None, one.ends)]


def find_convention(origin: int | None, ends: str | None, boxes: Sequence[np.ndarray],
                    on_masks: Iterable[tuple[np.ndarray, np.ndarray]]) -> tuple[Convention, str]:
    """How boxes are written: as options say, else as masks show, else as the boxes themselves betray, else VOC's.

    Args:
        origin: 0 or 1, or None.
        ends: ``'inclusive'`` or ``'exclusive'``, or None.
        boxes: Corners of each file, (n, 4) float64, finite.
        on_masks: Corners of a file and the extents of its mask's components, (m, 4).

    Returns:
        The convention, and how it is known.
    """
    left = allowed(origin, ends)
    if len(left) == 1:
        return left[0], 'as the options say'
    compared, equal = 0, dict.fromkeys(left, 0)
    for corners, components in on_masks:
        extents = set(map(tuple, components.tolist()))
        compared += len(corners)
        for one in left:
            equal[one] += sum(tuple(box) in extents for box in one.to_devkit(corners).tolist())
    best = max(left, key=equal.__getitem__)
    if compared and equal[best] > _SHARE * compared:
        return best, f'{equal[best]} of {compared} boxes are then exactly their mask component'
    return _by_boxes(left, np.concatenate([np.zeros((0, 4)), *boxes]))


def _by_boxes(left: Sequence[Convention], corners: np.ndarray) -> tuple[Convention, str]:
    """The convention that boxes alone betray: a 0, a fraction, or an extent of nothing."""
    reasons = []
    if (corners[:, :2] == 0).any() or (corners != np.rint(corners)).any():
        left = [one for one in left if one.origin == 0] or left
        reasons.append('a box begins at 0 or between pixels')
    if (corners[:, :2] == corners[:, 2:]).any():
        left = [one for one in left if one.ends == INCLUSIVE] or left
        reasons.append('a box has equal ends')
    if reasons:
        return left[0], ' and '.join(reasons)
    if VOC in left:
        return VOC, "nothing tells, so Pascal VOC's own is taken; --box-origin and --box-ends say otherwise"
    return left[0], 'nothing else tells; --box-origin and --box-ends say otherwise'
