"""SIRST-5K while training: noise of other frames mixed in, and targets rotated, drawn anew at each visit of a frame."""
import os
import random
from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import BaseBoxes
from mmengine.dataset import BaseDataset

from bafenet.arguments import require_flags, require_number, shown
from bafenet.devkit.box_matching import component_centroids
from bafenet.devkit.frames import DEFAULT_LEVELS
from bafenet.devkit.layout import TARGET
from bafenet.errors import InputError, printable
from bafenet.synthesis.negatives import (
    MAX_WINDOW,
    MIN_WINDOW,
    ROTATIONS,
    SET_ROTATIONS,
    rotate_window,
    window_around,
)
from bafenet.synthesis.noise import NoiseRules, check_noise_rules, collect_noise, mix_noise

from ..randomness import current_visit
from .loading import LoadInfraredImage, require_loaded


@TRANSFORMS.register_module()
class NoiseDisplacement(BaseTransform):
    """Mix the noise of a plain window of the training frames into the image: SIRST-5K's Noise2Noise, Eq. 1-3.

    ``alpha N + (1 - alpha) I``, N a window drawn from all of the dataset's own frames, enlarged to the image. At the
    paper's alpha of 0.1 that is a texture of 0.37 grey levels and, mostly, a contrast cut to 0.9; see
    :func:`~bafenet.synthesis.noise.mix_noise`. Whoever wants to know what the noise is good for trains beside it with
    ``IntensityJitter``, gain and offset alone.

    The windows are collected once, when the dataset loads, without target pixels: by the target masks, in frames
    without one by the boxes. They are the same in every run, and kept in memory, a KiB for each window of 32x32.

    Reads and writes ``img`` (H, W) or (H, W, C), uint8; all channels get the same. The array of the caller is not
    written to. Draws come from the global ``random`` state. ``tools/dataset/build_sirst5k.py`` writes the same to disk.

    Args:
        alpha: Share of the noise, in [0, 1].
        prob: Probability that an image is changed.
        window: Side of a window in native pixels.
        max_variance: sigma of Eq. 1 in squared grey levels; windows of more are texture.
        min_mean: The mean of a window lies above it, in grey levels.
        max_mean: mu of Eq. 1, and below it; None for no such bound.
        per_frame: Most windows of one frame.
        library: Windows instead of the dataset's own, uint8 (n, h, w), or a list of uint8 (h, w).

    Raises:
        InputError: If an argument is of a wrong type or out of range, if no window is noise, if there is no dataset
            that has prepared it, if no step before it has loaded the image, or it is not uint8.
    """

    def __init__(self,
                 alpha: float = 0.1,
                 prob: float = 1.0,
                 window: int = 32,
                 max_variance: float = 50.0,
                 min_mean: float = 0.0,
                 max_mean: float | None = None,
                 per_frame: int = 64,
                 library: Sequence[np.ndarray] | np.ndarray | None = None) -> None:
        require_number('NoiseDisplacement: alpha', alpha, 0, 1)
        require_number('NoiseDisplacement: prob', prob, 0, 1)
        self.rules = NoiseRules(window, max_variance, min_mean, max_mean, per_frame)
        check_noise_rules(self.rules, 'NoiseDisplacement: ')
        if library is not None and not (isinstance(library, (list, tuple, np.ndarray)) and len(library) and all(
                isinstance(one, np.ndarray) and one.ndim == 2 and one.dtype == np.uint8 and one.size
                for one in library)):
            raise InputError(f'NoiseDisplacement: library={shown(library)} must be grey uint8 windows, at least one')
        self.alpha = alpha
        self.prob = prob
        self.library: Sequence[np.ndarray] | np.ndarray | None = library

    def prepare(self, dataset: BaseDataset) -> None:
        """Collect the noise of the dataset's frames; the dataset calls this once, at its start.

        Nothing is collected where nothing will be mixed in: with ``prob=0``, or where windows were given.
        """
        if self.library is not None or not self.prob:
            return
        samples = [dataset.get_data_info(index) for index in range(len(dataset))]
        masks = [path if path and os.path.isfile(path) else None for path in (
            sample.get('target_mask_path') for sample in samples)]
        boxes = [np.array([item['bbox'] for item in sample.get('instances', ())]).reshape(-1, 4) for sample in samples]
        loaders = [step for step in dataset.pipeline.transforms if isinstance(step, LoadInfraredImage)]
        try:
            found = collect_noise([sample['img_path'] for sample in samples], masks, boxes, self.rules,
                                  loaders[0].levels if loaders else DEFAULT_LEVELS)
        except InputError as error:
            raise InputError(f'NoiseDisplacement: {error}') from error
        self.library = found.patches

    def transform(self, results: dict) -> dict:
        """Mix noise into one sample; see the class."""
        if random.random() >= self.prob:
            return results
        require_loaded('NoiseDisplacement', results, 'img')
        image = results['img']
        if image.dtype != np.uint8:
            raise InputError(f'NoiseDisplacement: {printable(results.get("img_path", "a sample"))} is of '
                             f'{image.dtype}; put it where the image is of 8 bits')
        if self.library is None:
            raise InputError('NoiseDisplacement has no noise: use it in the pipeline of a dataset of this package, '
                             'which collects it, or give library=[windows]')
        noise = self.library[random.randrange(len(self.library))]
        results['img'] = mix_noise(image, noise, self.alpha)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(alpha={self.alpha}, prob={self.prob}, {self.rules})'


@TRANSFORMS.register_module()
class NegativeAugmentation(BaseTransform):
    """Rotate the window around one target, drawn at random, by 0, 90, 180 or 270 degrees: SIRST-5K, Eq. 4.

    The window is a square of ``size`` pixels about the target's centre, moved into the image at its border. The label
    stays as it is, as in the paper, unless ``rotate_label`` is set. An image without targets passes unchanged, as one
    of the four rotations leaves it.

    The targets are the 8-connected components of ``gt_target_mask`` or, where there is none, ``gt_bboxes``. Reads and
    writes ``img`` (H, W) or (H, W, C) of any dtype and, with ``rotate_label``, ``gt_target_mask`` (H, W) uint8, 1 at
    targets; boxes stay as they are. The arrays of the caller are not written to. Draws come from the global ``random``
    state.

    Where ``NegativeSetSampler`` draws, the place of a sample in its set decides about the angle: the first stays as it
    is, the others are rotated by 0, 90, 180 and 270 degrees (Eq. 9), all about the same target. ``set_id``, which each
    set has for itself, is written into the sample, for ``NegativeSetLoss``.

    Args:
        size: Side of the window in pixels of the image as it is here, s of the paper.
        prob: Probability that a target is drawn.
        rotate_label: Rotate the target mask too.

    Raises:
        InputError: If an argument is of a wrong type or out of range, or no step before it has loaded the image, and a
            target mask (which ``rotate_label`` needs) or boxes.
    """

    def __init__(self, size: int = 3, prob: float = 1.0, rotate_label: bool = False) -> None:
        require_number('NegativeAugmentation: size', size, MIN_WINDOW, MAX_WINDOW, whole=True)
        require_number('NegativeAugmentation: prob', prob, 0, 1)
        require_flags('NegativeAugmentation', rotate_label=rotate_label)
        self.size = size
        self.prob = prob
        self.rotate_label = rotate_label

    def transform(self, results: dict) -> dict:
        """Rotate a target of one sample; see the class."""
        visit = current_visit()
        place = None if visit is None else visit.place
        if visit is not None and place is not None:
            results['set_id'] = visit.entropy
        if random.random() >= self.prob:
            return results
        require_loaded('NegativeAugmentation', results, 'img')
        mask = results.get('gt_target_mask')
        if mask is None and self.rotate_label:
            raise InputError(f'{printable(results.get("img_path", "a sample"))}: NegativeAugmentation with '
                             'rotate_label=True needs a target mask, gt_target_mask, and no step before it has loaded '
                             'one; boxes cannot be rotated')
        centres = _box_centres(results) if mask is None else component_centroids(mask == TARGET)
        if len(centres):
            window = window_around(centres[random.randrange(len(centres))], self.size, results['img'].shape)
            rotation = random.choice(ROTATIONS) if place is None else SET_ROTATIONS[place]
            results['img'] = rotate_window(results['img'], window, rotation)
            if self.rotate_label and mask is not None:
                results['gt_target_mask'] = rotate_window(mask, window, rotation)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(size={self.size}, prob={self.prob}, rotate_label={self.rotate_label})'


def _box_centres(results: dict) -> np.ndarray:
    """Column and row of each box's centre, (n, 2), the first pixel at 0."""
    require_loaded('NegativeAugmentation', results, 'gt_bboxes')
    boxes = results['gt_bboxes']
    corners = boxes.numpy() if isinstance(boxes, BaseBoxes) else np.asarray(boxes)
    # Pixel k of a box covers [k, k + 1).
    return (corners[:, :2] + corners[:, 2:] - 1) / 2
