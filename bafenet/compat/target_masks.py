"""Target masks in mmdet's pipelines: Resize and RandomFlip move them with the image, and what does not is found out."""
from collections.abc import Callable
from functools import wraps
from typing import Any

import mmcv
import numpy as np

from ..errors import InputError, printable

TARGET_MASK = 'gt_target_mask'  # of a sample in a pipeline: uint8 (H, W)
# mmdet's steps note the sum of all movements of the image; this is the same of the mask.
_IMAGE_MOVED, _MASK_MOVED = 'homography_matrix', 'target_mask_homography'


def mark_moved(results: dict) -> None:
    """Note that the target mask of a sample lies on its image."""
    results[_MASK_MOVED] = results.get(_IMAGE_MOVED)


def require_moved(results: dict) -> None:
    """Demand that all steps that moved the image since its target mask was loaded have moved the mask too.

    Raises:
        InputError: If one has not.
    """
    mask = results.get(TARGET_MASK)
    if mask is None:
        return
    shapes = [tuple(results[key][:2]) for key in ('img_shape', 'ori_shape') if key in results]
    image_moved, mask_moved = (np.eye(3) if results.get(key) is None else results[key]
                               for key in (_IMAGE_MOVED, _MASK_MOVED))
    if (shapes and mask.shape not in shapes) or not np.array_equal(mask_moved, image_moved):
        raise InputError(f'{printable(results.get("img_path", "a sample"))}: a step of the pipeline has moved the '
                         'image and not its target mask; between LoadTargetMask and PackInfraredInputs keep of such '
                         'steps Resize, RandomFlip, RandomTranspose and BalancedCrop, or put it before LoadTargetMask')


def _resized(step: Any, results: dict) -> np.ndarray:
    height, width = results['img_shape'][:2]
    return mmcv.imresize(results[TARGET_MASK], (width, height), interpolation='nearest', backend=step.backend)


def _flipped(step: Any, results: dict) -> np.ndarray:
    return mmcv.imflip(results[TARGET_MASK], direction=results['flip_direction'])


def _with_mask(method: Callable, move: Callable[[Any, dict], np.ndarray]) -> Callable:
    """A method of a step that moves the target mask after all else."""
    @wraps(method)
    def moved(self: Any, results: dict) -> Any:
        done = method(self, results)
        if results.get(TARGET_MASK) is not None:
            results[TARGET_MASK] = move(self, results)
            mark_moved(results)
        return done

    return moved


def install() -> None:
    """Let mmdet's ``Resize`` and ``RandomFlip`` move ``gt_target_mask`` too."""
    from mmdet.datasets.transforms import RandomFlip, Resize  # once the operators are there
    for step, name, move in ((Resize, 'transform', _resized), (RandomFlip, '_flip', _flipped)):
        method = getattr(step, name)
        if not hasattr(method, 'moves_target_masks'):
            moved = _with_mask(method, move)
            moved.moves_target_masks = True  # type: ignore[attr-defined]
            setattr(step, name, moved)
