"""Draw COCO segmentations: polygons by pycocotools, run lengths by NumPy, every number checked before."""
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ...arguments import is_number, is_whole
from ...errors import InputError
from ..images import MAX_PIXELS
from ..read import FARTHEST
from .source import Size

_MOST_POINTS = 100_000
_NEAR = 0.01  # pixels


class Segmentation(NamedTuple):
    """What an annotation says of its pixels: polygons (x, y, x, y …), or run lengths down the columns.

    Attributes:
        polygons: Each (k, 2) float64.
        counts: (k, ) int64, of 0 and 1 by turns; None of polygons.
        size: Width and height of the run lengths.
    """

    polygons: tuple[np.ndarray, ...]
    counts: np.ndarray | None = None
    size: Size = (0, 0)

    @classmethod
    def from_json(cls, value: Any) -> 'Segmentation | None':
        """What a JSON holds, or None where it is empty or anything else."""
        if isinstance(value, dict):
            size, counts = value.get('size'), value.get('counts')
            if not (isinstance(size, list) and len(size) == 2 and all(map(is_whole, size))):
                return None
            runs = decode_counts(counts) if isinstance(counts, str) else counts if isinstance(counts, list) else None
            if runs is None or not all(map(is_whole, runs)) or min(runs, default=0) < 0:
                return None
            return cls((), np.array(runs, np.int64), (size[1], size[0]))
        if not isinstance(value, list) or not value:
            return None
        polygons = []
        for polygon in value:
            if not (isinstance(polygon, list) and 6 <= len(polygon) <= 2 * _MOST_POINTS and len(polygon) % 2 == 0
                    and all(map(is_number, polygon))):
                return None
            polygons.append(np.clip(np.array(polygon, np.float64), -FARTHEST, FARTHEST).reshape(-1, 2))
        return cls(tuple(polygons))

    def bbox(self) -> list[float] | None:
        """x, y, width and height around polygons or run lengths; None where these hold no pixel, or are damaged."""
        if self.counts is not None:
            return _box_of_runs(self.counts, self.size)
        if not self.polygons:
            return None
        points = np.concatenate(self.polygons)
        return [*points.min(axis=0).tolist(), *np.ptp(points, axis=0).tolist()]


def _box_of_runs(counts: np.ndarray, size: Size) -> list[float] | None:
    width, height = size
    if not _fills(counts, size):
        return None
    ends = np.cumsum(counts)
    starts, ends = (ends - counts)[1::2], ends[1::2]
    starts, lasts = starts[ends > starts], ends[ends > starts] - 1
    if not len(starts):
        return None
    (left, top), (right, bottom) = divmod(starts, height), divmod(lasts, height)
    if (left < right).any():  # a run goes on in the next column
        top, bottom = np.array([0]), np.array([height - 1])
    x, y = int(left.min()), int(top.min())
    return [x, y, int(right.max()) + 1 - x, int(bottom.max()) + 1 - y]


def _fills(counts: np.ndarray, size: Size) -> bool:
    """Whether run lengths are those of an image of a size; the highest is looked at first, for the sum may wrap."""
    pixels = size[0] * size[1]
    return 0 < pixels <= MAX_PIXELS and counts.max(initial=0) <= pixels and counts.sum() == pixels


def is_box_alone(segmentation: Segmentation | None, bbox: Sequence[float]) -> bool:
    """Whether a segmentation is no more than the rectangle of its box, as programs write it that know boxes alone."""
    if segmentation is None or len(segmentation.polygons) != 1:
        return False
    x, y, width, height = bbox
    corners = {(x, y), (x + width, y), (x + width, y + height), (x, y + height)}
    points = segmentation.polygons[0]
    return len(points) in (4, 5) and all(
        min(np.hypot(px - cx, py - cy) for cx, cy in corners) < _NEAR for px, py in points.tolist())


def draw(segmentation: Segmentation, size: Size) -> np.ndarray:
    """The pixels of a segmentation.

    Args:
        segmentation: Polygons, of which what lies outside is cut, or run lengths.
        size: Width and height of the image.

    Returns:
        (H, W) bool.

    Raises:
        InputError: If the run lengths are of another size, or do not fill it.
    """
    width, height = size
    if segmentation.counts is not None:
        counts = segmentation.counts
        if segmentation.size != size or not _fills(counts, size):
            raise InputError('its run lengths are not those of an image of its size; export it again')
        return np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(width, height).T
    from pycocotools import mask as coco_mask
    polygons = [np.clip(polygon, 0, size).ravel().tolist() for polygon in segmentation.polygons]
    # Points far outside would cost pycocotools memory in proportion.
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))).astype(bool)


def decode_counts(text: str) -> list[int] | None:
    """COCO's compressed run lengths: 5 bits a character, differences to the run before the last; None if it is not.

    pycocotools decodes them without a look at their sum.
    """
    data = np.frombuffer(text.encode('latin-1', 'replace'), np.uint8).astype(np.int64) - 48
    if len(data) == 0 or ((data < 0) | (data > 63)).any() or data[-1] & 32:
        return None
    ends = np.flatnonzero(data & 32 == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > 8:  # 40 bits
        return None
    place = np.arange(len(data)) - np.repeat(starts, lengths)
    values = np.add.reduceat((data & 31) << (5 * place), starts)
    values -= np.where(data[ends] & 16, 1 << (5 * lengths), 0)
    counts = values.copy()
    counts[1::2], counts[2::2] = np.cumsum(values[1::2]), np.cumsum(values[2::2])
    return counts.tolist()
