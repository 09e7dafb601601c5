"""The Gaussian-weighted blend of BAG-CP (paper Eq. 1-3), for one patch or for a whole batch of them."""

from types import ModuleType

import numpy as np

Rng = np.random.Generator | np.random.RandomState | ModuleType
"""What the random functions of this package draw from: a generator, a ``RandomState``, or the module ``np.random``."""


def gaussian_weights(sizes: np.ndarray, sigma: np.ndarray, offset: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """The weight matrix G of each patch (paper Eq. 2-3).

    On coordinates from -1 to 1 across the patch (its pixel centres; 0 along a side of one pixel),
    ``(x', y') = R(angle) (x - mu_x, y - mu_y)`` and ``G = exp(-x'^2 / 2 sigma_x^2 - y'^2 / 2 sigma_y^2)``, scaled to
    [0, 1] by its own minimum and maximum. Where all values are equal, as in a patch of one pixel, they are 1.

    Args:
        sizes: (..., 2) int, height and width in pixels, each at least 1.
        sigma: (..., 2) float, sigma_x and sigma_y, in half patch sides.
        offset: (..., 2) float, mu_x and mu_y, in half patch sides; negative is left and up.
        angle: (...) float, rotation in degrees.

    Returns:
        (..., H, W) float64 in [0, 1], where H and W are the largest sizes. Outside of its own size each matrix is 0.
    """
    sizes, sigma, offset = (np.asarray(pairs)[..., None, None] for pairs in (sizes, sigma, offset))
    height, width = sizes[..., 0, :, :], sizes[..., 1, :, :]
    row, col = np.arange(height.max(initial=1))[:, None], np.arange(width.max(initial=1))
    turn = np.deg2rad(angle)[..., None, None]
    cos, sin = np.cos(turn), np.sin(turn)

    x = _centred(col, width) - offset[..., 0, :, :]
    y = _centred(row, height) - offset[..., 1, :, :]
    turned_x = (cos * x - sin * y) / sigma[..., 0, :, :]
    turned_y = (sin * x + cos * y) / sigma[..., 1, :, :]
    gauss = np.exp(-0.5 * (turned_x * turned_x + turned_y * turned_y))

    inside = (row < height) & (col < width)
    low = np.where(inside, gauss, np.inf).min(axis=(-2, -1), keepdims=True)
    high = (gauss * inside).max(axis=(-2, -1), keepdims=True)
    # Equal up to rounding, not exactly: rotation moves the corners of a 2x2 patch by the last bit.
    scaled = np.divide(gauss - low, high - low, out=np.ones_like(gauss), where=high - low > 1e-9 * high)
    return scaled * inside


def _centred(index: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Pixel indices as coordinates from -1 (first pixel centre) to 1 (last); 0 where there is one pixel."""
    return (2 * index - (length - 1)) / np.maximum(length - 1, 1)


def draw_weights(sizes: np.ndarray, rng: Rng, sigma: tuple[float, float] = (0.3, 0.6),
                 offset: tuple[float, float] = (-0.2, 0.0), rotation: tuple[float, float] = (-90, 90)) -> np.ndarray:
    """Draw one weight matrix G a patch, its parameters uniform in the given ranges (the paper's by default).

    Args:
        sizes: (n, 2) int, heights and widths in pixels.
        rng: Source of the draws.
        sigma: Range of sigma_x and of sigma_y, drawn apart.
        offset: Range of mu_x and of mu_y, drawn apart. The paper's rho is in [0, 0.2]; as released mu = -rho.
        rotation: Range of the angle in degrees.

    Returns:
        (n, H, W) float64 weights in [0, 1], 0 outside of each patch, as :func:`gaussian_weights` gives them.
    """
    count = len(sizes)
    return gaussian_weights(sizes, rng.uniform(*sigma, (count, 2)), rng.uniform(*offset, (count, 2)),
                            rng.uniform(*rotation, count))


def blend(background: np.ndarray, patch: np.ndarray, weights: np.ndarray,
          brightness: float | np.ndarray) -> np.ndarray:
    """Lay patches over backgrounds: ``T_new = T_back + B_box * lambda * G``, clipped to 255 (paper Eq. 1).

    The four arguments broadcast against each other, so a batch or a channel axis costs nothing more.

    Args:
        background: T_back, values in [0, 255], e.g. (h, w) or (n, h, w).
        patch: B_box, the pixels of the target, values in [0, 255].
        weights: G, in [0, 1].
        brightness: lambda.

    Returns:
        T_new in the dtype of ``background``; integer dtypes drop the fraction, so that a pixel
        is one grey level brighter exactly where ``B_box * lambda * G`` is at least 1.
    """
    blended = np.minimum(background + np.asarray(patch, float) * brightness * weights, 255)
    return blended.astype(background.dtype)


def visible_mask(raised: np.ndarray, share: float = 0.0) -> np.ndarray:
    """The pixels in which pasted targets can be seen.

    Args:
        raised: (n, h, w), by how many grey levels the blend has raised each pixel of n targets.
        share: A pixel also has to be raised by this share of its target's greatest raise.

    Returns:
        (n, h, w) bool: raised by at least one grey level, and by that share.
    """
    return raised >= np.maximum(share * raised.max(axis=(1, 2), keepdims=True), 1)


def mask_boxes(masks: np.ndarray) -> np.ndarray:
    """The extent of each mask: 0-based ``[x1, y1, x2, y2]`` with exclusive ends, all 0 for an empty mask.

    Args:
        masks: (n, h, w) bool.

    Returns:
        (n, 4) int64.
    """
    spans = []
    for hit in (np.any(masks, axis=1), np.any(masks, axis=2)):
        length = hit.shape[1]
        first, last = hit.argmax(axis=1), length - hit[:, ::-1].argmax(axis=1)
        spans.append((first, np.where(hit.any(axis=1), last, 0)))
    (x1, x2), (y1, y2) = spans
    return np.stack([x1, y1, x2, y2], axis=1)
