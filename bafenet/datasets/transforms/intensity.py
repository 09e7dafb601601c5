"""Jitter of grey levels, as sensors differ: gain, offset, gamma, noise, blur, bounded so that targets stay visible."""
import random
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import BaseBoxes

from bafenet.arguments import require_number, require_range
from bafenet.errors import InputError

from .loading import require_loaded

EFFECTS = ('gain', 'offset', 'gamma', 'noise', 'blur')
MAX_GAIN, MAX_NOISE, MAX_BLUR = 10, 100, 5
# Of the drawn jitter, tried in this order until the targets stay visible; the last one changes no level.
STRENGTHS = (1.0, 0.5, 0.25, 0.0)
RING = 3  # pixels around a box that a target is seen against
LEVELS = np.arange(256)


@TRANSFORMS.register_module()
class IntensityJitter(BaseTransform):
    """Change the grey levels of an image as another sensor would: blurred, by gain, offset and gamma, with noise added.

    Each effect is drawn apart, with a probability of its own: the image is blurred by a Gaussian, each level ``v``
    becomes ``255 gain (v / 255)^gamma + offset``, rounded and clipped to [0, 255], and Gaussian noise is added. All
    channels get the same, so grey stays grey.

    No target vanishes. Its contrast is the mean of its box minus the mean of the ring of three pixels around it. Where
    blur, clipping or rounding would leave some target less than ``keep_contrast`` of its contrast, the image gets half
    of the jitter, a quarter, or none of blur and levels; and the noise is at most ``noise_share`` of the faintest
    contrast then left. Targets of a contrast below one grey level, which nobody sees, count for neither.

    So it stands after ``BAGCopyPaste``, and after a crop, where there is less to do: a 320x320 crop takes less than a
    millisecond. With ranges (1, 1) of gain and gamma and (0, 0) of the others it changes nothing.

    Reads and writes ``img`` (H, W) or (H, W, C), uint8; reads ``gt_bboxes`` where they are present. The array of the
    caller is not written to. Draws come from the global ``random`` state; OpenCV's own source of noise is seeded by it.

    Args:
        gain: Range of the factor of the grey levels, log-uniform.
        offset: Range of what is added, in grey levels.
        gamma: Range of the exponent, log-uniform; below 1 dark levels are stretched, above 1 bright ones.
        noise: Range of the standard deviation of the noise in grey levels.
        blur: Range of the standard deviation of the blur in pixels.
        gain_prob: Probability that there is a gain; the others likewise.
        offset_prob: Of an offset.
        gamma_prob: Of a gamma.
        noise_prob: Of noise.
        blur_prob: Of a blur.
        keep_contrast: Share of its contrast that each target keeps at least.
        noise_share: Greatest standard deviation of the noise as a share of the faintest target's contrast.

    Raises:
        InputError: If an argument is out of range, if no step before it has loaded the image, or it is not uint8.
    """

    def __init__(self,
                 gain: tuple[float, float] = (0.6, 1.6),
                 offset: tuple[float, float] = (-30, 30),
                 gamma: tuple[float, float] = (0.7, 1.4),
                 noise: tuple[float, float] = (0, 5),
                 blur: tuple[float, float] = (0, 0.6),
                 gain_prob: float = 0.5,
                 offset_prob: float = 0.5,
                 gamma_prob: float = 0.5,
                 noise_prob: float = 0.5,
                 blur_prob: float = 0.2,
                 keep_contrast: float = 0.5,
                 noise_share: float = 0.3) -> None:
        bounds = ((1 / MAX_GAIN, MAX_GAIN), (-255, 255), (1 / MAX_GAIN, MAX_GAIN), (0, MAX_NOISE), (0, MAX_BLUR))
        self.ranges: dict[str, tuple[float, float]] = {}
        for name, ends, (low, high) in zip(EFFECTS, (gain, offset, gamma, noise, blur), bounds, strict=True):
            require_range(f'IntensityJitter: {name}', ends, low, high)
            self.ranges[name] = (float(ends[0]), float(ends[1]))
        self.probs = dict(zip(EFFECTS, (gain_prob, offset_prob, gamma_prob, noise_prob, blur_prob), strict=True))
        for name, prob in self.probs.items():
            require_number(f'IntensityJitter: {name}_prob', prob, 0, 1)
        require_number('IntensityJitter: keep_contrast', keep_contrast, 0, 1)
        require_number('IntensityJitter: noise_share', noise_share, 0, 1)
        self.keep_contrast = keep_contrast
        self.noise_share = noise_share

    def transform(self, results: dict) -> dict:
        """Jitter one sample; see the class."""
        require_loaded('IntensityJitter', results, 'img')
        image = results['img']
        if image.dtype != np.uint8:
            raise InputError(f'IntensityJitter: {results.get("img_path", "a sample")} is of {image.dtype}; put it '
                             'where the image is of 8 bits')
        boxes = results.get('gt_bboxes')
        results['img'] = self._jitter(image, _draw(self.ranges, self.probs), _whole_boxes(boxes, image.shape))
        return results

    def _jitter(self, image: np.ndarray, drawn: dict[str, float], boxes: np.ndarray) -> np.ndarray:
        """Blur, levels and noise on an image with boxes (n, 4) of whole pixels."""
        before = contrasts(image, boxes)
        seen = np.abs(before) >= 1
        for strength in STRENGTHS:
            changed = _with_levels(image, drawn, strength)
            after = before if changed is image else contrasts(changed, boxes)
            if (after * np.sign(before) >= self.keep_contrast * np.abs(before))[seen].all():
                break
        bound = self.noise_share * np.abs(after[seen]).min(initial=np.inf)
        return _with_noise(changed, min(drawn['noise'], bound))

    def __repr__(self) -> str:
        return (f'{type(self).__name__}({self.ranges}, probs={self.probs}, keep_contrast={self.keep_contrast}, '
                f'noise_share={self.noise_share})')


def _draw(ranges: dict[str, tuple[float, float]], probs: dict[str, float]) -> dict[str, float]:
    """Draw each effect; what is not drawn changes nothing. The same number of draws, whatever comes of them."""
    drawn = {}
    for name, (low, high) in ranges.items():
        is_factor = name in ('gain', 'gamma')
        happens, place = random.random() < probs[name], random.random()
        value = low * (high / low) ** place if is_factor else low + (high - low) * place
        drawn[name] = value if happens else float(is_factor)
    return drawn


def _with_levels(image: np.ndarray, drawn: dict[str, float], strength: float) -> np.ndarray:
    """The image with a share of the drawn blur, gain, offset and gamma; itself where that changes nothing."""
    # Below this a pixel's neighbours have less than one part in a thousand.
    if drawn['blur'] * strength > 0.27:
        image = cv2.GaussianBlur(image, (0, 0), drawn['blur'] * strength).reshape(image.shape)
    levels = 255 * drawn['gain'] * (LEVELS / 255) ** drawn['gamma'] + drawn['offset']
    table = np.clip(np.rint(strength * levels + (1 - strength) * LEVELS), 0, 255).astype(np.uint8)
    return image if (table == LEVELS).all() else cv2.LUT(image, table).reshape(image.shape)


def _with_noise(image: np.ndarray, deviation: float) -> np.ndarray:
    """The image with Gaussian noise of this standard deviation, the same in all channels."""
    seed = random.getrandbits(31)
    if deviation <= 0:
        return image
    cv2.setRNGSeed(seed)
    noise = np.asarray(cv2.randn(np.empty(image.shape[:2], np.int16), np.zeros(1), np.array([deviation])))
    channels = 1 if image.ndim == 2 else image.shape[2]
    added = cv2.add(image, noise if channels == 1 else cv2.merge([noise] * channels), dtype=cv2.CV_8U)
    return added.reshape(image.shape)


def _whole_boxes(boxes: BaseBoxes | np.ndarray | None, shape: Sequence[int]) -> np.ndarray:
    """Boxes widened to whole pixels, within an image of ``shape``: (n, 4) int64, those without a pixel left out."""
    corners: Any = np.empty((0, 4)) if boxes is None else boxes.numpy() if isinstance(boxes, BaseBoxes) else boxes
    low, high = np.floor(corners[:, :2]).astype(np.int64), np.ceil(corners[:, 2:]).astype(np.int64)
    size = np.array(shape[1::-1])
    whole = np.concatenate([low.clip(0, size), high.clip(0, size)], axis=1)
    return whole[(whole[:, 2:] > whole[:, :2]).all(axis=1)]


def contrasts(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Mean of each box minus the mean of the ring around it, over all channels.

    Args:
        image: (H, W) or (H, W, C) uint8.
        boxes: (n, 4) int, ``[x1, y1, x2, y2]`` with exclusive ends, within the image and not empty.

    Returns:
        (n,) float64 in grey levels; 0 where a box fills the image, so that there is no ring.
    """
    if not len(boxes):
        return np.zeros(0)
    sums = cv2.integral(image, sdepth=cv2.CV_64F)
    size = np.array(image.shape[1::-1])
    outer = np.concatenate([(boxes[:, :2] - RING).clip(0), np.minimum(boxes[:, 2:] + RING, size)], axis=1)
    (inside, area), (whole, whole_area) = (_box_sums(sums, part) for part in (boxes, outer))
    ring = whole_area - area
    return np.where(ring > 0, inside / area - (whole - inside) / np.maximum(ring, 1), 0.0)


def _box_sums(sums: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum of the levels in each box, of an integral image (H + 1, W + 1) or (H + 1, W + 1, C), and its pixels."""
    x1, y1, x2, y2 = boxes.T
    found = sums[y2, x2] - sums[y1, x2] - sums[y2, x1] + sums[y1, x1]
    return found if found.ndim == 1 else found.mean(axis=1), (x2 - x1) * (y2 - y1)
