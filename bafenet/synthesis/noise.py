"""Real-world noise of infrared frames: sampled from plain windows, mixed into other frames (SIRST-5K, Eq. 1-3)."""
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from ..arguments import require_number
from ..devkit.frames import DEFAULT_LEVELS, read_grey_frame
from ..devkit.grey_levels import GreyLevels
from ..errors import InputError
from ..reading import PathLike
from .build_library import read_targets

MIN_WINDOW, MAX_WINDOW, MAX_PER_FRAME = 2, 1024, 100_000
_DEEPEST = 2**16 - 1


@dataclass(frozen=True)
class NoiseRules:
    """Which windows of a frame are noise, Eq. 1.

    Attributes:
        window: Side of a window in pixels. 32 divides the paper's frames of 256x256 as it does, into 8x8.
        max_variance: sigma, in squared grey levels; the variance of a window lies below it, and above 0: a window of
            one value shows no noise. The paper gives no number, its release 50.
        min_mean: The mean lies above it, in grey levels.
        max_mean: mu: the mean lies below it; None for no such bound, as in the release.
        per_frame: Most windows kept of one frame, spread evenly over those that qualify.
    """

    window: int = 32
    max_variance: float = 50.0
    min_mean: float = 0.0
    max_mean: float | None = None
    per_frame: int = 64


def check_noise_rules(rules: NoiseRules, owner: str = '') -> None:
    """Check the rules.

    Args:
        rules: The rules.
        owner: What goes before an argument's name in a message.

    Raises:
        InputError: If one is of a wrong type or out of range.
    """
    require_number(f'{owner}window', rules.window, MIN_WINDOW, MAX_WINDOW, whole=True)
    require_number(f'{owner}max_variance', rules.max_variance, 0, _DEEPEST**2, above=True)
    require_number(f'{owner}min_mean', rules.min_mean, 0, _DEEPEST)
    if rules.max_mean is not None:
        require_number(f'{owner}max_mean', rules.max_mean, rules.min_mean, _DEEPEST, above=True)
    require_number(f'{owner}per_frame', rules.per_frame, 1, MAX_PER_FRAME, whole=True)


class NoiseLibrary(NamedTuple):
    """Windows of noise, P_noise of Eq. 1.

    Attributes:
        patches: (n, s, s), of the frames' dtype.
        corners: (n, 2) int64, the column and row of each window's first pixel in its frame.
        frames: (n,) int64, the number of the frame that each was cut from.
    """

    patches: np.ndarray
    corners: np.ndarray
    frames: np.ndarray

    @classmethod
    def join(cls, parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> 'NoiseLibrary':
        """The windows of several frames, each as :func:`sample_noise` gives them.

        Raises:
            InputError: If there is no window at all.
        """
        counts = [len(patches) for patches, _ in parts]
        if not sum(counts):
            raise InputError(f'no window of {len(parts)} frames is noise: none of little variance is free of targets; '
                             'raise max_variance, or take smaller windows')
        patches, corners = (np.concatenate(kind) for kind in zip(*parts, strict=True))
        return cls(patches, corners, np.repeat(np.arange(len(parts)), counts))


def sample_noise(image: np.ndarray, targets: np.ndarray | None = None,
                 rules: NoiseRules | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Cut the windows of noise out of a frame, Eq. 1: ``0 < Var < sigma`` and ``min_mean < Mean < mu``.

    The windows are those of a grid from the top left corner; what is left at the right and below is in none. A window
    that holds a target pixel is rejected. The paper does not say so; by its rule alone 1.8 % of the windows that
    it takes from NUDT-SIRST would hold one.

    Args:
        image: (H, W) of any integers or floating point, grey.
        targets: (H, W), not 0 at the pixels of targets; None for a frame without any.
        rules: The bounds; the defaults where it is None.

    Returns:
        The windows, (n, s, s) of the frame's dtype, row by row, and the column and row of each one's first pixel,
        (n, 2) int64.
    """
    rules = rules or NoiseRules()
    side = rules.window
    windows = _grid(image, side)
    values = windows.astype(np.float64)
    mean, variance = values.mean(axis=(1, 2)), values.var(axis=(1, 2))
    kept = (variance > 0) & (variance < rules.max_variance) & (mean > rules.min_mean)
    if rules.max_mean is not None:
        kept &= mean < rules.max_mean
    if targets is not None:
        kept &= ~_grid(targets != 0, side).any(axis=(1, 2))
    chosen = np.flatnonzero(kept)
    if len(chosen) > rules.per_frame:
        chosen = chosen[np.arange(rules.per_frame) * len(chosen) // rules.per_frame]
    row, column = np.divmod(chosen, max(image.shape[1] // side, 1))
    return windows[chosen], side * np.stack([column, row], axis=1)


def _grid(image: np.ndarray, side: int) -> np.ndarray:
    """The whole windows of a grid, (n, side, side), row by row."""
    rows, columns = image.shape[0] // side, image.shape[1] // side
    cut = image[:rows * side, :columns * side]
    return cut.reshape(rows, side, columns, side).swapaxes(1, 2).reshape(-1, side, side)


def collect_noise(image_paths: Sequence[PathLike], mask_paths: Sequence[PathLike | None],
                  boxes: Sequence[np.ndarray | None], rules: NoiseRules | None = None,
                  levels: GreyLevels = DEFAULT_LEVELS) -> NoiseLibrary:
    """The noise of many frames; each is decoded once.

    Args:
        image_paths: Image files; colours become grey.
        mask_paths: Their target masks; None for a frame that has none.
        boxes: Of each frame without a mask its boxes, float (n, 4) ``[x1, y1, x2, y2]`` in pixels with exclusive ends:
            all pixels in a box count as target pixels.
        rules: See :func:`sample_noise`.
        levels: How frames of more than 8 bits are brought to 8.

    Raises:
        InputError: A file does not decode, a mask is not of its frame's size, a frame has neither mask nor boxes, or no
            window qualifies.
    """
    parts = []
    frames = zip(image_paths, mask_paths, boxes, strict=True)
    for image_path, mask_path, given in tqdm(frames, 'noise', len(image_paths), unit='image', disable=None):
        image = read_grey_frame(image_path, levels)
        parts.append(sample_noise(image, read_targets(image_path, image.shape, mask_path, given)[1], rules))
    return NoiseLibrary.join(parts)


def mix_noise(image: np.ndarray, noise: np.ndarray, alpha: float = 0.1) -> np.ndarray:
    """Noise2Noise displacement: ``alpha N + (1 - alpha) I`` (Eq. 3), N the window at the frame's size (Eq. 2).

    What this does is less than its name says. The window is enlarged, eight times where one of 32x32 meets a frame of
    256x256, so its grain becomes smooth texture, and alpha makes that faint: at 0.1 a standard deviation of 0.37 grey
    levels on NUDT-SIRST, where rounding alone makes 0.29. What is seen is the rest of Eq. 3: all contrasts, those of
    targets too, are cut to 0.9, and levels move a tenth of the way towards the window's mean.

    Args:
        image: (H, W) or (H, W, C), uint8 or uint16. It is not changed.
        noise: (h, w), in the frame's grey levels; all channels get the same.
        alpha: Share of the noise, in [0, 1].

    Returns:
        The mixed frame, rounded, of the same shape and dtype.
    """
    height, width = image.shape[:2]
    texture = cv2.resize(noise.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    texture = texture.reshape(height, width, *[1] * (image.ndim - 2))
    mixed = np.float32(alpha) * texture + np.float32(1 - alpha) * image
    return np.rint(mixed).clip(0, np.iinfo(image.dtype).max).astype(image.dtype)
