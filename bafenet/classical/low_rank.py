"""Low-rank and sparse decompositions of patch images: IPI and NRAM.

A frame's patches as the columns of a matrix are a background of low rank and few bright pixels, the targets.
"""
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from .patches import join, split
from .windows import Grey

Shrink = Callable[[NDArray[np.float64]], NDArray[np.float64]]
_TINY = 1e-12
_GREATEST_RANK = 0.3  # of IPI's background, as a share of the smaller side of the patch image


def soft(values: Grey, threshold: Grey | float) -> Grey:
    """Soft threshold: values are brought nearer to 0 by the threshold, and those within it become 0."""
    return np.sign(values) * np.maximum(np.abs(values) - threshold, 0)


def shrink_singular_values(matrix: Grey, shrink: Shrink) -> tuple[Grey, NDArray[np.float64]]:
    """A matrix with other singular values, and these, ascending.

    Worked out from the eigenvectors of the smaller Gram matrix, which takes a fraction of the time of the whole
    decomposition.

    Args:
        matrix: (m, n).
        shrink: Gives new singular values for the old ones, both ascending.
    """
    if len(matrix) < matrix.shape[1]:
        result, values = shrink_singular_values(matrix.T, shrink)
        return result.T, values
    squares, vectors = np.linalg.eigh(matrix.T @ matrix)
    old = np.sqrt(np.maximum(squares, 0))
    new = shrink(old)
    kept = new > 0
    right = vectors[:, kept]
    return (matrix @ (right * (new[kept] / np.maximum(old[kept], _TINY)))) @ right.T, new


def unit_range(values: Grey) -> Grey:
    """Values brought linearly to 0 … 1; zeros where all are equal."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


def ipi(frame: Grey, size: int = 50, step: int = 10, tolerance: float = 1e-7, iterations: int = 500) -> Grey:
    """Infrared patch-image model: ``min ‖B‖_* + λ ‖T‖_1`` with B + T the patch image, λ = 1/√max(m, n).

    By the accelerated proximal gradient, whose relaxation falls from the second singular value by a tenth a step. As
    its authors have it, it also ends where the rank of B exceeds 0.3 of the greatest possible, or has been the same for
    ten steps and the number of target pixels nearly so. Gao et al., "Infrared patch-image model for small target
    detection in a single image", IEEE TIP 22(12), 2013.

    Args:
        frame: Grey values, (H, W), float64.
        size: Side of a patch in pixels.
        step: Pixels from one patch to the next.
        tolerance: Relative change at which it ends.
        iterations: At most so many.

    Returns:
        The target image, (H, W), at least 0: medians where patches overlap, in shares of the frame's range.
    """
    return _target_image(frame, size, step, partial(_ipi_targets, tolerance=tolerance, iterations=iterations))


def _target_image(frame: Grey, size: int, step: int, separate: Callable[[Grey], Grey]) -> Grey:
    """The target image of a frame by a method that gives the sparse part of its patch image, (size², n) in 0 … 1."""
    patches = split(frame, size, step)
    image = unit_range(patches.reshape(size * size, -1))
    if not image.any():
        return np.zeros_like(frame)
    return np.maximum(join(separate(image).reshape(patches.shape), frame.shape, step, median=True), 0)


def _ipi_targets(image: Grey, tolerance: float, iterations: int) -> Grey:
    """The sparse part of a patch image, by the accelerated proximal gradient (its Algorithm 1)."""
    weight = 1 / np.sqrt(max(image.shape))
    values = np.linalg.svd(image, compute_uv=False)
    relax, least = values[min(1, len(values) - 1)], 0.005 * values[min(3, len(values) - 1)]
    now = before = np.zeros((2, *image.shape))  # background and targets
    momentum = momentum_before = 1.0
    rank_before, pixels_then, unchanged = -1, 0, 0
    for _ in range(iterations):
        ahead = now + (momentum_before - 1) / momentum * (now - before)
        step_to = ahead - 0.5 * (ahead.sum(axis=0) - image)
        background, left = shrink_singular_values(step_to[0], lambda old: np.maximum(old - relax / 2, 0))  # noqa: B023
        new = np.stack([background, soft(step_to[1], weight * relax / 2)])
        change = 2 * (ahead - new) + (new.sum(axis=0) - ahead.sum(axis=0))
        if np.linalg.norm(change) <= tolerance * 2 * max(1.0, float(np.linalg.norm(new))):
            return new[1]
        rank, pixels = int((left > 0).sum()), int(np.count_nonzero(new[1]))
        if rank > _GREATEST_RANK * min(image.shape):
            return new[1]
        if rank == rank_before:
            unchanged += 1
            if unchanged > 10 and abs(pixels - pixels_then) < 20:
                return new[1]
        else:
            unchanged, pixels_then = 0, pixels
        rank_before = rank
        relax = max(0.9 * relax, least)
        momentum_before, momentum = momentum, 0.5 * (1 + np.sqrt(1 + 4 * momentum**2))
        before, now = now, new
    return now[1]


def nram(frame: Grey,
         size: int = 50,
         step: int = 10,
         gamma: float = 0.002,
         rate: float = 1.1,
         tolerance: float = 1e-7,
         iterations: int = 1000) -> Grey:
    """Non-convex rank approximation with an l_2,1 norm for strong edges.

    ``min ‖B‖_γ + λ ‖T‖_w,1 + β ‖E‖_2,1`` with B + T + E the patch image, λ = 1/√min(m, n), β = 3/√min(m, n), by
    alternating directions whose penalty begins at 3 √max(m, n). Zhang et al., "Infrared small target detection via
    non-convex rank approximation minimization joint l2,1 norm", Remote Sensing 10(11), 2018.

    Args:
        frame: Grey values, (H, W), float64.
        size: Side of a patch in pixels.
        step: Pixels from one patch to the next.
        gamma: γ of the rank approximation ``Σ (1 + γ) σ / (γ + σ)``.
        rate: Factor of the penalty from one step to the next.
        tolerance: Residual at which it ends, relative to the patch image.
        iterations: At most so many.

    Returns:
        The target image, (H, W), at least 0: medians where patches overlap, in shares of the frame's range.
    """
    return _target_image(frame, size, step, partial(_nram_targets, gamma=gamma, rate=rate, tolerance=tolerance,
                                                    iterations=iterations))


def _nram_targets(image: Grey, gamma: float, rate: float, tolerance: float, iterations: int) -> Grey:
    """The sparse part of a patch image, by alternating directions."""
    root = np.sqrt(min(image.shape))
    penalty = 3 * np.sqrt(max(image.shape))
    low_rank, sparse, edges, multiplier = np.zeros((4, *image.shape))
    values = np.zeros(min(image.shape))
    for _ in range(iterations):
        low_rank, values = shrink_singular_values(
            image - sparse - edges - multiplier / penalty,
            lambda old: _rank_step(old, values, penalty, gamma))  # noqa: B023
        rest = image - low_rank - edges - multiplier / penalty
        sparse = soft(rest, root / 2.5 / (np.abs(rest) + 0.04) / root / penalty)
        rest = image - low_rank - sparse - multiplier / penalty
        length = np.maximum(np.linalg.norm(rest, axis=0), _TINY)
        edges = rest * np.maximum(1 - 3 / root / penalty / length, 0)
        residual = low_rank + sparse + edges - image
        multiplier = multiplier + penalty * residual
        penalty *= rate
        if np.linalg.norm(residual) < tolerance * np.linalg.norm(image):
            break
    return sparse


def _rank_step(old: NDArray[np.float64], start: NDArray[np.float64], penalty: float, gamma: float) -> NDArray:
    """Singular values of the γ norm's proximal step, by difference of convex functions from those of the last step."""
    values = start
    for _ in range(100):
        new = np.maximum(old - (1 + gamma) * gamma / (gamma + values)**2 / penalty, 0)
        if ((new - values)**2).sum() < 1e-6:
            return new
        values = new
    return values
