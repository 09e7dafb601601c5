"""Measure one image of a devkit and its targets: sizes, local contrast, brightness, clusters.

Targets are the 8-connected components of the target masks; their sizes are those of the components' extents.
"""
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from bafenet_command import call_of

from ..errors import InputError, printable
from .box_matching import EIGHT_NEIGHBOURS, extents
from .images import read_grey, read_image
from .layout import BOXES, CLASSES, IMAGES, SKY, SKY_PALETTE, TARGET_PALETTE, find_file
from .read import read_boxes

CONTRAST_MARGIN = 8
CLUSTER_DISTANCE = 10
MIN_CLUSTER = 3


@dataclass
class ImageStatistics:
    """What one image and its n targets measure.

    Attributes:
        size: Width and height in pixels.
        boxes: Number of boxes in its XML.
        sizes: (n, 2) int, width and height of each target.
        area: (n,) int, pixels.
        contrast: (n,) float, NaN where it is not defined.
        contrast_paper_boxes: (n,) float, likewise.
        brightness: (n,) float in [0, 1], NaN in a black image.
        in_sky: (n,) bool.
        cluster: (n,) int, number of the cluster in this image, -1 for none.
    """

    size: tuple[int, int]
    boxes: int
    sizes: np.ndarray
    area: np.ndarray
    contrast: np.ndarray
    contrast_paper_boxes: np.ndarray
    brightness: np.ndarray
    in_sky: np.ndarray
    cluster: np.ndarray


def measure_image(root: Path, name: str) -> ImageStatistics:
    """Measure one image and its targets.

    Args:
        root: The devkit.
        name: Image name.

    Returns:
        The measurements.

    Raises:
        InputError: If one of its files is missing or bad.
    """
    image, _ = read_grey(find_file(root, IMAGES, name))
    labels, _ = ndimage.label(read_map(root, TARGET_PALETTE, name, image.shape), EIGHT_NEIGHBOURS)
    sky = read_map(root, SKY_PALETTE, name, image.shape) == SKY
    size = image.shape[::-1]
    boxes, _ = read_boxes(find_file(root, BOXES, name), CLASSES, size)
    corners = extents(labels)
    pixels = labels > 0
    target = labels[pixels] - 1
    area = np.bincount(target, minlength=len(corners))
    peaks = np.zeros(len(corners))
    np.maximum.at(peaks, target, image[pixels])
    brightest = image.max()
    return ImageStatistics(
        size=size,
        boxes=len(boxes),
        sizes=corners[:, 2:] - corners[:, :2],
        area=area,
        contrast=local_contrast(image, corners),
        # A box that would leave the image is cut at its border.
        contrast_paper_boxes=local_contrast(image, np.maximum(corners - 1, 0)),
        brightness=peaks / brightest if brightest > 0 else np.full(len(corners), np.nan),
        in_sky=np.bincount(target, sky[pixels], len(corners)) >= area / 2,
        cluster=find_clusters((corners[:, :2] + corners[:, 2:]) / 2))


def local_contrast(image: np.ndarray, boxes: np.ndarray, margin: int = CONTRAST_MARGIN) -> np.ndarray:
    """Mean grey level of each box over that of the ring around it.

    Args:
        image: (H, W), grey levels.
        boxes: (n, 4) int ``[x1, y1, x2, y2]`` with exclusive ends, in the image.
        margin: Width of the ring in pixels; it ends at the image's border.

    Returns:
        (n,) float; NaN where the box is empty, or the ring is empty or black.
    """
    sums = np.pad(image.astype(np.float64).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    height, width = image.shape
    outer = np.clip(boxes + [-margin, -margin, margin, margin], 0, [width, height, width, height])
    inner_sum, outer_sum = _box_sums(sums, boxes), _box_sums(sums, outer)
    inner_area, outer_area = _areas(boxes), _areas(outer)
    with np.errstate(divide='ignore', invalid='ignore'):
        ratio = inner_sum / inner_area / ((outer_sum - inner_sum) / (outer_area - inner_area))
    return np.where(np.isfinite(ratio), ratio, np.nan)


def _box_sums(sums: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    x1, y1, x2, y2 = boxes.T
    return sums[y2, x2] - sums[y1, x2] - sums[y2, x1] + sums[y1, x1]


def _areas(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def find_clusters(centres: np.ndarray) -> np.ndarray:
    """Group targets by single linkage: see ``'cluster'`` in :data:`bafenet.devkit.stats.DEFINITIONS`.

    Args:
        centres: (n, 2) float, in pixels.

    Returns:
        (n,) int, 0 to k - 1 for the k clusters, -1 for targets in none.
    """
    count = len(centres)
    if not count:
        return np.zeros(0, int)
    pairs = cKDTree(centres).query_pairs(CLUSTER_DISTANCE, output_type='ndarray')
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, group = connected_components(links, directed=False)
    large = np.bincount(group) >= MIN_CLUSTER
    return np.where(large[group], (large.cumsum() - 1)[group], -1)


def read_map(root: Path, folder: str, name: str, shape: tuple[int, int]) -> np.ndarray:
    """A target mask or sky map (H, W) as it is in the file.

    Raises:
        InputError: If it is missing, does not decode or is not of the given shape.
    """
    path = find_file(root, folder, name)
    values = np.asarray(read_image(path))
    if values.shape != shape:
        there, expected = ('x'.join(map(str, size[1::-1])) for size in (values.shape, shape))
        raise InputError(f'{printable(path)}: is not one channel of its image\'s size, {expected}, but '
                         f'{"of several channels" if there == expected else there}; see {call_of("check")}')
    return values
