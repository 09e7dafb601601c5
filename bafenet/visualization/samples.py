"""What is drawn of mmdet's data samples: boxes, scores, sky maps and masks, and the frame as the network saw it."""
from typing import Any

import numpy as np
from mmdet.structures import DetDataSample

from bafenet.devkit.box_matching import component_boxes
from bafenet.devkit.decode import read_header
from bafenet.devkit.frames import DEFAULT_LEVELS, IMAGE, kind_of, read_frame
from bafenet.devkit.layout import TARGET
from bafenet.errors import InputError

from .drawing import as_rgb


def layers_of(sample: DetDataSample, truth: bool = True, prediction: bool = True) -> dict[str, Any]:
    """What a sample has for :func:`~bafenet.visualization.draw_overlay`.

    Of a true mask of targets (``gt_target_mask``) the boxes of its components are drawn too. A predicted one is
    ``pred_target_mask``, or a ``pred_sem_seg`` that has ``prob``.

    Args:
        sample: Any of ``gt_instances``, ``ignored_instances``, ``gt_sem_seg``, ``gt_target_mask``, ``pred_instances``,
            ``pred_sem_seg`` and ``pred_target_mask``.
        truth: Take the first four.
        prediction: Take the others.

    Returns:
        The arguments ``true_boxes``, ``ignored_boxes``, ``true_mask``, ``true_sky``, ``boxes``, ``scores``, ``mask``
        and ``sky``, as far as they are there.
    """
    layers = {}
    if truth and 'gt_target_mask' in sample:
        layers['true_mask'] = _numpy(sample.gt_target_mask.sem_seg).squeeze(0)
        layers['true_boxes'] = component_boxes(layers['true_mask'] == TARGET)
    # A frame without annotations has instances without boxes.
    if truth and 'bboxes' in sample.get('gt_instances', ()):
        layers['true_boxes'] = _numpy(sample.gt_instances.bboxes)
    if truth and 'bboxes' in sample.get('ignored_instances', ()):
        layers['ignored_boxes'] = _numpy(sample.ignored_instances.bboxes)
    if truth and 'gt_sem_seg' in sample:
        layers['true_sky'] = _numpy(sample.gt_sem_seg.sem_seg).squeeze(0)
    if prediction and 'pred_instances' in sample:
        layers['boxes'] = _numpy(sample.pred_instances.bboxes)
        layers['scores'] = _numpy(sample.pred_instances.scores)
    # A segmentor's, which has probabilities, are targets.
    if prediction and 'pred_sem_seg' in sample:
        layers['mask' if 'prob' in sample.pred_sem_seg else 'sky'] = _numpy(sample.pred_sem_seg.sem_seg).squeeze(0)
    if prediction and 'pred_target_mask' in sample:
        layers['mask'] = _numpy(sample.pred_target_mask.sem_seg).squeeze(0)
    return layers


def _numpy(values: Any) -> np.ndarray:
    values = getattr(values, 'tensor', values)
    return values.detach().cpu().numpy() if hasattr(values, 'detach') else np.asarray(values)


def frame_of(sample: DetDataSample) -> tuple[np.ndarray, tuple[float, float] | None]:
    """The file of a sample as its pipeline loads it: uint8 (H, W, 3) RGB; and what became 0 and 255 in a deep one.

    Raises:
        InputError: If it cannot be read.
    """
    frame = read_frame(sample.img_path, sample.metainfo.get('grey_levels', DEFAULT_LEVELS))
    return as_rgb(frame.image), frame.levels


def as_seen(image: np.ndarray, sample: DetDataSample | None) -> tuple[np.ndarray, tuple[float, float] | None]:
    """An image as the network saw it: mmdet's hooks decode the high bytes of a file of 16 bits, which are all dark.

    Args:
        image: uint8 (H, W, 3), RGB, as a hook has read it.
        sample: Its sample, with an ``img_path`` if it is from a file.

    Returns:
        As :func:`frame_of` gives it where the file has more than 8 bits; else the image and None.
    """
    path = None if sample is None else sample.metainfo.get('img_path')
    try:
        if path and (kind_of(path) != IMAGE or read_header(path).deep):
            return frame_of(sample)
    except InputError:
        pass  # no local file: whoever has read the image knows how
    return image, None
