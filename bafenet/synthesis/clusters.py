"""Clusters of small targets, and lone ones: what to paste, where, and the paste itself (paper Sections III-B, IV-C).

Where a target may be at all is a map that the caller gives (``allowed``): in training that of ``BAGCopyPaste.allowed``,
datasets/transforms.
"""
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .gaussian import Rng, blend, draw_weights, mask_boxes, visible_mask
from .placement import draw_integer, draw_integers, draw_true, place_regions, place_targets, region_corners
from .recipe import ClusterRecipe


class TargetLibrary(NamedTuple):
    """Target patches of different sizes in one array.

    Attributes:
        patches: (n, H, W) uint8, each patch in the top left corner, 0 outside of it.
        sizes: (n, 2) int64, height and width of each patch.
        labels: (n,) int64, index of the class of each target.
    """

    patches: np.ndarray
    sizes: np.ndarray
    labels: np.ndarray

    @classmethod
    def from_patches(cls, patches: Sequence[np.ndarray], labels: Sequence[int] | None = None) -> 'TargetLibrary':
        """Stack (h, w) uint8 patches of any sizes; without labels they are of the first class."""
        sizes = np.array([patch.shape for patch in patches], np.int64)
        stacked = np.zeros((len(patches), *sizes.max(axis=0)), np.uint8)
        for target, patch in zip(stacked, patches, strict=True):
            target[:patch.shape[0], :patch.shape[1]] = patch
        return cls(stacked, sizes, np.zeros(len(sizes), np.int64) if labels is None else np.array(labels, np.int64))

    def pick(self, indices: np.ndarray) -> 'TargetLibrary':
        """The chosen targets, in the order of ``indices`` (k,)."""
        return TargetLibrary(self.patches[indices], self.sizes[indices], self.labels[indices])

    def scaled(self, scale: Sequence[float]) -> 'TargetLibrary':
        """The targets at ``scale`` pixels per pixel, vertically and horizontally, none thinner than one pixel."""
        return self.resized(_scaled_sizes(self.sizes, scale))

    def resized(self, sizes: np.ndarray) -> 'TargetLibrary':
        """The targets brought to other sizes (n, 2), bilinearly, as ``cv2.resize`` does by default."""
        if np.array_equal(sizes, self.sizes):
            return self
        target = np.arange(len(sizes))[:, None, None]
        rows, row_shares = _bilinear_taps(self.sizes[:, 0], sizes[:, 0])
        cols, col_shares = _bilinear_taps(self.sizes[:, 1], sizes[:, 1])
        values = sum(self.patches[target, row[:, :, None], col[:, None, :]] * row_share[:, :, None] *
                     col_share[:, None, :] for row, row_share in zip(rows, row_shares, strict=True)
                     for col, col_share in zip(cols, col_shares, strict=True))
        return TargetLibrary(np.rint(values).astype(np.uint8), sizes, self.labels)


def _bilinear_taps(old: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two old pixels, and their shares, that make each new one along an axis; both (2, n, max(new)).

    Beyond a patch's new length the shares are 0.
    """
    index = np.arange(new.max(initial=1))
    last = old[:, None] - 1
    position = np.clip((index + 0.5) * (old / new)[:, None] - 0.5, 0, last)
    low = np.floor(position).astype(np.int64)
    share = position - low
    inside = index < new[:, None]
    return np.stack([low, np.minimum(low + 1, last)]), np.stack([1 - share, share]) * inside


class PastedTargets(NamedTuple):
    """An image with pasted targets, and what can be seen of them.

    Attributes:
        image: The image, shape and dtype of the one given.
        boxes: (n, 4) int64, 0-based ``[x1, y1, x2, y2]`` with exclusive ends: the extent of the visible mask.
        visible: (n, H, W) bool, the visible mask of each target, on the grid of its patch.
        corners: (n, 2) int64, row and column of the patch's top left corner in the image.
        labels: (n,) int64, index of the class of each target.
    """

    image: np.ndarray
    boxes: np.ndarray
    visible: np.ndarray
    corners: np.ndarray
    labels: np.ndarray

    def masks(self) -> np.ndarray:
        """The visible mask of each target, (n, H, W) bool of the image's size."""
        masks = np.zeros((len(self.boxes), *self.image.shape[:2]), bool)
        target, row, col = np.nonzero(self.visible)
        masks[target, self.corners[target, 0] + row, self.corners[target, 1] + col] = True
        return masks

    def mask(self) -> np.ndarray:
        """All visible masks in one (H, W) bool mask of the image's size."""
        mask = np.zeros(self.image.shape[:2], bool)
        target, row, col = np.nonzero(self.visible)
        mask[self.corners[target, 0] + row, self.corners[target, 1] + col] = True
        return mask


def paste_clusters(image: np.ndarray, allowed: np.ndarray, library: TargetLibrary, rng: Rng, recipe: ClusterRecipe,
                   scale: Sequence[float] = (1.0, 1.0), most: int | None = None) -> PastedTargets:
    """Place clusters, or lone targets, pick them from a library and paste them: the whole of BAG-CP for one image.

    Args:
        image: (H, W) or (H, W, C), values in [0, 255]. It is not changed.
        allowed: (H, W) bool, or uint8 of 0 and 1, true where a target may be.
        library: The targets to draw from, in native pixels.
        rng: Source of the draws.
        recipe: How many, how near and how bright.
        scale: Pixels of this image per native pixel, vertically and horizontally; see :func:`place_clusters`.
        most: No more targets than this are pasted; None for no limit.

    Returns:
        The new image and the targets that can be seen in it, none where nothing fits.
    """
    indices, sizes, corners = place_clusters(allowed, library.sizes, rng, recipe, scale)
    return paste_targets(image, library.pick(indices[:most]).resized(sizes[:most]), corners[:most], rng, recipe)


def place_clusters(allowed: np.ndarray, sizes: np.ndarray, rng: Rng, recipe: ClusterRecipe,
                   scale: Sequence[float] = (1.0, 1.0)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw how many targets there are, which ones of a library, how large, and where each of them goes.

    In clusters, unless the image is one for lone targets (``recipe.lone_prob``) or ``recipe.clustered`` is False. The
    regions stay farther apart than the targets in them, so that each cluster is one.

    Args:
        allowed: (H, W) bool, or uint8 of 0 and 1, true where a target may be.
        sizes: (m, 2) int, height and width in native pixels of the library's targets, which are drawn with replacement.
        rng: Source of the draws.
        recipe: Numbers, sizes and spacing. A target too large for its region is left out.
        scale: Pixels of this image per native pixel, vertically and horizontally. Targets and spacing are brought to it
            and rounded, none below 1; the region's size is in pixels of this image.

    Returns:
        (n,) int64, the targets that found a place, as indices into ``sizes``; (n, 2) int64, the heights and widths in
        pixels of this image that they are to be brought to; and (n, 2) int64, row and column of their top left corners.
        n is 0 where nothing fits.
    """
    if recipe.lone_prob and rng.random() < recipe.lone_prob:
        gap = (_scaled_gap(recipe.lone_spacing, scale[0]), _scaled_gap(recipe.lone_spacing, scale[1]))
        drawn = draw_integers(rng, 0, len(sizes) - 1, draw_integer(rng, *recipe.num_lone))
        return _place_one_by_one(allowed, drawn, _drawn_sizes(sizes[drawn], rng, recipe, scale), gap, rng)
    low, high = recipe.spacing
    gaps = [(_scaled_gap(gap, scale[0]), _scaled_gap(gap, scale[1])) for gap in range(low, high + 1)]
    count = draw_integer(rng, *recipe.num_clusters)
    if not recipe.clustered:
        number = int(draw_integers(rng, *recipe.targets_per_cluster, count).sum())
        drawn = draw_integers(rng, 0, len(sizes) - 1, number)
        return _place_one_by_one(allowed, drawn, _drawn_sizes(sizes[drawn], rng, recipe, scale), gaps[0], rng)
    region = (recipe.region_size, recipe.region_size)
    found = [(np.empty(0, np.int64), np.empty((0, 2), np.int64), np.empty((0, 2), np.int64))]
    for region_corner in place_regions(allowed, region, count, rng, margin=max(gaps[-1]) + 1):
        drawn = draw_integers(rng, 0, len(sizes) - 1, draw_integer(rng, *recipe.targets_per_cluster))
        wanted = _drawn_sizes(sizes[drawn], rng, recipe, scale)
        placed = place_targets(region, wanted, gaps, rng)
        fits = placed[:, 0] >= 0
        found.append((drawn[fits], wanted[fits], region_corner + placed[fits]))
    picks, wanted, corners = map(np.concatenate, zip(*found, strict=True))
    return picks, wanted, corners


def _drawn_sizes(sizes: np.ndarray, rng: Rng, recipe: ClusterRecipe, scale: Sequence[float]) -> np.ndarray:
    """Heights and widths (n, 2) in pixels of the image of targets of native ``sizes``, each by a factor of its own."""
    low, high = recipe.target_scale
    if low == high == 1:
        return _scaled_sizes(sizes, scale)
    factors = np.exp(rng.uniform(np.log(low), np.log(high), len(sizes)))
    factors = np.minimum(factors, recipe.max_scaled_size / sizes.max(axis=1, initial=1))
    return _scaled_sizes(sizes * factors[:, None], scale)


def _scaled_sizes(sizes: np.ndarray, scale: Sequence[float]) -> np.ndarray:
    """Sizes (n, 2) at ``scale`` pixels per pixel, vertically and horizontally: rounded, none below 1; int64."""
    return np.maximum(np.rint(sizes * np.asarray(scale)), 1).astype(np.int64)


def _scaled_gap(gap: int, factor: float) -> int:
    """Empty pixels at ``factor`` pixels per pixel: rounded, and not 0 unless they are."""
    return max(round(gap * factor), min(gap, 1))


def _place_one_by_one(allowed: np.ndarray, drawn: np.ndarray, sizes: np.ndarray, gap: tuple[int, int],
                      rng: Rng) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Place each drawn target uniformly over all positions that the ones before it have left."""
    free = np.array(allowed, np.uint8)
    placed, corners = [], []
    for index, (height, width) in enumerate(sizes.tolist()):
        corner = draw_true(region_corners(free, (height, width)), rng)
        if corner is not None:
            row, col = corner
            free[max(row - gap[0], 0):row + height + gap[0], max(col - gap[1], 0):col + width + gap[1]] = 0
            placed.append(index)
            corners.append(corner)
    return drawn[placed], sizes[placed], np.array(corners, np.int64).reshape(-1, 2)


def paste_targets(image: np.ndarray, targets: TargetLibrary, corners: np.ndarray, rng: Rng,
                  recipe: ClusterRecipe) -> PastedTargets:
    """Blend targets into a copy of an image (paper Eq. 1-3), each with a Gaussian and a brightness of its own.

    With ``recipe.gaussian=False`` a patch replaces the background, and all of it counts as visible.

    Args:
        image: (H, W) or (H, W, C), values in [0, 255]. It is not changed.
        targets: The n targets.
        corners: (n, 2) int, row and column of each top left corner. The patches lie in the image and apart.
        rng: Source of the draws.
        recipe: Ranges of brightness, sigma, offset and rotation.

    Returns:
        The new image and the targets that can be seen in it, in order; one that raises no pixel is left out.
    """
    grid = np.indices(targets.patches.shape[1:])
    inside = (grid[0] < targets.sizes[:, 0, None, None]) & (grid[1] < targets.sizes[:, 1, None, None])
    target, row, col = np.nonzero(inside)
    pixels = (corners[target, 0] + row, corners[target, 1] + col)

    before = image[pixels]
    # One trailing axis for the channels of a colour image, none for a grey one.
    per_pixel = (-1, ) + (1, ) * (image.ndim - 2)
    patch = targets.patches[target, row, col].reshape(per_pixel)
    if recipe.gaussian:
        weights = draw_weights(targets.sizes, rng, recipe.sigma, recipe.offset, recipe.rotation)
        brightness = rng.uniform(*recipe.brightness, len(corners))
        after = blend(before, patch, weights[target, row, col].reshape(per_pixel),
                      brightness[target].reshape(per_pixel))
    else:
        after = np.broadcast_to(patch, before.shape).astype(image.dtype)
    pasted = image.copy()
    pasted[pixels] = after

    if recipe.gaussian:
        raised = np.zeros(inside.shape)
        channels = tuple(range(1, before.ndim))
        raised[target, row, col] = np.subtract(after, before, dtype=float).max(axis=channels)
        visible = visible_mask(raised, recipe.visible_share)
    else:
        visible = inside
    seen = visible.any(axis=(1, 2))
    boxes = mask_boxes(visible[seen]) + corners[seen][:, [1, 0, 1, 0]]
    return PastedTargets(pasted, boxes, visible[seen], corners[seen], targets.labels[seen])
