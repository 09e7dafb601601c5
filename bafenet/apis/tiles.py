"""Tiles of large frames: where they lie, which part of each counts (its core), and boxes and maps put together."""
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from mmcv.ops import batched_nms
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor

from ..models.box_coding import to_whole_pixels
from ..models.score_calibration import calibrate
from .settings import OVERLAP, TILE_STEP


class Span(NamedTuple):
    """A tile's extent along one axis, in pixels with exclusive ends, and that of its core."""

    start: int
    end: int
    core_start: int
    core_end: int


class Tile(NamedTuple):
    """A tile's extents along both axes; the cores of all tiles cover the frame once."""

    rows: Span
    columns: Span

    def cut(self, image: np.ndarray) -> np.ndarray:
        """Its part of a frame (H, W, …), a view."""
        return image[self.rows.start:self.rows.end, self.columns.start:self.columns.end]

    def in_core(self, boxes: Tensor) -> Tensor:
        """Which boxes (n, 4), in pixels of the frame, have their centre in the core: bool (n, )."""
        x, y = ((boxes[:, :2] + boxes[:, 2:]) / 2).unbind(1)
        return ((x >= self.columns.core_start) & (x < self.columns.core_end)
                & (y >= self.rows.core_start) & (y < self.rows.core_end))

    def paste(self, values: np.ndarray, whole: np.ndarray) -> None:
        """Write the core of its values (h, w) into those of the frame."""
        (top, _, row, last_row), (left, _, column, last_column) = self
        whole[row:last_row, column:last_column] = values[row - top:last_row - top, column - left:last_column - left]


def tiles_of(height: int, width: int, tile: int) -> list[Tile]:
    """Cover a frame with tiles that begin at multiples of 64 and overlap by 256 px, as few and as small as that can be.

    Args:
        height: Of the frame.
        width: Of the frame.
        tile: Longest side of a tile; a frame that fits is one.
    """
    return [Tile(rows, columns) for rows in _spans(height, tile) for columns in _spans(width, tile)]


def _spans(length: int, tile: int) -> list[Span]:
    if length <= tile:
        return [Span(0, length, 0, length)]
    count = -(-(length - OVERLAP) // (tile - OVERLAP))
    # As many as tiles of full size would be, and no larger than that takes.
    side = -(-(length + (count - 1) * OVERLAP) // (count * TILE_STEP)) * TILE_STEP
    starts = [index * (side - OVERLAP) for index in range(count)]
    ends = [min(start + side, length) for start in starts]
    seams = [(start + end) // 2 for start, end in zip(starts[1:], ends[:-1], strict=True)]
    return [Span(*span) for span in zip(starts, ends, [0, *seams], [*seams, length], strict=True)]


def merge_boxes(parts: list[InstanceData], tiles: list[Tile], cfg: ConfigDict) -> InstanceData:
    """Put the candidates of tiles together: those in cores, one NMS; whole pixels, calibrated scores by the config.

    Args:
        parts: Candidates of each tile before NMS, ``bboxes`` in pixels of the tile, ``scores`` and ``labels``.
        tiles: The tiles.
        cfg: The head's ``test_cfg``.
    """
    kept = []
    for part, tile in zip(parts, tiles, strict=True):
        part.bboxes = part.bboxes + part.bboxes.new_tensor([tile.columns.start, tile.rows.start] * 2)
        kept.append(part[tile.in_core(part.bboxes)])
    found = InstanceData.cat(kept)
    if len(found):
        boxes, order = batched_nms(found.bboxes, found.scores, found.labels, cfg.nms)
        found = found[order]
        found.scores = boxes[:, -1]
        found = found[:cfg.max_per_img]
    if cfg.get('whole_pixels', False):
        found.bboxes = to_whole_pixels(found.bboxes)
    found.scores = calibrate(found.scores, cfg.get('calibration'))
    return found


def merge_logits(parts: Sequence[Tensor | None], tiles: list[Tile], size: tuple[int, int]) -> Tensor | None:
    """Logits (1, H, W) of a frame's pixels from the cores of its tiles' (1, h, w); None where there are none."""
    whole = np.empty(size, np.float32)
    for part, tile in zip(parts, tiles, strict=True):
        if part is None:
            return None
        tile.paste(part[0].cpu().numpy(), whole)
    return torch.from_numpy(whole)[None]
