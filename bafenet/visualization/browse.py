"""Browse training samples: a contact sheet of them as the network will see them."""
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from mmdet.datasets.transforms import PackDetInputs
from mmdet.registry import DATASETS
from mmdet.structures.bbox import BaseBoxes
from mmengine.config import Config
from tqdm import tqdm

from bafenet.datasets import BAGCopyPaste, DenseSIRSTDataset, SampleIndex, SeededVisits, seeded_draws
from bafenet.datasets.parts import part_of, split_names
from bafenet.datasets.transforms.loading import require_loaded
from bafenet.devkit.box_matching import component_boxes
from bafenet.devkit.layout import TARGET
from bafenet.errors import InputError, printable
from bafenet.fileio import require_writable_file

from .drawing import tile, write_image
from .marks import (
    PASTED_COLOR,
    TRUE_COLOR,
    Color,
    View,
    draw_mask_edge,
    draw_outlines,
    draw_sky_edge,
    keep_targets,
    restore,
)
from .text import LINE, Text, shorten, write_texts

# A sheet of more is gigabytes in memory.
MAX_PIXELS = 2**27
# Side of the enlarged part of a sample, in pixels of the network's input.
INSET = 32
# Added to the labels of pasted targets while the pipeline runs, so that they are known whatever it drops.
PASTED = 100_000
# Of boxes of several classes, RGB; neither that of pasted targets nor that of the sky.
CLASS_COLORS: tuple[Color, ...] = (TRUE_COLOR, (255, 120, 0), (255, 110, 200), (190, 140, 255), (255, 255, 255),
                                   (0, 200, 180), (255, 90, 90), (200, 200, 90))


class AugmentedSample(NamedTuple):
    """A sample after the training pipeline.

    Attributes:
        name: Image id.
        image: uint8 (H, W, 3), RGB.
        boxes: float (n, 4), ``[x1, y1, x2, y2]`` in pixels of ``image``; where only a target mask is loaded, those of
            its components.
        pasted: bool (n,), which boxes BAG-CP has added.
        sky_map: uint8 (H, W), 1 = sky; None where the sample has none.
        labels: int (n,), the index of each box's class.
        target_mask: uint8 (H, W), 1 = target; None where none is loaded.
        has_boxes: Whether boxes are loaded.
    """

    name: str
    image: np.ndarray
    boxes: np.ndarray
    pasted: np.ndarray
    sky_map: np.ndarray | None
    labels: np.ndarray
    target_mask: np.ndarray | None = None
    has_boxes: bool = True


def augment(dataset: DenseSIRSTDataset | SeededVisits, index: SampleIndex) -> AugmentedSample:
    """Run the training pipeline on one sample, up to where it is packed for the network.

    Args:
        dataset: Dataset with a training pipeline, or several, whatever wraps them.
        index: The visit of a sample whose draws are wanted.
    """
    part, own_index = part_of(dataset, index)
    with seeded_draws(index):
        results = part.get_data_info(own_index)
        for transform in part.pipeline.transforms:
            if isinstance(transform, PackDetInputs):
                break
            before = len(results.get('gt_bboxes_labels', ()))
            results = transform(results)
            if isinstance(transform, BAGCopyPaste):
                results['gt_bboxes_labels'] = results['gt_bboxes_labels'] + PASTED * (
                    np.arange(len(results['gt_bboxes_labels'])) >= before)
    mask = results.get('gt_target_mask')
    require_loaded('the contact sheet', results, 'img', *(['gt_bboxes'] if mask is None else []))
    image = results['img']
    image = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) if image.ndim == 2 else image[..., ::-1]
    has_boxes = results.get('gt_bboxes') is not None
    boxes = _corners(results['gt_bboxes'] if has_boxes else component_boxes(mask == TARGET).astype(float))
    labels = results['gt_bboxes_labels'] if has_boxes else np.zeros(len(boxes), int)
    return AugmentedSample(results['img_id'], image, boxes, labels >= PASTED, results.get('gt_seg_map'),
                           labels % PASTED, mask, has_boxes)


def _corners(boxes: BaseBoxes | np.ndarray) -> np.ndarray:
    return boxes.numpy() if isinstance(boxes, BaseBoxes) else np.asarray(boxes)


def draw_cell(sample: AugmentedSample, cell: int, classes: Sequence[str] = ()) -> np.ndarray:
    """The whole sample and, beside it, its densest cluster enlarged: uint8 (cell, 2 cell, 3), RGB.

    Args:
        sample: The sample.
        cell: Height in screen pixels.
        classes: The class names; of several, those of the sample are named in their colours.
    """
    canvas = np.zeros((cell, 2 * cell, 3), np.uint8)
    height, width = sample.image.shape[:2]
    _draw_part(canvas[:, :cell], sample, (0, 0, width, height))
    x, y = _inset_corner(sample)
    _draw_part(canvas[:, cell:], sample, (x, y, min(x + INSET, width), min(y + INSET, height)))
    write_texts(canvas, [Text(8, cell - 12, shorten(sample.name, cell - 16), outlined=True)])
    if len(classes) > 1:
        present = np.unique(sample.labels[~sample.pasted]).tolist()
        write_texts(canvas, [Text(8, 12 + row * LINE, shorten(classes[label], cell - 16), class_color(label), True)
                             for row, label in enumerate(present)])
    return canvas


def class_color(label: int) -> Color:
    """The colour of the boxes of a class."""
    return CLASS_COLORS[label % len(CLASS_COLORS)]


def _draw_part(canvas: np.ndarray, sample: AugmentedSample, part: tuple[int, int, int, int]) -> None:
    """Draw a part ``[x1, y1, x2, y2]`` of a sample into a square of the sheet, as large as fits, in place."""
    x1, y1, x2, y2 = part
    scale = len(canvas) / max(x2 - x1, y2 - y1)
    width, height = max(1, round((x2 - x1) * scale)), max(1, round((y2 - y1) * scale))
    view = View(canvas[:height, :width], (x1, y1), scale)
    how = cv2.INTER_NEAREST if scale >= 1 else cv2.INTER_AREA
    view.pixels[:] = cv2.resize(np.ascontiguousarray(sample.image[y1:y2, x1:x2]), (width, height), interpolation=how)
    kept = keep_targets(view, sample.boxes, sample.boxes)
    if sample.sky_map is not None:
        draw_sky_edge(view, sample.sky_map[y1:y2, x1:x2])
    if sample.has_boxes:
        _draw_boxes(view, sample)
    restore(kept)
    if sample.target_mask is not None:
        draw_mask_edge(view, sample.target_mask[y1:y2, x1:x2])


def _draw_boxes(view: View, sample: AugmentedSample) -> None:
    own = np.where(sample.pasted, -1, sample.labels)
    colors = {-1: PASTED_COLOR, **{label: class_color(label) for label in range(own.max(initial=-1) + 1)}}
    for color, chosen in ((color, own == label) for label, color in sorted(colors.items(), reverse=True)):
        boxes = sample.boxes[chosen]
        draw_outlines(view.pixels, view.place(boxes[view.inside(boxes)]), color)


def _inset_corner(sample: AugmentedSample) -> tuple[int, int]:
    """Corner of the part to enlarge: around the target, pasted if there is one, with the most targets near it."""
    height, width = sample.image.shape[:2]
    centre = np.array([width, height]) / 2
    if len(sample.boxes):
        centres = (sample.boxes[:, :2] + sample.boxes[:, 2:]) / 2
        near = (np.abs(centres[:, None] - centres[None]).max(axis=2) < INSET / 2)
        chosen = (near.sum(axis=1) + PASTED * sample.pasted).argmax()
        centre = centres[near[chosen]].mean(axis=0)
    corner = np.clip((centre - INSET / 2).astype(int), 0, np.maximum((width - INSET, height - INSET), 0))
    return int(corner[0]), int(corner[1])


def write_contact_sheet(cfg: Config, out: str, count: int, columns: int, cell: int,
                        epoch: int) -> list[AugmentedSample]:
    """Draw samples of a config's training set, spread evenly over it, into one PNG.

    Boxes that were there are green, of several classes each in its colour, pasted ones yellow. Where target masks are
    loaded, the pixels of targets are outlined in green, and the sky, where a sample has a sky map, in blue.

    Args:
        cfg: Config with a ``train_dataloader``.
        out: PNG file to write.
        count: Number of samples.
        columns: Samples in a row.
        cell: Height of a sample in screen pixels; it is twice as wide.
        epoch: Whose draws are shown; the seed is that of the config.

    Returns:
        The samples.

    Raises:
        InputError: If ``out`` is no PNG file or cannot be written, a number is below 1 or the epoch below 0, the sheet
            would be too large, or there is no sample.
    """
    if not out.lower().endswith('.png') or min(count, columns, cell) < 1 or epoch < 0:
        raise InputError('--out must be a .png file, and --count, --columns and --cell at least 1, --epoch at least 0')
    require_writable_file(out, '--out')
    dataset = DATASETS.build(SeededVisits.around(cfg.train_dataloader.dataset))
    seed = cfg.get('randomness', {}).get('seed') or 0
    count = min(count, len(dataset))
    if not count:
        splits = split_names(cfg.train_dataloader) or 'train_dataloader'
        raise InputError(f'{printable(splits)}: the training split has no image to draw')
    pixels = -(-count // columns) * columns * 2 * cell**2
    if pixels > MAX_PIXELS:
        raise InputError(f'--count {count}, --columns {columns}, --cell {cell}: the sheet would have '
                         f'{pixels / 1e6:.0f} million pixels, and may have {MAX_PIXELS / 1e6:.0f}; give less of one')
    samples, cells = [], []
    for i in tqdm(range(count), desc='augmenting', disable=None):
        samples.append(augment(dataset, SampleIndex(len(dataset) * i // count, seed, epoch)))
        cells.append(draw_cell(samples[-1], cell, dataset.metainfo['classes']))
    write_image(out, tile(cells, columns))
    return samples
