"""Low-rank and sparse decompositions of patch tensors: RIPT and PSTNN."""
import cv2
import numpy as np

from .low_rank import shrink_singular_values, unit_range
from .patches import join, split
from .windows import Grey

_TINY = 1e-12


def structure_tensor(frame: Grey, size: int, before: float, after: float) -> tuple[Grey, Grey]:
    """Eigenvalues of the structure tensor at each pixel, the larger one first, (H, W) each.

    Args:
        frame: Grey values, (H, W), float64.
        size: Side of the Gaussian windows in pixels.
        before: Standard deviation in pixels of the Gaussian that smooths the frame.
        after: That of the one that smooths the products of its gradients.
    """

    def smooth(values: Grey, sigma: float) -> Grey:
        return cv2.GaussianBlur(values, (size, size), sigma, borderType=cv2.BORDER_REFLECT)

    down, across = np.gradient(smooth(frame, before))
    xx, xy, yy = (smooth(product, after) for product in (across**2, across * down, down**2))
    middle, reach = 0.5 * (xx + yy), 0.5 * np.sqrt((xx - yy)**2 + 4 * xy**2)
    return middle + reach, middle - reach


def ript(frame: Grey,
         size: int = 30,
         step: int = 10,
         weight: float = 0.7,
         edge_weight: float = 1.0,
         rate: float = 1.5,
         tolerance: float = 1e-7,
         iterations: int = 100) -> Grey:
    """Reweighted infrared patch-tensor model: low rank of all three unfoldings, edges weighed by the structure tensor.

    λ = 0.7/√min(n1, n2, n3); the inverse penalty begins at five standard deviations of the patches; ε = 0.01. It also
    ends where the number of target pixels stays the same. Dai and Wu, "Reweighted infrared patch-tensor model with
    both nonlocal and local priors for single-frame small target detection", IEEE JSTARS 10(8), 2017.

    Args:
        frame: Grey values, (H, W), float64.
        size: Side of a patch in pixels.
        step: Pixels from one patch to the next.
        weight: The 0.7 of λ.
        edge_weight: h: weights are ``exp(h · edge)``, the edge from 0 to 1.
        rate: ρ, by which the inverse penalty is divided after each step.
        tolerance: Residual at which it ends, relative to the patches.
        iterations: At most so many.

    Returns:
        The target image, (H, W), at least 0, in grey levels: means where patches overlap.
    """
    tensor = split(frame, size, step)
    inverse = 5 * float(tensor.std())
    if not inverse:
        return np.zeros_like(frame)
    sparsity = weight / np.sqrt(min(tensor.shape))
    larger, smaller = structure_tensor(frame, 3, 1.2, 2.0)
    edges = split(np.exp(edge_weight * unit_range(larger - smaller)), size, step)
    weights, target = edges, np.zeros_like(tensor)
    multipliers = np.zeros((3, *tensor.shape))
    pixels = tensor.size
    for _ in range(iterations):
        backgrounds = np.stack([_low_rank_along(tensor + inverse * multiplier - target, axis, inverse)
                                for axis, multiplier in enumerate(multipliers)])
        mean = (tensor + inverse * multipliers - backgrounds).mean(axis=0)
        target = np.maximum(mean - weights * inverse * sparsity / 3, 0)
        weights = edges / (target + 0.01)
        residuals = backgrounds + target - tensor
        multipliers = multipliers - residuals / inverse
        inverse /= rate
        now = int(np.count_nonzero(target))
        if now == pixels or np.linalg.norm(residuals.mean(axis=0)) < tolerance * np.linalg.norm(tensor):
            break
        pixels = now
    return join(target, frame.shape, step)


def _low_rank_along(tensor: Grey, axis: int, threshold: float) -> Grey:
    """A tensor whose unfolding along an axis has its singular values brought nearer to 0."""
    front = np.moveaxis(tensor, axis, 0)
    low, _ = shrink_singular_values(front.reshape(len(front), -1), lambda old: np.maximum(old - threshold, 0))
    return np.moveaxis(low.reshape(front.shape), 0, axis)


def pstnn(frame: Grey,
          size: int = 40,
          step: int = 40,
          weight: float = 0.7,
          penalty: float = 2e-3,
          rate: float = 1.05,
          tolerance: float = 1e-3,
          rank_ratio: float = 0.1,
          iterations: int = 500) -> Grey:
    """Partial sum of the tensor nuclear norm: the largest singular values of the background are left as they are.

    λ = 0.7/√(max(n1, n2) n3); targets are weighed by the strength of corners. It also ends where the number of target
    pixels stays the same. Zhang and Peng, "Infrared small target detection based on partial sum of the tensor nuclear
    norm", Remote Sensing 11(4), 2019.

    Args:
        frame: Grey values, (H, W), float64.
        size: Side of a patch in pixels.
        step: Pixels from one patch to the next.
        weight: The 0.7 of λ.
        penalty: μ at the beginning.
        rate: ρ: factor of μ from one step to the next.
        tolerance: Residual at which it ends, relative to the patches.
        rank_ratio: So many singular values are left as exceed this share of the largest.
        iterations: At most so many.

    Returns:
        The target image, (H, W), at least 0, in grey levels: means where patches overlap.
    """
    tensor = split(frame, size, step)
    norm = float(np.linalg.norm(tensor))
    if not tensor.std():
        return np.zeros_like(frame)
    sparsity = weight / np.sqrt(size * tensor.shape[2])
    larger, smaller = structure_tensor(frame, 3, 2.0, 9.0)
    corners = larger * smaller / np.maximum(larger + smaller, _TINY)
    prior = np.maximum(split(unit_range(corners * larger), size, step), _TINY)
    values = np.linalg.svd(tensor.reshape(size, -1), compute_uv=False)
    rank = max(int((values >= rank_ratio * values[0]).sum()), 1)
    target, multiplier, weights = np.zeros_like(tensor), np.zeros_like(tensor), np.ones_like(tensor)
    pixels = 0
    for _ in range(iterations):
        background = _partial_low_rank(tensor - target - multiplier / penalty, rank, 1 / penalty)
        target = np.maximum(tensor - background - multiplier / penalty - weights * sparsity / penalty, 0)
        weights = rank / (target + 0.01) / prior
        residual = background + target - tensor
        now = int(np.count_nonzero(target))
        if np.linalg.norm(residual) < tolerance * norm or now == pixels > 0:
            break
        multiplier = multiplier + penalty * residual
        penalty *= rate
        pixels = now
    return join(target, frame.shape, step)


def _partial_low_rank(tensor: Grey, rank: int, threshold: float) -> Grey:
    """Proximal step of the partial sum of singular values of each slice, in the Fourier domain of the last axis."""
    left, values, right = np.linalg.svd(np.fft.rfft(tensor, axis=2).transpose(2, 0, 1), full_matrices=False)
    values[:, rank:] = np.maximum(values[:, rank:] - threshold, 0)
    return np.fft.irfft(((left * values[:, None]) @ right).transpose(1, 2, 0), n=tensor.shape[2], axis=2)
